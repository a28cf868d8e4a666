"""BERT's masking: which tokens are to be predicted, and what stands in their places."""

from __future__ import annotations

import torch

MASKED, RANDOM = 0.8, 0.1
"""Shares of the chosen tokens that are hidden and replaced; the others stay as they are."""


def choose_tokens(candidates: torch.Tensor, share: float, draw: torch.Generator) -> torch.Tensor:
    """Choose tokens one by one.

    Args:
        candidates: (N,) bool: which tokens may be chosen.
        share: How many of them, rounded; at least one.
        draw: Random numbers.

    Returns:
        (N,) bool.
    """
    places = candidates.nonzero().flatten()
    order = torch.randperm(len(places), generator=draw)
    chosen = torch.zeros_like(candidates)
    chosen[places[order[: max(1, round(share * len(places)))]]] = True
    return chosen


def choose_words(
    candidates: torch.Tensor, word_starts: torch.Tensor, share: float, draw: torch.Generator
) -> torch.Tensor:
    """Choose whole words, as many as fit into the share of tokens.

    Words are tried in random order; one that would exceed the share is passed over. If none fits,
    the first one is chosen nevertheless.

    Args:
        candidates: (N,) bool: which tokens may be chosen; a word of which one may not is not
            chosen.
        word_starts: (N,) bool: which tokens begin a word.
        share: How many tokens, rounded; at least one word.
        draw: Random numbers.

    Returns:
        (N,) bool.
    """
    word = word_starts.cumsum(0)
    sizes = torch.bincount(word)
    whole = torch.bincount(word, weights=candidates.double()).long() == sizes
    words = (whole & (sizes > 0)).nonzero().flatten()
    words = words[torch.randperm(len(words), generator=draw)]
    left = max(1, round(share * int(candidates.sum())))
    picked = torch.zeros(len(sizes), dtype=torch.bool)
    for number, size in zip(words.tolist(), sizes[words].tolist(), strict=True):
        if size <= left:
            picked[number] = True
            left -= size
        if not left:
            break
    if not picked.any():
        picked[words[:1]] = True
    return picked[word]


def hide(
    tokens: torch.Tensor,
    chosen: torch.Tensor,
    mask: int,
    replacements: torch.Tensor,
    draw: torch.Generator,
) -> torch.Tensor:
    """Of the chosen tokens hide 80 %, replace 10 % by random ones and keep 10 %.

    Each of them is one or the other independently of the rest.

    Args:
        tokens: (N,) int64.
        chosen: (N,) bool.
        mask: Id of the token that hides.
        replacements: (V',) int64: ids that may replace a token, all equally likely.
        draw: Random numbers.

    Returns:
        (N,) int64.
    """
    fate = torch.rand(len(tokens), generator=draw)
    other = replacements[torch.randint(len(replacements), tokens.shape, generator=draw)]
    hidden = torch.where(chosen & (fate < MASKED), mask, tokens)
    replaced = chosen & (fate >= MASKED) & (fate < MASKED + RANDOM)
    return torch.where(replaced, other, hidden)
