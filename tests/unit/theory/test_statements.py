"""Each statement at odd dimensions and other seeds, and the verdict that a broken operator gets."""

from __future__ import annotations

import pytest
import torch

from whitebox_transformers.crate import attention, ista, mssa, rates
from whitebox_transformers.errors import UserError
from whitebox_transformers.theory import STATEMENTS, Verdict
from whitebox_transformers.theory.mixture import GaussianMixture

BY_NAME = {one.name: one for one in STATEMENTS}
HOLDS, FAILS, CONDITIONAL = Verdict.HOLDS, Verdict.FAILS, Verdict.CONDITIONAL
ODD = {"width": 17, "heads": 3, "head_dim": 5, "tokens": 23, "seeds": (7, 8)}
MIXED = {"width": 7, "components": 3, "rank": 2, "points": 20, "seeds": (7, 8)}

# Name, arguments, verdict, words in its condition.
TRIED = [
    ("rate_from_either_gram_matrix", {"shapes": ((3, 11), (11, 3)), "eps": 0.01}, HOLDS, ""),
    ("closed_form_gradients", {"shapes": ((3, 11),), "heads": 2, "eps": 0.01}, HOLDS, ""),
    ("exact_step_compresses", ODD | {"eps": 0.1, "steps": 4}, HOLDS, ""),
    ("published_rate_bounds", {"heads": 3, "head_dim": 7, "tokens": 5}, HOLDS, ""),
    ("published_rate_bounds", {"heads": 3, "head_dim": 7, "tokens": 8}, HOLDS, ""),
    (
        "mcr2_optimum",
        {"widths": (8, 3), "ranks": (2, 3), "sizes": (9, 14), "eps": 0.4, "seeds": 5},
        CONDITIONAL,
        "sum_k d_k <= d",
    ),
    ("neumann_series_converges", {"eps": (0.3, 4.0), "head_dim": 5}, CONDITIONAL, "lambda_max"),
    ("bases_reproduce_tokens", ODD, CONDITIONAL, "orthogonal and complete"),
    ("mssa_lowers_compression_rate", ODD, CONDITIONAL, "step = Z + MSSA and rate = published"),
    ("order_and_independence_of_tokens", ODD, HOLDS, ""),
    ("one_token_is_gated", ODD, CONDITIONAL, "orthogonal and complete"),
    (
        "ista_lowers_lasso",
        {"width": 9, "tokens": 33, "seeds": (5, 6, 7)},
        CONDITIONAL,
        "no entry of the start is negative and eta |D|_2^2 <= 2",
    ),
    ("ista_with_identity_shrinks", {"width": 9, "tokens": 3, "threshold": 0.7}, HOLDS, ""),
    ("dictionary_keeps_coding_rate", {"width": 11, "eps": 0.1}, CONDITIONAL, "orthogonal"),
    ("majorizer_block_is_proximal", {"width": 9, "tokens": 5}, CONDITIONAL, "orthonormal"),
    ("mixture_score", MIXED, CONDITIONAL, "pi_k det M_k"),
    ("score_denoises", MIXED, HOLDS, ""),
    ("denoiser_is_attention", MIXED, CONDITIONAL, "same weight"),
    ("small_noise_denoiser", MIXED | {"noise": (0.3, 0.1)}, HOLDS, ""),
    ("iterated_denoising_reaches_data", MIXED | {"steps": (5, 150)}, CONDITIONAL, "L >= 150"),
    (
        "gradient_points_to_subspace",
        ODD | {"tokens": (40, 5000)},
        CONDITIONAL,
        "compared = part outside the own subspace",
    ),
    ("mssa_raises_snr", ODD | {"tokens": (200,)}, CONDITIONAL, "Z + MSSA"),
    ("decoder_inverts_encoder", ODD, CONDITIONAL, "k = small"),
    ("dictionary_inverts_ista", {"width": 9, "tokens": 5}, CONDITIONAL, "soft_threshold"),
    (
        "attention_only_layer_denoises",
        {"heads": 2, "head_dims": (3, 90), "noise": 0.05, "tokens_per_subspace": 30},
        CONDITIONAL,
        "p >= 90",
    ),
    ("token_statistics_gradient", ODD, CONDITIONAL, "held fixed"),
    ("variational_rate_bounds_coding_rate", ODD, CONDITIONAL, "all of R^d"),
    ("later_tokens_do_not_matter", ODD, HOLDS, ""),
    ("parameter_counts", {"width": 35, "heads": 7}, HOLDS, ""),
]


@pytest.mark.parametrize(("name", "arguments", "verdict", "words"), TRIED)
def test_verdict_at_other_dimensions(name, arguments, verdict, words):
    result = BY_NAME[name](**arguments)
    assert (result.verdict, result.name) == (verdict, name)
    assert words in result.condition
    assert result.finding
    assert result.settings.keys() >= arguments.keys()


def test_every_statement_is_tried_here():
    here = {name for name, *_ in TRIED} | {"exact_step_raises_snr"}
    assert here == BY_NAME.keys()


def test_exact_steps_hardly_denoise_an_even_codebook():
    result = BY_NAME["exact_step_raises_snr"](**ODD | {"tokens": (3000,), "noise": 0.3})
    even = [case for case in result.cases if case.at["codebook"] == "even"]
    assert not any(case.holds for case in even)
    assert all(0.95 < case.measured[0].value < 1.05 for case in even)


def test_a_given_mixture_is_judged_by_its_balance():
    roots = torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    uneven = GaussianMixture.of(roots @ roots.mT, [1.0, 4.0])
    result = BY_NAME["mixture_score"](**MIXED | {"mixture": uneven})
    given = [case for case in result.cases if case.at["mixture"] == "given"]
    assert not any(case.holds for case in given)
    assert BY_NAME["score_denoises"](**MIXED | {"mixture": uneven}).verdict == HOLDS


def test_arguments_that_cannot_be_are_refused():
    with pytest.raises(UserError, match="heads \\* head_dim <= width"):
        BY_NAME["decoder_inverts_encoder"](width=8, heads=3, head_dim=5)
    with pytest.raises(UserError, match="at least 2"):
        BY_NAME["gradient_points_to_subspace"](heads=1)
    with pytest.raises(UserError, match="at least 2"):
        BY_NAME["attention_only_layer_denoises"](heads=1)
    with pytest.raises(UserError, match="no multiple of heads"):
        BY_NAME["parameter_counts"](width=33)
    with pytest.raises(UserError, match="shares has 2 entries; expected 4"):
        BY_NAME["mssa_raises_snr"](shares=(1.0, 2.0))


# Where, what stands there instead, which statement notices, and its verdict then.
BROKEN = [
    (rates, "coding_rate", lambda f: lambda z, eps: 2 * f(z, eps), 1, FAILS),
    (rates, "compression_rate_gradient", lambda f: lambda *a: -f(*a), 2, CONDITIONAL),
    (rates, "compression_rate_gradient", lambda f: lambda *a: -f(*a), 3, FAILS),
    (rates, "compression_rate_gradient", lambda f: lambda *a: 2 * f(*a), 10, FAILS),
    (rates, "published_compression_rate", lambda f: lambda w, e: f(w, e**2), 4, FAILS),
    (rates, "coding_rate_gradient", lambda f: lambda z, eps: -f(z, eps), 6, FAILS),
    (ista, "ista", lambda f: lambda v, d, eta, lam, *a: f(v, d, eta, -lam, *a), 12, FAILS),
    (ista, "ista", lambda f: lambda v, d, eta, *a: f(v, d, -eta, *a), 11, CONDITIONAL),
    (attention, "attention_weights", lambda f: lambda q, k, m, s: f(q, k, m, 2 * s), 17, FAILS),
    (mssa.MSSA, "forward", lambda f: lambda s, z, *a, **k: f(s, z.cumsum(1)), 9, CONDITIONAL),
]  # fmt: skip


@pytest.mark.parametrize(("place", "name", "broken", "number", "verdict"), BROKEN)
def test_a_broken_operator_changes_the_verdict(monkeypatch, place, name, broken, number, verdict):
    one = STATEMENTS[number - 1]
    sound = one()
    monkeypatch.setattr(place, name, broken(getattr(place, name)))
    found = one()
    assert found.verdict == verdict
    assert found.judgement != sound.judgement


def test_mssa_of_the_other_sign_turns_the_direction(monkeypatch):
    forward = mssa.MSSA.forward
    monkeypatch.setattr(mssa.MSSA, "forward", lambda self, *a, **k: -forward(self, *a, **k))
    condition = BY_NAME["mssa_lowers_compression_rate"](**ODD).condition
    assert "step = Z + MSSA and rate = published;" not in condition
