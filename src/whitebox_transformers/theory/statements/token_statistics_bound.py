"""The bound on the coding rate that makes attention linear in the tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from whitebox_transformers.crate import rates
from whitebox_transformers.crate.variational_rate import energy_memberships, variational_rate
from whitebox_transformers.theory.chart import Chart, Line
from whitebox_transformers.theory.draws import gaussian, independent_subspaces, orthogonal_matrix
from whitebox_transformers.theory.measurement import Case, at_most, equal
from whitebox_transformers.theory.rounding import FLOOR
from whitebox_transformers.theory.statement import Evidence, statement

TURNS = 21


@statement(
    number=27,
    title="The variational rate bounds the coding rate, with equality in the eigenbasis",
    claim=(
        "R^c(Z|Pi) <= R^var(Z|U, Pi), with equality if and only if every U_k diagonalises "
        "Z Diag(pi_k) Z^T."
    ),
    source="arXiv 2412.17810 (token statistics transformer)",
)
def variational_rate_bounds_coding_rate(
    width: int = 24,
    heads: int = 4,
    head_dim: int = 6,
    tokens: int = 40,
    eps: float = 0.5,
    seeds: Sequence[int] = (0, 1, 2),
) -> Evidence:
    """Bases that span R^d, bases that do not, and rates of the projections alone.

    Args:
        width: d.
        heads: Number of bases K.
        head_dim: Dimension p of the bases that do not span R^d, less than d.
        tokens: N, drawn with a covariance far from the identity.
        eps: Precision of the rates.
        seeds: One draw of tokens, memberships and bases each.
    """
    found: dict[tuple[str, str], list[float]] = {}
    for seed in seeds:
        z = gaussian(tokens, width, seed=seed) @ gaussian(width, width, seed=seed + 1) / width**0.5
        pi = energy_memberships(z, independent_subspaces(width, heads, head_dim, seed + 2))
        eigen = torch.linalg.eigh(_moments(z, pi)).eigenvectors
        turned = eigen @ torch.stack([orthogonal_matrix(width, seed + 3 + k) for k in range(heads)])
        # The directions of least energy first: what is left out weighs most.
        whole = rates.supervised_compression_rate(z, pi, eps).item()
        for basis, u in (("eigenvectors", eigen), ("random", turned)):
            found.setdefault(("all of R^d", basis), []).append(
                whole - variational_rate(z, u, pi, eps).item()
            )
            narrow = u[..., :head_dim]
            bound = variational_rate(z, narrow, pi, eps).item()
            found.setdefault(("less, rate of all of Z", basis), []).append(whole - bound)
            projected = sum(
                _projected_rate(z @ narrow[k], pi[k], eps * math.sqrt(head_dim / width))
                for k in range(heads)
            )
            found.setdefault(("less, rate of U_k^T Z", basis), []).append(projected - bound)
    cases = []
    for (what, basis), differences in found.items():
        measured = [at_most("R^c - R^var", differences, 0.0, FLOOR, "nats")]
        if basis == "eigenvectors":
            measured.append(
                equal("R^c - R^var where equality is claimed", differences, 0.0, 1e-8, "nats")
            )
        cases.append(Case(measured, {"bases span": what, "basis": basis}))
    return Evidence(
        cases,
        f"R^var exceeds R^c by {-max(found['all of R^d', 'random']):.2g} nats or more in random "
        "bases of R^d. Bases narrower than the tokens lose the energy outside them: there the "
        "bound is one on the rate of the projections.",
        chart=_turning_chart(width, heads, head_dim, tokens, eps, seeds[0]),
    )


def _turning_chart(
    width: int, heads: int, head_dim: int, tokens: int, eps: float, seed: int
) -> Chart:
    """R^var as the bases turn away from the eigenvectors, by the matrix exponential."""
    z = gaussian(tokens, width, seed=seed) @ gaussian(width, width, seed=seed + 1) / width**0.5
    pi = energy_memberships(z, independent_subspaces(width, heads, head_dim, seed + 2))
    eigen = torch.linalg.eigh(_moments(z, pi)).eigenvectors
    plane = gaussian(width, width, seed=seed + 3)
    plane = (plane - plane.mT) / width**0.5
    angles = [i / (TURNS - 1) for i in range(TURNS)]
    bounds = [
        variational_rate(z, eigen @ torch.linalg.matrix_exp(a * plane), pi, eps).item()
        for a in angles
    ]
    rate = rates.supervised_compression_rate(z, pi, eps).item()
    return Chart(
        "Bases turned away from the eigenvectors",
        "turn (0: eigenvectors)",
        "rate (nats)",
        [Line(r"$R^{\mathrm{var}}$", angles, bounds), Line("$R^c$", angles, [rate] * TURNS)],
    )


def _moments(z: Tensor, membership: Tensor) -> Tensor:
    """Z Diag(pi_k) Z^T for every k, (K, D, D)."""
    return (z * membership[..., None]).mT @ z


def _projected_rate(w: Tensor, membership: Tensor, eps: float) -> float:
    """The weighted rate of projections (N, P) of one subspace."""
    return rates.supervised_compression_rate(w, membership[None], eps).item()
