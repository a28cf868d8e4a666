"""What a masked autoencoder makes of the images that a report shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from whitebox_transformers.analysis.layers import evaluating
from whitebox_transformers.crate.configuration_crate import pair
from whitebox_transformers.crate.patches import normalised, patch_errors, patchify, unpatchify
from whitebox_transformers.data.masks import MaskNoise
from whitebox_transformers.report.content import AttentionOfImage, Reconstruction
from whitebox_transformers.report.examples import picture_of
from whitebox_transformers.report.image_results import ImageGallery

GREY = 128


class MaskedImageGallery(ImageGallery):
    """Images with hidden patches. The encoder's attention is shown on the whole image."""

    shown = "masked images"
    sample = "image"

    def attention(self, model: PreTrainedModel, control: PreTrainedModel) -> list[AttentionOfImage]:
        """Class-token attention of every layer and head of a white box's encoder.

        A black box's encoder never sees a whole image, so that there is no map to show.
        """
        if model.config.model_type == "vit_mae":
            return []
        encoders: Any = (model.base_model, control.base_model)
        return super().attention(*encoders)

    def predictions(self, model: PreTrainedModel) -> Sequence[Reconstruction]:
        """Every image with patches hidden, and with the model's own in their place.

        With ``norm_pix_loss`` the model's patches are given the mean and spread of the true ones,
        which it did not learn; their error is in the unit of the loss all the same.
        """
        config, found = model.config, []
        size = pair(config.patch_size)
        with evaluating(model), torch.inference_mode():
            for number, (example, picture) in enumerate(
                zip(self.examples, self.pictures, strict=True)
            ):
                pixels = example.pixel_values.to(model.device)
                grid = (pixels.shape[2] // size[0], pixels.shape[3] // size[1])
                noise = MaskNoise(grid[0] * grid[1])((number,))["noise"][None].to(model.device)
                outputs = model(pixel_values=pixels, noise=noise)
                patches = patchify(pixels, size)
                predicted, target = outputs.logits, patches
                if config.norm_pix_loss:
                    target = normalised(patches)
                    spread = (patches.var(-1, keepdim=True) + 1e-6).sqrt()
                    predicted = predicted * spread + patches.mean(-1, keepdim=True)
                hidden = outputs.mask[..., None].bool()
                filled = unpatchify(torch.where(hidden, predicted, patches), size, grid)
                where = unpatchify(hidden.expand_as(patches).float(), size, grid)
                masked = picture.copy()
                masked[where[0].amax(0).bool().cpu().numpy()] = GREY
                errors = patch_errors(outputs.logits, target)
                error = (errors * outputs.mask).sum() / outputs.mask.sum()
                filled = picture_of(filled, self.processor)
                found.append(Reconstruction(example.name, picture, masked, filled, float(error)))
        return found
