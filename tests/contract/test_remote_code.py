"""A saved folder carries its own code: it loads where this package is not installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from tests.contract.tiny import VARIANTS, tiny_images, tiny_model
from tests.contract.tiny_bert import tiny_bert, tiny_text
from tests.contract.tiny_dino import tiny_dino, tiny_views
from tests.contract.tiny_gpt import tiny_gpt
from tests.contract.tiny_gpt import tiny_text as tiny_prompt
from tests.contract.tiny_mae import tiny_mae, tiny_masked

from whitebox_transformers.crate import CrateImageProcessor

# Runs in a process of its own where importing the package fails. One process for all folders,
# since starting one costs more than all that is asked of it.
STRANGER = """
import importlib.abc, json, sys
from pathlib import Path

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("whitebox_transformers", "whitebox_transformers_cli"):
            raise ModuleNotFoundError(f"{name} is not installed here", name=name)

sys.meta_path.insert(0, Absent())
try:
    import whitebox_transformers
except ModuleNotFoundError:
    pass
else:
    raise SystemExit("the package was not hidden")

import torch, transformers
from PIL import Image
from transformers import (
    AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageClassification, pipeline,
)

root, others = map(Path, sys.argv[1:])
answers = {}
for folder in sorted(path for path in root.iterdir() if path.is_dir()):
    name = str(folder)
    config = AutoConfig.from_pretrained(name, trust_remote_code=True)
    model = AutoModelForImageClassification.from_pretrained(name, trust_remote_code=True)
    images = torch.load(folder / "images.pt", weights_only=True)
    with torch.no_grad():
        logits = model(images, output_z=[-1]).logits
    encoder = AutoModel.from_pretrained(name, trust_remote_code=True)
    answers[folder.name] = {
        "logits": logits.tolist(),
        "model_type": config.model_type,
        "module": type(model).__module__,
        "features": list(encoder(images).last_hidden_state.shape),
    }
published = str(root / "published")
picture = Image.open(root / "picture.png")
processor = AutoImageProcessor.from_pretrained(published, trust_remote_code=True)
answers["pixels"] = processor(picture, return_tensors="pt")["pixel_values"].tolist()
classify = pipeline("image-classification", published, trust_remote_code=True)
answers["pipeline"] = classify(picture, top_k=1)[0]["label"]
for folder in sorted(others.iterdir()):
    # Each was saved from one class and is loaded as another of the same family.
    auto, inputs = torch.load(folder / "inputs.pt", weights_only=True)
    model = getattr(transformers, auto).from_pretrained(str(folder), trust_remote_code=True)
    with torch.no_grad():
        outputs = model(**inputs)
    answers[folder.name] = {"result": outputs[0].tolist(), "module": type(model).__module__}
    if model.can_generate():
        kept = model.generate(**inputs, max_new_tokens=6, do_sample=False, pad_token_id=0,
                              return_dict_in_generate=True)
        cache = kept["cache" if "cache" in kept else "past_key_values"]
        answers[folder.name] |= {
            "generated": kept.sequences.tolist(),
            "shared": all(layer.keys is layer.values for layer in cache.layers),
        }
print(json.dumps(answers))
"""

FOLDERS = ["published", "theory", "alpha", "majorizer", "fixed", "black-box"]


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> dict:
    root = tmp_path_factory.mktemp("folders")
    for variant in FOLDERS:
        folder = root / variant
        model = tiny_model(variant)
        model.save_pretrained(folder)
        torch.save(tiny_images(model.config), folder / "images.pt")
    processor().save_pretrained(root / "published")
    picture().save(root / "picture.png")
    texts = tmp_path_factory.mktemp("texts")
    for name, (model, auto, inputs) in more_folders().items():
        model.save_pretrained(texts / name)
        torch.save((auto, inputs), texts / name / "inputs.pt")
    environment = os.environ | {
        "HF_HOME": str(root.parent / "hf-home"),
        "HF_MODULES_CACHE": str(root.parent / "hf-modules"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, str(root), str(texts)],
        env=environment,
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, "\n".join(line[:300] for line in done.stderr.splitlines()[-30:])
    return json.loads(done.stdout.splitlines()[-1])


def more_folders() -> dict:
    """By folder: the model that is saved, the class that loads it, and what it is given."""
    text, task = tiny_text(), tiny_bert(head="sequence")
    prompt = {"input_ids": tiny_prompt()}
    masked = tiny_masked(tiny_mae().config)
    views = {"pixel_values": tiny_views()[0]}
    return {
        "bert-encoder-of-a-task": (task, "AutoModel", text),
        "bert-task": (task, "AutoModelForSequenceClassification", text),
        "bert-masked-lm": (
            tiny_bert("rotary-window-without-self"), "AutoModelForMaskedLM", text
        ),
        "bert-tokens-of-an-encoder": (
            tiny_bert(head="encoder"), "AutoModelForTokenClassification", text
        ),
        "gpt": (tiny_gpt(), "AutoModelForCausalLM", prompt),
        "gpt-lag-help": (tiny_gpt("lag-help"), "AutoModelForCausalLM", prompt),
        "dino": (tiny_dino().eval(), "AutoModelForPreTraining", views),
        "dino-vit": (tiny_dino("vit").eval(), "AutoModelForPreTraining", views),
        "mae": (tiny_mae("efficient"), "AutoModelForPreTraining", masked),
        "mae-encoder": (tiny_mae("shared"), "AutoModel", {"pixel_values": masked["pixel_values"]}),
        "mae-classifier": (
            tiny_mae(), "AutoModelForImageClassification", {"pixel_values": masked["pixel_values"]}
        ),
        "gpt-encoder": (tiny_gpt("crate-lm"), "AutoModel", prompt),
        "gpt-classifier-of-a-language-model": (
            tiny_gpt(), "AutoModelForSequenceClassification", prompt
        ),
    }  # fmt: skip


def processor() -> CrateImageProcessor:
    return CrateImageProcessor(size={"height": 8, "width": 12}, do_center_crop=False)


def picture() -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.mark.parametrize("variant", FOLDERS)
@torch.no_grad()
def test_a_stranger_computes_the_same_logits(variant: str, answers: dict) -> None:
    assert variant in VARIANTS
    model = tiny_model(variant)
    expected = model(tiny_images(model.config)).logits
    answer = answers[variant]
    torch.testing.assert_close(torch.tensor(answer["logits"]), expected)
    assert answer["model_type"] == "crate"
    assert answer["module"].startswith("transformers_modules.")
    rows, columns = model.config.grid_size
    assert answer["features"] == [2, 1 + rows * columns, 12]


@torch.no_grad()
def test_a_stranger_loads_any_class_of_the_saved_family(answers: dict) -> None:
    for name, (model, auto, inputs) in more_folders().items():
        answer = answers[name]
        assert answer["module"].startswith("transformers_modules."), name
        found = torch.tensor(answer["result"])
        encoder = model.crate if hasattr(model, "crate") else model
        if auto == "AutoModel":
            expected = encoder(**inputs).last_hidden_state
        elif auto in model.remote_classes and type(model).__name__ in model.remote_classes[auto]:
            expected = model(**inputs)[0]
        else:  # a fresh head
            assert torch.isfinite(found).all()
            continue
        torch.testing.assert_close(found, expected)


@torch.no_grad()
def test_a_stranger_generates_with_a_cache_that_holds_one_tensor(answers: dict) -> None:
    said = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "use_cache": False}
    for name in ("gpt", "gpt-lag-help"):
        model, _, inputs = more_folders()[name]
        assert answers[name]["generated"] == model.generate(**inputs, **said).tolist()
        assert answers[name]["shared"]


def test_a_stranger_prepares_images_the_same_way(answers: dict) -> None:
    pixels = processor()(picture(), return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(torch.tensor(answers["pixels"]), pixels)
    assert answers["pipeline"].startswith("LABEL_")


def test_the_code_in_the_folder_is_the_family_and_nothing_else(tmp_path) -> None:
    tiny_model().save_pretrained(tmp_path)
    shipped = {path.name for path in tmp_path.glob("*.py")}
    needed = {"configuration_crate.py", "modeling_crate.py", "mssa.py", "ista.py", "block.py"}
    assert needed <= shipped
    for path in tmp_path.glob("*.py"):
        text = path.read_text()
        assert "whitebox_transformers" not in text.replace("whitebox-transformers", ""), path.name
        assert "from .." not in text, path.name
