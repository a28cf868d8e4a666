"""Tokens per second of CRATE-GPT, folded and not, against Hugging Face's GPT-2 of the same width.

    wbt bench generation

Every model goes on, greedily and by Hugging Face's ``generate``, from a context that is in its
cache already. One token at a time is bound by how fast weights are read; hence the rate at which
the machine reads a matrix of the folded model's bytes. Quote the ratios, not the seconds.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from transformers import Cache, DynamicCache, GPT2Config, GPT2LMHeadModel, PreTrainedModel

from benchmarks.timing import Timing, interleave, ratio_row, time_rows
from whitebox_transformers import fold, quantize
from whitebox_transformers.crate import CrateGPTConfig, CrateGPTForCausalLM
from whitebox_transformers.crate.cache_name import named
from whitebox_transformers.crate.presets import GPT_PRESETS

BLACK_BOX, FOLDED = "gpt2", "crate-gpt folded"


@dataclass(frozen=True)
class Settings:
    """What is measured; every field is a key of the command line."""

    preset: str = "crate-gpt-base"
    beside: str = "crate-gpt-successor-base"
    batches: tuple[int, ...] = (1, 16)
    contexts: tuple[int, ...] = (32, 896)
    """Tokens read."""
    tokens: int = 16
    """Tokens written in a call."""
    rounds: int = 5
    device: str = "cpu"
    threads: int = 2

    choices = {"preset": tuple(GPT_PRESETS), "beside": tuple(GPT_PRESETS)}

    @property
    def record(self) -> str:
        """Name of the file in ``benchmarks/results``."""
        return f"generation_speed_{self.device}"


def models(preset: str, beside: str) -> dict[str, PreTrainedModel]:
    """The contenders, random: what a token costs does not depend on what was learned."""
    torch.manual_seed(0)
    config = CrateGPTConfig.from_preset(preset)
    crate = CrateGPTForCausalLM(config).eval()
    gpt2 = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=config.max_position_embeddings,
            n_embd=config.hidden_size,
            n_layer=config.num_hidden_layers,
            n_head=config.num_attention_heads,
        )
    ).eval()
    other = CrateGPTForCausalLM(CrateGPTConfig.from_preset(beside)).eval()
    return {
        BLACK_BOX: gpt2,
        "crate-gpt": crate,
        FOLDED: fold(crate),
        f"{beside} folded": fold(other),
    }


def again(cache: Cache) -> Cache:
    """The cache as it stands, for one more run: updates replace tensors or write small states."""
    copied = copy.copy(cache)
    copied.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in copied.layers:
        if hasattr(layer, "conv_states"):
            states = layer.conv_states.items()
            layer.conv_states = {index: state.clone() for index, state in states}
    return copied


@torch.inference_mode()
def continuation(
    model: PreTrainedModel, ids: torch.Tensor, tokens: int
) -> Callable[[], torch.Tensor]:
    """A call that writes ``tokens`` after ``ids`` (B, context), all but the last of them read."""
    model.generation_config.eos_token_id = None
    cache = DynamicCache(config=model.config)
    model(ids[:, :-1], **named(cache), use_cache=True, logits_to_keep=1)
    mask = torch.ones_like(ids)

    def call() -> torch.Tensor:
        return model.generate(
            ids,
            attention_mask=mask,
            **named(again(cache)),
            max_new_tokens=tokens,
            do_sample=False,
            pad_token_id=0,
        )

    return call


def reading(model: PreTrainedModel, tokens: int, device: torch.device) -> Callable[[], None]:
    """Multiply a vector by a matrix of as many numbers as the model has, once per token."""
    width = model.config.hidden_size
    distinct = {p.data_ptr(): p.numel() for p in model.parameters() if p.ndim == 2}
    table = model.get_input_embeddings().weight
    # Of a position table a token reads one row; of the word table all rows, as output matrix.
    numbers = sum(distinct.values())
    if model.config.position_embedding_type == "learned":
        numbers -= model.config.max_position_embeddings * width
    matrix = torch.zeros(numbers // width, width, device=device, dtype=table.dtype)
    vector = torch.zeros(width, device=device, dtype=table.dtype)
    out = torch.empty(len(matrix), device=device, dtype=table.dtype)

    def call() -> None:
        for _ in range(tokens):
            torch.mv(matrix, vector, out=out)

    return call


def one_table(contenders, batch: int, context: int, options, device) -> list[dict]:
    """Times and ratios of one batch size and one length of context."""
    vocabulary = contenders[BLACK_BOX].config.vocab_size
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(vocabulary, (batch, context), generator=generator).to(device)
    calls: dict[str, Callable[[], object]] = {
        name: continuation(model, ids, options.tokens) for name, model in contenders.items()
    }
    if batch == 1:
        calls["reading the weights"] = reading(contenders[FOLDED], options.tokens, device)
    mode = f"batch {batch}, context {context}"
    with torch.inference_mode():
        times = interleave(calls, options.rounds, device, mode, warmup=1)
    per_token = {
        name: Timing([seconds / options.tokens for seconds in timing.seconds])
        for name, timing in times.items()
    }
    black_box, folded = per_token[BLACK_BOX], per_token[FOLDED]
    rows = time_rows(per_token, mode)
    rows += [
        {
            "mode": mode,
            "what": f"{name}, tokens per second",
            "median": round(batch / timing.median, 2),
        }
        for name, timing in per_token.items()
        if name in contenders
    ]
    rows += [
        ratio_row(mode, f"{BLACK_BOX} / {name}", black_box, per_token[name])
        for name in list(contenders)[1:]
    ]
    if batch == 1:
        read = per_token["reading the weights"]
        rows.append(ratio_row(mode, f"{FOLDED}, share of the reading rate", read, folded))
    return rows


def measure(settings: Settings) -> list[dict]:
    """Rows of every batch size and length of context."""
    device = torch.device(settings.device)
    contenders = {
        name: model.to(device) for name, model in models(settings.preset, settings.beside).items()
    }
    if device.type == "cpu":
        # Made of the model that the folded one is made of; what it costs is not what it says.
        contenders["crate-gpt int8"] = quantize(contenders["crate-gpt"])
        contenders["crate-gpt folded bfloat16"] = fold(contenders["crate-gpt"], torch.bfloat16)
    rows = []
    for batch in settings.batches:
        for context in settings.contexts:
            rows += one_table(contenders, batch, context, settings, device)
    return rows
