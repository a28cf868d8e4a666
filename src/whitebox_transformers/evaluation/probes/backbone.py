"""Any image model as a function from images to features.

Shapes: B images, C channels, H x W pixels, N tokens, D width.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    PreTrainedConfig,
    ViTMAEModel,
)

from whitebox_transformers.crate.image_processing_crate import CrateImageProcessor
from whitebox_transformers.data.seeding import seeded
from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.probes.settings import Pooling
from whitebox_transformers.training.load_report import without_load_report
from whitebox_transformers.training.masked_beginning import begin_encoder
from whitebox_transformers.training.progress import without_bars

GEOMETRY = ("size", "do_resize", "resample", "do_center_crop", "crop_size")
VALUES = ("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std")


class Backbone(nn.Module):
    """Features of images, without gradient and without dropout.

    Args:
        model: An encoder whose output has ``last_hidden_state`` (B, N, D), class token first.
        pooling: See :class:`.settings.ProbeSettings`.
        layers: How many of the last layers are put side by side, the last one at the end.

    Raises:
        UserError: The model has fewer layers.
    """

    def __init__(self, model: nn.Module, pooling: Pooling | None, layers: int) -> None:
        super().__init__()
        config: Any = model.config
        depth = getattr(config, "num_hidden_layers", layers)
        if layers > depth:
            raise UserError(f"layers={layers} is more than the model's {depth}; give fewer")
        own = getattr(config, "pooling", None)
        self.model = model.eval()
        self.pooling: Pooling = pooling or ("mean" if own == "mean" else "cls")
        self.layers = layers
        # Register tokens stand between the class token and the patches.
        self.first_patch = 1 + getattr(config, "num_register_tokens", 0)

    @torch.inference_mode()
    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Features (B, width) float32 of images (B, C, H, W)."""
        outputs = self.model(
            pixel_values, **({"output_hidden_states": True} if self.layers > 1 else {})
        )
        last = outputs.last_hidden_state
        if last.dim() != 3:
            raise UserError(
                f"{type(self.model).__name__} returns features of shape {tuple(last.shape)}; "
                "a probe reads tokens (batch, tokens, width)"
            )
        states = [last]
        if self.layers > 1:
            # What follows the last layer, where there is a norm, follows the others too, as in
            # DINO; the last entry may or may not have passed it, so it is left out.
            norm = getattr(self.model, "layernorm", nn.Identity())
            states = [norm(z) for z in outputs.hidden_states[-self.layers : -1]] + states
        return torch.cat([self.pool(z) for z in states], dim=-1).float()

    def pool(self, z: torch.Tensor) -> torch.Tensor:
        """Tokens (B, N, D) as one feature, (B, D) or (B, 2 D)."""
        if self.pooling == "cls":
            return z[:, 0]
        if self.pooling == "mean":
            return z.mean(1)
        patches = z[:, self.first_patch :].mean(1)
        return patches if self.pooling == "patches" else torch.cat([z[:, 0], patches], dim=-1)


def check_model(name: str) -> None:
    """Before any data are looked for.

    Raises:
        UserError: There is no model, or it reads no images.
    """
    _config(name)


def load_encoder(name: str) -> Any:
    """The encoder of a run or of any model that ``AutoModel`` finds, on the device there is.

    Raises:
        UserError: There is no model, it reads no images, or weights of it are missing.
    """
    config = _config(name)
    with without_bars(), without_load_report():
        model, loading = AutoModel.from_pretrained(
            name, config=_unmasked(config), dtype=torch.float32, output_loading_info=True
        )
    # A pooler behind the tokens, which classifiers are stored without, is not asked.
    missing = [key for key in loading["missing_keys"] if "pooler" not in key]
    if missing:
        raise UserError(
            f"{name}: {len(missing)} weights of {type(model).__name__} are not in the checkpoint, "
            f"the first is {missing[0]}; a probe of them would judge chance"
        )
    return _placed(model)


def untrained_encoder(name: str, seed: int) -> Any:
    """An encoder of the same configuration with fresh weights, a function of ``seed``.

    A ViTMAE begins with the positions and tokens that a run of it begins with.
    """
    with seeded(seed):
        model = AutoModel.from_config(_unmasked(_config(name)))
        if isinstance(model, ViTMAEModel):
            begin_encoder(model)
    return _placed(model)


def load_processor(name: str) -> CrateImageProcessor:
    """How the model's images are prepared, whatever class its folder names.

    Other classes' settings are carried out by `CrateImageProcessor`, with Pillow's geometry.

    Raises:
        UserError: The folder does not say how, or leaves images of any size.
    """
    try:
        stored: Any = AutoImageProcessor.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{name} has no preprocessor_config.json, which says how to prepare images; save an "
            f"image processor there, e.g. `CrateImageProcessor().save_pretrained({name!r})`, or "
            "its own class with its own mean and spread"
        ) from error
    if isinstance(stored, CrateImageProcessor):
        return stored
    settings = {key: getattr(stored, key, None) for key in (*GEOMETRY, *VALUES)}
    settings = {key: value for key, value in settings.items() if value is not None}
    settings["num_channels"] = getattr(_config(name), "num_channels", 3)
    for key in {"size", "crop_size"} & settings.keys():
        settings[key] = {side: v for side, v in dict(settings[key]).items() if v is not None}
    settings.setdefault("do_center_crop", False)
    try:
        processor = CrateImageProcessor(**settings)
        _ = processor.output_size
    except ValueError as error:
        raise UserError(
            f"{name} prepares images in a way that is not known here: {error}"
        ) from error
    return processor


def _config(name: str) -> PreTrainedConfig:
    folder = Path(name).expanduser()
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise UserError(f"{name} holds no model (config.json is missing); give a finished run")
    try:
        config = AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{name}: no model there; give a finished run, a model folder or a hub name"
        ) from error
    if not hasattr(config, "image_size"):
        raise UserError(
            f"{name} holds a model of type {config.model_type!r}, which reads no images"
        )
    return config


def _unmasked(config: PreTrainedConfig) -> PreTrainedConfig:
    """ViTMAE's encoder hides patches unless told not to."""
    if config.model_type == "vit_mae":
        config.mask_ratio = 0.0  # type: ignore[attr-defined]
    return config


def _placed(model: nn.Module) -> nn.Module:
    accelerator = (
        torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    )
    return model.eval().to(accelerator or "cpu")
