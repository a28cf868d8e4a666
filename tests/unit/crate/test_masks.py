"""The masked diagonal: a token sees others only, unless there is nobody else."""

from __future__ import annotations

import pytest
import torch

from whitebox_transformers.crate import CrateBertConfig, CrateGPTConfig
from whitebox_transformers.crate.masks import bidirectional_mask, causal_mask, without_self

SIZES = {"vocab_size": 11, "hidden_size": 6, "num_attention_heads": 2, "num_hidden_layers": 1,
         "pad_token_id": None, "bos_token_id": None, "eos_token_id": None}  # fmt: skip


def config(kind, implementation: str = "sdpa", **fields):
    made = kind(**SIZES, **fields)
    made._attn_implementation = implementation
    return made


def sees(mask: torch.Tensor) -> list:
    """Which keys each query may attend to, per row of the batch."""
    allowed = mask if mask.dtype == torch.bool else mask == 0
    return [[row.nonzero()[:, 0].tolist() for row in one[0]] for one in allowed]


def tokens(batch: int, count: int) -> torch.Tensor:
    return torch.zeros(batch, count, 6)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_a_causal_token_sees_those_before_it_and_the_first_itself(implementation: str) -> None:
    made = config(CrateGPTConfig, implementation, attend_self=False)
    mask = causal_mask(made, tokens(1, 4), None, None, torch.arange(4)[None])
    assert sees(mask) == [[[0], [0], [0, 1], [0, 1, 2]]]


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_every_document_and_every_padded_row_has_a_first_token(implementation: str) -> None:
    made = config(CrateGPTConfig, implementation, attend_self=False)
    packed = torch.tensor([[0, 1, 0, 1, 2]])
    mask = causal_mask(made, tokens(1, 5), None, None, packed)
    assert sees(mask) == [[[0], [0], [2], [2], [2, 3]]]
    padding = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 0]])
    mask = causal_mask(made, tokens(2, 5), padding, None, None)
    seen = sees(mask)
    assert seen[0][2:] == [[2], [2], [2, 3]]
    assert seen[1][:4] == [[0], [0], [0, 1], [0, 1, 2]]


def test_a_mask_of_ones_own_loses_its_diagonal_too() -> None:
    made = config(CrateGPTConfig, attend_self=False)
    own = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 0, 1]], dtype=torch.bool)[None, None]
    once = causal_mask(made, tokens(1, 3), own, None, None)
    assert sees(once) == [[[0], [1], [0]]]
    assert torch.equal(causal_mask(made, tokens(1, 3), once, None, None), once)


def test_added_values_stay_where_nothing_is_hidden() -> None:
    added = torch.tensor([[0.5, -1.0], [0.25, 2.0]])[None, None]
    found = without_self(added, tokens(1, 2), 0)
    lowest = torch.finfo(torch.float32).min
    assert found.tolist() == [[[[lowest, -1.0], [0.25, lowest]]]]


def test_queries_after_a_past_have_their_own_place() -> None:
    assert sees(without_self(torch.ones(1, 1, 2, 5, dtype=torch.bool), tokens(1, 2), 3)) == [
        [[0, 1, 2, 4], [0, 1, 2, 3]]
    ]


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_a_bidirectional_token_sees_all_others(implementation: str) -> None:
    made = config(CrateBertConfig, implementation, attend_self=False)
    assert sees(bidirectional_mask(made, tokens(1, 3))) == [[[1, 2], [0, 2], [0, 1]]]
    assert sees(bidirectional_mask(made, tokens(1, 1))) == [[[0]]]
    padding = torch.tensor([[1, 1, 0], [1, 0, 0]])
    seen = sees(bidirectional_mask(made, tokens(2, 3), padding))
    assert seen[0][:2] == [[1], [0]]
    assert seen[1][0] == [0]


@pytest.mark.parametrize("kind", [CrateGPTConfig, CrateBertConfig])
def test_implementations_that_would_do_otherwise_in_silence_are_refused(kind) -> None:
    def make(made):
        if kind is CrateGPTConfig:
            return causal_mask(made, tokens(1, 3), None, None, None)
        return bidirectional_mask(made, tokens(1, 3), torch.ones(1, 3))

    with pytest.raises(ValueError, match="attend_self=False .*'flex_attention' does not take"):
        make(config(kind, "flex_attention", attend_self=False))
    with pytest.raises(ValueError, match="'home_made' has no mask function.*register one"):
        make(config(kind, "home_made"))
