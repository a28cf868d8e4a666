"""What the harness compares: the same function three times, and operations that are counted."""

from __future__ import annotations

import pytest
import torch
from benchmarks import flops
from benchmarks.systems import SYSTEMS, Size, pair
from benchmarks.transcription import transcribed
from torch.utils.flop_counter import FlopCounterMode

from whitebox_transformers import fold

TINY = Size(
    width=16, depth=2, heads=2, side=6, length=10, batch=3, patch=2, classes=5, vocabulary=40,
    prototypes=8,
)  # fmt: skip


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("batch", [1, 3])
@torch.no_grad()
def test_contenders_agree_and_cost_what_the_formula_says(system: str, batch: int) -> None:
    # With one text there are fewer tokens than the width, and M is not built.
    size = Size(**vars(TINY) | {"batch": batch})
    found = pair(system, size, torch.device("cpu"))
    white = found.used(found.white)
    models = {
        "white": white,
        "folded": fold(white),
        "transcription": transcribed(white),
        "black": found.used(found.black),
    }
    outputs = {}
    for kind, model in models.items():
        for part in model.modules():  # ViTMAE's decoder has a configuration of its own
            if hasattr(part, "config"):
                part.config._attn_implementation = "eager"
        with FlopCounterMode(display=False) as counter:
            outputs[kind] = model(**found.inputs)
        assert counter.get_total_flops() == flops.forward(system, kind, size), kind
        if kind != "folded":
            with FlopCounterMode(display=False) as counter:
                model.train()(**found.inputs)
            assert 3 * counter.get_total_flops() == flops.training_step(system, kind, size), kind
            model.eval()
    key = "logits" if "logits" in outputs["white"] else "last_hidden_state"
    for kind in ("folded", "transcription"):
        torch.testing.assert_close(outputs[kind][key], outputs["white"][key], rtol=1e-4, atol=1e-5)
