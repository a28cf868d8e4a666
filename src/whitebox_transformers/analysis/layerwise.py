"""Stream samples through a model and measure every layer on the way (layer-wise analysis).

Forward hooks compute one number per sample at each layer and let the tokens go, so memory holds
one batch at one layer, however many samples there are. R^c at Z^l takes ``U^T LN1(Z^l)`` from
the forward pass itself. Padding of texts enters nothing: every sample is measured as if it were
alone.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from whitebox_transformers.crate.block import CrateLayer
from whitebox_transformers.crate.mssa import Subspaces
from whitebox_transformers.crate.rates import (
    coding_rates,
    nonzero_share,
    projections_rate,
    published_compression_rate,
)
from whitebox_transformers.errors import UserError

from .layer_report import LayerReport
from .layers import sparsify_of, subspaces_of, white_box_layers
from .measures import choose_measures
from .padding import measured_without_padding, real_tokens
from .projections import by_head, project, seen_by_mssa, wide
from .streaming import Batch, stream


def measure(
    model: PreTrainedModel, batches: Iterable[Batch], measures: Sequence[str] | None = None
) -> LayerReport:
    """Measure every layer, over all samples of ``batches``.

    Args:
        model: A CRATE model, or a black box that returns ``hidden_states``.
        batches: Pixel values (B, channels, height, width), token ids (B, N), or mappings of the
            model's arguments, of which ``labels`` is left out; moved to the model's device. Where
            an ``attention_mask`` marks padding, it is not measured. Wrap it in a progress bar to
            see one.
        measures: Names from ``measures.MEASURES``; None for all the model has, ``CHEAP`` for
            what costs least.

    Returns:
        Mean and standard deviation over samples; the same however the samples are batched.

    Raises:
        UserError: A folded model, an unknown measure, no samples, one of padding alone, or
            activations that are not finite.
    """
    kind = _WhiteBoxProbe if white_box_layers(model) else _BlackBoxProbe
    probe = kind(model, choose_measures(model, measures))

    def observe(inputs: dict[str, Tensor]) -> dict[str, list[Tensor]]:
        probe.real = real_tokens(inputs)
        return probe.observe(inputs)

    found = stream(model, batches, observe)
    return LayerReport(found.count, {key: found.curves[key] for key in probe.wanted})


def untrained(model: PreTrainedModel, seed: int = 0) -> PreTrainedModel:
    """The control: the architecture of ``model`` with fresh weights drawn from ``seed``.

    The random state of the caller is left as it was.
    """
    white_box_layers(model)  # a folded model has no configuration to start from
    # Hugging Face's encoders of text are made with or without a pooler, which no field says.
    pooling = {"add_pooling_layer": False} if getattr(model, "pooler", model) is None else {}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        control = type(model)(copy.deepcopy(model.config), **pooling)
    nn.Module.to(control, model.device, model.dtype)
    return control.eval()


class _Probe:
    """Collects, measure by measure, one (B,) tensor per layer in the order of the layers."""

    def __init__(self, model: PreTrainedModel, wanted: Sequence[str]):
        self.model, self.wanted = model, wanted
        self.values: dict[str, list[Tensor]] = defaultdict(list)
        self.real: Tensor | None = None  # of the batch that is running

    def observe(self, inputs: dict[str, Tensor]) -> dict[str, list[Tensor]]:
        """Values of one batch by measure, each a list over layers."""
        raise NotImplementedError

    def record(self, key: str, z: Tensor, compute: Callable[[Tensor], Tensor]) -> None:
        self.record_all((key,), z, lambda z: (compute(z),))

    def record_all(
        self, keys: Sequence[str], z: Tensor, compute: Callable[[Tensor], Sequence[Tensor]]
    ) -> None:
        """Keep ``compute(z)``, one value per sample and key, for z (B, ..., N, D)."""
        wanted = [key for key in keys if key in self.wanted]
        if not wanted:
            return
        with torch.autocast(self.model.device.type, enabled=False):
            try:
                found = measured_without_padding(compute, z, self.real)
            except ValueError as error:
                index = len(self.values[wanted[0]])
                raise UserError(f"{wanted[0]} at layer {index}: {error}") from error
        values = dict(zip(keys, found, strict=True))
        for key in wanted:
            self.values[key].append(values[key])

    def record_tokens(self, z: Tensor) -> None:
        """What is measured at every Z^l, the last output included."""
        z = wide(z)
        self.record_all(("rate-raw", "rate-unit"), z, coding_rates)
        self.record("norm-z", z, _mean_length)

    def taken(self) -> dict[str, list[Tensor]]:
        values, self.values = self.values, defaultdict(list)
        return values


class _BlackBoxProbe(_Probe):
    """Measures the hidden states that a model returns."""

    def observe(self, inputs: dict[str, Tensor]) -> dict[str, list[Tensor]]:
        states = self.model(**inputs, output_hidden_states=True).hidden_states
        for z in states:
            self.record_tokens(z)
        for z in states[1:]:
            self.record("nonzero-share", z, nonzero_share)
        return self.taken()


class _WhiteBoxProbe(_Probe):
    """Measures inside CRATE layers, by forward hooks that last for one pass."""

    def __init__(self, model: PreTrainedModel, wanted: Sequence[str]):
        super().__init__(model, wanted)
        self.layers = white_box_layers(model)
        self.position_ids: Tensor | None = None  # of the layer that is running

    def observe(self, inputs: dict[str, Tensor]) -> dict[str, list[Tensor]]:
        with ExitStack() as hooks:
            for layer in self.layers:
                for handle in self._watch(layer):
                    hooks.callback(handle.remove)
            self.model(**inputs)
        return self.taken()

    def _watch(self, layer: CrateLayer) -> list[torch.utils.hooks.RemovableHandle]:
        handles = [
            layer.register_forward_pre_hook(
                lambda _, inputs, named: self._at_z(layer, inputs[0], named), with_kwargs=True
            ),
            layer.record_z_half.register_forward_pre_hook(
                lambda _, inputs: self._at_z_half(layer, inputs[0])
            ),
            layer.register_forward_hook(self._at_output),
        ]
        if "rate-published-z" in self.wanted:
            handles.append(subspaces_of(layer).register_forward_hook(self._at_projections))
        if "nonzero-share-codes" in self.wanted:
            handles.append(sparsify_of(layer).ista.codes.register_forward_hook(self._at_codes))
        return handles

    def _at_z(self, layer: CrateLayer, z: Tensor, named: Mapping[str, Any]) -> None:
        self.position_ids = named.get("position_ids")
        self.record_tokens(z)
        self.record_rate("rate-definition-z", lambda: project(layer, z), projections_rate)

    def _at_projections(self, subspaces: Subspaces, _: object, u: Tensor) -> None:
        self.record("rate-published-z", by_head(subspaces, u), published_compression_rate)

    def _at_z_half(self, layer: CrateLayer, z_half: Tensor) -> None:
        self.record("norm-z-half", wide(z_half), _mean_length)
        self.record_rate("rate-definition-z-half", lambda: project(layer, z_half), projections_rate)
        self.record_rate(
            "rate-published-z-half",
            lambda: project(layer, seen_by_mssa(layer, z_half, self.position_ids)),
            published_compression_rate,
        )

    def record_rate(
        self, key: str, project: Callable[[], Tensor], rate: Callable[[Tensor], Tensor]
    ) -> None:
        """Keep the rate of projections (B, K, N, P), which are not made in vain."""
        if key in self.wanted:
            with torch.autocast(self.model.device.type, enabled=False):
                projections = project()
            self.record(key, projections, rate)

    def _at_codes(self, _: nn.Module, __: object, codes: Tensor) -> None:
        self.record("nonzero-share-codes", codes, nonzero_share)

    def _at_output(self, layer: nn.Module, _: object, z: Tensor) -> None:
        self.record("nonzero-share", z, nonzero_share)
        if layer is self.layers[-1]:
            self.record_tokens(z)


def _mean_length(z: Tensor) -> Tensor:
    return torch.linalg.vector_norm(z, dim=-1).mean(-1)
