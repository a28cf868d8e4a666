"""Text that goes on from a prompt, by Hugging Face's ``generate``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor
from transformers import GenerationConfig
from transformers.generation.streamers import BaseStreamer

from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.language_model import LanguageModel
from whitebox_transformers.evaluation.readable import Readable
from whitebox_transformers.evaluation.tokens import encoding_of

TOKENS = 200


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        temperature: Divides the logits.
        top_k: Draw from this many most probable tokens; ``None``: from all.
        top_p: Draw from the fewest most probable tokens whose probabilities sum to this.
        greedy: Take the most probable token; nothing is drawn.
        seed: Seed of the draws.
    """

    temperature: float = 0.8
    top_k: int | None = None
    top_p: float = 1.0
    greedy: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise UserError(
                f"temperature={self.temperature} must be above 0; for the most probable token "
                "choose greedy"
            )
        if self.top_k is not None and self.top_k < 1:
            raise UserError(f"top_k={self.top_k} must be at least 1")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p={self.top_p} must be in (0, 1]")

    def options(self) -> dict[str, float | int | bool | None]:
        """Fields of a ``GenerationConfig``."""
        if self.greedy:
            return {"do_sample": False}
        return {
            "do_sample": True,
            "temperature": self.temperature,
            # 0 is transformers' word for all; left out, it would take the 50 best.
            "top_k": self.top_k or 0,
            "top_p": self.top_p,
        }


@dataclass(frozen=True)
class Prompt:
    """A prompt that fits.

    Attributes:
        tokens: (1, n) int64.
        new_tokens: How many tokens may follow.
        cut: How many tokens were dropped at its left end.
    """

    tokens: Tensor = field(repr=False)
    new_tokens: int
    cut: int = 0


def prepare_prompt(
    language: LanguageModel, text: str, new_tokens: int | None = None, truncate: bool = False
) -> Prompt:
    """Tokens of a prompt, checked against the model's context.

    The tokenizer's opening tokens come first. What looks like a special token in the prompt is
    one, so that a text may begin anew after a ``<|endoftext|>``.

    Args:
        language: A causal language model.
        text: The prompt.
        new_tokens: How many tokens shall follow; ``None``: 200, or what the context leaves.
        truncate: Drop the left end of a prompt that does not fit.

    Raises:
        UserError: A masked model, an empty prompt, or a prompt and new tokens beyond the context.
    """
    if language.kind == "masked":
        raise UserError(
            f"{language.name} is a masked language model, which fills gaps and does not go on; "
            f"use transformers' pipeline('fill-mask', {language.name!r})"
        )
    if new_tokens is not None and new_tokens < 1:
        raise UserError(f"{new_tokens} tokens were asked for; expected at least 1")
    numbers = encoding_of(language.tokenizer, text, special=True)["input_ids"]
    if not numbers:
        raise UserError(_empty(language))
    tokens = [*language.opening, *numbers]
    longest = language.context
    if longest is None:
        return Prompt(torch.tensor([tokens]), new_tokens or TOKENS)
    # Without a number, a prompt that leaves room for a single token is still answered.
    room = longest - (new_tokens or 1)
    if room < 1:
        raise UserError(
            f"{new_tokens:,} new tokens leave no room for a prompt: {language.name} reads "
            f"{longest:,} tokens at once; ask for fewer"
        )
    cut = max(0, len(tokens) - room)
    if cut and not truncate:
        raise UserError(_too_long(language, len(tokens), new_tokens, longest))
    kept = tokens[cut:]
    return Prompt(torch.tensor([kept]), new_tokens or min(TOKENS, longest - len(kept)), cut)


def generate(
    language: LanguageModel,
    prompt: Prompt,
    sampling: Sampling | None = None,
    streamer: BaseStreamer | None = None,
) -> str:
    """What follows a prompt, without the prompt, read as by :class:`.readable.Readable`.

    Args:
        language: A causal language model.
        prompt: From :func:`prepare_prompt`.
        sampling: ``None``: the defaults of :class:`Sampling`.
        streamer: Receives tokens as they come.
    """
    return generate_batch(language, [prompt], sampling, streamer)[0]


def generate_batch(
    language: LanguageModel,
    prompts: Sequence[Prompt],
    sampling: Sampling | None = None,
    streamer: BaseStreamer | None = None,
) -> list[str]:
    """What follows each of several prompts, which may be of different lengths.

    They are padded at their left ends and go on together by as many tokens as follow the one that
    leaves the least room. Greedily each goes on as it would alone; what is drawn depends on the
    seed and on all of them.

    Args:
        language: A causal language model.
        prompts: From :func:`prepare_prompt`; at least one.
        sampling: ``None``: the defaults of :class:`Sampling`.
        streamer: Receives tokens as they come, of a single prompt.
    """
    sampling = sampling or Sampling()
    tokenizer = language.tokenizer
    ends = tokenizer.eos_token_id
    named = (number for number in (tokenizer.pad_token_id, ends) if isinstance(number, int))
    padding = next(named, 0)
    # A configuration made anew: what a model folder proposes would mix with what was asked for.
    options = GenerationConfig(
        max_new_tokens=min(prompt.new_tokens for prompt in prompts),
        eos_token_id=ends,
        pad_token_id=padding,
        **sampling.options(),
    )
    length = max(prompt.tokens.shape[1] for prompt in prompts)
    tokens = torch.full((len(prompts), length), padding)
    mask = torch.zeros_like(tokens)
    for row, prompt in enumerate(prompts):
        begin = length - prompt.tokens.shape[1]
        tokens[row, begin:], mask[row, begin:] = prompt.tokens[0], 1
    device = language.model.device
    with torch.random.fork_rng():
        torch.manual_seed(sampling.seed)
        made = cast(Any, language.model).generate(
            tokens.to(device),
            attention_mask=mask.to(device),
            generation_config=options,
            streamer=streamer,
        )
    return [
        _continuation(language, prompt.tokens[0], row[length:].cpu())
        for prompt, row in zip(prompts, made, strict=True)
    ]


def _continuation(language: LanguageModel, prompt: Tensor, new: Tensor) -> str:
    """What the new tokens add to the text of the prompt.

    Some tokenizers put white space between tokens, which those of the new ones alone would lack.
    """
    readable = Readable(language.tokenizer)
    before, whole = map(readable.decode, (prompt, torch.cat([prompt, new])))
    if whole.startswith(before):
        return whole.removeprefix(before)
    # The prompt ended within a character, which the new tokens complete.
    return readable.decode(new)


def _empty(language: LanguageModel) -> str:
    """That a prompt is empty, and how to begin from nothing where that can be done."""
    tokenizer = language.tokenizer
    named = (tokenizer.bos_token, tokenizer.eos_token)
    begins = next((token for token in named if isinstance(token, str)), None)
    mend = f", or {begins!r} alone to begin a text from nothing" if begins else ""
    return f"the prompt is empty; give at least one token{mend}"


def _too_long(language: LanguageModel, found: int, new_tokens: int | None, longest: int) -> str:
    if found > longest - 1:
        return (
            f"the prompt has {found:,} tokens, and {language.name} reads {longest:,} at once, one "
            "of them to come; shorten it, or let its beginning be dropped with --truncate"
        )
    return (
        f"the prompt has {found:,} tokens, so that at most {longest - found:,} new ones fit into "
        f"the {longest:,} that {language.name} reads at once, not {new_tokens:,}; ask for fewer "
        "with --tokens, or let the beginning of the prompt be dropped with --truncate"
    )
