"""What passes through a layer, kept until the layer is done.

Legend: B samples, N tokens, D width, K heads, P head width, M coefficients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from whitebox_transformers.crate.block import CrateLayer
from whitebox_transformers.crate.ista import ISTA, OvercompleteISTA

from .layers import compress_of


@dataclass(frozen=True)
class LayerPass:
    """One batch in one layer.

    Attributes:
        layer: The layer.
        position_ids: Places of the tokens in their documents, where the model has them.
        z: Z^l (B, N, D).
        averages: What the heads made of the projections (B, N, K, P).
        step: The operator's output (B, N, D), before sign and gain.
        z_half: Z^{l+1/2} (B, N, D).
        v: What the proximal step takes (B, N, D); None where there is none on a lasso.
        codes: Its coefficients (B, N, M).
        z_next: Z^{l+1} (B, N, D).
    """

    layer: CrateLayer
    position_ids: Tensor | None
    z: Tensor
    averages: Tensor
    step: Tensor
    z_half: Tensor
    z_next: Tensor
    v: Tensor | None = None
    codes: Tensor | None = None


@contextmanager
def watching(layers: Sequence[CrateLayer], see: Callable[[int, LayerPass], None]) -> Iterator[None]:
    """Inside the block ``see`` is told of every layer's pass, by index; it must not keep it.

    Raises:
        UserError: Layers without a compression step.
    """
    with ExitStack() as hooks:
        for index, layer in enumerate(layers):
            for handle in _hooks(layer, lambda passed, index=index: see(index, passed)):
                hooks.callback(handle.remove)
        yield


def _hooks(layer: CrateLayer, see: Callable[[LayerPass], None]) -> list[Any]:
    kept: dict[str, Any] = {}

    def at_input(_: nn.Module, given: tuple, named: Mapping[str, Any]) -> None:
        kept.update(z=given[0], position_ids=named.get("position_ids"))

    def keep_input(name: str) -> Any:
        return lambda _, given: kept.__setitem__(name, given[0])

    def keep_output(name: str) -> Any:
        return lambda _, __, output: kept.__setitem__(name, output)

    def at_output(_: nn.Module, __: object, z_next: Tensor) -> None:
        passed = LayerPass(layer, z_next=z_next, **kept)
        kept.clear()
        see(passed)

    mssa = compress_of(layer).mssa
    handles = [
        layer.register_forward_pre_hook(at_input, with_kwargs=True),
        mssa.heads.register_forward_hook(keep_output("averages")),
        mssa.register_forward_hook(keep_output("step")),
        layer.record_z_half.register_forward_pre_hook(keep_input("z_half")),
        layer.register_forward_hook(at_output),
    ]
    sparsify = layer.sparsify
    if sparsify is not None and isinstance(sparsify.ista, ISTA | OvercompleteISTA):
        handles += [
            sparsify.ista.register_forward_pre_hook(keep_input("v")),
            sparsify.ista.codes.register_forward_hook(keep_output("codes")),
        ]
    return handles
