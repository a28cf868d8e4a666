"""How a fresh ViTMAE begins: as MAE draws what transformers leaves at zero.

transformers leaves positions, class and mask token at zero, so that the model would not know where
a patch is (arXiv 2111.06377 and its code; transformers 5.20 to 5.24).
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import ViTMAEForPreTraining, ViTMAEModel

from whitebox_transformers.crate.configuration_crate import pair
from whitebox_transformers.crate.embeddings import sine_positions


def begin_as_published(model: ViTMAEForPreTraining) -> None:
    """Fixed positions, tokens and patches of encoder and decoder."""
    begin_encoder(model.vit)
    with torch.no_grad():
        _place(model.decoder.decoder_pos_embed, model.config)
        nn.init.normal_(model.decoder.mask_token, std=model.config.initializer_range)


@torch.no_grad()
def begin_encoder(model: ViTMAEModel) -> None:
    """Fixed positions, class token and patches of the encoder."""
    embeddings = model.embeddings
    _place(embeddings.position_embeddings, model.config)
    nn.init.normal_(embeddings.cls_token, std=model.config.initializer_range)
    kernel = embeddings.patch_embeddings.projection.weight
    nn.init.xavier_uniform_(kernel.view(len(kernel), -1))


def _place(table: torch.Tensor, config) -> None:
    (height, width), (tall, wide) = pair(config.image_size), pair(config.patch_size)
    table.copy_(sine_positions(height // tall, width // wide, table.shape[-1]))
