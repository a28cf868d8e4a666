"""Products of tokens with matrices, by the faster of the two libraries that PyTorch has on a CPU.

Legend: B any leading axes, N tokens, I width of the tokens, O width of the result.

PyTorch multiplies float32 on x86 by MKL, which is slow on AMD's processors with AVX-512; oneDNN,
which PyTorch has for other types, is not. ``wbt bench products`` measures both.
"""

import functools
import math
import platform
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import flop_registry, register_flop_formula
from transformers.utils.generic import maybe_autocast

PLAIN = (torch.Tensor, nn.Parameter)

# Multiplications below which choosing takes longer than it saves: measured at widths 192 and 768.
LEAST = 2**21


@functools.cache
def onednn_is_faster() -> bool:
    """Whether this machine was found to multiply float32 faster by oneDNN: AMD with AVX-512."""
    return (
        torch.backends.mkldnn.is_available()
        and torch.backends.mkl.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and "AuthenticAMD" in _processor()
    )


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.read_text() if cpuinfo.is_file() else platform.processor()


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """``x weight^T + bias``, as :func:`torch.nn.functional.linear`, by the faster library.

    That is oneDNN for large products of plain float32 tensors on a CPU where
    :func:`onednn_is_faster`, unless ``torch.backends.mkldnn.enabled`` is False; anything else is
    left to PyTorch, and so are compiled and exported graphs, which choose for themselves. Sums are
    rounded in another order.

    Args:
        x: (B, N, I).
        weight: (O, I).
        bias: (O,).

    Returns:
        (B, N, O).
    """
    if torch.compiler.is_compiling() or not _by_onednn(x, weight, bias):
        return F.linear(x, weight, bias)
    if torch.is_grad_enabled() and any(
        t is not None and t.requires_grad for t in (x, weight, bias)
    ):
        return _Linear.apply(x, weight, bias)
    return _product(x, weight, bias)


def _by_onednn(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> bool:
    return (
        x.numel() * len(weight) >= LEAST
        and onednn_is_faster()
        and type(x) in PLAIN
        and type(weight) in PLAIN
        and x.device.type == weight.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and (bias is None or bias.dtype == torch.float32)
        and x.dim() > 1
        and torch.backends.mkldnn.enabled
        and not torch.is_autocast_enabled("cpu")
        and not torch._C._are_functorch_transforms_active()
    )


def _product(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    if bias is not None:
        bias = bias.contiguous()
    return torch.ops.mkldnn._linear_pointwise(_dense(x), _dense(weight), bias, "none", [], "")


def _operations(x_shape, weight_shape, *args, out_shape=None, **kwargs) -> int:
    """Floating-point operations of a product, as PyTorch's counter counts its own."""
    return 2 * math.prod(x_shape) * weight_shape[0]


# Once a process, although remote code imports this file again under other names.
_counted = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
if _counted is not None and _counted not in flop_registry:
    register_flop_formula(_counted)(_operations)


def _dense(x: torch.Tensor) -> torch.Tensor:
    """Without gaps or repeats in memory; a transposed matrix may stay as it is."""
    return x if x.is_contiguous() or (x.dim() == 2 and x.T.is_contiguous()) else x.contiguous()


class _Linear(torch.autograd.Function):
    """The product with its three gradients, which can be differentiated again."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        rows = grad.flatten(0, -2)
        # Autocast, if it is on around the backward pass, was off in the forward.
        with maybe_autocast("cpu", enabled=False):
            grad_x = linear(grad, weight.T) if wanted[0] else None
            grad_weight = linear(rows.T, x.flatten(0, -2).T) if wanted[1] else None
        return grad_x, grad_weight, rows.sum(0) if wanted[2] else None


class Linear(nn.Linear):
    """``nn.Linear`` by :func:`linear`: (B, N, I) to (B, N, O)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return linear(x, self.weight, self.bias)


__all__ = ["Linear", "linear", "onednn_is_faster"]
