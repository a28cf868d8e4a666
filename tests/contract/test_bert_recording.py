"""Bidirectional text models record Z^l, Z^{l+1/2} and attention on request, under any head."""

from __future__ import annotations

import pytest
import torch
from tests.contract.tiny_bert import HEADS, task_inputs, tiny_bert


def asked(layers=True) -> dict:
    names = ("hidden_states", "attentions", "z", "z_half")
    return {f"output_{name}": layers for name in names}


@pytest.mark.parametrize("head", HEADS)
@torch.no_grad()
def test_every_head_hands_on_what_was_recorded(head: str) -> None:
    model = tiny_bert(head=head)
    inputs = task_inputs(head)
    plain = model(**inputs)
    assert not {"hidden_states", "attentions", "z", "z_half"} & set(plain)
    outputs = model(**inputs, **asked())
    assert torch.equal(outputs[0], plain[0])
    rows = 4 if head == "choice" else 2
    assert len(outputs.z) == len(outputs.hidden_states) == 4
    assert len(outputs.z_half) == len(outputs.attentions) == 3
    for state, z in zip(outputs.hidden_states, outputs.z, strict=True):
        assert torch.equal(state, z)
        assert z.shape == (rows, 7, 12)
    assert outputs.attentions[0].shape == (rows, 3, 7, 7)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("variant", ["published", "rotary", "without-self", "ordinary-attention"])
@torch.no_grad()
def test_recorded_attention_leaves_padding_out(variant: str, implementation: str) -> None:
    model = tiny_bert(variant, "encoder")
    model.set_attn_implementation(implementation)
    inputs = task_inputs("encoder")
    padding = inputs["attention_mask"][:, None, None] == 0
    for weights in model(**inputs, output_attentions=True).attentions:
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 7))
        assert weights.masked_select(padding).eq(0).all()


@torch.no_grad()
def test_only_the_layers_asked_for_are_kept_and_others_are_refused() -> None:
    model = tiny_bert()
    inputs = task_inputs("masked-lm")
    every, some = model(**inputs, output_z=True).z, model(**inputs, output_z=[1, -1]).z
    assert [z is not None for z in some] == [False, True, False, True]
    assert torch.equal(some[1], every[1])
    with pytest.raises(ValueError, match=r"output_z=\[9\]: indices run from"):
        model(**inputs, output_z=[9])


@torch.no_grad()
def test_the_last_norm_is_not_part_of_what_is_recorded() -> None:
    model = tiny_bert("final-norm", "encoder")
    outputs = model(**task_inputs("encoder"), output_z=True)
    torch.testing.assert_close(model.norm(outputs.z[-1]), outputs.last_hidden_state)


@torch.no_grad()
def test_a_tuple_begins_with_loss_and_logits() -> None:
    model = tiny_bert()
    inputs = task_inputs("masked-lm")
    outputs, as_tuple = (
        model(**inputs, output_z=True),
        model(**inputs, output_z=True, return_dict=False),
    )
    assert torch.equal(as_tuple[0], outputs.loss)
    assert torch.equal(as_tuple[1], outputs.logits)
    assert len(as_tuple) == 3
