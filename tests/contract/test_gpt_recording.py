"""What a language model records is what flows through it, under any attention and with a cache."""

from __future__ import annotations

import pytest
import torch
from tests.contract.tiny_gpt import VARIANTS, tiny_gpt, tiny_text

from whitebox_transformers.crate.cache_name import CACHE

RECORDS = ("attentions", "hidden_states", "z", "z_half")


def recorded(model, *args, layers=True, **kwargs):
    return model(*args, **{f"output_{record}": layers for record in RECORDS}, **kwargs)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_records_are_what_hooks_see(variant: str, implementation: str) -> None:
    model, ids = tiny_gpt(variant), tiny_text()
    model.set_attn_implementation(implementation)
    seen: dict[str, list] = {"z": [], "z_half": []}
    for layer in model.crate.stack.layers:
        layer.register_forward_hook(lambda _, args, out: seen["z"].append(args[0]))
        layer.compress.register_forward_hook(lambda _, args, out: seen["z_half"].append(out))
    model.crate.stack.register_forward_hook(lambda _, args, out: seen["z"].append(out))
    outputs = recorded(model, ids)
    for record, values in seen.items():
        assert all(map(torch.equal, outputs[record], values)), record
    assert len(outputs.hidden_states) == 3
    assert torch.equal(outputs.hidden_states[0], outputs.z[0])
    last = model.crate(ids).last_hidden_state
    assert torch.equal(outputs.hidden_states[-1], last)
    assert torch.equal(outputs.logits, model(ids).logits)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if "statistics" not in name])
@torch.no_grad()
def test_attentions_are_the_weights_of_the_averages(variant: str) -> None:
    """Under fused attention too, where no mask is made, they leave out the future."""
    model, ids = tiny_gpt(variant), tiny_text()
    seen = []
    part = model.crate.stack.layers[1].compress.mssa
    values = part.qkv if hasattr(part, "qkv") else part.subspaces
    values.register_forward_hook(lambda _, args, out: seen.append(out[..., -out.shape[-1] :]))
    part.heads.register_forward_hook(lambda _, args, out: seen.append(out))
    outputs = recorded(model, ids)
    value, averages = seen
    value = value.unflatten(-1, (-1, part.num_heads, part.head_dim))[:, :, -1]
    weights = outputs.attentions[1]
    assert weights.shape == (2, 3, 9, 9)
    torch.testing.assert_close(weights @ value.transpose(1, 2), averages.transpose(1, 2))
    assert not weights.triu(1).any()
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 9))
    if not model.config.attend_self:
        own = weights.diagonal(dim1=-2, dim2=-1)
        assert not own[..., 1:].any()
        assert (own[..., 0] == 1).all()


@pytest.mark.parametrize(
    "variant", ["published", "rotary", "help", "token-statistics-help", "black-box-help"]
)
@torch.no_grad()
def test_with_a_cache_the_rows_of_the_new_tokens_are_recorded(variant: str) -> None:
    model, ids = tiny_gpt(variant), tiny_text(2, 7)
    whole = recorded(model, ids)
    past = model(ids[:, :5], use_cache=True)[CACHE]
    rest = recorded(model, ids[:, 5:], cache=past, use_cache=True)
    for found, expected in zip(rest.attentions, whole.attentions, strict=True):
        torch.testing.assert_close(found, expected[:, :, 5:], rtol=0, atol=1e-5)
    for found, expected in zip(rest.z_half, whole.z_half, strict=True):
        torch.testing.assert_close(found, expected[:, 5:], rtol=0, atol=1e-5)


@torch.no_grad()
def test_layers_are_chosen_and_nothing_is_recorded_unasked() -> None:
    model, ids = tiny_gpt(), tiny_text()
    some = model(ids, output_z=[1], output_attentions=[-1], use_cache=False)
    assert [z is not None for z in some.z] == [False, True, False]
    assert [a is not None for a in some.attentions] == [False, True]
    assert set(model(ids, use_cache=False)) == {"logits"}
    assert set(model(ids)) == {"logits", CACHE}
    with pytest.raises(ValueError, match=r"output_z=\[5\]: indices run from -3 to 2"):
        model(ids, output_z=[5])


def test_generation_records_too() -> None:
    model, ids = tiny_gpt(), tiny_text()
    made = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=3,
                          do_sample=False, pad_token_id=0, return_dict_in_generate=True,
                          output_attentions=True, output_hidden_states=True)  # fmt: skip
    assert [step[0].shape for step in made.attentions] == [(2, 3, 9, 9), (2, 3, 1, 10),
                                                           (2, 3, 1, 11)]  # fmt: skip
    assert len(made.hidden_states[1]) == 3
