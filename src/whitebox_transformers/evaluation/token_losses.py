"""Cross-entropy of single tokens under a causal or a masked model, in windows over long texts.

Legend: B windows in a batch, C positions in a window, S positions scored, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from inspect import signature

import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm
from transformers import PreTrainedModel

from whitebox_transformers.data.seeding import permutation
from whitebox_transformers.evaluation.sliding_window import Shape, Window, by_shape, windows

# Logits of one batch, in numbers: 128 MiB in float32.
LOGITS_AT_ONCE = 2**25
MOST_ROWS = 32


@dataclass(frozen=True)
class TokenLosses:
    """The predictions made in one text.

    Attributes:
        nats: Cross-entropy of every token scored, float32 on the CPU.
        greedy: Whether it was the most probable one.
    """

    nats: Tensor
    greedy: Tensor


@dataclass(frozen=True)
class Frame:
    """What a masked model wants around a text and in place of a hidden token.

    Attributes:
        before: Tokens before every window, e.g. ``[CLS]``.
        after: Tokens after it, e.g. ``[SEP]``.
        mask: The token that hides another.
    """

    before: Sequence[int]
    after: Sequence[int]
    mask: int


def causal_losses(
    model: PreTrainedModel, texts: Sequence[Tensor], context: int, stride: int, title: str = ""
) -> list[TokenLosses]:
    """Every token but the first of each text, predicted from the tokens before it.

    Args:
        model: A causal language model in evaluation mode.
        texts: Token numbers of each text, (n,) int64, at least two.
        context: Tokens read at once.
        stride: See :func:`.sliding_window.windows`.
        title: For the progress bar.

    Returns:
        n - 1 predictions for each text.
    """
    keeps = "logits_to_keep" in signature(model.forward).parameters

    def score(batch: list[Window]) -> tuple[Tensor, Tensor]:
        scored = batch[0].scored
        read = torch.stack([texts[w.text][w.begin : w.end] for w in batch])  # (B, C)
        targets = torch.stack([texts[w.text][w.end - scored + 1 : w.end + 1] for w in batch])
        options = {"logits_to_keep": scored} if keeps else {}
        outputs = model(input_ids=read.to(model.device), use_cache=False, **options)
        return _compare(outputs.logits[:, -scored:], targets)

    vocabulary = model.config.get_text_config().vocab_size
    counts = [len(text) - 1 for text in texts]
    found = _cut(counts, context, stride)
    return _collect(score, found, counts, lambda shape: shape[keeps] * vocabulary, title)


def masked_losses(
    model: PreTrainedModel,
    texts: Sequence[Tensor],
    frame: Frame,
    context: int,
    stride: int,
    share: float = 0.15,
    seed: int = 0,
    title: str = "",
) -> list[TokenLosses]:
    """Every token of each text, hidden once and predicted from the tokens around it.

    The tokens that a window scores are dealt at random into groups of about ``share`` of them;
    the window is run once for each group, whose tokens are all replaced by the mask. With a share
    of 0 every token is a group of its own: the pseudo-log-likelihood of Salazar et al. (2020).

    Args:
        model: A masked language model in evaluation mode.
        texts: Token numbers of each text, (n,) int64, without special tokens.
        frame: Special tokens.
        context: Tokens read at once, special tokens included.
        stride: See :func:`.sliding_window.windows`; at most what special tokens leave.
        share: Part of the tokens hidden together, in [0, 1].
        seed: Seed of the dealing.
        title: For the progress bar.

    Returns:
        n predictions for each text.
    """
    before, after = torch.tensor(list(frame.before)), torch.tensor(list(frame.after))

    def score_one(window: Window) -> tuple[Tensor, Tensor]:
        tokens = texts[window.text][window.begin : window.end]
        hidden = _groups(window, share, seed)  # (groups, C) bool
        rows = tokens.masked_fill(hidden, frame.mask)
        rows = torch.cat([before.expand(len(rows), -1), rows, after.expand(len(rows), -1)], 1)
        nats, greedy = torch.zeros(len(tokens)), torch.zeros(len(tokens), dtype=torch.bool)
        vocabulary = model.config.get_text_config().vocab_size
        size = max(1, min(MOST_ROWS, LOGITS_AT_ONCE // (rows.shape[1] * vocabulary)))
        for part, shown in zip(hidden.split(size), rows.split(size), strict=True):
            logits = model(input_ids=shown.to(model.device)).logits.cpu()
            logits = logits[:, len(before) : len(before) + len(tokens)]
            row, place = part.nonzero(as_tuple=True)
            losses, best = _compare(logits[row, place], tokens[place])
            nats[place], greedy[place] = losses, best
        return nats[-window.scored :], greedy[-window.scored :]

    def score(batch: list[Window]) -> tuple[Tensor, Tensor]:
        nats, greedy = zip(*map(score_one, batch), strict=True)
        return torch.stack(nats), torch.stack(greedy)

    counts = [len(text) for text in texts]
    room = context - len(before) - len(after)
    return _collect(score, _cut(counts, room, stride), counts, lambda _: 1, title)


def _cut(counts: Sequence[int], context: int, stride: int) -> Iterator[Window]:
    for text, positions in enumerate(counts):
        yield from windows(text, positions, context, stride)


@torch.inference_mode()
def _collect(
    score: Callable[[list[Window]], tuple[Tensor, Tensor]],
    found: Iterator[Window],
    counts: Sequence[int],
    logits_of: Callable[[Shape], int],
    title: str,
) -> list[TokenLosses]:
    """Run batches of windows and put every prediction in its place."""

    def rows(shape: Shape) -> int:
        return max(1, min(MOST_ROWS, LOGITS_AT_ONCE // logits_of(shape)))

    losses = [TokenLosses(torch.empty(n), torch.empty(n, dtype=torch.bool)) for n in counts]
    with tqdm(total=sum(counts), desc=title, unit="token", leave=False, delay=1) as bar:
        for batch in by_shape(found, rows):
            for window, nats, greedy in zip(batch, *score(batch), strict=True):
                place = slice(window.end - window.scored, window.end)
                losses[window.text].nats[place] = nats
                losses[window.text].greedy[place] = greedy
                bar.update(window.scored)
    return losses


def _groups(window: Window, share: float, seed: int) -> Tensor:
    """Which of the window's positions are hidden in each run, (groups, C); scored ones only."""
    read, scored = window.shape
    count = scored if share == 0 else min(scored, max(1, round(1 / share)))
    order = read - scored + permutation(scored, seed, window.text, window.begin)
    hidden = torch.zeros(count, read, dtype=torch.bool)
    hidden[torch.arange(scored) % count, order] = True
    return hidden


def _compare(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy (...) of targets (...) under logits (..., V), and whether they are the best."""
    logits, targets = logits.float(), targets.to(logits.device)
    nats = functional.cross_entropy(
        logits.flatten(0, -2), targets.flatten(), reduction="none"
    ).view(targets.shape)
    return nats.cpu(), (logits.argmax(-1) == targets).cpu()
