"""The measurements of `wbt faithful`: a trained model, its untrained control, Gaussian tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedModel

from whitebox_transformers.analysis.coherence import dictionary_coherence, subspace_coherence
from whitebox_transformers.analysis.faithfulness import faithfulness, gaussian_like
from whitebox_transformers.analysis.layer_report import LayerReport
from whitebox_transformers.analysis.layers import sparsify_of, white_box_layers
from whitebox_transformers.analysis.output_matrix import output_agreement
from whitebox_transformers.data.protocol import Sample

Values = Mapping[str, list[float]]
"""By name, one number for each layer."""


@dataclass(frozen=True)
class FaithfulStudy:
    """What the layers of a model do, by what was given to which weights.

    Attributes:
        steps: ``trained`` and ``untrained`` on the same samples, ``gaussian``: trained weights on
            Gaussian tokens of the samples' mean length in each layer.
        matrices: Properties of the weights of ``trained`` and ``untrained``: those of
            `output_agreement`, and of `subspace_coherence` and `dictionary_coherence` behind
            ``u_`` and ``d_``.
    """

    steps: dict[str, LayerReport]
    matrices: dict[str, Values]

    def values(self, which: str) -> Values:
        """Means over samples, and properties of the matrices, of one of the three."""
        means = {key: curve.mean for key, curve in self.steps[which].curves.items()}
        found = {**means, **self.matrices.get(which, {})}
        if "sparsify-lasso-start" in means:
            pairs = zip(means["sparsify-lasso-start"], means["sparsify-lasso-end"], strict=True)
            found["sparsify-lasso-change"] = [end / start - 1 for start, end in pairs]
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain values, every curve with its definition."""
        steps = {which: report.to_json() for which, report in self.steps.items()}
        return {"steps": steps, "matrices": self.matrices}


def study_steps(
    model: PreTrainedModel,
    control: PreTrainedModel,
    batches: Callable[[str], Iterator[Sample]],
    seed: int,
) -> FaithfulStudy:
    """Measure the three; memory holds one batch at one layer.

    Args:
        model: The trained model.
        control: The same architecture with fresh weights.
        batches: Makes the same batches every time; takes a title for the progress bar.
        seed: Seed of the Gaussian tokens.

    Raises:
        UserError: As `faithfulness`.
    """
    # Without its head, whose scores of a whole vocabulary nobody looks at.
    body: Any = model.base_model
    fresh: Any = control.base_model
    trained = faithfulness(body, batches("trained"))
    gaussian = gaussian_like(trained, model.config.hidden_size, seed)
    steps = {
        "trained": trained,
        "untrained": faithfulness(fresh, batches("untrained")),
        "gaussian": faithfulness(body, batches("Gaussian tokens"), gaussian),
    }
    return FaithfulStudy(
        steps,
        {"trained": matrices_of(body), "untrained": matrices_of(fresh)},
    )


def matrices_of(model: PreTrainedModel) -> Values:
    """Properties of every layer's weights."""
    rows = [_matrices(model, index) for index in range(len(white_box_layers(model)))]
    return {key: [row[key] for row in rows] for key in rows[0]}


def _matrices(model: PreTrainedModel, index: int) -> dict[str, float]:
    subspaces = subspace_coherence(model, index).summary
    found = output_agreement(model, index) | {f"u_{k}": v for k, v in subspaces.items()}
    layer = white_box_layers(model)[index]
    if layer.sparsify is not None and hasattr(sparsify_of(layer).ista, "dictionary"):
        dictionary = dictionary_coherence(model, index).summary
        found |= {f"d_{k}": v for k, v in dictionary.items()}
    return found
