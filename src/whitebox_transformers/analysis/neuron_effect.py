"""What a change of one coefficient does to what the model predicts.

The predictions are those of the next token, of a masked model those at each token, of a classifier
those of the sample. The distance is KL(before || after) in nats.

Legend: B samples, N tokens, V predictions to choose from (tokens or classes).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from .intervene import Coefficient, Intervention, intervene
from .layers import evaluating

MOVED = 5


@dataclass(frozen=True)
class Shift:
    """How a distribution moved, on average over positions.

    Attributes:
        positions: How many positions were averaged over.
        divergence: KL(before || after) in nats.
        raised: Numbers of the tokens that gained most, with the change of their probability.
        lowered: Those that lost most.
    """

    positions: int
    divergence: float
    raised: list[tuple[int, float]]
    lowered: list[tuple[int, float]]


@dataclass(frozen=True)
class Effect:
    """What one change of a coefficient did.

    Attributes:
        where_active: Average over the positions of the probe at which the coefficient was not
            zero before; None if there are none.
        there: At one chosen position; None if none was chosen.
    """

    where_active: Shift | None
    there: Shift | None


class EffectProbe:
    """A few samples whose predictions are compared before and after a change.

    Args:
        model: A model of the CRATE family with a head.
        samples: The model's arguments, (B, N) each; kept, and their log-probabilities (B, N, V).
    """

    def __init__(self, model: PreTrainedModel, samples: Mapping[str, Tensor]) -> None:
        self.model = model
        self.samples = {k: v.to(model.device) for k, v in samples.items() if k != "labels"}
        self.before = self._log_probabilities(self.samples)

    def effects(
        self,
        target: Coefficient,
        changes: Mapping[str, Intervention],
        sample: Mapping[str, Tensor] | None = None,
        token: int = 0,
    ) -> dict[str, Effect]:
        """What each of the changes does.

        Args:
            target: The coefficient.
            changes: Interventions on it, by name.
            sample: One more sample, (1, N) of the probe's N, with the position to look at.
            token: That position.

        Raises:
            UserError: No such layer or coefficient.
        """
        samples, before = self.samples, self.before
        own = None
        if sample is not None:
            sample = {k: v.to(self.model.device) for k, v in sample.items() if k != "labels"}
            own = self._log_probabilities(sample)[0]
            samples = {key: torch.cat([value, sample[key]]) for key, value in samples.items()}
        effects = {}
        for name, change in changes.items():
            active: list[Tensor] = []
            after = self._log_probabilities(samples, _watched(target, change, active))
            mask = self._counted(active[0][: len(before)])
            effects[name] = Effect(
                _shift(before[mask], after[: len(before)][mask]) if mask.any() else None,
                None if own is None else _shift(*_at(own, after[-1], token)),
            )
        return effects

    def _counted(self, active: Tensor) -> Tensor:
        """Positions, or samples of a classifier, that the average is over."""
        padding = self.samples.get("attention_mask")
        if padding is not None and padding.shape == active.shape:
            active = active & padding.bool()
        return active if self.before.dim() == 3 else active.any(1)

    @torch.inference_mode()
    def _log_probabilities(
        self, samples: Mapping[str, Tensor], change: Intervention | None = None
    ) -> Tensor:
        with evaluating(self.model), intervene(self.model, *([change] if change else [])):
            return self.model(**samples).logits.float().log_softmax(-1)


def _watched(target: Coefficient, change: Intervention, active: list[Tensor]) -> Intervention:
    """The change, noting where the coefficient was not zero before it."""

    def edit(current: Tensor) -> Tensor:
        active.append(current != 0)
        return change.edit(current)

    return target.apply(edit)


def _at(before: Tensor, after: Tensor, token: int) -> tuple[Tensor, Tensor]:
    """Log-probabilities (1, V) at one position of a sample; of a classifier, the sample's."""
    if before.dim() == 1:
        return before[None], after[None]
    return before[token : token + 1], after[token : token + 1]


def _shift(before: Tensor, after: Tensor) -> Shift:
    """From log-probabilities (positions, V)."""
    was, now = before.exp(), after.exp()
    divergence = (was * (before - after)).sum(-1).clamp(min=0)
    moved = (now - was).mean(0)
    most = min(MOVED, len(moved))
    up, down = moved.topk(most), (-moved).topk(most)
    return Shift(
        len(before),
        divergence.mean().item(),
        [(i, v) for i, v in zip(up.indices.tolist(), up.values.tolist(), strict=True) if v > 0],
        [
            (i, -v)
            for i, v in zip(down.indices.tolist(), down.values.tolist(), strict=True)
            if v > 0
        ],
    )
