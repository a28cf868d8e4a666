"""Read a checkpoint file without running anything it contains.

PyTorch files are unpickled with ``weights_only=True``. Beside tensors and plain containers only
`argparse.Namespace` and numpy scalars are let through, because training scripts store their
arguments and best accuracy that way; anything else is refused by its name.
"""

from __future__ import annotations

import argparse
import errno
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from whitebox_transformers.convert.beside import configuration_beside
from whitebox_transformers.errors import UserError

# Where training scripts put the weights, and where they put their arguments.
WEIGHT_ENTRIES = ("state_dict", "model", "model_state_dict", "net")
ARGUMENT_ENTRIES = ("args", "hparams", "hyper_parameters", "config", "model_args")
# Wrappers (DataParallel, torch.compile, detectors, trainers) that prefix names and change nothing.
HARMLESS_PREFIXES = ("module.", "_orig_mod.", "backbone.", "model.", "net.")
FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class Checkpoint:
    """The weights of a file by their bare names, and what else the file says.

    Attributes:
        path: The file.
        tensors: Dense, finite, floating-point weights; harmless prefixes are removed.
        metadata: Plain values beside the weights, training arguments flattened into them, and
            those of a configuration beside a file in Hugging Face's form.
        ignored: Entries beside the weights, e.g. ``optimizer``.
    """

    path: Path
    tensors: dict[str, Tensor]
    metadata: dict[str, Any]
    ignored: tuple[str, ...]

    def shape(self, key: str, axes: int) -> tuple[int, ...]:
        """Shape of the weight ``key``.

        Raises:
            UserError: It is missing, empty, or has not ``axes`` axes.
        """
        if key not in self.tensors:
            raise UserError(f"{self.path}: the weight {key!r} is missing")
        shape = tuple(self.tensors[key].shape)
        if len(shape) != axes or 0 in shape:
            raise UserError(
                f"{self.path}: {key!r} has shape {shape}; expected {axes} non-empty axes"
            )
        return shape


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read ``path``, a PyTorch or safetensors file.

    Raises:
        UserError: Not a file, not a checkpoint, truncated, holding refused objects, or weights
            that are not dense, finite floating-point numbers.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise UserError(f"{path} {what}; expected a checkpoint file")
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty; expected a checkpoint file")
    try:
        if _looks_like_safetensors(path):
            weights, metadata, ignored = _read_safetensors(path)
        else:
            weights, metadata, ignored = _find_weights(path, _read_torch(path))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    tensors = _strip_prefixes(path, weights)
    for key, tensor in tensors.items():
        _check_tensor(path, key, tensor)
    return Checkpoint(path, tensors, configuration_beside(path) | metadata, ignored)


def _looks_like_safetensors(path: Path) -> bool:
    """The format begins with the length of its JSON header, 8 bytes, and then the header."""
    with path.open("rb") as file:
        start = file.read(9)
    return path.suffix == ".safetensors" or start[8:] == b"{"


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any], tuple[str, ...]]:
    try:
        with safe_open(path, framework="pt") as file:
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return weights, dict(file.metadata() or {}), ()
    except SafetensorError as error:
        raise UserError(f"{path} is not a complete safetensors file: {_one_line(error)}") from error


def _read_torch(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(_harmless_globals()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is odd about a file is said once, as an error
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises nearly anything on foreign bytes
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # a seek before the start
            raise
        refused = re.search(r"GLOBAL (\S+) |got <class '(\S+)'>", str(error))
        if refused:
            name = refused[1] or refused[2]
            raise UserError(
                f"{path} was refused: it holds a {name} object, and reading it could run code; "
                f"save only its state_dict (tensors) and convert that"
            ) from error
        raise UserError(
            f"{path} is not a PyTorch checkpoint, or is truncated; expected a file of torch.save"
        ) from error


def _harmless_globals() -> list[Any]:
    """Types allowed beside tensors: training arguments, and numpy scalars of old and new numpy."""
    scalar = np.float64(0).__reduce__()[0]
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    kinds = {type(np.dtype(code)) for code in np.typecodes["AllInteger"] + "?efdFDUS"}
    return [argparse.Namespace, np.dtype, *kinds, *((scalar, name) for name in names)]


def _find_weights(
    path: Path, content: Any
) -> tuple[dict[Any, Any], dict[str, Any], tuple[str, ...]]:
    """Split a file's content into weights, plain facts, and entries that are neither."""
    if not isinstance(content, Mapping):
        raise UserError(
            f"{path} holds a {type(content).__name__}; expected a dictionary of weights"
        )
    found = [key for key in WEIGHT_ENTRIES if _holds_tensors(content.get(key))]
    if len(found) > 1:
        raise UserError(f"{path} holds several sets of weights ({', '.join(found)}); keep one")
    if found:
        weights = dict(content[found[0]])
        beside = {key: value for key, value in content.items() if key != found[0]}
        return weights, _plain_facts(beside), tuple(str(key) for key in beside)
    weights = {key: value for key, value in content.items() if isinstance(value, Tensor)}
    beside = {key: value for key, value in content.items() if key not in weights}
    if not weights:
        keys = ", ".join(map(repr, list(content)[:6])) or "none"
        raise UserError(
            f"{path} holds no weights; expected tensors, or a dictionary of them under one of "
            f"{', '.join(WEIGHT_ENTRIES)}; its keys: {keys}"
        )
    return weights, _plain_facts(beside), tuple(str(key) for key in beside)


def _holds_tensors(value: Any) -> bool:
    return isinstance(value, Mapping) and any(isinstance(item, Tensor) for item in value.values())


def _plain_facts(beside: Mapping[Any, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for name in ARGUMENT_ENTRIES:
        arguments = beside.get(name)
        if isinstance(arguments, argparse.Namespace):
            arguments = vars(arguments)
        if isinstance(arguments, Mapping):
            facts.update({str(key): value for key, value in arguments.items()})
    plain = {
        str(key): value
        for key, value in beside.items()
        if isinstance(value, str | int | float | list | tuple)
    }
    return facts | plain


def _strip_prefixes(path: Path, weights: Mapping[Any, Any]) -> dict[str, Any]:
    stripped: dict[str, Any] = {}
    for key, tensor in weights.items():
        name = str(key)
        while prefix := next((p for p in HARMLESS_PREFIXES if name.startswith(p)), None):
            name = name.removeprefix(prefix)
        if name in stripped:
            raise UserError(f"{path} holds {name!r} twice, under different prefixes ({key!r})")
        stripped[name] = tensor
    return stripped


def _check_tensor(path: Path, key: str, tensor: Any) -> None:
    if not isinstance(tensor, Tensor):
        raise UserError(f"{path}: {key!r} is a {type(tensor).__name__}; expected a tensor")
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.dtype not in FLOATING:
        raise UserError(
            f"{path}: {key!r} is a {tensor.layout} tensor of {tensor.dtype}; "
            f"expected dense floating-point weights"
        )
    if tensor.device.type == "meta":
        raise UserError(f"{path}: {key!r} holds no numbers (it was saved from the meta device)")
    if not torch.isfinite(tensor).all():
        raise UserError(f"{path}: {key!r} holds NaN or infinite values")


def _one_line(error: Exception) -> str:
    """The first sentence of a foreign error, which may be a page long."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.split(". ")[0][:160]
