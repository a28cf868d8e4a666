"""The control that moves attention through the layers."""

from __future__ import annotations


def layer_slider(layers: list[int], first: int) -> str:
    """A slider over layer numbers; ``first`` is the index of the one shown at the beginning."""
    return (
        f'<label>Layer <input id="attention-layer" type="range" min="0" max="{len(layers) - 1}" '
        f'value="{first}" aria-valuetext="layer {layers[first]}"><output>{layers[first]}</output>'
        "</label>"
    )
