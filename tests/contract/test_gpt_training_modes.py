"""Attention implementations, checkpointing and compilation of language models: same numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tests.contract.tiny_gpt import VARIANTS, tiny_gpt, tiny_text

from whitebox_transformers.crate import CrateGPTForCausalLM

# The old name of checkpointing is the one that every supported version knows.
pytestmark = pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable`:FutureWarning")

PACKED = torch.tensor([[0, 1, 2, 3, 0, 1, 0, 1, 2], [0, 1, 0, 1, 2, 3, 4, 5, 6]])


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def gradients(model: CrateGPTForCausalLM, run: Callable | None = None, **inputs) -> dict:
    """Loss and gradients of one step; ``run`` is the model, possibly compiled."""
    model.zero_grad()
    run = model if run is None else run
    loss = run(tiny_text(), labels=tiny_text(), use_cache=False, **inputs).loss
    loss.backward()
    return {"loss": loss.detach()} | {n: p.grad.clone() for n, p in model.named_parameters()}


def near(actual: dict, expected: dict, tolerance: float = 1e-4) -> None:
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("positions", [None, PACKED], ids=["whole", "packed"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_eager_and_sdpa_agree_forward_and_backward(variant: str, positions) -> None:
    model = tiny_gpt(variant).train()
    assert model.config._attn_implementation == "sdpa"
    fused = gradients(model, position_ids=positions)
    model.set_attn_implementation("eager")
    near(gradients(model, position_ids=positions), fused)


@pytest.mark.parametrize("variant", VARIANTS)
def test_checkpointing_gives_the_same_gradients(variant: str) -> None:
    model = tiny_gpt(variant).train()
    expected = gradients(model, position_ids=PACKED)
    model.gradient_checkpointing_enable()
    calls = []
    model.crate.stack.layers[0].compress.register_forward_pre_hook(lambda *_: calls.append(1))
    near(gradients(model, position_ids=PACKED), expected, tolerance=1e-6)
    assert len(calls) == 2, "the layer did not run again in the backward pass"


@pytest.mark.parametrize(
    ("variant", "positions"),
    [
        ("published", None),
        ("crate-lm", None),
        ("help", PACKED),
        ("lag-help", PACKED),
        ("black-box-help", None),
        ("token-statistics", None),
        ("token-statistics-help", PACKED),
    ],
)
def test_a_training_step_compiles_without_a_break(variant: str, positions) -> None:
    model = tiny_gpt(variant, num_hidden_layers=1).train()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    inputs = {"position_ids": positions}
    near(gradients(model, compiled, **inputs), gradients(model, **inputs))


@torch.no_grad()
def test_one_graph_serves_every_length() -> None:
    model = tiny_gpt("help", num_hidden_layers=1)
    compiled = torch.compile(model, fullgraph=True, backend="eager", dynamic=True)
    for count in (5, 9, 14):
        ids = tiny_text(2, count)
        torch.testing.assert_close(
            compiled(ids, use_cache=False).logits, model(ids).logits, rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("variant", ["published", "help", "crate-lm", "token-statistics"])
@torch.no_grad()
def test_the_model_exports(variant: str) -> None:
    model, ids = tiny_gpt(variant), tiny_text(2, 6)
    program = torch.export.export(model, (ids,), {"use_cache": False}, strict=False)
    found = program.module()(ids, use_cache=False).logits
    torch.testing.assert_close(found, model(ids).logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "variant", ["published", "help", "token-statistics-help", "black-box-help"]
)
def test_half_precision_trains(variant: str) -> None:
    model = tiny_gpt(variant).train()
    expected = gradients(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gradients(model)
    torch.testing.assert_close(found["loss"], expected["loss"], rtol=0.05, atol=0.05)
    for name, gradient in found.items():
        assert gradient.isfinite().all(), name
