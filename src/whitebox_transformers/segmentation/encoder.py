"""An image model with what prepares images for it, whatever its family."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from whitebox_transformers.analysis.patches import patch_size
from whitebox_transformers.crate.image_processing_crate import CrateImageProcessor
from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.probes.backbone import load_encoder as load_model
from whitebox_transformers.evaluation.probes.backbone import load_processor
from whitebox_transformers.evaluation.probes.backbone import untrained_encoder as untrained_model
from whitebox_transformers.training.run_folder import RunFolder

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class ImageEncoder:
    """A model of patches and its preprocessing.

    Attributes:
        name: Folder or hub name it was loaded from.
        model: In evaluation mode, without a head.
        processor: How values are rescaled and normalised; size and crop are not taken from it.
    """

    name: str
    model: PreTrainedModel
    processor: CrateImageProcessor

    @property
    def patch(self) -> tuple[int, int]:
        """Height and width of a patch in pixels."""
        return patch_size(self.model)

    @property
    def channels(self) -> int:
        """Channels of the images, 1 or 3."""
        return getattr(self.model.config, "num_channels", 3)

    def pixel_values(self, image: Image) -> Tensor:
        """An image in the size it is to be read, rescaled and normalised: (1, C, H, W)."""
        whole: dict[str, Any] = {"do_resize": False, "do_center_crop": False}
        return self.processor(images=image, return_tensors="pt", **whole)["pixel_values"]


def load_encoder(name: str | Path, device: str | None = None) -> ImageEncoder:
    """Load the body of an image model: a finished run, a model folder, or a model of the hub.

    Args:
        name: Folder or hub name.
        device: Where to compute; ``None``: an accelerator if there is one.

    Raises:
        UserError: There is none, a run is not finished, the model cuts no patches, or nothing says
            how to prepare images.
    """
    name = str(name)
    folder = RunFolder(Path(name).expanduser())
    if folder.recipe.is_file() and not folder.finished:
        raise UserError(f"{name} is not finished; `wbt train` with the same command resumes it")
    return _encoder(name, load_model(name), device)


def untrained_encoder(name: str | Path, seed: int = 0, device: str | None = None) -> ImageEncoder:
    """The control: the same configuration and preprocessing with fresh weights from ``seed``.

    Raises:
        UserError: As `load_encoder`.
    """
    return _encoder(str(name), untrained_model(str(name), seed), device)


def _encoder(name: str, model: PreTrainedModel, device: str | None) -> ImageEncoder:
    if device is not None:
        nn.Module.to(model, torch.device(device))
    patch_size(model)  # a model without patches is refused here
    return ImageEncoder(name, model, load_processor(name))
