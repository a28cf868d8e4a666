"""What a text model cannot read is refused by name, place and mend, before anything runs."""

from __future__ import annotations

import pytest
import torch

from whitebox_transformers.crate import CrateBertConfig
from whitebox_transformers.crate.bounds import check_range
from whitebox_transformers.crate.inputs_text import (
    check_attention_mask,
    check_text,
    check_token_types,
)

CONFIG = CrateBertConfig(
    vocab_size=11, hidden_size=12, num_hidden_layers=1, num_attention_heads=3, type_vocab_size=2
)
IDS = torch.tensor([[0, 5, 2], [0, 10, 1]])
EMBEDS = torch.zeros(2, 3, 12)


def test_what_can_be_read_gives_its_shape() -> None:
    for dtype in (torch.int64, torch.int32, torch.uint8):
        assert check_text(IDS.to(dtype), None, CONFIG, training=True) == (2, 3)
    assert check_text(None, EMBEDS, CONFIG, training=True) == (2, 3)


@pytest.mark.parametrize(
    ("ids", "embeds", "message"),
    [
        (None, None, r"input_ids or inputs_embeds: found neither; give one"),
        (IDS, EMBEDS, r"input_ids or inputs_embeds: found both; give one"),
        ([[1, 2]], None, r"input_ids is a list; .* return_tensors='pt'"),
        (IDS[0], None, r"input_ids has shape \(3,\); expected \(batch, tokens\)"),
        (IDS[:0], None, r"input_ids has shape \(0, 3\); expected at least one sequence"),
        (IDS[:, :0], None, r"input_ids has shape \(2, 0\); expected at least one sequence"),
        (IDS.float(), None, r"input_ids has type torch.float32; expected whole numbers"),
        (IDS.bool(), None, r"input_ids has type torch.bool; expected whole numbers"),
        (IDS + 1, None, r"input_ids\[1, 1\] = 11 is not in a vocabulary of 11 tokens; .* 0 to 10"),
        (IDS - 1, None, r"input_ids\[0, 0\] = -1 is not in a vocabulary"),
        (
            None,
            EMBEDS[..., :5],
            r"inputs_embeds has shape \(2, 3, 5\); expected \(batch, tokens, 12",
        ),
        (None, EMBEDS[0], r"inputs_embeds has shape \(3, 12\); expected"),
        (None, EMBEDS[:0], r"inputs_embeds has shape \(0, 3, 12\); expected at least one"),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_what_cannot_be_read_is_refused(ids, embeds, message, training: bool) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        check_text(ids, embeds, CONFIG, training)
    assert "\n" not in str(caught.value)


def test_masks_are_of_tokens_or_of_pairs() -> None:
    for shape in ((2, 3), (2, 1, 3, 3), (1, 1, 3, 3), (2, 3, 3, 3)):
        check_attention_mask(torch.ones(shape), 2, 3)
    check_attention_mask(None, 2, 3)
    for shape in ((2, 4), (3, 2), (1, 3), (3,), (2, 3, 3), (2, 1, 3, 4), (2, 1, 1, 3)):
        with pytest.raises(ValueError, match=r"attention_mask has shape .* expected \(2, 3\), 1 "):
            check_attention_mask(torch.ones(shape), 2, 3)


def test_token_types_are_those_of_the_model() -> None:
    types = torch.tensor([[0, 1, 1], [0, 0, 0]])
    check_token_types(types, (2, 3), CONFIG, training=True)
    check_token_types(None, (2, 3), CONFIG, training=True)
    with pytest.raises(ValueError, match=r"token_type_ids\[0, 1\] = 2 is not one of 2 token types"):
        check_token_types(types + 1, (2, 3), CONFIG, training=True)
    with pytest.raises(ValueError, match=r"token_type_ids has shape \(2, 2\); expected \(2, 3\)"):
        check_token_types(types[:, :2], (2, 3), CONFIG, training=True)
    with pytest.raises(ValueError, match="token_type_ids has type"):
        check_token_types(types.double(), (2, 3), CONFIG, training=True)


def test_a_model_without_types_takes_the_zeros_of_its_tokenizer() -> None:
    config = CrateBertConfig(type_vocab_size=0)
    check_token_types(torch.zeros(2, 3, dtype=torch.long), (2, 3), config, training=True)
    with pytest.raises(ValueError, match=r"one of 1 token types \(type_vocab_size=0\)"):
        check_token_types(torch.ones(2, 3, dtype=torch.long), (2, 3), config, training=True)


def test_values_are_not_read_where_there_are_none_or_a_graph_is_made() -> None:
    far = torch.full((2, 2), 99)
    check_range("x", far.to("meta"), 5, "", training=False)

    def checked(values: torch.Tensor) -> torch.Tensor:
        check_range("x", values, 5, "", training=False)
        return values + 1

    compiled = torch.compile(checked, fullgraph=True, backend="eager")
    assert torch.equal(compiled(far), far + 1)
    with pytest.raises(ValueError, match=r"x\[0, 0\] = 99 is not wanted"):
        check_range("x", far, 5, "wanted", training=False)
