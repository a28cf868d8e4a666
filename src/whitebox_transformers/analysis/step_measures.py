"""What one layer's two steps did to a batch: a number per sample for each of ``STEP_MEASURES``.

Legend: B samples, N tokens, D width, K heads, P head width, M coefficients.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from whitebox_transformers.crate.ista import OvercompleteISTA
from whitebox_transformers.crate.lasso import lasso_objective
from whitebox_transformers.crate.rates import (
    coding_rates,
    compression_rate_gradient,
    nonzero_share,
    projections_rate,
    published_compression_rate,
)

from .layer_pass import LayerPass
from .layers import sparsify_of, subspaces_of
from .padding import measured_without_padding, named_without_padding
from .projections import project, seen_by_mssa, wide

SPARSITY_WEIGHT = 0.1
CONVENTIONS = ("published", "definition")


def measure_steps(passed: LayerPass, real: Tensor | None) -> dict[str, Tensor]:
    """By name, values (B,).

    Args:
        passed: One batch in one layer with MSSA.
        real: Tokens that are no padding (B, N), or None for all.

    Raises:
        ValueError: Activations that are not finite.
    """
    found = _rates_and_directions(passed, real)
    return found if passed.codes is None else found | _lasso(passed, real)


def _rates_and_directions(passed: LayerPass, real: Tensor | None) -> dict[str, Tensor]:
    layer = passed.layer
    places = [passed.z, passed.z_half]
    if layer.sparsify is not None:
        places.append(passed.z_next)
    seen = [seen_by_mssa(layer, z, passed.position_ids) for z in places]
    uphill = published_gradient(passed, real)

    def compute(planes: Tensor) -> dict[str, Tensor]:
        tokens, normed, vectors = planes.split([len(places), len(places), 3], 1)
        z, z_half = tokens[:, 0], tokens[:, 1]
        published_uphill, step, tied = vectors.unbind(1)
        gradients = {
            "published": published_uphill,
            "definition": compression_rate_gradient(z, subspaces_of(layer).bases().to(z)),
        }
        directions = {
            f"compress-descent-{convention}": cosine(z_half - z, -gradient)
            for convention, gradient in gradients.items()
        }
        directions["compress-tied"] = cosine(step, tied)
        return _rates(passed, tokens, normed) | directions

    planes = [*places, *seen, uphill, passed.step, _tied_step(passed)]
    return named_without_padding(compute, torch.stack([*map(wide, planes)], 1), real)


def _rates(passed: LayerPass, tokens: Tensor, normed: Tensor) -> dict[str, Tensor]:
    """Rates at the places (B, 2 or 3, N, D), their changes, and the objective."""
    compression = {
        "published": published_compression_rate(project(passed.layer, normed)),
        "definition": projections_rate(project(passed.layer, tokens)),
    }  # (B, places) each
    raw, unit = coding_rates(tokens)
    count = torch.count_nonzero(tokens, dim=(-2, -1)).to(raw)
    found = {f"rate-{name}-z": rate[:, 0] for name, rate in compression.items()}
    found["norm-z"] = torch.linalg.vector_norm(tokens[:, 0], dim=-1).mean(-1)
    found["nonzero-share"] = nonzero_share(tokens[:, -1]).to(raw)
    steps = {"compress": 0, "sparsify": 1} if tokens.shape[1] == 3 else {"compress": 0}
    changing = {f"rate-{name}": rate for name, rate in compression.items()}
    changing |= {"expansion-raw": raw, "expansion-unit": unit}
    for step, before in steps.items():
        for name, values in changing.items():
            found[f"{step}-{name}"] = values[:, before + 1] - values[:, before]
    for name, expansion in (("published", unit), ("definition", raw)):
        objective = expansion - compression[name] - SPARSITY_WEIGHT * count
        for place, value in zip(("z", "z-half", "z-next"), objective.unbind(1), strict=False):
            found[f"objective-{name}-{place}"] = value
    return found


def published_gradient(passed: LayerPass, real: Tensor | None) -> Tensor:
    """Gradient of the published rate at Z^l with respect to Z^l itself, (B, N, D).

    Through the unit length of the projections, the subspaces, the window and the LayerNorm.
    """
    with torch.inference_mode(False), torch.enable_grad():
        z = passed.z.clone().requires_grad_()
        projections = project(passed.layer, seen_by_mssa(passed.layer, z, passed.position_ids))
        (rates,) = measured_without_padding(
            lambda w: (published_compression_rate(w),), projections, real
        )
        return torch.autograd.grad(rates.sum(), z)[0]


def _tied_step(passed: LayerPass) -> Tensor:
    """What [U_1, ..., U_K] makes of the averages, (B, N, D)."""
    averages = wide(passed.averages.flatten(-2))
    return averages @ subspaces_of(passed.layer).effective_weight().to(averages)


def _lasso(passed: LayerPass, real: Tensor | None) -> dict[str, Tensor]:
    """The lasso where the proximal step starts and where it ends, means over tokens."""
    assert passed.v is not None
    assert passed.codes is not None
    ista = sparsify_of(passed.layer).ista
    v, codes = wide(passed.v), wide(passed.codes)
    if isinstance(ista, OvercompleteISTA):
        start = torch.zeros_like(codes)
    else:
        start = v.relu() if ista.activation == "relu" else v

    def compute(joined: Tensor) -> dict[str, Tensor]:
        v, start, codes = joined.split(sizes, -1)
        return {
            f"sparsify-lasso-{place}": lasso_objective(
                v, a, ista.dictionary.to(v), ista.threshold
            ).mean(-1)
            for place, a in (("start", start), ("end", codes))
        }

    sizes = [v.shape[-1], start.shape[-1], codes.shape[-1]]
    return named_without_padding(compute, torch.cat([v, start, codes], -1), real)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of the angle between all tokens of a sample as one vector: (B, N, D) to (B,)."""
    return F.cosine_similarity(a.flatten(1), b.flatten(1), dim=1)
