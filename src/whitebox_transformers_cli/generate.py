"""``wbt generate``: text that goes on from a prompt."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from whitebox_transformers_cli.arguments import Run


def generate(
    run: Run,
    prompts: Annotated[
        list[str],
        typer.Argument(
            metavar="PROMPT...", help="Texts to go on from, together; - reads standard input."
        ),
    ],
    tokens: Annotated[
        int | None,
        typer.Option("--tokens", min=1, help="New tokens; 200 or what fits if left out."),
    ] = None,
    temperature: Annotated[
        float, typer.Option("--temperature", help="Divides the logits: lower is safer.")
    ] = 0.8,
    top_k: Annotated[
        int | None, typer.Option("--top-k", help="Draw from the K most probable tokens only.")
    ] = None,
    top_p: Annotated[
        float, typer.Option("--top-p", help="Draw from the top tokens that sum to P.")
    ] = 1.0,
    greedy: Annotated[
        bool, typer.Option("--greedy", help="Always the most probable token.")
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", min=0, max=2**63 - 1, help="Of the draws; another one each time if left out."
        ),
    ] = None,
    truncate: Annotated[
        bool, typer.Option("--truncate", help="Drop the beginning of a prompt that is too long.")
    ] = False,
) -> None:
    """Continue one or more texts with a causal language model.

    A single text is written as it is made; several, of any lengths, go on together and are written
    one after another. What looks like a special token in a prompt, such as <|endoftext|>, is one.
    """
    import secrets

    from transformers import TextStreamer

    from whitebox_transformers.evaluation.generate import Sampling, generate_batch, prepare_prompt
    from whitebox_transformers.evaluation.language_model import load_language_model
    from whitebox_transformers.evaluation.readable import Readable

    drawn = secrets.randbelow(2**31) if seed is None else seed
    sampling = Sampling(temperature, top_k, top_p, greedy, drawn)
    language = load_language_model(run)
    readable = Readable(language.tokenizer)
    ready = [prepare_prompt(language, text, tokens, truncate) for text in map(_read, prompts)]
    for number, prompt in enumerate(ready, start=1):
        if prompt.cut:
            which = f"prompt {number}" if len(ready) > 1 else "the prompt"
            typer.echo(f"the first {prompt.cut:,} tokens of {which} were dropped", err=True)
    if len(ready) == 1:
        streamer = TextStreamer(readable)  # pyright: ignore[reportArgumentType]
        generate_batch(language, ready, sampling, streamer)
    else:
        made = generate_batch(language, ready, sampling)
        for prompt, text in zip(ready, made, strict=True):
            typer.echo(f"{readable.decode(prompt.tokens[0])}{text}\n")
    if seed is None and not greedy:
        typer.echo(f"seed: {drawn}", err=True)


def _read(prompt: str) -> str:
    """The prompt, or standard input; what is not UTF-8 is told of like any other text."""
    if prompt != "-":
        return prompt
    return sys.stdin.buffer.read().decode(errors="surrogateescape")
