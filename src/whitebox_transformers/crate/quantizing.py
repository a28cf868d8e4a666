"""Int8 on the CPU: a folded model whose matrices are eight-bit integers.

Legend: D width, V vocabulary, O outputs.

Weights are rounded once, a scale for every output; tokens are rounded as they come, a scale for
every call (dynamic quantisation). The step of ISTA is ``v + eta (D^T v - D^T D v)``: its matrix is
the identity and a small change. Rounded together, the ones would take all of the eight bits, so the
diagonal is multiplied apart, in float32, and the integers hold the change alone.

The products are PyTorch's own dynamic ones (``torch.ops.quantized``), which run without compilation
in every model. PyTorch says that they will move to another package; where they are gone,
:func:`quantize` says so, and ``wbt export --int8`` has ONNX Runtime's.
"""

import copy
import functools
import warnings
from typing import TypeVar

import torch
from torch import nn

from .block import CrateLayer
from .folded_layers import FoldedSparsify
from .folding import FoldedModelError, ForInferenceOnly, fold
from .modeling_family import FamilyPreTrainedModel

Model = TypeVar("Model", bound=FamilyPreTrainedModel)
LARGEST = 127


class DiagonalApart(nn.Module):
    """``linear`` as its diagonal and the rest, two products: (..., D) to (..., D)."""

    diagonal: torch.Tensor

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.register_buffer("diagonal", linear.weight.detach().diagonal().clone())
        self.rest = copy.deepcopy(linear)
        self.rest.weight.data -= torch.diag(self.diagonal)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.rest(x) + x * self.diagonal


class Int8Linear(nn.Module):
    """``linear`` with eight-bit weights and tokens: (..., D) to (..., O), float32 outside."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        bias = None if linear.bias is None else linear.bias.detach().float()
        self.packed = packed(linear.weight.detach().float(), bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        reduced = not eight_bits_hold()
        return torch.ops.quantized.linear_dynamic(x, self.packed, reduce_range=reduced)


@functools.cache
def eight_bits_hold() -> bool:
    """Whether tokens of eight bits do not overflow here; found out by the product that would.

    Processors without instructions for int8 sum pairs of products in sixteen bits: seven then.
    """
    tokens = torch.full((1, 64), 255.0)
    tokens[0, 0] = 0.0
    weight = torch.full((16, 64), 127.0)
    found = torch.ops.quantized.linear_dynamic(tokens, packed(weight, None), reduce_range=False)
    return torch.allclose(found, tokens @ weight.T, rtol=0.01)


def packed(weight: torch.Tensor, bias: torch.Tensor | None) -> torch.ScriptObject:
    """A matrix (O, D) rounded by rows, in the layout of the processor."""
    scales = weight.abs().amax(1).clamp(min=torch.finfo(weight.dtype).tiny) / LARGEST
    zeros = torch.zeros(len(scales), dtype=torch.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that quantised tensors are to go
        rounded = torch.quantize_per_channel(weight, scales.double(), zeros, 0, torch.qint8)
        return torch.ops.quantized.linear_prepack(rounded, bias)


@torch.no_grad()
def quantize(model: Model) -> Model:
    """A copy of a model for inference on the CPU, folded, with int8 products in its layers.

    The matrices of the layers and the vocabulary's become integers; embeddings, normalisation,
    attention and small heads stay float32. What it gives differs from the original's by rounding:
    measure it on your data (``wbt eval RUN --int8``).

    Args:
        model: A model of the family on the CPU; left unchanged. What :func:`.folding.fold` refuses
            is refused here too.

    Returns:
        The quantised model, for inference only as a folded one.

    Raises:
        FoldedModelError: The model is folded already.
        TypeError: It is no model that folds.
        ValueError: It is not on the CPU.
        RuntimeError: This build of PyTorch has no int8 products.
    """
    if isinstance(model, ForInferenceOnly):
        raise FoldedModelError("quantize() was given a folded model; give it the model itself.")
    if isinstance(model, FamilyPreTrainedModel) and model.device.type != "cpu":
        raise ValueError(
            f"quantize() was given a model on {model.device}; int8 products are the CPU's. "
            f"Move it there, model.cpu(), or stay with fold(model, dtype=torch.bfloat16)."
        )
    check_int8()
    return with_int8_products(with_diagonals_apart(fold(model, dtype=torch.float32)))


def with_int8_products(folded: Model) -> Model:
    """A folded model, changed in place, whose layers and vocabulary multiply in int8."""
    vocabulary = folded.get_output_embeddings()
    for module in list(folded.modules()):
        in_layer = isinstance(module, CrateLayer)
        for parent in list(module.modules()) if in_layer else [module]:
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.Linear) and (in_layer or child is vocabulary):
                    setattr(parent, name, Int8Linear(child))
    return folded


@torch.no_grad()
def with_diagonals_apart(folded: Model) -> Model:
    """A folded model, changed in place, whose ISTA steps multiply their diagonals apart.

    Whoever rounds its matrices to integers rounds the change alone.
    """
    for module in list(folded.modules()):
        if isinstance(module, FoldedSparsify):
            module.moved.linear = DiagonalApart(module.moved.linear)  # pyright: ignore[reportAttributeAccessIssue]
    return folded


def check_int8() -> None:
    """Refuse a PyTorch without int8 products.

    Raises:
        RuntimeError: With the version, and what to do.
    """
    engines = [name for name in torch.backends.quantized.supported_engines if name != "none"]
    if not engines or not hasattr(torch.ops.quantized, "linear_dynamic"):
        raise RuntimeError(
            f"torch {torch.__version__} on this machine has no int8 products "
            f"(torch.backends.quantized.supported_engines is empty); export the model for ONNX "
            f"Runtime instead: wbt export RUN --int8."
        )


__all__ = [
    "DiagonalApart",
    "Int8Linear",
    "check_int8",
    "quantize",
    "with_diagonals_apart",
    "with_int8_products",
]
