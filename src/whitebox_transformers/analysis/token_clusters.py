"""Which tokens of a sample belong together, layer by layer.

Legend: N tokens, D width, L layers, C clusters.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from whitebox_transformers.extras import require

from .layers import evaluating

MOST = 6


def token_clusters(model: PreTrainedModel, inputs: Mapping[str, Tensor], seed: int = 0) -> Tensor:
    """K-means on the directions of one sample's tokens, of the hidden states Z^0 .. Z^L.

    Args:
        model: Any model that returns ``hidden_states``.
        inputs: Its arguments for one sample, without padding.
        seed: Of k-means' starts.

    Returns:
        Numbers of clusters (L + 1, N), int64. There are about sqrt(N / 2) clusters, 2 to 6. From
        layer to layer a number goes to the cluster that shares most tokens with it, so that it can
        be followed.
    """
    inputs = {key: value.to(model.device) for key, value in inputs.items()}
    with evaluating(model), torch.inference_mode():
        states = model(**inputs, output_hidden_states=True).hidden_states
    found: list[np.ndarray] = []
    for z in states:
        unit = torch.nn.functional.normalize(z[0].float(), dim=-1).cpu().numpy()
        labels = _labels(unit, seed)
        found.append(labels if not found else _renamed(labels, found[-1]))
    return torch.from_numpy(np.stack(found)).long()


def _labels(unit: np.ndarray, seed: int) -> np.ndarray:
    count = min(len(unit), max(2, min(MOST, round((len(unit) / 2) ** 0.5))))
    # Tokens that are all alike are one cluster, of which k-means would warn.
    count = min(count, len(np.unique(unit.round(6), axis=0)))
    kmeans = require("sklearn.cluster", extra="analysis").KMeans
    return kmeans(count, n_init=4, random_state=seed).fit_predict(unit)


def _renamed(labels: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The same clusters under the numbers of those before that they overlap most, one to one."""
    size = max(labels.max(), before.max()) + 1
    shared = np.zeros((size, size))
    np.add.at(shared, (labels, before), 1)
    assign = require("scipy.optimize", extra="analysis").linear_sum_assignment
    mine, theirs = assign(shared, maximize=True)
    return theirs[np.argsort(mine)][labels]
