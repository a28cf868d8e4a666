"""Inference and training steps of one system: white box, transcription, black box, in turn.

    wbt bench image
    wbt bench gpt width=512 depth=8 heads=8 batch=2 modes=eager,compiled

Contenders are called by what they are and the type they compute in; a processor that would only
emulate a type leaves it out. The transcription and the unfolded white box are timed in float32 on a
CPU, in bfloat16 on a GPU. int8 is the CPU's, and is not compiled.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from benchmarks import flops
from benchmarks.machine import DTYPES, computes_in, matrix_product
from benchmarks.memory import peak_bytes, saved_bytes
from benchmarks.systems import BLACK_BOXES, SYSTEMS, Pair, Size, pair
from benchmarks.timing import Timing, exact_ratio_row, interleave, ratio_row, time_rows
from benchmarks.transcription import transcribed
from whitebox_transformers import fold, quantize
from whitebox_transformers.crate.products import onednn_is_faster

PASSES = ("inference", "training")


@dataclass(frozen=True)
class Settings:
    """What is measured; every field is a key of the command line."""

    system: str = "image"
    width: int = 768
    depth: int = 12
    heads: int = 12
    side: int = 14
    length: int = 256
    batch: int = 8
    passes: tuple[str, ...] = PASSES
    dtypes: tuple[str, ...] = ("float32", "bfloat16", "int8")
    modes: tuple[str, ...] = ("eager",)
    rounds: int = 9
    device: str = "cpu"
    threads: int = 2

    choices = {
        "system": tuple(SYSTEMS),
        "passes": PASSES,
        "dtypes": ("float32", "bfloat16", "int8"),
        "modes": ("eager", "compiled"),
    }

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width={self.width} is no multiple of heads={self.heads}")

    @property
    def size(self) -> Size:
        """The same as what formulas and models know."""
        return Size.of(self)

    @property
    def record(self) -> str:
        """Name of the file in ``benchmarks/results``."""
        return f"passes_{self.system}_{self.device}"


def measure(settings: Settings) -> list[dict]:
    """Rows of all passes and modes."""
    device = torch.device(settings.device)
    rows: list[dict] = []
    for mode in settings.modes:
        for which in settings.passes:
            found = pair(settings.system, settings.size, device)
            rows += {"inference": inference, "training": training}[which](
                settings, found, mode, device
            )
    return rows


@dataclass(frozen=True)
class Contender:
    """Something that is timed: what it is, its type, and its call."""

    kind: str
    dtype: str
    call: Callable[[], object]
    name: str

    def __str__(self) -> str:
        return f"{self.name} {self.dtype}"


ALGEBRA = "by PyTorch's products"
"""What is added to the name of a white box that leaves products to PyTorch, as the others do."""


def by_pytorch(call: Callable[[], Any]) -> Callable[[], Any]:
    """The call without the choice of library: what is then faster is the algebra alone.

    A transcription runs so always, parts of the model that it shares included.
    """

    def without_choice() -> Any:
        before = torch.backends.mkldnn.enabled
        torch.backends.mkldnn.enabled = False
        try:
            return call()
        finally:
            torch.backends.mkldnn.enabled = before

    return without_choice


def inference(settings: Settings, found: Pair, mode: str, device: torch.device) -> list[dict]:
    """One forward pass of every contender."""
    base = "float32" if device.type == "cpu" else "bfloat16"
    black = BLACK_BOXES[settings.system]
    white = found.used(found.white)
    contenders = []

    def add(kind: str, name: str, model: PreTrainedModel, dtype: str) -> None:
        if dtype != "int8":
            model = copy.deepcopy(model).to(DTYPES[dtype])
            model = torch.compile(model) if mode == "compiled" else model
        inputs = _in_type(found.inputs, DTYPES.get(dtype, torch.float32))
        call = lambda: model(**inputs)  # noqa: E731
        if kind == "transcription" and mode == "eager":
            call = by_pytorch(call)
        contenders.append(Contender(kind, dtype, call, name))

    for dtype in settings.dtypes:
        if not computes_in(dtype, device) or (dtype, mode) == ("int8", "compiled"):
            continue
        if dtype == "int8":
            add("folded", "crate folded", quantize(white), dtype)
            continue
        add("folded", "crate folded", fold(white), dtype)
        folded = contenders[-1].call
        add("black", black, found.used(found.black), dtype)
        if dtype == base:
            if device.type == "cpu" and mode == "eager" and onednn_is_faster():
                name = f"crate folded {ALGEBRA}"
                contenders.append(Contender("other", dtype, by_pytorch(folded), name))
            add("white", "crate", white, dtype)
            add("transcription", "transcription", transcribed(white), dtype)
            for name, other in found.others.items():
                add("other", f"{name} folded", fold(other), dtype)
    label = f"{mode} inference"
    with torch.inference_mode():
        rates = _matrix_rates(contenders, device)
        calls = {name: product for name, (product, _) in rates.items()}
        calls |= {str(one): one.call for one in contenders}
        times = interleave(calls, settings.rounds, device, label)
        more = {str(one): _costs(one, settings, device) for one in contenders}
    rows = time_rows(times, label, more)
    rows += _inference_ratios({str(one): one for one in contenders}, times, label, black, base)
    if settings.system == "image":
        more |= {f"{one}, all layers whole": _whole(settings) for one in contenders}
    return rows + _shares(contenders, times, rates, more, label)


def _inference_ratios(
    known: Mapping[str, Contender], times: Mapping[str, Timing], label: str, black: str, base: str
) -> list[dict]:
    pairs = [(f"transcription {base}", f"crate folded {dtype}") for dtype in (*DTYPES, "int8")]
    pairs += [
        (f"{slow} {base}", f"crate folded {ALGEBRA} {base}") for slow in ("transcription", black)
    ]
    pairs += [(f"{black} {dtype}", f"crate folded {dtype}") for dtype in DTYPES]
    pairs += [("crate folded float32", "crate folded bfloat16")]
    pairs += [("crate folded bfloat16", "crate folded int8")]
    pairs += [("crate folded float32", "crate folded int8")]
    return [
        ratio_row(label, f"{slow} / {fast}", times[slow], times[fast])
        for slow, fast in pairs
        if slow in known and fast in known
    ]


def _matrix_rates(
    contenders: list[Contender], device: torch.device
) -> dict[str, tuple[Callable[[], object], int]]:
    """The machine's own products in every type that is timed, by the name of their row."""
    dtypes = dict.fromkeys(one.dtype for one in contenders if one.dtype in DTYPES)
    return {f"matrix product {dtype}": matrix_product(device, DTYPES[dtype]) for dtype in dtypes}


def _costs(one: Contender, settings: Settings, device: torch.device) -> dict[str, Any]:
    found: dict[str, Any] = {"peak bytes": peak_bytes(one.call, device)}
    if one.kind in flops.CONTENDERS:
        found["FLOPs"] = flops.forward(settings.system, one.kind, settings.size)
    return found


def _whole(settings: Settings) -> dict[str, int]:
    """FLOPs of a folded classifier as if its last layer made all tokens, without both ends."""
    tokens = settings.side**2 + 1
    one = flops.layer("folded", settings.batch, tokens, settings.width)
    return {"FLOPs": settings.depth * one}


def _shares(
    contenders: list[Contender],
    times: Mapping[str, Timing],
    rates: Mapping[str, tuple[Callable[[], object], int]],
    more: Mapping[str, Mapping[str, Any]],
    label: str,
) -> list[dict]:
    """What the white box reaches of the machine's matrix rate: seconds it needs, over its own."""
    rows = []
    for one in contenders:
        row, counted = f"matrix product {one.dtype}", [(str(one), "share of the matrix rate")]
        if one.kind == "folded":
            counted.append((f"{one}, all layers whole", "the same with all layers whole"))
        for key, said in counted:
            count = more.get(key, {}).get("FLOPs")
            if row in times and count is not None and one.kind in ("white", "folded"):
                ideal = times[row] * (count / rates[row][1])
                rows.append(ratio_row(label, f"{one}, {said}", ideal, times[str(one)]))
    return rows


def training(settings: Settings, found: Pair, mode: str, device: torch.device) -> list[dict]:
    """One step of every contender: forward, backward, AdamW; and the bytes kept in between.

    In float32 on a CPU; on a GPU weights are float32 and products bfloat16 by autocast, as the
    recipes train.
    """
    black, label = BLACK_BOXES[settings.system], f"{mode} training"
    models = {"transcription": transcribed(found.white), "crate": found.white, black: found.black}
    models |= found.others
    kinds = {"transcription": "transcription", "crate": "white", black: "black"}
    half = device.type == "cuda"

    def loss_of(model: PreTrainedModel) -> Callable[[], Tensor]:
        called = torch.compile(model) if mode == "compiled" else model

        def loss() -> Tensor:
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                return called(**found.training).loss

        return loss

    losses, kept = {}, {}
    for name, model in models.items():
        losses[name] = loss_of(model.requires_grad_(True).train())
        if name == "transcription" and mode == "eager":
            losses[name] = by_pytorch(losses[name])
        if mode == "eager":
            kept[name] = saved_bytes(losses[name], model.parameters())
    dtype = "bfloat16" if half else "float32"
    rates = {f"matrix product {dtype}": matrix_product(device, DTYPES[dtype])}
    calls: dict[str, Callable[[], object]] = {row: call for row, (call, _) in rates.items()}
    calls |= {name: training_step(models[name], losses[name]) for name in models}
    if device.type == "cpu" and mode == "eager" and onednn_is_faster():
        calls[f"crate {ALGEBRA}"] = by_pytorch(calls["crate"])
    times = interleave(calls, settings.rounds, device, label)
    more: dict[str, dict[str, Any]] = {name: {"bytes kept": size} for name, size in kept.items()}
    for name, kind in kinds.items():
        count = flops.training_step(settings.system, kind, settings.size)
        if settings.system != "dino":  # several views, of two sizes
            more.setdefault(name, {})["FLOPs"] = count
        if device.type == "cuda":
            more.setdefault(name, {})["peak bytes"] = peak_bytes(calls[name], device)
    rows = time_rows(times, label, more)
    for slow in ("transcription", black):
        rows += [
            ratio_row(label, f"{slow} / {fast}", times[slow], times[fast])
            for fast in ("crate", f"crate {ALGEBRA}")
            if fast in times
        ]
        if kept:
            what = f"bytes kept, crate / {slow}"
            rows.append(exact_ratio_row(label, what, kept["crate"] / kept[slow], "lower"))
    named = [Contender(kind, dtype, calls[name], name) for name, kind in kinds.items()]
    by_type = {str(one): times[one.name] for one in named} | times
    return rows + _shares(
        named, by_type, rates, {str(one): more.get(one.name, {}) for one in named}, label
    )


def training_step(model: PreTrainedModel, loss: Callable[[], Tensor]) -> Callable[[], None]:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-6, fused=True)

    def call() -> None:
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()

    return call


def _in_type(inputs: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    return {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in inputs.items()
    }
