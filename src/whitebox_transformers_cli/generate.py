"""``wbt generate``: text that goes on from a prompt."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from whitebox_transformers_cli.arguments import Run


def generate(
    run: Run,
    prompt: Annotated[
        str, typer.Argument(metavar="PROMPT", help="Text to go on from; - reads standard input.")
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
        int | None, typer.Option("--seed", help="Of the draws; another one each time if left out.")
    ] = None,
    truncate: Annotated[
        bool, typer.Option("--truncate", help="Drop the beginning of a prompt that is too long.")
    ] = False,
) -> None:
    """Continue a text with a causal language model.

    The text is written as it is made. An empty prompt starts from the token that begins texts,
    if the tokenizer has one.
    """
    import secrets

    from transformers import TextStreamer

    from whitebox_transformers.evaluation.generate import Sampling, prepare_prompt
    from whitebox_transformers.evaluation.generate import generate as carry_on
    from whitebox_transformers.evaluation.language_model import load_language_model

    drawn = secrets.randbelow(2**31) if seed is None else seed
    sampling = Sampling(temperature, top_k, top_p, greedy, drawn)
    language = load_language_model(run)
    ready = prepare_prompt(
        language, sys.stdin.read() if prompt == "-" else prompt, tokens, truncate
    )
    if ready.cut:
        typer.echo(f"the first {ready.cut:,} tokens of the prompt were dropped", err=True)
    carry_on(language, ready, sampling, TextStreamer(language.tokenizer, skip_special_tokens=True))
    if seed is None and not greedy:
        typer.echo(f"seed: {drawn}", err=True)
