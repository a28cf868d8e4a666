"""One pass of samples through a model, of which only running moments are kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor
from transformers import PreTrainedModel

from whitebox_transformers.errors import UserError

from .layer_report import LayerReport, RunningMoments
from .layers import evaluating
from .padding import samples_in

Batch = Tensor | Mapping[str, Tensor]
Observe = Callable[[dict[str, Tensor]], Mapping[str, list[Tensor]]]
"""Runs the model on one batch; by measure, one value per sample (B,) for each layer."""


def stream(model: PreTrainedModel, batches: Iterable[Batch], observe: Observe) -> LayerReport:
    """Moments over all samples of what ``observe`` finds, in evaluation mode, without gradients.

    Args:
        model: Whatever ``observe`` runs.
        batches: Tensors of the model's main input, or mappings of its arguments, of which
            ``labels`` is left out; moved to the model's device.
        observe: Called for each batch.

    Raises:
        UserError: There are no samples.
    """
    moments: dict[str, RunningMoments] = defaultdict(RunningMoments)
    count = 0
    # Not inference mode: some measures differentiate.
    with evaluating(model), torch.no_grad():
        for batch in batches:
            named = batch if isinstance(batch, Mapping) else {model.main_input_name: batch}
            inputs = {k: v.to(model.device) for k, v in named.items() if k != "labels"}
            count += samples_in(inputs)
            for key, layers in observe(inputs).items():
                moments[key].add(torch.stack(layers))
    if not count:
        raise UserError("there are no samples to measure; expected at least one batch")
    return LayerReport(count, {key: running.curve() for key, running in moments.items()})
