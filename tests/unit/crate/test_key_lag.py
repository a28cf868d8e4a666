"""Keys that lag come from earlier in the same document, and are the step they are said to be."""

from __future__ import annotations

import pytest
import torch

from whitebox_transformers.crate import CrateBertConfig, CrateGPTConfig
from whitebox_transformers.crate.key_lag import lagged
from whitebox_transformers.crate.rates import coding_rate

SIZES = {
    "vocab_size": 11,
    "max_position_embeddings": 8,
    "hidden_size": 12,
    "num_hidden_layers": 1,
    "num_attention_heads": 3,
}


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize(
    "lags", [(0, 0, 0), (1, 1, 1), (0, 1, 3), (2, 0, 2), (9, 1, 0), (-1, 1, 0), (-3, -9, -1)]
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_key_is_that_of_another_place_of_its_document(lags, packed: bool) -> None:
    key, positions = draw(2, 3, 6, 4).requires_grad_(), None
    starts, ends = torch.zeros(2, 6, dtype=torch.int64), torch.full((2, 6), 6)
    if packed:
        # Padding, then a document of four; documents of one, two and three tokens.
        positions = torch.tensor([[-2, -1, 0, 1, 2, 3], [0, 0, 1, 0, 1, 2]])
        starts = torch.tensor([[0, 0, 2, 2, 2, 2], [0, 1, 1, 3, 3, 3]])
        ends = torch.tensor([[2, 2, 6, 6, 6, 6], [1, 3, 3, 6, 6, 6]])
    expected = torch.zeros_like(key)
    for row in range(2):
        for head, lag in enumerate(lags):
            for place in range(6):
                # What the keys of padding are is nobody's business.
                padding = positions is not None and positions[row, place] < 0
                if starts[row, place] <= place - lag < ends[row, place] and not padding:
                    expected[row, head, place] = key[row, head, place - lag]
    found = lagged(key, lags, positions)
    if packed:
        found = found * (positions >= 0)[:, None, :, None]
    assert torch.equal(found, expected)
    weight = draw(2, 3, 6, 4)
    (gradient,) = torch.autograd.grad((found * weight).sum(), key)
    (reference,) = torch.autograd.grad((expected * weight).sum(), key)
    torch.testing.assert_close(gradient, reference)


@pytest.mark.parametrize("lag", [1, 2])
def test_a_lagging_head_descends_the_rate_of_pairs_by_the_half_that_is_missing(lag: int) -> None:
    """To first order, with the Gram matrix in the place of its softmax.

    Pairs (u_{j - lag}, u_j); of the last pair only the first half, u_t, is known.
    """
    u = draw(9, 5)
    query = u[-1]
    keys = lagged(u[None, None], [lag])[0, 0]
    missing = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    pairs = torch.cat([keys, u], dim=1)
    pairs = torch.cat([pairs, torch.cat([query, missing])[None]])
    # The expansion holds where gamma = width / (tokens eps^2) is small.
    eps = 1e4
    gamma = 10 / (10 * eps**2)
    (gradient,) = torch.autograd.grad(coding_rate(pairs, eps), missing)
    step = (keys @ query) @ u
    torch.testing.assert_close(-gradient / gamma**2, step, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("lag", "message"),
    [
        (-1, r"key_lag=-1: a lag is a number of tokens from 0 to 7 .*, not -1"),
        (8, r"max_position_embeddings=8\), not 8"),
        ([0, 1, 9], "not 9"),
        ([0, 1], "has 2 numbers, but num_attention_heads=3; give one number, or one per head"),
        ([], "has 0 numbers"),
    ],
)
def test_a_lag_that_is_none_is_refused(lag, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CrateGPTConfig(**SIZES, key_lag=lag)


def test_where_tokens_see_both_sides_keys_may_be_ahead() -> None:
    assert CrateBertConfig(**SIZES, key_lag=[-7, 0, 7]).head_lags == (-7, 0, 7)
    with pytest.raises(ValueError, match=r"from -7 to 7 .*, not -8"):
        CrateBertConfig(**SIZES, key_lag=-8)


def test_lags_are_those_of_the_heads_or_none(tmp_path) -> None:
    assert CrateGPTConfig(**SIZES).head_lags is None
    assert CrateGPTConfig(**SIZES, key_lag=[0, 0, 0]).head_lags is None
    assert CrateGPTConfig(**SIZES, key_lag=2).head_lags == (2, 2, 2)
    config = CrateGPTConfig(**SIZES, key_lag=[0, 1, 3])
    config.save_pretrained(tmp_path)
    assert CrateGPTConfig.from_pretrained(tmp_path).head_lags == (0, 1, 3)
