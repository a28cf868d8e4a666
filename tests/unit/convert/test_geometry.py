"""Heads, image and patch size: decided, or asked for, never guessed."""

from __future__ import annotations

import argparse

import pytest
import torch
from safetensors.torch import save_file
from tests.oracles.authors_classifiers import random_alpha, random_crate
from tests.unit.convert.files import reload, save

from whitebox_transformers.convert import convert
from whitebox_transformers.errors import UserError


def decisions(tmp_path, state, said=None, **beside):
    content = {"state_dict": state} | beside
    report = convert(save(tmp_path / "file.pth", content), tmp_path / "out", **said or {})
    return {name: (value, origin) for name, value, origin in report.decisions}


def refusal(tmp_path, state, said=None, **beside):
    with pytest.raises(UserError) as caught:
        decisions(tmp_path, state, said, **beside)
    assert not (tmp_path / "out").exists()
    return str(caught.value)


def test_heads_are_asked_for_with_the_numbers_that_fit(tmp_path):
    message = refusal(tmp_path, random_crate())
    assert "--heads" in message
    assert "2, 3, 4, 6, 12" in message
    assert "1, 2, 4, 8" in refusal(tmp_path, random_crate(inner=8))


@pytest.mark.parametrize("heads", [1, 5, 0, -2, 24])
def test_heads_that_do_not_fit(heads, tmp_path):
    message = refusal(tmp_path, random_crate(), {"heads": heads})
    assert f"--heads {heads} does not fit" in message


def test_shapes_that_leave_one_number_of_heads(tmp_path):
    assert decisions(tmp_path, random_crate(has_output=False))["heads"] == (1, "shapes")
    (tmp_path / "prime").mkdir()
    prime = random_crate(width=7, inner=7)
    assert decisions(tmp_path / "prime", prime)["heads"] == (7, "shapes")


def test_one_head_needs_no_flag_and_contradicts_another(tmp_path):
    assert "allow 1" in refusal(tmp_path, random_crate(has_output=False), {"heads": 2})
    state = random_crate(has_output=False, inner=8)
    assert "output matrix" in refusal(tmp_path, state)


@pytest.mark.parametrize(
    "beside",
    [
        {"args": argparse.Namespace(num_heads=3)},
        {"args": {"dim_head": 4}},
        {"config": {"heads": "3"}},
        {"heads": 3},
    ],
    ids=["namespace", "head width", "text", "top"],
)
def test_heads_from_metadata(beside, tmp_path):
    value, origin = decisions(tmp_path, random_crate(), **beside)["heads"]
    assert value == 3
    assert origin.startswith("metadata")


def test_arch_counts_only_where_its_shapes_agree(tmp_path):
    assert "other shapes" in refusal(tmp_path, random_crate(), arch="CRATE_tiny")
    tiny = random_crate(width=384, inner=384, depth=12, image=(4, 4))
    assert decisions(tmp_path, tiny, arch="CRATE_tiny")["heads"] == (
        6,
        "metadata: arch = CRATE_tiny",
    )


def test_metadata_that_does_not_fit_is_no_answer(tmp_path):
    assert "--heads" in refusal(tmp_path, random_crate(), heads=5)


def test_the_flag_wins_over_metadata(tmp_path):
    found = decisions(tmp_path, random_crate(), {"heads": 2}, heads=3)["heads"]
    assert found == (2, "flag, over heads = 3 of the file")


def test_metadata_of_safetensors(tmp_path):
    save_file(random_crate(), tmp_path / "file.safetensors", metadata={"heads": "3"})
    report = convert(tmp_path / "file.safetensors", tmp_path / "out")
    assert report.decisions[0].value == 3


def test_fifteen_positions_need_the_image_size(tmp_path):
    state = random_crate(image=(12, 20))
    message = refusal(tmp_path, state, {"heads": 2})
    assert "--image-size" in message
    assert "12 20, 20 12" in message
    assert "15 patches of 4x4" in refusal(tmp_path, state, {"heads": 2, "image_size": (20, 20)})
    found = decisions(tmp_path, state, {"heads": 2, "image_size": (12, 20)})
    assert found["image_size"] == ((12, 20), "flag")
    assert reload(tmp_path / "out").config.image_size == [12, 20]


def test_image_size_from_metadata_that_agrees(tmp_path):
    state = random_crate(image=(12, 20))
    assert "--image-size" in refusal(tmp_path, state, {"heads": 2}, image_size=224)
    found = decisions(tmp_path, state, {"heads": 2}, image_size=[20, 12])
    assert found["image_size"][0] == (20, 12)


@pytest.mark.parametrize("channels", [1, 3])
def test_square_patches_of_one_or_three_channels(channels, tmp_path):
    found = decisions(tmp_path, random_crate(channels=channels), {"heads": 2})
    assert found["patch_size"][0] == (4, 4)
    assert found["num_channels"][0] == channels
    assert (tmp_path / "out" / "preprocessor_config.json").exists() == (channels == 3)


def test_channels_from_metadata_decide_between_square_patches(tmp_path):
    state = random_crate(channels=4)  # 64 values: 4 x 4 of four channels, or 8 x 8 of one
    arguments = argparse.Namespace(channels=4)
    found = decisions(tmp_path, state, {"heads": 2}, args=arguments)
    assert found["patch_size"] == ((4, 4), "metadata and shapes: 64 = 4 * 4 * 4")
    assert found["num_channels"][0] == 4


def test_channels_in_metadata_that_do_not_fit_are_no_answer(tmp_path):
    found = decisions(tmp_path, random_crate(), {"heads": 2}, args={"in_chans": 5})
    assert found["num_channels"] == (3, "shapes: 48 = 4 * 4 * 3")


def test_other_patches_are_asked_for(tmp_path):
    state = random_crate(channels=2)
    assert "--patch-size, or --image-size" in refusal(tmp_path, state, {"heads": 2})
    said = {"heads": 2, "patch_size": (3, 5)}
    assert "no multiple of 15" in refusal(tmp_path, state, said)


def test_an_image_size_that_leaves_two_patches_open(tmp_path):
    state = random_crate(channels=5, patch=(8, 4))
    message = refusal(tmp_path, state, {"heads": 2, "image_size": (16, 16)})
    assert "2x16 or 4x8 or 8x4 or 16x2" in message
    assert "--patch-size" in message


@pytest.mark.parametrize("size", [0, (16, 0), (1, 2, 3)])
def test_sizes_that_are_none(size, tmp_path):
    assert "expected one positive number" in refusal(tmp_path, random_crate(), {"image_size": size})


def test_published_defaults_are_reported(tmp_path):
    found = decisions(tmp_path, random_crate(), {"heads": 2})
    assert found["pooling"] == ("cls", "published default")
    assert found["step_size"] == found["threshold"] == (0.1, "published default")


def test_constructor_arguments_in_metadata(tmp_path):
    arguments = argparse.Namespace(pool="mean", ista=0.3)
    found = decisions(tmp_path, random_crate(), {"heads": 2}, args=arguments)
    assert found["pooling"] == ("mean", "metadata")
    assert found["step_size"] == (0.3, "metadata")


def test_alpha_ignores_pooling_in_metadata_as_its_authors_do(tmp_path):
    arguments = argparse.Namespace(pool="mean", ista=0.3)
    found = decisions(tmp_path, random_alpha(), {"heads": 2}, args=arguments)
    assert found["pooling"] == ("cls", "published default")
    assert found["step_size"] == (0.1, "published default")


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"pool": "max"}, "--pool"),
        ({"step_size": float("nan")}, "step_size"),
        ({"threshold": -1.0}, "threshold"),
    ],
)
def test_constants_out_of_range(said, word, tmp_path):
    assert word in refusal(tmp_path, random_crate(), {"heads": 2} | said)


@pytest.mark.parametrize(
    ("said", "flag"),
    [
        ({"apply_head": True}, "--apply-head"),
        ({"patch_size": 4}, "--patch-size"),
        ({"pad_token_id": 0}, "--pad-token-id"),
    ],
)
def test_what_a_layout_does_not_ask_is_refused(said, flag, tmp_path):
    assert f"{flag} says nothing about" in refusal(tmp_path, random_alpha(), {"heads": 2} | said)


def test_alpha_reads_patches_from_its_kernel(tmp_path):
    state = random_alpha(patch=(4, 2), image=(8, 4), channels=5)
    found = decisions(tmp_path, state, {"heads": 2})
    assert found["patch_size"][0] == (4, 2)
    assert found["num_channels"][0] == 5
    assert found["image_size"][0] == (8, 4)


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        (["visual.transformer.resblocks.0.mlp.c_fc"], "CLIPA"),
        (["crate.stack.layers.0.compress.mssa.subspaces.weight"], "from_pretrained"),
    ],
)
def test_known_layouts_that_come_later_are_named(keys, name, tmp_path):
    message = refusal(tmp_path, {key: torch.zeros(2, 2) for key in keys})
    assert name in message
    assert "\n" not in message
