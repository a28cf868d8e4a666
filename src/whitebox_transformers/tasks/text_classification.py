"""Classification of texts and of pairs: CRATE-BERT beside BERT, CRATE-GPT beside GPT-2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from torch import nn
from torch.nn import functional
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    PreTrainedConfig,
)

from whitebox_transformers.crate import (
    BERT_PRESETS,
    GPT_PRESETS,
    CrateBertConfig,
    CrateBertForSequenceClassification,
    CrateGPTConfig,
    CrateGPTForSequenceClassification,
)
from whitebox_transformers.crate.places import first_position
from whitebox_transformers.data.protocol import Sample, Split
from whitebox_transformers.data.text import ClassifiedTextData, TextDataConfig
from whitebox_transformers.errors import UserError
from whitebox_transformers.tasks.label_scores import (
    CLASS_SCORES,
    NUMBER_SCORES,
    class_scores,
    number_scores,
)
from whitebox_transformers.tasks.smoke_text import made_up_rows
from whitebox_transformers.tasks.task import Score, without_labels
from whitebox_transformers.tasks.text import TextRecipe, TextTask
from whitebox_transformers.training.families import Family
from whitebox_transformers.training.objective import ClassificationLoss, RegressionLoss


@dataclass(kw_only=True)
class TextClassificationRecipe(TextRecipe):
    """A recipe with ``task: text-classification``."""

    metric: Literal["accuracy", "f1", "matthews", "pearson", "spearman"] | None = None
    """The score that chooses the weights and that pairs are compared by. ``null``: ``accuracy``,
    or ``pearson`` with ``data.regression``. GLUE asks ``matthews`` of CoLA and ``f1`` of MRPC and
    QQP; F1 is that of the second class, of more than two the mean over classes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        known = [score.key for score in self.scores if score.key != "loss"]
        if self.metric is not None and self.metric not in known:
            kind = "numbers (data.regression)" if self.data.regression else "classes"
            raise UserError(
                f"metric={self.metric!r} is no score of {kind}; choose one of: {', '.join(known)}"
            )

    @property
    def scores(self) -> tuple[Score, ...]:
        """All scores of the task, the chosen one first."""
        scores = NUMBER_SCORES if self.data.regression else CLASS_SCORES
        return tuple(sorted(scores, key=lambda score: score.key != self.metric))


class TextClassification(TextTask[TextClassificationRecipe, ClassifiedTextData]):
    """Name the class of a text, or predict a number."""

    name = "text-classification"
    recipe = TextClassificationRecipe
    families = {
        "crate-bert": Family(
            "CRATE-BERT",
            CrateBertConfig,
            CrateBertForSequenceClassification,
            BERT_PRESETS,
            white_box=True,
            first_position=first_position,
        ),
        "bert": Family("BERT", BertConfig, BertForSequenceClassification),
        "crate-gpt": Family(
            "CRATE-GPT",
            CrateGPTConfig,
            CrateGPTForSequenceClassification,
            GPT_PRESETS,
            white_box=True,
        ),
        "gpt2": Family("GPT-2", GPT2Config, GPT2ForSequenceClassification),
    }
    auto_model = AutoModelForSequenceClassification
    unit = "texts"
    decided: ClassVar[Mapping[str, str]] = {
        **TextTask.decided,
        **dict.fromkeys(
            ("num_labels", "id2label", "label2id", "problem_type"), "classes come from the data"
        ),
    }
    learns = "classification"
    pipeline = "text-classification"
    use = """\
from transformers import pipeline

classify = pipeline("text-classification", "{folder}")
classify("a text")"""
    protocol = (
        "All scores over whole splits in one pass, in float32; texts beyond the context are cut at "
        "their\nends."
    )

    def __init__(self, scores: tuple[Score, ...] = CLASS_SCORES, regression: bool = False) -> None:
        self.scores = scores
        self.regression = regression
        self.selection = (scores[0], next(score for score in scores if score.key == "loss"))
        self.compared = tuple(("validation", score) for score in scores)

    def of(self, recipe: TextClassificationRecipe) -> Self:
        """The task with the scores of the recipe, of classes or numbers."""
        return type(self)(recipe.scores, recipe.data.regression)

    def config_fields(
        self, recipe: TextClassificationRecipe, data: ClassifiedTextData
    ) -> dict[str, Any]:
        """The special tokens, the vocabulary, and the classes by name and number."""
        fields = super().config_fields(recipe, data)
        if recipe.data.regression:
            labels, kind = ["LABEL_0"], "regression"  # as transformers names a single output
        else:
            labels, kind = data.labels, "single_label_classification"
        return fields | {
            "id2label": dict(enumerate(labels)),
            "label2id": {label: index for index, label in enumerate(labels)},
            "problem_type": kind,
        }

    def facts(self, data: ClassifiedTextData) -> dict[str, Any]:
        """The number of classes, 0 in regression."""
        return {"classes": len(data.labels)}

    def objective(self, recipe: TextClassificationRecipe) -> ClassificationLoss | RegressionLoss:
        """Cross-entropy of the class, or squared error of the number."""
        if recipe.data.regression:
            return RegressionLoss()
        return ClassificationLoss(recipe.train.label_smoothing)

    def measure_batch(self, model: nn.Module, batch: Sample) -> torch.Tensor:
        """Label, predicted class or number, cross-entropy or squared error."""
        labels = batch["labels"]
        logits = model(**without_labels(batch)).logits.float()
        if self.regression:
            found = logits.squeeze(-1)
            losses = (found - labels).square()
        else:
            found = logits.argmax(-1)
            losses = functional.cross_entropy(logits, labels, reduction="none")
        return torch.stack([labels.float(), found.float(), losses], 1)

    def summarise(
        self, rows: torch.Tensor, split: Split, config: PreTrainedConfig
    ) -> dict[str, Any]:
        """As :mod:`.label_scores`, the mean loss, and the number of texts."""
        labels, found, losses = rows.unbind(1)
        if self.regression:
            scores = number_scores(labels, found)
        else:
            assert config.num_labels is not None  # a configuration without names is given two
            scores = class_scores(labels, found, config.num_labels)
        return scores | {"loss": losses.mean().item(), "texts": len(rows)}

    def describe(self, scores: Mapping[str, Any]) -> list[tuple[str, str]]:
        """The scores, the chosen one first."""
        shown = [(score.title, score.show(scores[score.key])) for score in self.scores]
        return [*shown, ("texts", f"{scores['texts']:,}")]

    def made_up(self, recipe: TextClassificationRecipe, folder: Path) -> TextDataConfig:
        """Rows of words, with a class or a number that one of the words tells."""
        return made_up_rows(recipe.data, folder)

    def limits(self, record: Mapping[str, Any]) -> str:
        """What the model does not do."""
        answer = "with one of\nthem" if record["classes"] else "with a\nnumber"
        known = f"the {record['classes']} classes" if record["classes"] else "the kind"
        return (
            f"it knows {known} of its data and answers every text {answer}. It was not examined "
            "for bias or\nfor texts unlike those it was trained on."
        )
