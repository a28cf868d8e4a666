"""How a look at single coefficients was made: what it takes to repeat it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from whitebox_transformers.analysis.intervene import Coefficient, Intervention
from whitebox_transformers.analysis.neurons import Neuron, NeuronStudy
from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.language_model import LanguageModel
from whitebox_transformers.training.provenance import provenance

EXCERPTS, RADIUS, DRAWN = 10, 16, 2


@dataclass(frozen=True)
class Changes:
    """What is tried on every coefficient, at all tokens of a text at once.

    Attributes:
        factor: It is multiplied by this.
        value: It is set to this; None for the largest value of its first excerpt.
    """

    factor: float = 2.0
    value: float | None = None

    def __post_init__(self) -> None:
        for name, number in (("scale", self.factor), ("set", self.value)):
            if number is not None and not math.isfinite(number):
                raise UserError(f"{name}={number} is no number to try; expected a finite one")

    def words(self) -> dict[str, str]:
        """By the name of a change, what it does."""
        scaled = f"times {self.factor:g}"
        if self.value is None:
            name, held = "held", "it has, at every token, the value of its first excerpt"
        else:
            name, held = f"set to {self.value:g}", "it has this value at every token"
        return {
            "zero": "the coefficient is zero at every token",
            scaled: "it is multiplied by this at every token",
            name: held,
        }

    def on(self, neuron: Neuron) -> dict[str, Intervention]:
        """The interventions on a coefficient that has an excerpt, in the order of `words`."""
        target, first = Coefficient(neuron.layer, neuron.index), neuron.top[0]
        value = first.values[first.token - first.begin] if self.value is None else self.value
        made = (target.zero(), target.scale(self.factor), target.set(value))
        return dict(zip(self.words(), made, strict=True))


def neuron_record(
    language: LanguageModel,
    study: NeuronStudy,
    source: str,
    seed: int,
    changes: Changes,
    files: list[dict[str, Any]],
) -> dict[str, Any]:
    """Plain values for the JSON file.

    Args:
        language: The model.
        study: What was looked at.
        source: Where the text is from, in words.
        seed: Of every draw.
        changes: What was tried on the coefficients.
        files: What identifies the files of the text, if it is a person's.
    """
    count, length = study.samples["input_ids"].shape
    tokens = next(iter(study.statistics.values())).tokens
    return {
        "model": {"name": language.name, "class": type(language.model).__name__},
        "looked_at": {
            "source": source,
            "files": files,
            "samples": count,
            "longest_sample": length,
            "tokens": tokens,
            "seed": seed,
        },
        "protocol": {
            "excerpts": EXCERPTS,
            "tokens_on_either_side": RADIUS,
            "drawn_between_quantiles": DRAWN,
            "changes": changes.words(),
            "divergence": "KL(before || after) of the predicted distribution, nats",
        },
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        **provenance(),
    }


def record_rows(record: dict[str, Any]) -> list[tuple[str, str]]:
    """The record as the page's chapter on how to repeat it."""
    looked, hardware = record["looked_at"], record["hardware"]
    return [
        ("Model", record["model"]["name"]),
        ("Text", f"{looked['source']}; {looked['samples']:,} samples drawn with seed "
                 f"{looked['seed']}, up to {looked['longest_sample']:,} tokens each"),
        ("Made with", record["command"]),
        ("Made on", f"{record['made']}, {hardware['processor']}"),
        ("Shown", "of each layer the coefficients of the largest mean square, or those asked for"),
        ("Excerpts", f"{EXCERPTS} around the largest values, {DRAWN} drawn between each two "
                     f"quantiles of the active values, {RADIUS} tokens on either side; "
                     "overlapping and repeated ones are left out"),
        ("Commit", record["git"] or "not a checkout"),
        ("Versions", ", ".join(f"{name} {v}" for name, v in record["versions"].items())),
    ]  # fmt: skip
