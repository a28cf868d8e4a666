"""Scores of models that predict tokens: nats per token, bits per byte, perplexity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch.nn import functional

from whitebox_transformers.tasks.task import Score
from whitebox_transformers.training.objective import IGNORED

LOSS = Score("loss", "loss", "cross-entropy per token (nats)")
BITS = Score("bits_per_byte", "bits per byte", "cross-entropy per byte of text (bits)", "{:.3f}")
PERPLEXITY = Score("perplexity", "perplexity", "exp(cross-entropy per token)", "{:.2f}")
# exp() of anything larger is not a float.
LARGEST_EXPONENT = 700.0


def token_rows(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Of each sequence: nats of its predicted tokens, their number, how many are most probable.

    Args:
        logits: (B, N, V) float32.
        labels: (B, N), -100 where nothing is predicted.

    Returns:
        (B, 3) float32.
    """
    flat = logits.flatten(0, 1), labels.flatten()
    nats = functional.cross_entropy(*flat, ignore_index=IGNORED, reduction="none")
    predicted = labels != IGNORED
    right = (logits.argmax(-1) == labels) & predicted
    columns = (nats.view_as(labels), predicted, right)
    return torch.stack([column.sum(1, dtype=torch.float32) for column in columns], 1)


def token_scores(rows: torch.Tensor, split: Any) -> dict[str, Any]:
    """Scores of a split from the rows of its sequences.

    Every predicted token weighs the same, wherever it stands. Bits per byte divide by the UTF-8
    bytes that the predicted tokens stand for, and so compare models of different tokenizers.

    Args:
        rows: From :func:`token_rows`, (sequences, 3) float64.
        split: Has an attribute ``bytes``.
    """
    nats, tokens, right = rows.sum(0).tolist()
    loss = nats / max(tokens, 1)
    return {
        "loss": loss,
        "bits_per_byte": nats / math.log(2) / max(split.bytes, 1),
        "perplexity": math.exp(min(loss, LARGEST_EXPONENT)),
        "accuracy": right / max(tokens, 1),
        "tokens": int(tokens),
        "bytes": split.bytes,
        "sequences": len(rows),
    }


def describe_tokens(scores: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows of a table for people."""
    shown = [(f"{LOSS.title} (nats per token)", LOSS.show(scores["loss"]))]
    shown += [(score.title, score.show(scores[score.key])) for score in (BITS, PERPLEXITY)]
    shown.append(("most probable token is right", f"{scores['accuracy']:.2%}"))
    return shown + [(key, f"{scores[key]:,}") for key in ("tokens", "bytes", "sequences")]
