"""Converted models reproduce numbers of the authors' own code."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.unit.convert.files import relative_error, reload

from whitebox_transformers.convert import convert

CASES = {
    "crate_cls": {"heads": 4},
    "crate_mean_pool": {"heads": 5, "pool": "mean"},
    "crate_rect": {"heads": 2, "image_size": (24, 40), "step_size": 0.3},
    "crate_one_head": {},
    "crate_alpha": {"heads": 4},
}


WITH_PTH = set(CASES) - {"crate_alpha"}
FILES = [(case, ".safetensors") for case in CASES] + [(case, ".pth") for case in sorted(WITH_PTH)]


@pytest.mark.parametrize(("case", "suffix"), FILES)
def test_logits_and_gradients(case, suffix, golden_dir, tmp_path):
    numbers = load_file(golden_dir / f"{case}.safetensors")
    file = golden_dir / f"{case}.pth"
    if suffix == ".safetensors":
        file = tmp_path / "state.safetensors"
        save_file(_part(numbers, "state/"), file)
    report = convert(file, tmp_path / "out", **CASES[case])
    model = reload(tmp_path / "out")
    logits = model(numbers["pixel_values"]).logits
    assert relative_error(logits, numbers["logits"]) < 1e-5

    torch.logsumexp(logits, dim=-1).sum().backward()
    parameters = dict(model.named_parameters())
    for key, gradient in _part(numbers, "grad/").items():
        assert relative_error(parameters[report.used[key]].grad, gradient) < 1e-4, key


def _part(numbers, prefix):
    return {key.removeprefix(prefix): n for key, n in numbers.items() if key.startswith(prefix)}
