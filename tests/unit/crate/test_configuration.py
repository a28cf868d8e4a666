"""A configuration is complete, survives the disk, and refuses what cannot be built."""

from __future__ import annotations

import json

import pytest
from huggingface_hub.errors import StrictDataclassError
from hypothesis import given
from hypothesis import strategies as st
from tests.contract.tiny import SIZES, VARIANTS, tiny_config

from whitebox_transformers.crate import PRESETS, CrateConfig


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_configuration_survives_the_disk(variant: str, tmp_path) -> None:
    names = {"id2label": {0: "cat", 1: "dog"}, "label2id": {"cat": 0, "dog": 1}}
    config = tiny_config(variant, num_labels=2, **names)
    config.save_pretrained(tmp_path)
    again = CrateConfig.from_pretrained(tmp_path)
    said_by_the_file = {"transformers_version", "auto_map"}
    for key in config.to_dict().keys() - said_by_the_file:
        assert getattr(again, key) == getattr(config, key), key
    assert {"id2label": again.id2label, "label2id": again.label2id} == names


def test_the_file_is_plain_json_that_names_the_family(tmp_path) -> None:
    CrateConfig.from_preset("crate-tiny", image_size=(32, 64), num_labels=10).save_pretrained(
        tmp_path
    )
    stored = json.loads((tmp_path / "config.json").read_text())
    assert stored["model_type"] == "crate"
    assert stored["image_size"] == [32, 64]


@pytest.mark.parametrize("name", PRESETS)
def test_presets_build_and_take_overrides(name: str) -> None:
    assert CrateConfig.from_preset(name).num_labels == 1000
    config = CrateConfig.from_preset(name, num_labels=10, image_size=112, step_size=0.2)
    assert (config.num_labels, config.image_size, config.step_size) == (10, 112, 0.2)
    assert config.num_attention_heads * config.head_dim == config.hidden_size


def test_a_preset_is_not_changed_by_its_overrides() -> None:
    before = dict(PRESETS["crate-tiny"])
    CrateConfig.from_preset("crate-tiny", hidden_size=48)
    assert PRESETS["crate-tiny"] == before


def test_labels_may_come_with_their_names() -> None:
    names = {0: "cat", 1: "dog", 2: "eel"}
    config = CrateConfig.from_preset("crate-tiny", id2label=names)
    assert config.num_labels == 3
    assert config.id2label == names


@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    patch=st.tuples(st.integers(1, 5), st.integers(1, 5)),
)
def test_the_grid_counts_patches(rows: int, columns: int, patch: tuple[int, int]) -> None:
    size = [rows * patch[0], columns * patch[1]]
    config = CrateConfig(**SIZES | {"image_size": size, "patch_size": patch})
    assert config.grid_size == (rows, columns)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pooling", "max"),
        ("patch_embedding", "convolution"),
        ("compression", "MSSA"),
        ("mssa_output", "learnt"),
        ("mssa_sign", 0),
        ("mssa_skip", None),
        ("sparsification", "relu"),
        ("activation", "gelu"),
        ("ista_form", "folded"),
        ("dictionary_init", "identity"),
        ("synthesis", "shared"),
        ("hidden_size", "384"),
        ("num_attention_heads", 2.5),
        ("image_size", 8.0),
        ("threshold", "0.1"),
        ("learn_threshold", 1.5),
    ],
)
def test_a_wrong_choice_or_type_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(StrictDataclassError, match=name):
        tiny_config(**{name: value})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_attention_heads": 5}, "hidden_size=12 is not a multiple of num_attention_heads=5"),
        ({"image_size": 9}, "9x9 is not a multiple of patch_size 4x4; the nearest multiple is 8x8"),
        ({"image_size": 2}, "the nearest multiple is 4x4"),
        ({"image_size": [8, 12, 3]}, r"image_size=\[8, 12, 3\] must be one positive number"),
        ({"patch_size": [4, 0]}, r"patch_size=\[4, 0\] must be one positive number"),
        ({"patch_size": []}, r"patch_size=\[\] must be"),
        ({"head_dim": 7, "mssa_output": "identity"}, r"3 \* 7 = 21 and hidden_size=12"),
        ({"head_dim": 7, "mssa_output": "transpose"}, "use 'learned', 'tied' or 'fixed'"),
        ({"head_dim": 13, "orthonormal_subspaces": True}, "head_dim <= hidden_size"),
        ({"mssa_step": 0}, "mssa_step=0"),
        ({"position_init_std": -1}, "position_init_std=-1 must be finite and not negative"),
        ({"mssa_step": 1.5}, "mssa_step=1.5"),
        ({"num_hidden_layers": 0}, "num_hidden_layers=0 must be at least 1"),
        ({"num_channels": -3}, "num_channels=-3 must be at least 1"),
        ({"dictionary_ratio": 0}, "dictionary_ratio=0"),
        ({"ista_iterations": 0}, "ista_iterations=0"),
        ({"projection_size": 0}, "projection_size=0"),
        ({"step_size": float("nan")}, "step_size=nan"),
        ({"threshold": -0.1}, "threshold=-0.1"),
        ({"layer_norm_eps": 0}, "layer_norm_eps=0"),
        ({"coding_precision": 0.0}, "coding_precision=0.0"),
        ({"hidden_dropout_prob": 1.5}, "hidden_dropout_prob=1.5"),
        (
            {"learn_step_size": True, "sparsification": "majorizer"},
            "'ista' and 'overcomplete' read",
        ),
        ({"learn_threshold": True, "sparsification": "mlp"}, "learn_threshold=True changes"),
        ({"ista_iterations": 5}, "ista_iterations=5 changes nothing .*only 'overcomplete' read it"),
        ({"mssa_output": "tied", "compression": "attention"}, "'tied' changes nothing"),
        ({"dictionary_init": "orthogonal", "sparsification": "mlp"}, "changes nothing"),
        ({"mssa_sign": -1, "compression": "none"}, "Leave it out or change compression"),
        ({"compression": "none", "sparsification": "none"}, "a layer would do nothing"),
        ({"hiden_size": 24}, "'hiden_size' is not a field.*did you mean 'hidden_size'"),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_mend(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_config(**fields)


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'crate-bse'.*crate-tiny.*crate-base"):
        CrateConfig.from_preset("crate-bse")


def test_an_unknown_field_suggests_the_nearest() -> None:
    with pytest.raises(ValueError, match="'treshold'.*did you mean 'threshold'"):
        CrateConfig.from_preset("crate-base", treshold=0.5)


def test_unknown_names_that_are_no_misspellings_are_kept_as_hugging_face_does() -> None:
    assert tiny_config(dataset="flowers").dataset == "flowers"
