"""Layers that are computed again in the backward pass instead of being stored."""

from __future__ import annotations

from typing import Any


def recompute_layers(model: Any, enable: bool = True) -> None:
    """Keep of each layer its input alone, or everything again; for any ``PreTrainedModel``.

    Takes the time of one more forward pass and changes no result.
    """
    renamed = hasattr(model, "activation_checkpointing_enable")  # transformers 5.23
    what = "activation_checkpointing" if renamed else "gradient_checkpointing"
    getattr(model, f"{what}_{'enable' if enable else 'disable'}")()
