"""What causal and masked language models share: loss and scores by token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import nn
from transformers import PreTrainedConfig

from whitebox_transformers.data.protocol import Sample, Split
from whitebox_transformers.data.text import TextData
from whitebox_transformers.tasks.task import without_labels
from whitebox_transformers.tasks.text import TextRecipe, TextTask
from whitebox_transformers.tasks.token_scores import (
    LOSS,
    describe_tokens,
    token_rows,
    token_scores,
)
from whitebox_transformers.training.objective import TokenLoss


class LanguageModelling(TextTask[TextRecipe, TextData]):
    """Give probabilities to the tokens of a text."""

    recipe = TextRecipe
    unit = "sequences"
    selection = (LOSS,)
    shifted: ClassVar[bool]
    """Whether a place predicts the token after it."""
    options: ClassVar[Mapping[str, Any]] = {}
    """Further arguments of the model where it is measured."""

    def objective(self, recipe: TextRecipe) -> TokenLoss:
        """Cross-entropy of the predicted tokens."""
        return TokenLoss(self.shifted, recipe.train.label_smoothing)

    def facts(self, data: TextData) -> dict[str, Any]:
        """Size of the vocabulary; what is predicted where the model is measured."""
        splits: dict[str, Any] = {"validation": data.validation}
        if data.test is not None:
            splits["test"] = data.test
        return {
            "vocabulary": len(data.tokenizer),
            "tokens": {name: split.targets for name, split in splits.items()},
            "bytes": {name: split.bytes for name, split in splits.items()},
        }

    def measure_batch(self, model: nn.Module, batch: Sample) -> torch.Tensor:
        """As :func:`.token_scores.token_rows`."""
        logits = model(**without_labels(batch), **self.options).logits
        return token_rows(*TokenLoss(self.shifted).pairs(logits, batch["labels"]))

    def summarise(
        self, rows: torch.Tensor, split: Split, config: PreTrainedConfig
    ) -> dict[str, Any]:
        """As :func:`.token_scores.token_scores`."""
        return token_scores(rows, split)

    def describe(self, scores: Mapping[str, Any]) -> list[tuple[str, str]]:
        """The scores, then what they were taken over."""
        return describe_tokens(scores)
