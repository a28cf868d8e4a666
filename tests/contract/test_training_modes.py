"""Attention implementations, checkpointing and compilation change the cost, not the numbers."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
import torch
from tests.contract.tiny import VARIANTS, tiny_images, tiny_model

from whitebox_transformers.crate import CrateForImageClassification, fold

# The old name of checkpointing is the one that every supported version knows.
pytestmark = pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable`:FutureWarning")

LABELS = torch.tensor([3, 1])


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def gradients(model: CrateForImageClassification, run: Callable | None = None) -> dict:
    """Loss and gradients of one training step; ``run`` is the model, possibly compiled."""
    model.zero_grad()
    run = model if run is None else run
    loss = run(tiny_images(model.config).to(model.dtype), labels=LABELS).loss
    loss.backward()
    return {"loss": loss.detach()} | {n: p.grad.clone() for n, p in model.named_parameters()}


def near(actual: dict, expected: dict, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("variant", VARIANTS)
def test_eager_and_sdpa_agree_forward_and_backward(variant: str) -> None:
    model = tiny_model(variant).train()
    assert model.config._attn_implementation == "sdpa"
    fused = gradients(model)
    model.set_attn_implementation("eager")
    near(gradients(model), fused)


@pytest.mark.parametrize("variant", VARIANTS)
def test_training_leaves_out_what_the_classifier_does_not_read(variant: str) -> None:
    model = tiny_model(variant).double().train()
    images = tiny_images(model.config).double()
    every = model.crate(images).last_hidden_state.shape[1]
    left = model.crate(images, first_token_only=True).last_hidden_state.shape[1]
    assert left == (every if "majorizer" in variant else 1)
    spared = gradients(model)
    # Whoever watches the last layer is shown every token.
    seen = []
    last = model.crate.stack.layers[-1]
    last.register_forward_hook(lambda _, __, output: seen.append(output.shape[1]))
    near(gradients(model), spared, tolerance=1e-10)
    assert seen == [every]


@pytest.mark.parametrize("variant", VARIANTS)
def test_checkpointing_gives_the_same_gradients(variant: str) -> None:
    model = tiny_model(variant).train()
    expected = gradients(model)
    model.gradient_checkpointing_enable()
    calls = []
    operator = next(model.crate.stack.layers[0].children())
    operator.register_forward_pre_hook(lambda *_: calls.append(1))
    near(gradients(model), expected, tolerance=1e-6)
    assert len(calls) == 2, "the layer did not run again in the backward pass"


def test_checkpointing_repeats_dropout_and_leaves_records_alone() -> None:
    model = tiny_model(hidden_dropout_prob=0.3).train()
    images = tiny_images(model.config)

    def step() -> list[torch.Tensor]:
        torch.manual_seed(3)
        model.zero_grad()
        outputs = model(images, labels=LABELS, output_z_half=True)
        outputs.loss.backward()
        assert len(outputs.z_half) == 3
        return [p.grad.clone() for p in model.parameters()]

    expected = step()
    model.gradient_checkpointing_enable()
    torch.testing.assert_close(step(), expected)


@pytest.mark.parametrize("variant", ["published", "alpha", "token-statistics"])
def test_the_whole_model_compiles_without_a_break(variant: str) -> None:
    model = tiny_model(variant, num_hidden_layers=1).train()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    near(gradients(model, compiled), gradients(model))


@pytest.mark.parametrize(
    ("variant", "fields"),
    [
        ("theory", {"activation": "soft_threshold", "learn_step_size": True}),
        ("majorizer", {"mssa_output": "fixed"}),
        ("black-box", {}),
    ],
)
@torch.no_grad()
def test_every_operator_is_one_graph_in_which_records_are_kept(variant, fields) -> None:
    model = tiny_model(variant, num_hidden_layers=1, **fields)
    images = tiny_images(model.config)
    request = {"output_attentions": [0], "output_z": True, "output_z_half": [-1]}
    # The first request installs the hooks, which the compiler could not trace.
    expected = model(images, **request)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    outputs = compiled(images, **request)
    for record in ("logits", "attentions", "z", "z_half"):
        torch.testing.assert_close(outputs[record], expected[record])


@torch.no_grad()
def test_a_folded_model_compiles() -> None:
    model = tiny_model(num_hidden_layers=1)
    images = tiny_images(model.config)
    compiled = torch.compile(fold(model), fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(images).logits, model(images).logits, rtol=0, atol=1e-5)


@torch.no_grad()
def test_one_graph_serves_every_batch_size() -> None:
    model = tiny_model(num_hidden_layers=1)
    compiled = torch.compile(model, fullgraph=True, backend="eager", dynamic=True)
    for batch in (2, 3):
        images = tiny_images(model.config, batch=batch)
        torch.testing.assert_close(compiled(images).logits, model(images).logits)


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@torch.no_grad()
def test_the_default_backend_computes_the_same() -> None:
    model = tiny_model(num_hidden_layers=1)
    images = tiny_images(model.config)
    compiled = torch.compile(model, fullgraph=True)
    torch.testing.assert_close(compiled(images).logits, model(images).logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("variant", ["published", "theory", "alpha"])
@torch.no_grad()
def test_what_trainer_passes_along_is_taken(variant: str) -> None:
    """Trainer hands the number of items of an accumulated batch to the loss."""
    model = tiny_model(variant)
    images = tiny_images(model.config)
    summed = model(images, labels=LABELS, num_items_in_batch=8).loss
    torch.testing.assert_close(summed, model(images, labels=LABELS).loss * 2 / 8)
