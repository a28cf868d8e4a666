"""The objective of the layers as a part of the loss.

Minimising the loss alone, a network may use its layers for anything. This adds what the layers are
derived to lower: minus the sparse rate reduction of their outputs (arXiv 2411.17182 adds it at one
layer, or at one drawn anew in every step; their coefficient and normalisation are not known).

Legend: B samples, N tokens, D width.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from whitebox_transformers.analysis.layers import subspaces_of
from whitebox_transformers.analysis.padding import measured_without_padding
from whitebox_transformers.crate.block import CrateLayer
from whitebox_transformers.crate.rates import sparse_rate_reduction
from whitebox_transformers.data.seeding import seed_of
from whitebox_transformers.errors import UserError
from whitebox_transformers.training.settings import RatePenaltyConfig


class RatePenalty:
    """``weight`` times the mean over samples and layers of (R^c - R + sparsity ||Z||_1) / N.

    Z is a layer's output and U its subspaces, which are a yardstick here: they get no gradient, or
    they would shrink. Rates are those of the definition, of raw tokens; padding is left out.

    Args:
        settings: The recipe's.
        model: Any model of the CRATE family whose layers compress by MSSA.
        seed: The run's; together with the step it draws the layer.

    Raises:
        UserError: A black box, no such layer, or none of them learns.
    """

    def __init__(self, settings: RatePenaltyConfig, model: PreTrainedModel, seed: int) -> None:
        self.settings, self.seed = settings, seed
        self.layers = learning_layers(model)
        for layer in self.layers:
            subspaces_of(layer)
        if isinstance(settings.layers, list) and max(settings.layers) > len(self.layers):
            raise UserError(
                f"train.rate_penalty.layers={settings.layers}: the model has layers 1 to "
                f"{len(self.layers)}"
            )

    def chosen(self, step: int) -> list[int]:
        """Indices of the layers that count in a step, a function of seed and step."""
        if self.settings.layers == "random":
            return [seed_of("rate penalty", self.seed, step) % len(self.layers)]
        if self.settings.layers == "all":
            return list(range(len(self.layers)))
        return sorted({int(number) - 1 for number in self.settings.layers})

    @contextmanager
    def watching(self, step: int, real: Tensor | None) -> Iterator[list[Tensor]]:
        """Forward passes inside the block fill the list that it is given; see `value`.

        Args:
            step: Number of the optimiser step.
            real: Tokens that are no padding (B, N), or None for all.
        """
        costs: list[Tensor] = []
        with ExitStack() as hooks:
            for index in self.chosen(step):
                layer = self.layers[index]
                # Bound now: a lambda would see the last layer.
                see = partial(self._add_cost, costs, layer, real)
                # Before a layer that was put together for its pass is cut again (FSDP2).
                hooks.callback(layer.register_forward_hook(see, prepend=True).remove)
            yield costs

    def value(self, costs: list[Tensor]) -> Tensor:
        """What is added to the mean loss of a piece of the batch."""
        return self.settings.weight * torch.cat(costs).mean()

    def _add_cost(
        self,
        costs: list[Tensor],
        layer: CrateLayer,
        real: Tensor | None,
        _: nn.Module,
        __: tuple,
        z: Tensor,
    ) -> None:
        costs.append(self._cost(layer, z, real))

    def _cost(self, layer: CrateLayer, z: Tensor, real: Tensor | None) -> Tensor:
        """Minus the sparse rate reduction per token, (B,)."""
        # A copy: of a cut layer the whole is gone when the backward pass asks for it.
        bases = subspaces_of(layer).bases().detach().clone()
        sparsity = self.settings.sparsity

        def compute(z: Tensor) -> list[Tensor]:
            reduction = sparse_rate_reduction(z, bases, sparsity_weight=sparsity, norm="l1")
            return [-reduction / z.shape[-2]]

        with torch.autocast(z.device.type, enabled=False):
            return measured_without_padding(compute, z, real)[0]


def learning_layers(model: PreTrainedModel) -> list[CrateLayer]:
    """The CRATE layers that training moves; a teacher's or a decoder's do not count.

    Raises:
        UserError: There are none.
    """
    # Of a learner with a teacher the base model is the teacher, which training does not move.
    layers = [
        layer
        for layer in model.modules()
        if isinstance(layer, CrateLayer)
        and not layer.sparsify_first
        and any(parameter.requires_grad for parameter in layer.parameters())
    ]
    if not layers:
        raise UserError(
            f"{type(model).__name__} has no CRATE layers that learn; train.rate_penalty and "
            "train.monitor_rates need a white box"
        )
    return layers
