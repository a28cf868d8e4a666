"""Attention and predictions of a model for the texts a report shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from whitebox_transformers.analysis.attention import attention_rows
from whitebox_transformers.analysis.layers import evaluating
from whitebox_transformers.analysis.memberships import has_memberships
from whitebox_transformers.evaluation.class_names import class_names
from whitebox_transformers.report.content import AttentionOfText, TextPrediction
from whitebox_transformers.report.gallery import (
    MEMBERSHIPS,
    MOST_RANKED,
    Gallery,
    has_attention,
    is_mssa,
    layer_shown_first,
)
from whitebox_transformers.report.specimen import Specimen
from whitebox_transformers.report.text_examples import Asked, TextExample
from whitebox_transformers.report.token_text import TokenText

_ROWS = (
    "Each row is one head: how much {query}, outlined, attends to every token, {scores}. The "
    "darker a token is marked, the more; every row is scaled to its own largest weight."
)
_QUERY: dict[Asked, str] = {
    "next": "the last token",
    "hidden": "the hidden token",
    "class": "the token that is classified",
}
_WHITE_BOX_SCORES = r"the softmax over tokens of $⟨U_k^\top z_i, U_k^\top z_q⟩/√p$"
_BLACK_BOX_SCORES = "the softmax over tokens of query times key"


class TextGallery(Gallery):
    """Texts.

    Args:
        examples: As the model reads them.
        tokenizer: The run's.
        asked: What the model is asked for.
    """

    shown = "texts"
    sample = "text"

    def __init__(
        self, examples: Sequence[TextExample], tokenizer: PreTrainedTokenizerBase, asked: Asked
    ) -> None:
        super().__init__()
        self.examples = examples
        self.asked: Asked = asked
        self.tokenizer, self.text = tokenizer, TokenText(tokenizer)

    def beginning(self, count: int) -> Self:
        """A gallery of the first texts only."""
        return type(self)(self.examples[:count], self.tokenizer, self.asked)

    def first(self) -> tuple[str, dict[str, Tensor]]:
        """The first text."""
        return self.examples[0].name, self.examples[0].inputs

    @property
    def query_name(self) -> str:
        """The token that is asked about."""
        return _QUERY[self.asked].removeprefix("the ")

    def specimens(self, model: PreTrainedModel) -> list[Specimen]:
        """Every text."""
        return [
            Specimen(
                example.name, example.inputs, example.query, pieces=tuple(self._pieces(example))
            )
            for example in self.examples
        ]

    def attention_words(self, model: PreTrainedModel) -> str:
        """What the marks of this model's attention show."""
        if has_memberships(model):
            return MEMBERSHIPS
        scores = _WHITE_BOX_SCORES if is_mssa(model) else _BLACK_BOX_SCORES
        if getattr(model.config, "position_embedding_type", None) == "rotary":
            scores += ", both turned by their positions"
        if getattr(model.config, "head_lags", None) is not None:
            scores += ", in heads that lag with a token before (or after) $z_i$ in place of $z_i$"
        return _ROWS.replace("{query}", _QUERY[self.asked]).replace("{scores}", scores)

    def attention(self, model: PreTrainedModel, control: PreTrainedModel) -> list[AttentionOfText]:
        """Attention of one token in every layer and head."""
        if not has_attention(model):
            return []
        shown = layer_shown_first(model)
        found = []
        for example in self.examples:
            rows = attention_rows(model, example.inputs, example.query)
            fresh = attention_rows(control, example.inputs, example.query, [shown])[shown]
            found.append(
                AttentionOfText(
                    example.name,
                    self._pieces(example),
                    example.query,
                    {layer + 1: weights[0].numpy() for layer, weights in rows.items()},
                    shown + 1,
                    fresh[0].numpy(),
                )
            )
        return found

    def predictions(self, model: PreTrainedModel) -> list[TextPrediction]:
        """The most probable next tokens, hidden tokens or classes; none where a number is said."""
        if self.asked == "class" and model.config.num_labels == 1:
            return []
        with evaluating(model), torch.inference_mode():
            return [self._prediction(model, example) for example in self.examples]

    def _prediction(self, model: PreTrainedModel, example: TextExample) -> TextPrediction:
        inputs = {key: values.to(model.device) for key, values in example.inputs.items()}
        logits = model(**inputs).logits[0].float().cpu()
        at = logits if self.asked == "class" else logits[example.query]
        names = class_names(model) if self.asked == "class" else None
        best = at.softmax(-1).topk(min(MOST_RANKED, len(at)))

        def name(outcome: int) -> str:
            return self.text.name(outcome) if names is None else names[outcome]

        return TextPrediction(
            example.name,
            self._pieces(example),
            example.query if self.asked == "hidden" else None,
            [(name(int(i)), float(p)) for p, i in zip(best.values, best.indices, strict=True)],
            None if example.truth is None else name(example.truth),
            _surprise(logits, example.tokens) if self.asked == "next" else [],
        )

    def _pieces(self, example: TextExample) -> list[str]:
        return [self.text.visible(token) for token in example.tokens.tolist()]


def _surprise(logits: Tensor, tokens: Tensor) -> list[float]:
    """Minus the logarithm of each token's probability after those before it; none for the first."""
    found = -logits[:-1].log_softmax(-1).gather(1, tokens[1:, None])[:, 0]
    return [float("nan"), *found.tolist()]
