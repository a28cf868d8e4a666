"""Bidirectional text models: the cost changes with how they are run, the numbers do not."""

from __future__ import annotations

import pytest
import torch
from tests.contract.test_training_modes import fresh_compiler, near
from tests.contract.tiny_bert import HEADS, VARIANTS, task_inputs, tiny_bert

__all__ = ["fresh_compiler"]  # a fixture

# The old name of checkpointing is the one that every supported version knows.
pytestmark = pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable`:FutureWarning")


def gradients(model, head: str, run=None) -> dict:
    """Loss and gradients of one step on a padded batch; ``run`` is the model, possibly compiled."""
    model.zero_grad()
    inputs = task_inputs(head)
    outputs = (model if run is None else run)(**inputs)
    loss = outputs.get("loss")
    if loss is None:
        loss = outputs.last_hidden_state[inputs["attention_mask"].bool()].square().sum()
        loss = loss + outputs.pooler_output.sum()
    loss.backward()
    return {"loss": loss.detach()} | {n: p.grad.clone() for n, p in model.named_parameters()}


@pytest.mark.parametrize("variant", VARIANTS)
def test_eager_and_sdpa_agree_forward_and_backward(variant: str) -> None:
    model = tiny_bert(variant).double().train()
    assert model.config._attn_implementation == "sdpa"
    fused = gradients(model, "masked-lm")
    model.set_attn_implementation("eager")
    near(gradients(model, "masked-lm"), fused)


@pytest.mark.parametrize(
    ("variant", "head"),
    [(variant, "masked-lm") for variant in VARIANTS] + [("published", head) for head in HEADS],
)
def test_checkpointing_gives_the_same_gradients(variant: str, head: str) -> None:
    model = tiny_bert(variant, head).double().train()
    expected = gradients(model, head)
    model.gradient_checkpointing_enable()
    calls = []
    layer = (model if head == "encoder" else model.crate).stack.layers[0]
    layer.compress.register_forward_pre_hook(lambda *_: calls.append(1))
    near(gradients(model, head), expected, tolerance=1e-6)
    assert len(calls) == 2, "the layer did not run again in the backward pass"


@pytest.mark.parametrize("variant", ["published", "rotary-window-without-self"])
def test_the_whole_model_compiles_without_a_break(variant: str) -> None:
    model = tiny_bert(variant, num_hidden_layers=1).train()
    expected = gradients(model, "masked-lm")
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    near(gradients(model, "masked-lm", compiled), expected, tolerance=1e-4)


@pytest.mark.parametrize("head", HEADS)
@torch.no_grad()
def test_every_head_is_one_graph(head: str) -> None:
    model = tiny_bert("majorizer", head, num_hidden_layers=1)
    inputs = task_inputs(head)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(**inputs)[0], model(**inputs)[0])


@torch.no_grad()
def test_an_exported_graph_serves_other_batches_and_lengths() -> None:
    model = tiny_bert(head="sequence")

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask):
            return self.model(input_ids, attention_mask).logits

    inputs = task_inputs("sequence", batch=3)
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    free = {0: torch.export.Dim("batch", max=64), 1: torch.export.Dim("tokens", min=2, max=12)}
    program = torch.export.export(Logits(), (ids, mask), dynamic_shapes=(free, free))
    ids, mask = ids[:2, :5], mask[:2, :5]
    torch.testing.assert_close(program.module()(ids, mask), model(ids, mask).logits)
