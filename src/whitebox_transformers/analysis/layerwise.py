"""Stream samples through a model and measure every layer on the way (layer-wise analysis).

Forward hooks compute one number per sample at each layer and let the tokens go, so memory holds
one batch at one layer, however many samples there are. R^c at Z^l takes ``U^T LN1(Z^l)`` from
the forward pass itself.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack

import torch
import torch.nn.functional as F
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

from .layer_report import LayerReport, RunningMoments
from .layers import compress_of, evaluating, sparsify_of, subspaces_of, white_box_layers
from .measures import choose_measures

Batch = Tensor | Mapping[str, Tensor]


def measure(
    model: PreTrainedModel, batches: Iterable[Batch], measures: Sequence[str] | None = None
) -> LayerReport:
    """Measure every layer, over all samples of ``batches``.

    Args:
        model: A CRATE model, or a black box that returns ``hidden_states``.
        batches: Pixel values (B, channels, height, width), or mappings of the model's arguments,
            of which ``labels`` is left out; moved to the model's device. Wrap it in a progress bar
            to see one.
        measures: Names from ``measures.MEASURES``; None for all the model has, ``CHEAP`` for
            what costs least.

    Returns:
        Mean and standard deviation over samples; the same however the samples are batched.

    Raises:
        UserError: A folded model, an unknown measure, no samples, or activations that are not
            finite.
    """
    kind = _WhiteBoxProbe if white_box_layers(model) else _BlackBoxProbe
    probe = kind(model, choose_measures(model, measures))
    moments: dict[str, RunningMoments] = defaultdict(RunningMoments)
    count = 0
    with evaluating(model), torch.inference_mode():
        for batch in batches:
            inputs = _inputs(model, batch)
            count += len(inputs[model.main_input_name])
            for key, layers in probe.observe(inputs).items():
                moments[key].add(torch.stack(layers))
    if not count:
        raise UserError("there are no samples to measure; expected at least one batch")
    return LayerReport(count, {key: moments[key].curve() for key in probe.wanted})


def _inputs(model: PreTrainedModel, batch: Batch) -> dict[str, Tensor]:
    """What the model reads of a batch, on its device."""
    named = batch if isinstance(batch, Mapping) else {model.main_input_name: batch}
    return {key: value.to(model.device) for key, value in named.items() if key != "labels"}


def untrained(model: PreTrainedModel, seed: int = 0) -> PreTrainedModel:
    """The control: the architecture of ``model`` with fresh weights drawn from ``seed``.

    The random state of the caller is left as it was.
    """
    white_box_layers(model)  # a folded model has no configuration to start from
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        control = type(model)(copy.deepcopy(model.config))
    nn.Module.to(control, model.device, model.dtype)
    return control.eval()


class _Probe:
    """Collects, measure by measure, one (B,) tensor per layer in the order of the layers."""

    def __init__(self, model: PreTrainedModel, wanted: Sequence[str]):
        self.model, self.wanted = model, wanted
        self.values: dict[str, list[Tensor]] = defaultdict(list)

    def observe(self, inputs: dict[str, Tensor]) -> dict[str, list[Tensor]]:
        """Values of one batch by measure, each a list over layers."""
        raise NotImplementedError

    def record(self, key: str, compute: Callable[[], Tensor]) -> None:
        self.record_all((key,), lambda: (compute(),))

    def record_all(self, keys: Sequence[str], compute: Callable[[], Sequence[Tensor]]) -> None:
        wanted = [key for key in keys if key in self.wanted]
        if not wanted:
            return
        with torch.autocast(self.model.device.type, enabled=False):
            try:
                values = dict(zip(keys, compute(), strict=True))
            except ValueError as error:
                index = len(self.values[wanted[0]])
                raise UserError(f"{wanted[0]} at layer {index}: {error}") from error
        for key in wanted:
            self.values[key].append(values[key])

    def record_tokens(self, z: Tensor) -> None:
        """What is measured at every Z^l, the last output included."""
        z = _wide(z)
        self.record_all(("rate-raw", "rate-unit"), lambda: coding_rates(z))
        self.record("norm-z", lambda: _mean_length(z))

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
            self.record("nonzero-share", lambda z=z: nonzero_share(z))
        return self.taken()


class _WhiteBoxProbe(_Probe):
    """Measures inside CRATE layers, by forward hooks that last for one pass."""

    def __init__(self, model: PreTrainedModel, wanted: Sequence[str]):
        super().__init__(model, wanted)
        self.layers = white_box_layers(model)

    def observe(self, inputs: dict[str, Tensor]) -> dict[str, list[Tensor]]:
        with ExitStack() as hooks:
            for layer in self.layers:
                for handle in self._watch(layer):
                    hooks.callback(handle.remove)
            self.model(**inputs)
        return self.taken()

    def _watch(self, layer: CrateLayer) -> list[torch.utils.hooks.RemovableHandle]:
        handles = [
            layer.register_forward_pre_hook(lambda _, inputs: self._at_z(layer, inputs[0])),
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

    def _at_z(self, layer: CrateLayer, z: Tensor) -> None:
        self.record_tokens(z)
        self.record("rate-definition-z", lambda: projections_rate(_project(layer, z)))

    def _at_projections(self, subspaces: Subspaces, _: object, u: Tensor) -> None:
        self.record("rate-published-z", lambda: published_compression_rate(_by_head(subspaces, u)))

    def _at_z_half(self, layer: CrateLayer, z_half: Tensor) -> None:
        self.record("norm-z-half", lambda: _mean_length(_wide(z_half)))
        self.record("rate-definition-z-half", lambda: projections_rate(_project(layer, z_half)))
        self.record(
            "rate-published-z-half",
            lambda: published_compression_rate(_project(layer, compress_of(layer).norm(z_half))),
        )

    def _at_codes(self, _: nn.Module, __: object, codes: Tensor) -> None:
        self.record("nonzero-share-codes", lambda: nonzero_share(codes))

    def _at_output(self, layer: nn.Module, _: object, z: Tensor) -> None:
        self.record("nonzero-share", lambda: nonzero_share(z))
        if layer is self.layers[-1]:
            self.record_tokens(z)


def _project(layer: CrateLayer, z: Tensor) -> Tensor:
    """U_k^T z with the layer's subspaces, in float32 or better: (B, N, D) to (B, K, N, P)."""
    z, subspaces = _wide(z), subspaces_of(layer)
    return _by_head(subspaces, F.linear(z, subspaces.effective_weight().to(z.dtype)))


def _by_head(subspaces: Subspaces, u: Tensor) -> Tensor:
    """(B, N, K * P) to (B, K, N, P)."""
    return u.unflatten(-1, (subspaces.heads, subspaces.head_dim)).transpose(-3, -2)


def _wide(z: Tensor) -> Tensor:
    return z.to(torch.promote_types(z.dtype, torch.float32))


def _mean_length(z: Tensor) -> Tensor:
    return torch.linalg.vector_norm(z, dim=-1).mean(-1)
