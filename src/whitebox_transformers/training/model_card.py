"""The README.md of a run: what the model is, how to use it, what it scored and how."""

from __future__ import annotations

from typing import Any

import yaml
from transformers import PreTrainedConfig

from whitebox_transformers.tasks import task_of
from whitebox_transformers.tasks.recipe import Recipe
from whitebox_transformers.tasks.task import Task
from whitebox_transformers.training.families import Family

CARD = """\
---
{header}---

# {name}

{what} trained on {data} with [whitebox-transformers](https://arxiv.org/abs/2311.13110).

## Use

```python
import whitebox_transformers  # makes the model known to transformers
{use}
```

The weights alone: `{auto_model}.from_pretrained("{folder}")`.

## Numbers

| measure | value |
|---|---|
| trainable parameters | {parameters:,} |
{scores}
| {unit} ({splits}) | {counts} |
| training time | {seconds:.0f} s |

{protocol}
The weights are those of step {best_step} of {steps}, {selection};
{tested}

Made by `{command}` (seed {seed}) on {machine}; versions and commit are in `run.json`, every setting
in `recipe.yaml`, curves in `metrics.json`.

## Limits

A research model: {limits}
"""


def model_card(
    recipe: Recipe, record: dict[str, Any], metrics: dict[str, Any], config: PreTrainedConfig
) -> str:
    """Text of the card, with the header that the Hugging Face hub reads.

    Args:
        recipe: The run's recipe.
        record: Content of ``run.json``.
        metrics: Content of ``metrics.json``.
        config: The model's configuration.
    """
    task = task_of(recipe)
    family, words = task.family(recipe.model), task.card(recipe, record, config)
    header = {
        "library_name": "transformers",
        "pipeline_tag": words.pipeline,
        "tags": ["white-box" if family.white_box else "baseline", recipe.model.family],
    }
    return CARD.format(
        header=yaml.safe_dump(header, sort_keys=False),
        name=recipe.name,
        what=_what(family),
        data=words.data,
        use=words.use,
        auto_model=task.auto_model.__name__,
        folder=record["folder"],
        parameters=record["parameters"],
        scores=_score_rows(task, metrics),
        unit=task.unit,
        splits=" / ".join(record[task.unit]),
        counts=" / ".join(
            "streamed" if count is None else str(count) for count in record[task.unit].values()
        ),
        seconds=record["seconds"],
        protocol=words.protocol,
        best_step=metrics["best"]["step"],
        steps=record["steps"],
        selection=_selection(task),
        tested="the test split was read once, after training."
        if "test" in metrics
        else "there is no test split"
        + (", and the score that chose the weights flatters them." if task.selection else "."),
        command=record["command"],
        seed=recipe.seed,
        machine=record["hardware"]["accelerator"] or record["hardware"]["processor"],
        limits=words.limits,
    )


def _what(family: Family) -> str:
    return f"A {family.title}" + (" (white-box transformer)" if family.white_box else "")


def _score_rows(task: Task, metrics: dict[str, Any]) -> str:
    rows = [
        f"| {split} {score.title} | {metrics[stored][score.key]:.4f} |"
        for split, stored in (("validation", "best"), ("test", "test"))
        for score in task.scores
        if stored in metrics
    ]
    return "\n".join(rows)


def _selection(task: Task) -> str:
    if not task.selection:
        return "the last ones"
    first, *ties = task.selection
    names = [
        f"{'higher' if tie.higher_is_better else 'lower'} validation {tie.title}" for tie in ties
    ]
    ties_said = f" (ties: {', then '.join(names)})" if names else ""
    return f"chosen by validation {first.title}{ties_said}"
