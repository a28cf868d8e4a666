"""How far a decoder undoes the encoder, layer by layer.

Decoder layer l is meant to undo encoder layer L + 1 - l (arXiv 2311.13110, section 3), so that the
decoder's tokens Y^d, after d layers, are to be the encoder's Z^{L-d}. Only with weights that are
shared and steps that are small does the mathematics promise it; here it is measured.

Legend: B batch, N tokens, D width, K heads, P head width, L layers of the encoder, M of the
decoder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from whitebox_transformers.crate.masking import visible_tokens
from whitebox_transformers.crate.modeling_crate_mae import CrateMAEForPreTraining
from whitebox_transformers.crate.mssa import SubspaceStep
from whitebox_transformers.crate.rates import coding_rates
from whitebox_transformers.errors import UserError

from .layer_report import LayerCurve, RunningMoments
from .layers import evaluating, sparsify_of, white_box_layers

DEFINITIONS = {
    "token_similarity": "linear CKA of the centred tokens of one sample, mean over samples; entry "
    "[d][e] compares Y^d of the decoder with Z^e of the encoder, where d + e = L is a pair",
    "pair_similarity": "the entries of token_similarity with d + e = L, for d = 0 .. M",
    "decoder_rate": "R of unit-norm tokens, eps = 0.1, of Y^d for d = 0 .. M; nats",
    "encoder_rate": "the same of Z^{L-d}",
    "subspace_overlap": "for decoder layer l: mean over heads of the largest ||V_k^T U_j||_F^2 / P "
    "over the heads of encoder layer L + 1 - l, bases orthonormal; 1 is the same subspace",
    "dictionary_cosine": "<E, D> / (||E|| ||D||) of decoder layer l and encoder layer L + 1 - l",
    "transposed_cosine": "the same of E and D^T",
}


@dataclass(frozen=True)
class Inversion:
    """What was found; ``DEFINITIONS`` says what each name means.

    Attributes:
        count: Number of samples.
        token_similarity: (M + 1, L + 1).
        curves: ``pair_similarity``, ``decoder_rate``, ``encoder_rate``.
        weights: ``subspace_overlap``, ``dictionary_cosine``, ``transposed_cosine`` where the layers
            have such weights, one value per decoder layer.
    """

    count: int
    token_similarity: list[list[float]]
    curves: dict[str, LayerCurve]
    weights: dict[str, list[float]]

    def to_json(self) -> dict[str, Any]:
        """Plain values with their definitions."""
        curves = {key: {"mean": curve.mean, "std": curve.std} for key, curve in self.curves.items()}
        found = {"token_similarity": self.token_similarity} | curves | self.weights
        definitions = {key: DEFINITIONS[key] for key in found}
        return {"count": self.count, "definitions": definitions} | found


def measure_inversion(
    model: CrateMAEForPreTraining, batches: Iterable[Mapping[str, Tensor]]
) -> Inversion:
    """Compare every state of the decoder with every state of the encoder.

    Where the encoder sees the visible patches alone, they alone are compared.

    Args:
        model: The masked autoencoder, whose decoder has at most as many layers as its encoder.
        batches: ``pixel_values`` and ``noise``.

    Raises:
        UserError: There are no samples, or the decoder is deeper than the encoder.
    """
    depth, layers = len(model.decoder.stack.layers), len(model.crate.stack.layers)
    if depth > layers:
        raise UserError(
            f"the decoder has {depth} layers and the encoder {layers}: decoder layer l is compared "
            f"with encoder layer L + 1 - l, of which there is none"
        )
    similarity = RunningMoments()
    moments = {"pair_similarity": similarity} | {
        key: RunningMoments() for key in ("decoder_rate", "encoder_rate")
    }
    table = torch.zeros(depth + 1, layers + 1, dtype=torch.float64)
    count = 0
    with evaluating(model), torch.inference_mode():
        for batch in batches:
            encoded, decoded = _states(model, batch)
            found = token_similarity(decoded, encoded).cpu().double()  # (B, M + 1, L + 1)
            count += len(found)
            table += found.sum(0)
            pairs = range(depth + 1)
            similarity.add(torch.stack([found[:, d, layers - d] for d in pairs]))
            rates = [_rates(decoded), _rates(encoded)]
            moments["decoder_rate"].add(rates[0])
            moments["encoder_rate"].add(rates[1].flip(0)[: depth + 1])
    if not count:
        raise UserError("there are no samples to measure; expected at least one batch")
    return Inversion(
        count,
        (table / count).tolist(),
        {key: values.curve() for key, values in moments.items()},
        compare_weights(model),
    )


def token_similarity(left: Tensor, right: Tensor) -> Tensor:
    """Linear CKA of token sets: blind to rotation, to common scale and to the mean token.

    Args:
        left: States (S, B, N, D).
        right: States (T, B, N, D) of the same tokens.

    Returns:
        (B, S, T) in [0, 1]; 0 where all tokens of a state are equal.
    """
    grams = []
    for states in (left, right):
        centred = states.float() - states.float().mean(dim=2, keepdim=True)
        gram = (centred @ centred.mT).flatten(2)  # (S, B, N * N)
        length = torch.linalg.vector_norm(gram, dim=-1, keepdim=True)
        grams.append((gram / length.clamp_min(torch.finfo(gram.dtype).tiny)).transpose(0, 1))
    return grams[0] @ grams[1].mT


def compare_weights(model: CrateMAEForPreTraining) -> dict[str, list[float]]:
    """Subspaces and dictionaries of every decoder layer beside those of its encoder layer."""
    pairs = list(
        zip(white_box_layers(model.decoder), reversed(white_box_layers(model)), strict=False)
    )
    found: dict[str, list[float]] = {}
    for ours, theirs in pairs:
        halves = [ours.compress, theirs.compress]
        if all(half is not None and isinstance(half.mssa, SubspaceStep) for half in halves):
            bases = [half.mssa.subspaces.bases() for half in halves if half is not None]
            found.setdefault("subspace_overlap", []).append(subspace_overlap(*bases))
        atoms = sparsify_of(ours).ista.dictionary
        if ours.sparsify is not None and getattr(ours.sparsify.ista, "transposed", False):
            atoms = atoms.T
        other = getattr(getattr(theirs.sparsify, "ista", None), "dictionary", None)
        if other is not None and other.shape == atoms.shape:
            found.setdefault("dictionary_cosine", []).append(_cosine(atoms, other))
            if other.shape == other.T.shape:
                found.setdefault("transposed_cosine", []).append(_cosine(atoms, other.T))
    return found


def subspace_overlap(left: Tensor, right: Tensor) -> float:
    """Mean over the subspaces of ``left`` (K, D, P) of the largest overlap with one of ``right``.

    The overlap of two subspaces is the mean squared cosine of their principal angles.
    """
    ours, theirs = (torch.linalg.qr(bases.detach().double()).Q for bases in (left, right))
    products = torch.einsum("kdp,jdq->kjpq", ours, theirs)
    overlap = products.square().sum((-2, -1)) / min(left.shape[-1], right.shape[-1])
    return overlap.max(dim=1).values.mean().item()


def _cosine(left: Tensor, right: Tensor) -> float:
    left, right = left.detach().double(), right.detach().double()
    return ((left * right).sum() / (left.norm() * right.norm())).item()


def _rates(states: Tensor) -> Tensor:
    """R of unit-norm tokens of every state (S, B, N, D), (S, B)."""
    return torch.stack([coding_rates(z.float())[1] for z in states])


def _states(model: CrateMAEForPreTraining, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Z^0 .. Z^L and Y^0 .. Y^M of the same tokens, (L + 1, B, N, D) and (M + 1, B, N, D)."""
    inputs = {key: batch[key].to(model.device) for key in ("pixel_values", "noise")}
    outputs = model(**inputs, output_z=True, decoder_output_z=True)
    encoded, decoded = torch.stack(outputs.z), torch.stack(outputs.decoder_z)
    if encoded.shape[2] < decoded.shape[2]:
        kept = outputs.ids_restore.argsort(dim=1)[:, : encoded.shape[2] - 1]
        seen = [torch.cat([y[:, :1], visible_tokens(y[:, 1:], kept)], dim=1) for y in decoded]
        decoded = torch.stack(seen)
    return encoded, decoded
