"""What the machine itself can do: its matrix rate, and the types it computes in."""

from __future__ import annotations

from collections.abc import Callable

import torch

from whitebox_transformers.crate.products import linear, onednn_is_faster

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def matrix_product(device: torch.device, dtype: torch.dtype) -> tuple[Callable[[], object], int]:
    """The machine's own rate: 1576 x 768 x 768 ten times, or 8192 cubed on a GPU; and its FLOPs.

    By the faster library, where this machine has two.
    """
    m, n, k = (8192, 8192, 8192) if device.type == "cuda" else (1576, 768, 768)
    times = 1 if device.type == "cuda" else 10
    a = torch.randn(m, k, device=device, dtype=dtype)
    b = torch.randn(k, n, device=device, dtype=dtype)
    out = torch.empty(m, n, device=device, dtype=dtype)
    two = device.type == "cpu" and dtype == torch.float32 and onednn_is_faster()

    @torch.no_grad()
    def product() -> None:
        for _ in range(times):
            if two:
                linear(a, b.T)
            else:
                torch.mm(a, b, out=out)

    return product, times * 2 * m * n * k


def computes_in(dtype: str, device: torch.device) -> bool:
    """Whether numbers of this type are about the machine and not about its emulating them."""
    if dtype == "float32" or device.type == "cuda":
        return dtype != "int8"
    if dtype == "bfloat16":
        return device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return device.type == "cpu"
