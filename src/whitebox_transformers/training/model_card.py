"""The README.md of a run: what the model is, how to use it, what it scored and how."""

from __future__ import annotations

from typing import Any

import yaml

from whitebox_transformers.training.recipe import Recipe

CARD = """\
---
{header}---

# {name}

{what} trained on {data} with [whitebox-transformers](https://arxiv.org/abs/2311.13110).

## Use

```python
import whitebox_transformers  # makes the model known to transformers
from transformers import pipeline

classify = pipeline("image-classification", "{folder}")
classify("image.png")
```

The weights alone: `AutoModelForImageClassification.from_pretrained("{folder}")`.

## Numbers

| measure | value |
|---|---|
| trainable parameters | {parameters:,} |
| validation accuracy | {validation_accuracy:.4f} |
| validation loss | {validation_loss:.4f} |
| test accuracy | {test_accuracy:.4f} |
| test loss | {test_loss:.4f} |
| images (train / validation / test) | {images} |
| training time | {seconds:.0f} s |

Top-1 accuracy and cross-entropy of one pass over whole splits, in float32, without augmentation.
The weights are those of step {best_step} of {steps}, chosen by validation accuracy (ties: lower
validation loss); the test split was read once, after that choice.

Made by `{command}` (seed {seed}) on {machine}; versions and commit are in `run.json`, every setting
in `recipe.yaml`, curves in `metrics.json`.

## Limits

A research model: it knows the {classes} classes of its data and answers every image with one of
them. It was not examined for bias or for images unlike those it was trained on.
"""


def model_card(recipe: Recipe, record: dict[str, Any], metrics: dict[str, Any]) -> str:
    """Text of the card, with the header that the Hugging Face hub reads.

    Args:
        recipe: The run's recipe.
        record: Content of ``run.json``.
        metrics: Content of ``metrics.json``.
    """
    data = "scikit-learn's digits" if recipe.data.source == "digits" else f"`{recipe.data.path}`"
    header = {
        "library_name": "transformers",
        "pipeline_tag": "image-classification",
        "tags": [
            "white-box" if recipe.model.family == "crate" else "baseline",
            recipe.model.family,
        ],
    }
    machine = record["hardware"]["accelerator"] or record["hardware"]["processor"]
    return CARD.format(
        header=yaml.safe_dump(header, sort_keys=False),
        name=recipe.name,
        what="A CRATE (white-box transformer)" if recipe.model.family == "crate" else "A ViT",
        data=data,
        folder=record["folder"],
        parameters=record["parameters"],
        validation_accuracy=metrics["best"]["accuracy"],
        validation_loss=metrics["best"]["loss"],
        test_accuracy=metrics["test"]["accuracy"],
        test_loss=metrics["test"]["loss"],
        images=" / ".join(str(count) for count in record["images"].values()),
        seconds=record["seconds"],
        best_step=metrics["best"]["step"],
        steps=record["steps"],
        command=record["command"],
        seed=recipe.seed,
        machine=machine,
        classes=record["classes"],
    )
