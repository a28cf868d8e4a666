"""Hugging Face's recording returns what flows through the model, for the layers asked for."""

from __future__ import annotations

import pytest
import torch
from tests.contract.tiny import VARIANTS, tiny_images, tiny_model
from tests.oracles.token_statistics import bidirectional

from whitebox_transformers.crate import CrateForImageClassification

RECORDS = ("attentions", "hidden_states", "z", "z_half")
COMPRESSING = [
    name for name, fields in VARIANTS.items() if fields.get("compression", "mssa") != "none"
]


def asked(*records: str, layers=True) -> dict:
    return {f"output_{record}": layers for record in records}


def hooked(model: CrateForImageClassification, images: torch.Tensor) -> dict[str, list]:
    """The same records through hooks of our own on the layers and their parts."""
    seen: dict[str, list] = {record: [] for record in RECORDS}
    handles = []

    def watch(module: torch.nn.Module, see) -> None:
        handles.append(module.register_forward_hook(lambda _, args, out: see(args, out)))

    layers = model.crate.stack.layers
    for layer in layers:
        watch(layer, lambda args, out: seen["z"].append(args[0]))
        watch(layer.compress, lambda args, out: seen["z_half"].append(out))
        watch(layer.compress.norm, lambda args, out: seen["attentions"].append(out))
    watch(layers[-1], lambda args, out: seen["z"].append(out))
    model(images)
    for handle in handles:
        handle.remove()
    seen["attentions"] = [
        weights(layer.compress.mssa, normed)
        for layer, normed in zip(layers, seen["attentions"], strict=True)
    ]
    seen["hidden_states"] = seen["z"]
    return seen


def weights(part: torch.nn.Module, normed: torch.Tensor) -> torch.Tensor:
    """Attention (B, K, N, N) one head at a time, from the normed tokens (B, N, D).

    Memberships (B, K, N, 1) where no tokens are compared.
    """
    if hasattr(part, "temperature"):
        split = (normed @ part.subspaces.weight.T).unflatten(-1, (part.num_heads, -1))
        found = [bidirectional(w, part.temperature)[1] for w in split.transpose(1, 2)]
        return torch.stack(found).unsqueeze(-1)
    if hasattr(part, "qkv"):
        queries, keys, _ = (normed @ part.qkv.weight.T).chunk(3, dim=-1)
        dim = part.head_dim
    else:
        queries = keys = normed @ part.subspaces.effective_weight().T
        dim = part.subspaces.head_dim
    own = torch.eye(normed.shape[1], dtype=torch.bool) & (not part.config.attend_self)
    heads = [
        torch.softmax((query @ key.transpose(1, 2) / dim**0.5).masked_fill(own, -torch.inf), dim=-1)
        for query, key in zip(queries.split(dim, -1), keys.split(dim, -1), strict=True)
    ]
    return torch.stack(heads, dim=1)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("variant", COMPRESSING)
@torch.no_grad()
def test_records_are_what_hooks_see_and_change_nothing(variant: str, attention: str) -> None:
    model = tiny_model(variant)
    model.set_attn_implementation(attention)
    images = tiny_images(model.config)
    outputs = model(images, **asked(*RECORDS))
    expected = hooked(model, images)
    for record in RECORDS:
        torch.testing.assert_close(
            list(outputs[record]), expected[record], rtol=0, atol=2e-6, msg=record
        )
    assert torch.equal(outputs.logits, model(images).logits)
    depth, (rows, columns) = model.config.num_hidden_layers, model.config.grid_size
    tokens = 1 + rows * columns
    assert [len(outputs[record]) for record in RECORDS] == [depth, depth + 1, depth + 1, depth]
    statistics = model.config.compression == "tssa"
    shape = (2, model.config.num_attention_heads, tokens, 1 if statistics else tokens)
    for attentions in outputs.attentions:
        assert attentions.shape == shape
        sums = attentions.sum(1 if statistics else -1)
        torch.testing.assert_close(sums, torch.ones_like(sums))


@pytest.mark.parametrize("layers", [[1], [0, 2], [-1], [2, -3], (1,), []])
@pytest.mark.parametrize("record", ["attentions", "z", "z_half"])
@torch.no_grad()
def test_only_the_layers_asked_for_are_kept(record: str, layers) -> None:
    model = tiny_model()
    images = tiny_images(model.config)
    every = model(images, **asked(record))[record]
    some = getattr(model(images, **asked(record, layers=layers)), record)
    if not layers:
        assert some is None
        return
    kept = {index % len(every) for index in layers}
    assert len(some) == len(every)
    for index, (one, full) in enumerate(zip(some, every, strict=True)):
        assert torch.equal(one, full) if index in kept else one is None


@torch.no_grad()
def test_chosen_hidden_states_follow_the_installed_transformers() -> None:
    """Older versions leave out the input of the first layer when indices are given."""
    model = tiny_model()
    images = tiny_images(model.config)
    z = model(images, output_z=True).z
    some = model(images, output_hidden_states=[1]).hidden_states
    first = len(z) - len(some)
    assert first in (0, 1)
    for index, state in enumerate(some):
        assert torch.equal(state, z[index + first]) if index == 1 else state is None


@torch.no_grad()
def test_nothing_is_recorded_unasked() -> None:
    outputs = tiny_model()(tiny_images(tiny_model().config))
    assert set(outputs) == {"logits"}


@pytest.mark.parametrize("record", ["attentions", "z", "z_half"])
def test_a_layer_that_is_not_there_is_refused(record: str) -> None:
    model = tiny_model()
    images = tiny_images(model.config)
    with pytest.raises(ValueError, match=rf"output_{record}=\[9\]: indices run from"):
        model(images, **asked(record, layers=[9]))
    with pytest.raises(ValueError, match=rf"output_{record}=1: .*such as \[1\]"):
        model(images, **asked(record, layers=1))


@torch.no_grad()
def test_the_encoder_records_too_and_the_configuration_may_ask() -> None:
    model = tiny_model(output_hidden_states=True)
    images = tiny_images(model.config)
    assert len(model(images).hidden_states) == 4
    assert len(model.crate(images, output_z=True).z) == 4
    model.set_attn_implementation("eager")
    model.config.output_attentions = True
    assert len(model(images).attentions) == 3


def test_recorded_tensors_carry_gradients() -> None:
    model = tiny_model()
    outputs = model(tiny_images(model.config), output_z_half=True, output_attentions=[0])
    (outputs.z_half[-1].sum() + outputs.attentions[0][..., 0].square().sum()).backward()
    assert model.crate.stack.layers[0].compress.mssa.subspaces.weight.grad.abs().sum() > 0
    assert model.classifier.linear.weight.grad is None


@torch.no_grad()
def test_a_tuple_holds_the_same_in_order() -> None:
    model = tiny_model()
    images = tiny_images(model.config)
    as_tuple = model(images, output_z=True, return_dict=False)
    outputs = model(images, output_z=True)
    assert torch.equal(as_tuple[0], outputs.logits)
    assert len(as_tuple) == 2
    assert len(as_tuple[1]) == len(outputs.z)
