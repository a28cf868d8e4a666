"""Tokens without any structure, given to layers in place of their own.

Legend: B samples, N tokens, D width, L layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from whitebox_transformers.crate.block import CrateLayer
from whitebox_transformers.data.seeding import seed_of


class GaussianTokens:
    """Independent normal entries of mean zero, drawn anew for every sample and layer.

    The draw is a function of seed, layer and number of the sample, however samples are batched.

    Args:
        scales: Standard deviation of an entry, one for each layer.
        seed: Seed of the draws.
    """

    def __init__(self, scales: Sequence[float], seed: int = 0) -> None:
        self.scales, self.seed = scales, seed
        self._drawn = 0

    @contextmanager
    def in_place_of(self, layers: Sequence[CrateLayer], real: Tensor | None) -> Iterator[None]:
        """Inside the block every layer is given these; one batch must run in it.

        Args:
            layers: L layers.
            real: Tokens that are no padding (B, N), or None for all.
        """
        batch = 0

        def replace(index: int) -> Callable[[nn.Module, tuple], tuple]:
            def hook(_: nn.Module, given: tuple) -> tuple:
                nonlocal batch
                batch = len(given[0])
                return (self._like(index, given[0], real), *given[1:])

            return hook

        with ExitStack() as hooks:
            for index, layer in enumerate(layers):
                hooks.callback(layer.register_forward_pre_hook(replace(index)).remove)
            yield
        self._drawn += batch

    def _like(self, index: int, z: Tensor, real: Tensor | None) -> Tensor:
        drawn = torch.zeros(z.shape)
        for row in range(len(z)):
            place = slice(None) if real is None else real[row].cpu()
            seed = seed_of("gaussian tokens", self.seed, index, self._drawn + row)
            generator = torch.Generator().manual_seed(seed)
            shape = drawn[row, place].shape
            drawn[row, place] = self.scales[index] * torch.randn(shape, generator=generator)
        return drawn.to(z)
