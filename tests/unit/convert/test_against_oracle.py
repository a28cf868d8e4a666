"""Converted models compute the authors' function, forward and backward, on odd configurations."""

from __future__ import annotations

import pytest
import torch
from tests.oracles.authors_classifiers import (
    alpha_logits,
    channel_fastest_patches,
    crate_logits,
    random_alpha,
    random_crate,
)
from tests.unit.convert.files import relative_error, reload, save

from whitebox_transformers.convert import convert

CRATE_CASES = {
    "plain": ({}, {"heads": 3}, {}),
    "grey-rectangular-wide-heads": (
        {"image": (8, 20), "channels": 1, "width": 10, "inner": 14, "depth": 3},
        {"heads": 7},
        {"image_size": (8, 20)},
    ),
    "narrow-heads": ({"inner": 8}, {"heads": 4}, {}),
    "one-head-without-output": ({"has_output": False, "depth": 1}, {"heads": 1}, {}),
    "one-head-with-output": ({"inner": 9}, {"heads": 1}, {}),
    "mean-pooling": ({"depth": 1}, {"heads": 2, "pool": "mean"}, {}),
    "other-step-and-threshold": ({}, {"heads": 6, "eta": 0.3, "lam": 0.5}, {}),
    "two-channels": ({"channels": 2}, {"heads": 2}, {"image_size": (16, 16)}),
    "four-channels": ({"channels": 4}, {"heads": 2}, {"patch_size": 4}),
    "tall-patches": (
        {"patch": (8, 2), "image": (16, 6)},
        {"heads": 2, "patch": (8, 2)},
        {"patch_size": (8, 2), "image_size": (16, 6)},
    ),
    "one-patch-one-class": ({"image": (4, 4), "classes": 1}, {"heads": 2}, {}),
}


@pytest.mark.parametrize("case", CRATE_CASES)
def test_crate(case, tmp_path):
    shape, function, said = CRATE_CASES[case]
    state = random_crate(**shape)
    file = save(
        tmp_path / "model.pth", {"state_dict": {f"module.{k}": v for k, v in state.items()}}
    )
    said = said | {"heads": function["heads"], "pool": function.get("pool")}
    said |= {"step_size": function.get("eta"), "threshold": function.get("lam")}
    report = convert(file, tmp_path / "out", **said)
    size = shape.get("image", (16, 16))
    images = draw_images(shape.get("channels", 3), size)
    compare(report, state, images, lambda s: crate_logits(s, images, **function))


ALPHA_CASES = {
    "plain": ({}, 3, {}),
    "rectangular-patches": ({"patch": (8, 4), "channels": 1, "ratio": 2}, 2, {"image_size": 16}),
    "wide-heads": ({"inner": 20, "width": 8, "depth": 3}, 4, {}),
    "one-head-without-output": ({"has_output": False}, 1, {}),
    "square-dictionary": ({"ratio": 1}, 2, {}),
}


@pytest.mark.parametrize("case", ALPHA_CASES)
def test_alpha(case, tmp_path):
    shape, heads, said = ALPHA_CASES[case]
    state = random_alpha(**shape)
    report = convert(save(tmp_path / "a.pth", state), tmp_path / "out", heads=heads, **said)
    images = draw_images(shape.get("channels", 3))
    compare(report, state, images, lambda s: alpha_logits(s, images, heads=heads))


def test_demo_checkpoint_is_the_authors_function_and_lists_the_unused_head(tmp_path):
    state = random_crate(demo_classes=9)
    file = save(tmp_path / "crate-demo.pth", {"model": state})
    report = convert(file, tmp_path / "out", heads=2)
    assert set(report.dropped) == {"head.weight", "head.bias"}
    assert "head.weight" in str(report)
    images = draw_images()
    compare(report, state, images, lambda s: crate_logits(s, images, heads=2))


def test_demo_head_follows_on_request(tmp_path):
    state = random_crate(demo_classes=9)
    file = save(tmp_path / "crate-demo.pth", {"model": state})
    report = convert(file, tmp_path / "out", heads=2, apply_head=True)
    assert not report.dropped
    images = draw_images()

    def classes(s):
        return crate_logits(s, images, heads=2) @ s["head.weight"].T + s["head.bias"]

    compare(report, state, images, classes)


def test_patches_run_row_by_row_with_the_channel_fastest():
    images = torch.arange(2 * 4 * 6).view(1, 2, 4, 6)
    first, second = channel_fastest_patches(images, (2, 3))[0, :2]
    assert first.tolist() == [0, 24, 1, 25, 2, 26, 6, 30, 7, 31, 8, 32]
    assert second.tolist() == [3, 27, 4, 28, 5, 29, 9, 33, 10, 34, 11, 35]


def draw_images(channels=3, size=(16, 16)):
    return torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(0))


def compare(report, state, images, function):
    """Logits within 1e-5 and the gradient of every weight used within 1e-4."""
    leaves = {key: value.clone().requires_grad_() for key, value in state.items()}
    expected = function(leaves)
    expected.logsumexp(-1).sum().backward()
    model = reload(report.out)
    logits = model(images).logits
    logits.logsumexp(-1).sum().backward()
    assert relative_error(logits, expected) < 1e-5
    parameters = dict(model.named_parameters())
    assert set(report.used.values()) == set(parameters)
    for old, new in report.used.items():
        gradient = leaves[old].grad
        if gradient.abs().max() > 1e-6:  # with one class the gradients that remain are rounding
            assert relative_error(parameters[new].grad, gradient) < 1e-4, old
