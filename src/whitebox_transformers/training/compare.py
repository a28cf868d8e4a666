"""White box beside black box: same data, steps, optimiser and schedule, equal parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from transformers import PreTrainedModel

from whitebox_transformers.analysis.layers import white_box_layers
from whitebox_transformers.analysis.layerwise import measure as measure_layers
from whitebox_transformers.analysis.measures import CHEAP, available_measures
from whitebox_transformers.data.measured import MEASURED_SAMPLES, measured_batches
from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.finished_run import load_run
from whitebox_transformers.tasks import task_of
from whitebox_transformers.tasks.recipe import Recipe
from whitebox_transformers.tasks.task import Task
from whitebox_transformers.training.families import trainable_parameters
from whitebox_transformers.training.recipe import black_box_training
from whitebox_transformers.training.run import RunResult, train

EQUAL_WITHIN = 0.02
INSPECTED_BATCH = 64


@dataclass(frozen=True)
class Row:
    """One arm of a comparison."""

    result: RunResult
    compression: tuple[float, float] | None
    """R^c of first and last layer in nats, ``published`` convention at Z^l, mean over validation
    samples; ``None`` where there are no subspaces."""
    nonzero: tuple[float, float] | None
    """Share of non-zero entries of Z^{l+1} in first and last layer; ``None`` for a black box."""


@dataclass(frozen=True)
class Comparison:
    """A finished pair."""

    task: Task
    """What both arms learned."""
    rows: list[Row]
    parameter_ratio: float
    """Parameters of the second arm over those of the first."""


def compare(recipe: Recipe) -> Comparison:
    """Run a recipe and its ``against:`` model, each in a folder of its own.

    Raises:
        UserError: There is no ``against:``, or the arms' trainable parameters differ by more
            than 2 %; this is found out before anything is trained.
    """
    arms = comparison_arms(recipe)
    ratio = check_equal_parameters(arms)
    return Comparison(task_of(recipe), [measured_row(train(arm)) for arm in arms], ratio)


def measured_row(result: RunResult) -> Row:
    """Look inside a finished arm, if it is a white box, at the samples that its page measures."""
    model, recipe = load_run(result.folder)
    if not white_box_layers(model):
        return Row(result, None, None)
    task, body = task_of(recipe), cast(PreTrainedModel, model.base_model)
    validation = task.data_of_run(recipe, result.folder).validation
    batches = measured_batches(
        validation, MEASURED_SAMPLES, INSPECTED_BATCH, recipe.seed, "inside, validation"
    )
    seen = (task.seen_by_layers(model, batch) for batch in batches)
    curves = measure_layers(body, seen, sorted({*CHEAP} & {*available_measures(body)})).curves
    ends = {key: (curve.mean[0], curve.mean[-1]) for key, curve in curves.items()}
    return Row(result, ends.get("rate-published-z"), ends.get("nonzero-share"))


def comparison_arms(recipe: Recipe) -> tuple[Recipe, Recipe]:
    """The recipe for each arm; they differ in model and folder only.

    Raises:
        UserError: The recipe has no ``against:``, or asks of it what only a white box can do.
    """
    if recipe.against is None:
        black_boxes = [
            name for name, kind in task_of(recipe).families.items() if not kind.white_box
        ]
        raise UserError(
            f"recipe {recipe.name!r} has no against: block; "
            f"name the black box there, e.g. against: {{family: {black_boxes[0]}, config: {{...}}}}"
        )
    black, training = task_of(recipe).family(recipe.against), black_box_training(recipe)
    training.check_family(black.title, black.white_box, "against_train")
    base = Path(recipe.out) if recipe.out else recipe.folder.parent
    suffix = "-against" if recipe.against.family == recipe.model.family else ""
    first = base / f"{recipe.model.family}-seed{recipe.seed}"
    second = base / f"{recipe.against.family}{suffix}-seed{recipe.seed}"
    return (
        replace(recipe, out=str(first)),
        replace(
            recipe,
            out=str(second),
            model=recipe.against,
            against=None,
            against_train={},
            train=training,
        ),
    )


def check_equal_parameters(arms: tuple[Recipe, Recipe]) -> float:
    """Ratio of the second arm's trainable parameters to the first's.

    Raises:
        UserError: They differ by more than 2 %.
    """
    task = task_of(arms[0])
    data, _ = task.prepare(arms[0])
    first, second = (trainable_parameters(task.build_model(arm, data)) for arm in arms)
    if abs(second / first - 1) > EQUAL_WITHIN:
        raise UserError(
            f"the arms are not equal: {arms[0].model.family} has {first:,} trainable parameters, "
            f"{arms[1].model.family} {second:,} ({second / first - 1:+.1%}, allowed "
            f"{EQUAL_WITHIN:.0%}); change the sizes in against.config"
        )
    return second / first
