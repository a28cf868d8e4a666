"""Zero-shot cross-entropy of a language model on texts it was not trained on.

Nats per token depend on the tokenizer; bits per byte do not, and compare models of different
vocabularies. The first token of a text is read but not predicted, so its bytes do not count,
unless the tokenizer puts a token such as ``<s>`` before every text.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.encoded_text import (
    EncodedText,
    encode,
    encode_together,
    end_token,
)
from whitebox_transformers.evaluation.language_model import LanguageModel
from whitebox_transformers.evaluation.texts import Texts
from whitebox_transformers.evaluation.token_losses import (
    Frame,
    TokenLosses,
    causal_losses,
    masked_losses,
)

MASKED_SHARE = 0.15
# exp() of anything larger is not a float.
LARGEST_EXPONENT = 700.0


@torch.inference_mode()
def score_texts(
    language: LanguageModel,
    texts: Texts,
    context: int | None = None,
    stride: int | None = None,
    last_words: bool = False,
    masked_share: float = MASKED_SHARE,
    seed: int = 0,
) -> dict[str, Any]:
    """Cross-entropy of texts under a language model.

    A causal model scores every token but the first of a text once, a masked model every token
    once; :mod:`.sliding_window` and :mod:`.token_losses` say how. What a separator ended is
    followed by the end token of a causal model, which is scored too, as in training.

    Args:
        language: Model and tokenizer.
        texts: From :func:`.texts.read_texts`.
        context: Tokens read at once; ``None``: as many as the model takes.
        stride: Tokens that each window after the first scores; ``None``: half the context.
        last_words: Also the share of texts whose last word is the most probable one, every token
            of it, given all that stands before (LAMBADA). White space around texts is dropped.
        masked_share: Masked models only: part of the tokens hidden together.
        seed: Masked models only: of the choice which tokens are hidden together.

    Returns:
        Plain values: ``nats_per_token``, ``perplexity``, ``nats_per_byte``, ``bits_per_byte``,
        ``word_perplexity`` (the exponential of all nats over the white-space separated words), the
        ``tokens``, ``bytes``, ``words`` and ``texts`` scored, ``unknown_tokens`` among the tokens,
        ``texts_left_out`` (a single token), ``last_word_accuracy`` and ``last_word_perplexity`` (of
        whole words) if asked for, and the ``context`` and ``stride`` that held.

    Raises:
        UserError: Before any work: a context above the model's, a stride outside it, last words
            of a masked model, texts too short to score, joined texts of a model that has no token
            to end each.
    """
    context, stride = checked_windows(language, context, stride)
    if last_words and language.kind == "masked":
        raise UserError(
            f"{language.name} is a masked language model, which sees both sides of a word; only a "
            "causal one can be asked for the last word"
        )
    if not 0 <= masked_share <= 1:
        raise UserError(f"masked_share={masked_share} must be in [0, 1]")
    encoded = _encoded(language, texts, last_words)
    scored = _long_enough(encoded, texts, last_words)
    tokens, title = [text.tokens for text in scored], Path(language.name).name
    if language.kind == "causal":
        losses = causal_losses(language.model, tokens, context, stride, title)
    else:
        frame = frame_of(language)
        losses = masked_losses(
            language.model, tokens, frame, context, stride, masked_share, seed, title
        )
    totals = _totals(language, scored, losses)
    if last_words:
        totals |= _last_words(scored, losses)
    left_out = len(encoded) - len(scored)
    return totals | {"texts_left_out": left_out, "context": context, "stride": stride}


def checked_windows(
    language: LanguageModel, context: int | None, stride: int | None
) -> tuple[int, int]:
    """Context and stride, filled in.

    Raises:
        UserError: They do not fit the model or each other.
    """
    longest = language.context
    if context is None:
        if longest is None:
            raise UserError(f"{language.name} names no longest context; choose one with --context")
        context = longest
    if longest is not None and context > longest:
        raise UserError(
            f"a context of {context:,} tokens is more than {language.name} reads at once; "
            f"choose at most {longest:,}"
        )
    special = 0 if language.kind == "causal" else len(language.opening) + len(language.closing)
    room = context - special
    if room < 1:
        raise UserError(f"a context of {context} tokens is too short; choose {special + 1} or more")
    if stride is None:
        stride = max(1, room // 2)
    if not 1 <= stride <= room:
        within = f", {special} of them special" if special else ""
        raise UserError(
            f"a stride of {stride:,} does not fit a context of {context:,} tokens{within}: "
            f"choose 1 to {room:,}"
        )
    return context, stride


def _encoded(language: LanguageModel, texts: Texts, last_words: bool) -> list[EncodedText]:
    endings = texts.endings or [None] * len(texts.texts)
    if not texts.together:
        given = [text.strip() for text in texts.texts] if last_words else texts.texts
        pairs = zip(given, endings, strict=True)
        return [encode(language, text, ending, last_words) for text, ending in pairs]
    if end_token(language) is None:
        kind = "is a masked language model" if language.kind == "masked" else "has no end token"
        raise UserError(
            f"{language.name} {kind}: only a causal one whose tokenizer has a token that ends a "
            "text reads texts that follow each other; leave --join out"
        )
    # In training the end token follows every document, whether anything ended it in its file.
    return [encode_together(language, texts.texts, [ending or 0 for ending in endings])]


def frame_of(language: LanguageModel) -> Frame:
    """Special tokens of a masked model.

    Raises:
        UserError: Its tokenizer has no mask.
    """
    mask = language.tokenizer.mask_token_id
    if not isinstance(mask, int):
        raise UserError(f"{language.name}: its tokenizer has no mask token to hide tokens with")
    return Frame(language.opening, language.closing, mask)


def _long_enough(encoded: list[EncodedText], texts: Texts, last_words: bool) -> list[EncodedText]:
    """The texts with something to predict; a passage without is an error, a text is left out."""
    # A last word is predicted from something: at least one token before it.
    least = [text.last_word + 1 if last_words else 2 for text in encoded]
    long = [text for text, n in zip(encoded, least, strict=True) if len(text.tokens) >= n]
    if not long or (last_words and len(long) < len(encoded)):
        short = next(i for i, text in enumerate(encoded) if len(text.tokens) < least[i])
        found, needed = len(encoded[short].tokens), least[short]
        raise UserError(
            f"text {short + 1} of {len(encoded)} ({texts.texts[short][:40]!r}) is too short: "
            f"{found} token{'s' * (found != 1)} where {needed} are needed, one to read and the "
            "others to predict"
        )
    return long


def _last_words(scored: list[EncodedText], losses: list[TokenLosses]) -> dict[str, float]:
    """How many last words are found greedily, and how probable they are."""
    ends = [slice(-text.last_word, None) for text in scored]
    found = sum(bool(loss.greedy[end].all()) for loss, end in zip(losses, ends, strict=True))
    nats = sum(loss.nats[end].sum().item() for loss, end in zip(losses, ends, strict=True))
    return {
        "last_word_accuracy": found / len(scored),
        "last_word_perplexity": _perplexity(nats / len(scored)),
    }


def _perplexity(nats: float) -> float:
    return math.exp(min(nats, LARGEST_EXPONENT))


def _totals(
    language: LanguageModel, scored: list[EncodedText], losses: list[TokenLosses]
) -> dict[str, Any]:
    """Sums over all predictions, in float64, as rates."""
    nats = sum(loss.nats.sum(dtype=torch.float64).item() for loss in losses)
    tokens, size = sum(len(loss.nats) for loss in losses), sum(text.bytes for text in scored)
    words = max(1, sum(text.words for text in scored))
    if not math.isfinite(nats):
        raise UserError(f"{language.name} gives a loss that is not finite: its weights are broken")
    unknown = language.tokenizer.unk_token_id
    return {
        "nats_per_token": nats / tokens,
        "perplexity": _perplexity(nats / tokens),
        "nats_per_byte": nats / size,
        "bits_per_byte": nats / size / math.log(2),
        "word_perplexity": _perplexity(nats / words),
        "tokens": tokens,
        "bytes": size,
        "words": words,
        "texts": len(scored),
        "unknown_tokens": sum(
            int(text.tokens[-len(loss.nats) :].eq(unknown).sum())
            for text, loss in zip(scored, losses, strict=True)
        )
        if isinstance(unknown, int)
        else 0,
    }
