"""What is saved is what is loaded: every parameter, every buffer, every configuration."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from huggingface_hub import HfApi, ModelCard
from safetensors import safe_open
from tests.contract.tiny import VARIANTS, tiny_config, tiny_images, tiny_model
from transformers import (
    AutoBackbone,
    AutoConfig,
    AutoModel,
    AutoModelForImageClassification,
)

from whitebox_transformers.crate import (
    CrateBackbone,
    CrateConfig,
    CrateForImageClassification,
    CrateModel,
)


def same_tensors(model: torch.nn.Module, other: torch.nn.Module) -> None:
    """Equal parameters and buffers, the ones that are not saved included."""
    for kind in ("named_parameters", "named_buffers"):
        ours, theirs = dict(getattr(model, kind)()), dict(getattr(other, kind)())
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            assert torch.isfinite(value).all(), name
            assert torch.equal(value, theirs[name]), name
            assert value.requires_grad == theirs[name].requires_grad, name


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_loaded_model_is_the_saved_one(variant: str, tmp_path) -> None:
    model = tiny_model(variant)
    model.save_pretrained(tmp_path)
    loaded, info = CrateForImageClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    assert not loaded.training
    same_tensors(loaded, model)
    images = tiny_images(model.config)
    assert torch.equal(loaded(images).logits, model(images).logits)


def test_the_file_is_safetensors_and_holds_the_frozen_buffer(tmp_path) -> None:
    model = tiny_model("fixed")
    model.save_pretrained(tmp_path)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        stored = set(file.keys())
    buffers = {name for name, _ in model.named_buffers()}
    assert len(buffers) == model.config.num_hidden_layers
    assert stored == {name for name, _ in model.named_parameters()} | buffers


@pytest.mark.parametrize("variant", VARIANTS)
def test_fresh_weights_fill_everything_that_a_checkpoint_lacks(variant: str, tmp_path) -> None:
    """Loading builds on the meta device, where a tensor nobody fills holds garbage."""
    config = tiny_config(variant)
    CrateModel(config).save_pretrained(tmp_path)
    loaded, info = CrateForImageClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert {name.split(".")[0] for name in info["missing_keys"]} == {"classifier"}
    for name, value in (*loaded.named_parameters(), *loaded.named_buffers()):
        assert torch.isfinite(value).all(), name
        assert value.abs().max() < 20, name


def test_fresh_learned_scalars_start_at_the_configured_values(tmp_path) -> None:
    """A checkpoint without eta and lambda, loaded where they are to be learned."""
    tiny_model().save_pretrained(tmp_path)
    learning = CrateForImageClassification.from_pretrained(
        tmp_path, learn_step_size=True, learn_threshold=True, step_size=0.3, threshold=0.7
    )
    for layer in learning.crate.stack.layers:
        assert layer.sparsify.ista.step_size.item() == pytest.approx(0.3)
        assert layer.sparsify.ista.threshold.item() == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("auto", "own"),
    [
        (AutoModel, CrateModel),
        (AutoModelForImageClassification, CrateForImageClassification),
        (AutoBackbone, CrateBackbone),
    ],
)
def test_auto_classes_find_the_family(auto, own, tmp_path, monkeypatch) -> None:
    # AutoBackbone asks the hub for every name, paths included.
    monkeypatch.setattr(HfApi, "repo_exists", lambda *args, **kwargs: True)
    model = tiny_model()
    model.save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is CrateConfig
    loaded = auto.from_pretrained(tmp_path)
    assert type(loaded) is own
    encoder = loaded if own is CrateModel else loaded.crate
    same_tensors(encoder, model.crate)
    assert type(auto.from_config(model.config)) is own


@pytest.mark.parametrize("source", ["encoder", "backbone"])
def test_a_classifier_starts_from_an_encoder_or_a_backbone(source: str, tmp_path) -> None:
    model = tiny_model() if source == "encoder" else CrateBackbone(tiny_config())
    encoder = model.crate
    (encoder if source == "encoder" else model).save_pretrained(tmp_path)
    classifier = CrateForImageClassification.from_pretrained(tmp_path, num_labels=2)
    same_tensors(classifier.crate, encoder)
    assert classifier.config.num_labels == 2
    assert classifier.base_model is classifier.crate


def test_another_number_of_classes_takes_a_fresh_classifier(tmp_path) -> None:
    model = tiny_model()
    model.save_pretrained(tmp_path)
    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        CrateForImageClassification.from_pretrained(tmp_path, num_labels=7)
    other = CrateForImageClassification.from_pretrained(
        tmp_path, num_labels=7, ignore_mismatched_sizes=True
    )
    assert other(tiny_images(model.config)).logits.shape == (2, 7)
    same_tensors(other.crate, model.crate)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_the_type_of_the_weights_is_kept_and_can_be_chosen(dtype: torch.dtype, tmp_path) -> None:
    model = tiny_model("fixed").to(dtype)
    model.save_pretrained(tmp_path)
    loaded = CrateForImageClassification.from_pretrained(tmp_path)
    assert loaded.dtype == dtype
    same_tensors(loaded, model)
    wide = CrateForImageClassification.from_pretrained(tmp_path, dtype=torch.float32)
    assert {value.dtype for value in wide.state_dict().values()} == {torch.float32}


def test_class_names_travel(tmp_path) -> None:
    names = {0: "cat", 1: "dog"}
    tiny_model(num_labels=2, id2label=names).save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert config.id2label == names
    assert config.num_labels == 2


def test_a_copy_of_a_reloaded_model_can_be_saved_again(tmp_path) -> None:
    model = tiny_model()
    model.save_pretrained(tmp_path / "first")
    again = AutoModelForImageClassification.from_pretrained(tmp_path / "first")
    again.save_pretrained(tmp_path / "second")
    same_tensors(AutoModelForImageClassification.from_pretrained(tmp_path / "second"), model)


def test_pushing_uploads_the_folder_of_a_saved_model(monkeypatch) -> None:
    uploaded: dict[str, list[str]] = {}

    def commit(self, repo_id: str, operations, **kwargs) -> None:
        uploaded[repo_id] = [operation.path_in_repo for operation in operations]

    repository = SimpleNamespace(repo_id="someone/crate-tiny")
    monkeypatch.setattr(HfApi, "create_repo", lambda self, *args, **kwargs: repository)
    monkeypatch.setattr(HfApi, "create_commit", commit)
    monkeypatch.setattr(ModelCard, "load", lambda *args, **kwargs: ModelCard("---\n---\n"))
    tiny_model().push_to_hub("crate-tiny")
    expected = {"README.md", "config.json", "model.safetensors", "modeling_crate.py", "mssa.py"}
    assert expected <= set(uploaded[repository.repo_id])
