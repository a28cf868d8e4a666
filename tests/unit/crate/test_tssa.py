"""TSSA equals its formulas, spelt out in double precision, and is a descent step on its bound."""

from __future__ import annotations

import pytest
import torch
from tests.oracles import token_statistics as oracle

from whitebox_transformers.crate.configuration_crate import CrateConfig
from whitebox_transformers.crate.configuration_crate_gpt import CrateGPTConfig
from whitebox_transformers.crate.counted_tokens import CountedTokens, counted_tokens
from whitebox_transformers.crate.token_statistics import bidirectional, causal, unpacked
from whitebox_transformers.crate.tssa import TSSA
from whitebox_transformers.crate.variational_rate import (
    variational_rate,
    variational_rate_gradient,
)

SHAPES = [(1, 1, 1, 1), (2, 3, 7, 5), (1, 5, 13, 2), (3, 2, 4, 9)]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6}


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def near(found, expected, tolerance: float) -> None:
    torch.testing.assert_close(found.double(), expected.double(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("form", ["bidirectional", "causal"])
def test_heads_and_gradients_are_the_formulas(form: str, shape, dtype) -> None:
    batch, heads, tokens, _ = shape
    w, weight = 3 * drawn(*shape), drawn(*shape, seed=1)
    temperature, bias = drawn(heads, seed=2).exp(), drawn(heads, tokens, seed=3)
    given = [x.clone().requires_grad_() for x in (w, temperature, bias)]
    spelt, parts = [], [given[1]] if form == "bidirectional" else given[1:]
    for row in given[0]:
        spelt.append(getattr(oracle, form)(row, *parts)[0])
    expected = torch.stack(spelt)
    (expected * weight).sum().backward()

    ours = [x.to(dtype).requires_grad_() for x in (w, temperature, bias)]
    if form == "bidirectional":
        found = bidirectional(ours[0], ours[0], ours[1])
    else:
        found, _ = causal(*ours)
    near(found.heads, expected, TOLERANCE[dtype])
    near(found.membership.sum(1), torch.ones(batch, tokens), TOLERANCE[dtype])
    (found.heads * weight.to(dtype)).sum().backward()
    for one, other in zip(ours, given, strict=True):
        if other.grad is not None:
            near(one.grad, other.grad, 20 * TOLERANCE[dtype])


@pytest.mark.parametrize("form", ["bidirectional", "causal"])
def test_padding_and_other_documents_change_nothing(form: str) -> None:
    w, temperature = drawn(1, 3, 6, 4), torch.ones(3, dtype=torch.float64)
    expected = getattr(oracle, form)(w[0], temperature)[0]
    padded = torch.cat([9 * drawn(1, 3, 2, 4, seed=1), w, 9 * drawn(1, 3, 3, 4, seed=2)], dim=2)
    real = torch.tensor([[False] * 2 + [True] * 6 + [False] * 3])
    if form == "causal":
        found = causal(padded, temperature, real=real)[0].heads
        start = torch.tensor([[0, 0, 2, 2, 2, 2, 2, 2, 8, 8, 8]])
        near(causal(padded, temperature, start=start)[0].heads[0, :, 2:8], expected, 1e-10)
    else:
        found = bidirectional(padded, padded, temperature, real).heads
        one = bidirectional(padded[:, :, 2:3], padded, temperature, real).heads
        near(one[0, :, 0], expected[:, 0], 1e-12)
    near(found[0, :, 2:8], expected, 1e-12)
    assert found.isfinite().all()


def test_a_small_document_after_large_ones_loses_no_digits() -> None:
    w = drawn(1, 2, 40, 3)
    w[:, :, :30] *= 1e3
    start = torch.tensor([[0] * 30 + [30] * 10])
    expected = oracle.causal(w[0, :, 30:], torch.ones(2, dtype=torch.float64))[0]
    found = causal(w.float(), torch.ones(2), start=start)[0].heads
    near(found[0, :, 30:], expected, 5e-6)


def test_sums_are_all_that_later_tokens_need() -> None:
    w, temperature = drawn(2, 3, 9, 4), drawn(3, seed=1).exp()
    whole = causal(w, temperature)[0].heads
    _, sums = causal(w[:, :, :5], temperature)
    last = unpacked(sums.packed()[..., -1:, :])
    near(causal(w[:, :, 5:], temperature, past=last)[0].heads, whole[:, :, 5:], 1e-12)


def operator(**fields) -> TSSA:
    config = CrateConfig(
        image_size=8, patch_size=4, hidden_size=12, num_attention_heads=3, compression="tssa"
    ).to_dict()
    module = TSSA(CrateConfig(**config | fields)).double()
    with torch.no_grad():
        for index, parameter in enumerate(module.parameters()):
            parameter.copy_(drawn(*parameter.shape, seed=index))
        module.temperature.exp_()
    return module


@pytest.mark.parametrize("output", ["learned", "tied", "fixed", "identity"])
def test_the_operator_projects_and_returns(output: str) -> None:
    module, z = operator(mssa_output=output), drawn(2, 7, 12, seed=9)
    split = (z @ module.subspaces.weight.T).unflatten(-1, (3, 4)).transpose(1, 2)
    heads = [oracle.bidirectional(w, module.temperature)[0] for w in split]
    joined = torch.stack(heads).transpose(1, 2).flatten(-2)
    if output == "tied":
        joined = joined @ module.subspaces.weight
    elif output != "identity":
        joined = joined @ module.output.weight.T + getattr(module.output, "bias", 0)
    near(module(z), joined, 1e-12)


def test_the_tied_step_is_the_negative_gradient_of_the_variational_rate() -> None:
    """By autograd, at the memberships of the step; bases that are D^1/2 / eps times the bound's."""
    module, z, eps = operator(mssa_output="tied"), drawn(1, 11, 12, seed=9), 0.5
    bases = module.subspaces.bases().detach() * eps / 12**0.5
    pi = oracle.bidirectional((z @ module.subspaces.bases())[:, :], module.temperature)[1].detach()
    tokens = z[0].clone().requires_grad_()
    variational_rate(tokens, bases, pi, eps).backward()
    near(variational_rate_gradient(z[0], bases, pi, eps), tokens.grad, 1e-12)
    # What keeps the mean of no memberships finite is all that differs.
    near(module(z)[0], -len(tokens) * tokens.grad, 1e-6)


def test_statistics_are_not_taken_in_half_precision() -> None:
    module, z = operator().float(), 30 * drawn(1, 300, 12, seed=9).float()
    exact = module(z)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = module(z)
    assert inside.dtype == torch.bfloat16
    error = (inside.float() - exact).norm() / exact.norm()
    assert error < 0.02
    seen = []
    module.attention_map.register_forward_hook(lambda _, given, __: seen.append(given[0].dtype))
    module.bfloat16()(z.bfloat16())
    assert seen == [torch.float32]


def test_where_tokens_are_counted() -> None:
    mask = torch.tensor([[0, 1, 1], [1, 1, 0]])
    counted = counted_tokens(mask, 2)
    assert isinstance(counted, CountedTokens)
    assert torch.equal(counted.real, mask[:, 1:] == 1)
    assert counted_tokens(None, 3) is None
    starts = counted_tokens(None, 5, torch.tensor([[0, 1, 0, 1, 2], [3, 4, 5, 7, 0]])).start
    assert torch.equal(starts, torch.tensor([[0, 0, 2, 2, 2], [0, 0, 0, 3, 4]]))
    with pytest.raises(ValueError, match="no pairs of tokens are compared"):
        counted_tokens(torch.ones(1, 1, 3, 3), 3)


@pytest.mark.parametrize(
    ("config", "fields", "message"),
    [
        (CrateConfig, {"mssa_step": 0.5}, "mssa_step=0.5 changes nothing with compression='tssa'"),
        (CrateConfig, {"attend_self": False}, "attend_self=False changes nothing"),
        (CrateGPTConfig, {"key_lag": 1}, "key_lag=1 changes nothing"),
        (CrateGPTConfig, {"position_embedding_type": "rotary"}, "compares none; use 'learned'"),
    ],
)
def test_what_compares_tokens_is_refused(config, fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(compression="tssa", **fields)


def test_a_bias_needs_something_to_read_it() -> None:
    with pytest.raises(ValueError, match="membership_bias=True changes nothing"):
        CrateGPTConfig(membership_bias=True)
