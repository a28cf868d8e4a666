"""Classes and probabilities, or numbers, for texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedTokenizerFast

from whitebox_transformers.data.text import check_vocabulary
from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.class_names import class_names
from whitebox_transformers.evaluation.language_model import longest_sequence, read_tokenizer
from whitebox_transformers.evaluation.tokens import encoding_of

BATCH = 32


@dataclass(frozen=True)
class TextPrediction:
    """What a model makes of one text or pair."""

    text: str
    pair: str | None = None
    """The second text, where pairs are classified."""
    probabilities: dict[str, float] = field(default_factory=dict)
    """Every class, most probable first; empty where a number is predicted."""
    number: float | None = None
    """What a regression predicts."""


def predict_texts(
    run: str | Path,
    texts: Sequence[str],
    pairs: Sequence[str] | None = None,
    truncate: bool = False,
) -> list[TextPrediction]:
    """Classify texts or pairs of texts, or predict a number for each.

    Args:
        run: Run folder, or any folder with a sequence classifier and its tokenizer.
        texts: What to classify.
        pairs: The second text of each, for a model of pairs.
        truncate: Cut a text that is longer than the model reads at its end, of a pair the longer
            one first.

    Returns:
        One prediction for each text, in the same order.

    Raises:
        UserError: There is no sequence classifier or no tokenizer in the folder, they do not
            belong together, no text is named, or one is too long or cannot be read.
    """
    if not texts:
        raise UserError("no text is named; give one or more texts")
    folder = Path(run).expanduser()
    if not (folder / "config.json").is_file():
        raise UserError(f"{run} holds no model (config.json is missing); give a finished run")
    config = AutoConfig.from_pretrained(folder)
    name = (config.architectures or [config.model_type])[0]
    if not name.endswith("ForSequenceClassification"):
        raise UserError(
            f"{run} holds {name}, which does not classify texts; give a finished run of "
            "text-classification"
        )
    tokenizer = read_tokenizer(str(folder), str(run))
    check_vocabulary(tokenizer, config.get_text_config().vocab_size, str(run))
    rows = list(zip(texts, pairs or [None] * len(texts), strict=True))
    room = longest_sequence(config, tokenizer)
    for text, pair in rows:
        _check(tokenizer, text, pair, None if truncate else room)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    found: list[TextPrediction] = []
    for start in range(0, len(rows), BATCH):
        found += _predict_batch(model, tokenizer, rows[start : start + BATCH], room)
    return found


def _check(
    tokenizer: PreTrainedTokenizerFast, text: str, pair: str | None, room: int | None
) -> None:
    count = tokenizer.num_special_tokens_to_add(pair is not None)
    for part in (text, pair):
        count += 0 if part is None else len(encoding_of(tokenizer, part)["input_ids"])
    if room is not None and count > room:
        raise UserError(
            f"the text {text[:20]!r}... has {count} tokens, special ones included; the model "
            f"reads at most {room}: shorten it, or cut it with --truncate"
        )


def _predict_batch(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    rows: Sequence[tuple[str, str | None]],
    room: int | None,
) -> list[TextPrediction]:
    inputs = tokenizer(
        [text for text, _ in rows],
        [pair for _, pair in rows if pair is not None] or None,
        padding=len(rows) > 1,
        truncation="longest_first" if room is not None else False,
        max_length=room,
        split_special_tokens=True,  # as in training: what looks like one in a text is text
        return_tensors="pt",
        verbose=False,
    )
    with torch.inference_mode():
        logits = model(**inputs).logits.float()
    if model.config.problem_type == "regression" or logits.shape[1] == 1:
        numbers = logits[:, 0].tolist()
        return [
            TextPrediction(*row, number=number) for row, number in zip(rows, numbers, strict=True)
        ]
    names = class_names(model)
    return [
        TextPrediction(*row, probabilities=_ranked(shares, names))
        for row, shares in zip(rows, logits.softmax(-1), strict=True)
    ]


def _ranked(shares: torch.Tensor, names: dict[int, str]) -> dict[str, float]:
    values, order = shares.sort(descending=True)
    return {names[int(i)]: float(value) for i, value in zip(order, values, strict=True)}
