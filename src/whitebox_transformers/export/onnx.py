"""Export an image classifier as an ONNX graph and check it against PyTorch.

The graph is for inference, so a CRATE model is folded first (see `whitebox_transformers.fold`):
fewer products, same scores. It is float32, takes any batch, and one image size. Class names and
preprocessing travel as metadata of the file.
"""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForImageClassification, PreTrainedModel

from whitebox_transformers.crate import CrateForImageClassification, fold
from whitebox_transformers.crate.quantizing import with_diagonals_apart
from whitebox_transformers.errors import UserError
from whitebox_transformers.extras import require

TOLERANCE = 1e-4
TRACED_BATCH = 2
CHECKED_BATCHES = (1, 3)


@dataclass(frozen=True)
class OnnxExport:
    """What was written.

    Attributes:
        path: The file; a graph beyond 2 GB keeps its weights in ``<path>.data`` beside it.
        image_size: Height and width the graph reads.
        num_channels: Channels it reads.
        error: Largest difference from PyTorch over the largest score, on random images.
        int8: Whether its matrices are eight-bit integers.
    """

    path: Path
    image_size: tuple[int, int]
    num_channels: int
    error: float
    int8: bool = False

    def __str__(self) -> str:
        height, width = self.image_size
        rounded = ", matrices in int8" if self.int8 else ""
        return (
            f"wrote {self.path}: pixel_values (batch, {self.num_channels}, {height}, {width}) -> "
            f"logits{rounded}; relative error against PyTorch {self.error:.1e}"
        )


class _Logits(nn.Module):
    """A classifier that returns its scores alone, (B, C, H, W) to (B, classes)."""

    def __init__(self, model: PreTrainedModel):
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.model(pixel_values=pixel_values).logits


def export_onnx(
    model: str | Path | PreTrainedModel,
    out: str | Path,
    image_size: int | tuple[int, int] | None = None,
    int8: bool = False,
) -> OnnxExport:
    """Write ``model`` to the ONNX file ``out``, replacing an older one only when all is well.

    Input ``pixel_values`` (batch, channels, height, width) float32, prepared as the file's
    metadata ``preprocessor`` says; output ``logits`` (batch, classes).

    Args:
        model: Run or model folder, or an image classifier.
        out: File to write, e.g. ``model.onnx``.
        image_size: Height and width of the graph; the model's own by default. A CRATE model
            interpolates its positions to it, once.
        int8: Round the matrices to eight-bit integers (ONNX Runtime's dynamic quantisation, for
            CPUs). The graph is compared with PyTorch before; what rounding adds is reported.

    Returns:
        Where it is and how far it is from PyTorch.

    Raises:
        UserError: Not an image classifier, or the graph disagrees with PyTorch.
        MissingExtra: The extra ``export`` is not installed.
    """
    require("onnx", extra="export")
    require("onnxscript", extra="export")
    require("onnxruntime", extra="export")
    out = Path(out)
    if out.is_dir():
        raise UserError(f"{out} is a folder; give the file to write, e.g. {out / 'model.onnx'}")
    folder = Path(model) if isinstance(model, str | Path) else None
    classifier = _load(Path(model)) if isinstance(model, str | Path) else copy.deepcopy(model)
    classifier = classifier.eval().float().cpu()
    size = _pair(image_size or classifier.config.image_size)
    program = _trace(classifier, (classifier.config.num_channels, *size), int8)
    program.model.metadata_props.update(_metadata(classifier, folder))
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as draft:
        drawn = Path(draft) / out.name
        program.save(drawn)
        error = _relative_error(drawn, classifier, size)
        if int8:
            _quantise(drawn)
            error = _relative_error(drawn, classifier, size, required=False)
        for file in sorted(Path(draft).iterdir(), reverse=True):  # weights before the graph
            os.replace(file, out.parent / file.name)
    return OnnxExport(out, size, classifier.config.num_channels, error, int8)


def _load(folder: Path) -> PreTrainedModel:
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} is no model folder: it has no config.json")
    try:
        return AutoModelForImageClassification.from_pretrained(folder)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{folder} holds no image classifier: {reason}") from error


def _quantise(path: Path) -> None:
    """Round the matrices of a file to int8, each output with a scale of its own, in place."""
    quantization: Any = require("onnxruntime.quantization", extra="export")
    whole = path.with_suffix(".float32")
    path.rename(whole)
    # It asks on the root logger for an optimisation that the exporter has made already.
    with _quiet():
        quantization.quantize_dynamic(whole, path, per_channel=True)
    whole.unlink()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _trace(
    classifier: PreTrainedModel, image: tuple[int, int, int], int8: bool
) -> torch.onnx.ONNXProgram:
    """The graph of the classifier for images (channels, height, width) and any batch."""
    if isinstance(classifier, CrateForImageClassification):
        classifier = fold(classifier)
        classifier = with_diagonals_apart(classifier) if int8 else classifier
    program = torch.onnx.export(
        _Logits(classifier).eval(),
        (torch.zeros(TRACED_BATCH, *image),),
        dynamo=True,
        dynamic_shapes={"pixel_values": {0: torch.export.Dim("batch")}},
        input_names=["pixel_values"],
        output_names=["logits"],
        verbose=False,
    )
    assert program is not None  # it is only without dynamo
    return program


def _metadata(classifier: PreTrainedModel, folder: Path | None) -> dict[str, str]:
    """Class names, and the preprocessing where the folder describes it, as JSON."""
    metadata = {"id2label": json.dumps(classifier.config.id2label)}
    preprocessor = folder / "preprocessor_config.json" if folder else None
    if preprocessor and preprocessor.is_file():
        metadata["preprocessor"] = preprocessor.read_text(encoding="utf-8")
    return metadata


@torch.no_grad()
def _relative_error(
    path: Path,
    classifier: PreTrainedModel,
    size: tuple[int, int],
    required: bool = True,
) -> float:
    """Largest relative error of the file on random images.

    Raises:
        UserError: It is above `TOLERANCE`, and ``required`` not to be.
    """
    runtime: Any = require("onnxruntime", extra="export")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    channels = classifier.config.num_channels
    worst = 0.0
    for batch in CHECKED_BATCHES:
        images = torch.randn(batch, channels, *size, generator=generator)
        expected = classifier(images).logits.numpy()
        (logits,) = session.run(["logits"], {"pixel_values": images.numpy()})
        worst = max(worst, float(np.abs(logits - expected).max() / np.abs(expected).max()))
    if required and not worst <= TOLERANCE:
        raise UserError(
            f"the ONNX graph is off by {worst:.1e} relative to PyTorch, above {TOLERANCE:.0e}; "
            f"nothing was written"
        )
    return worst


def _pair(size: int | list[int] | tuple[int, ...]) -> tuple[int, int]:
    if isinstance(size, int):
        return size, size
    height, width = size
    return height, width
