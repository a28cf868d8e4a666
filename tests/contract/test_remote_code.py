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

import torch
from PIL import Image
from transformers import (
    AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageClassification, pipeline,
)

root = Path(sys.argv[1])
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
    environment = os.environ | {
        "HF_HOME": str(root.parent / "hf-home"),
        "HF_MODULES_CACHE": str(root.parent / "hf-modules"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, str(root)],
        env=environment,
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, "\n".join(line[:300] for line in done.stderr.splitlines()[-30:])
    return json.loads(done.stdout.splitlines()[-1])


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
