"""What can be learned: one object for each task, in one file each.

A run, its evaluation and its reports ask the task of the recipe for whatever depends on what is
learned: recipe blocks, families of models, data, loss, scores, words.
"""

from __future__ import annotations

from typing import Any, overload

from whitebox_transformers.errors import UserError
from whitebox_transformers.tasks.causal_lm import CausalLM
from whitebox_transformers.tasks.image_classification import ImageClassification
from whitebox_transformers.tasks.masked_autoencoding import MaskedAutoencoding
from whitebox_transformers.tasks.masked_lm import MaskedLM
from whitebox_transformers.tasks.recipe import Recipe
from whitebox_transformers.tasks.self_distillation import SelfDistillation
from whitebox_transformers.tasks.task import Task
from whitebox_transformers.tasks.text import TextRecipe, TextTask
from whitebox_transformers.tasks.text_classification import TextClassification

TASKS: dict[str, Task[Any, Any]] = {
    task.name: task
    for task in (
        ImageClassification(),
        MaskedAutoencoding(),
        SelfDistillation(),
        CausalLM(),
        MaskedLM(),
        TextClassification(),
    )
}


def find_task(name: str) -> Task[Any, Any]:
    """The task that a recipe names.

    Raises:
        UserError: There is no such task.
    """
    if name not in TASKS:
        raise UserError(f"task={name!r} is not known; choose one of: {', '.join(TASKS)}")
    return TASKS[name]


@overload
def task_of(recipe: TextRecipe) -> TextTask[Any, Any]: ...


@overload
def task_of(recipe: Recipe) -> Task[Any, Any]: ...


def task_of(recipe: Recipe) -> Task[Any, Any]:
    """The task of a recipe, as the recipe wants it."""
    return TASKS[recipe.task].of(recipe)
