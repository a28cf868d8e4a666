"""How far each layer does what the derivation says, on data or on Gaussian tokens.

Compress is derived as a step down the compression rate R^c in the layer's subspaces, Sparsify as a
step on the lasso that keeps the coding rate R (arXiv 2311.13110, section 2). Every layer is judged
by its own subspaces and dictionary.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import nullcontext

from torch import Tensor
from transformers import PreTrainedModel

from whitebox_transformers.errors import UserError

from .gaussian_tokens import GaussianTokens
from .layer_pass import LayerPass, watching
from .layer_report import LayerReport
from .layers import encoder_layers, layer_at, subspaces_of
from .padding import real_tokens
from .step_measures import measure_steps
from .streaming import Batch, stream


def faithfulness(
    model: PreTrainedModel, batches: Iterable[Batch], gaussian: GaussianTokens | None = None
) -> LayerReport:
    """Measure both steps of every layer, over all samples of ``batches``; memory holds one layer.

    Args:
        model: Any model of the CRATE family whose layers compress by MSSA; a decoder's layers,
            which are run backwards, are left out.
        batches: As for :func:`.layerwise.measure`.
        gaussian: Given to every layer in place of its own tokens, as a control.

    Returns:
        Mean and standard deviation over samples of ``measures.STEP_MEASURES``, one entry for each
        layer. Those of Sparsify are absent where layers have none, those of the lasso where the
        step is not derived from one.

    Raises:
        UserError: No CRATE layers or none with subspaces, a folded model, no samples, or
            activations that are not finite.
    """
    layers = encoder_layers(model)
    subspaces_of(layer_at(model, 0))

    def observe(inputs: dict[str, Tensor]) -> dict[str, list[Tensor]]:
        real = real_tokens(inputs)
        found: dict[str, list[Tensor]] = defaultdict(list)

        def see(index: int, passed: LayerPass) -> None:
            try:
                measured = measure_steps(passed, real)
            except ValueError as error:
                raise UserError(f"layer {index + 1}: {error}") from error
            for key, values in measured.items():
                found[key].append(values)

        replaced = gaussian.in_place_of(layers, real) if gaussian else nullcontext()
        with replaced, watching(layers, see):
            model(**inputs)
        return found

    return stream(model, batches, observe)


def gaussian_like(report: LayerReport, width: int, seed: int = 0) -> GaussianTokens:
    """Gaussian tokens of the mean length that the tokens of a report have in each layer.

    Args:
        report: With the measure ``norm-z``.
        width: D.
        seed: Seed of the draws.
    """
    return GaussianTokens([length / width**0.5 for length in report.curves["norm-z"].mean], seed)
