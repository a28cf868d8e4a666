"""Memory that a pass keeps and reaches, counted from the tensors themselves."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def saved_bytes(loss: Callable[[], Tensor], parameters: Iterable[Tensor]) -> int:
    """Bytes of distinct storages that autograd saves for ``loss()``, parameters left out."""
    owned = {p.untyped_storage().data_ptr() for p in parameters}
    seen: dict[int, tuple[torch.UntypedStorage, int]] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in owned:
            # Holding the storage keeps its address from being given out again.
            seen[storage.data_ptr()] = (storage, storage.nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        kept = loss()
    del kept
    return sum(size for _, size in seen.values())


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of tensors made inside that are alive, and their peak."""

    def __init__(self) -> None:
        super().__init__()
        self.live, self.peak = 0, 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = {t.untyped_storage().data_ptr() for t in _tensors((args, kwargs))}
        result = func(*args, **(kwargs or {}))
        for tensor in _tensors(result):
            storage = tensor.untyped_storage()
            key = storage.data_ptr()
            if key not in given and key not in self.known and storage.nbytes():
                self.known.add(key)
                self.live += storage.nbytes()
                weakref.finalize(storage, self._gone, key, storage.nbytes())
        self.peak = max(self.peak, self.live)
        return result

    def _gone(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.live -= size


def _tensors(tree: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def peak_bytes(call: Callable[[], object], device: torch.device) -> int:
    """Peak bytes during a call beyond what was there before.

    On a GPU the allocator's; on a CPU those of all tensors that are alive at once, counted as they
    are made and let go, without what an operation uses inside itself.
    """
    if device.type != "cuda":
        with LiveBytes() as counted:
            call()
        return counted.peak
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    call()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before
