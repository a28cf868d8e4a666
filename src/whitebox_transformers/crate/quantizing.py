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

import functools
import warnings
from typing import TypeVar

import torch
from torch import nn

from .block import CrateLayer
from .folded_layers import FoldedLayer, FoldedSparsify
from .folding import FoldedModelError, ForInferenceOnly, fold
from .modeling_family import FamilyPreTrainedModel

Model = TypeVar("Model", bound=FamilyPreTrainedModel)
LARGEST = 127


class Int8Linear(nn.Module):
    """``linear`` with eight-bit weights and tokens: (..., D) to (..., O), float32 outside.

    Args:
        linear: What it stands for.
        diagonal_apart: Multiply the diagonal of a square matrix in float32.
    """

    diagonal: torch.Tensor | None

    def __init__(self, linear: nn.Linear, diagonal_apart: bool = False):
        super().__init__()
        weight = linear.weight.detach().float()
        self.register_buffer("diagonal", weight.diagonal().clone() if diagonal_apart else None)
        if diagonal_apart:
            weight = weight - torch.diag(weight.diagonal())
        bias = None if linear.bias is None else linear.bias.detach().float()
        self.packed = packed(weight, bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        reduced = not eight_bits_hold()
        y = torch.ops.quantized.linear_dynamic(x, self.packed, reduce_range=reduced)
        return y if self.diagonal is None else y + x * self.diagonal


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
    quantized = fold(model, dtype=torch.float32)
    vocabulary = quantized.get_output_embeddings()
    for module in list(quantized.modules()):
        if isinstance(module, FoldedLayer | CrateLayer):
            _quantize_layer(module)
        for name, child in list(module.named_children()):
            if child is vocabulary and isinstance(child, nn.Linear):
                setattr(module, name, Int8Linear(child))
    return quantized


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


def _quantize_layer(layer: nn.Module) -> None:
    for module in list(layer.modules()):
        steps = isinstance(layer.sparsify, FoldedSparsify)
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                square = steps and module is layer.sparsify.moved  # pyright: ignore[reportAttributeAccessIssue]
                setattr(module, name, Int8Linear(child, diagonal_apart=square))


__all__ = ["Int8Linear", "check_int8", "quantize"]
