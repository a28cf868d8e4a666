"""Hugging Face's ViT that learns from itself in the same way: the black box beside CRATE-DINO."""

import torch
from torch import nn
from transformers import ViTForImageClassification, ViTModel, ViTPreTrainedModel
from transformers import initialization as init
from transformers.models.vit.modeling_vit import ViTEmbeddings

from .configuration_crate_dino import ViTDinoConfig
from .modeling_family import RemoteFamily
from .modeling_self_distillation import TRAINING_ONLY, SelfDistillation


class ViTDinoPreTrainedModel(RemoteFamily, ViTPreTrainedModel):
    """What the models share that are made of a folder with a student and a teacher."""

    config: ViTDinoConfig  # pyright: ignore[reportIncompatibleVariableOverride]
    remote_classes = {
        "AutoModel": "modeling_vit_dino.ViTDinoModel",
        "AutoModelForPreTraining": "modeling_vit_dino.ViTDinoForPreTraining",
        "AutoModelForImageClassification": "modeling_vit_dino.ViTDinoForImageClassification",
    }

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        std = self.config.position_init_std
        if isinstance(module, ViTEmbeddings) and std is not None:
            init.normal_(module.position_embeddings, std=std)
            init.normal_(module.cls_token, std=std)


class ViTDinoModel(ViTDinoPreTrainedModel, ViTModel):  # pyright: ignore[reportIncompatibleVariableOverride]
    """The teacher's encoder, without ViT's pooler, which nothing has trained."""

    _keys_to_ignore_on_load_unexpected = [*TRAINING_ONLY, r"^classifier\."]

    def __init__(self, config: ViTDinoConfig):
        super().__init__(config, add_pooling_layer=False)


class ViTDinoForPreTraining(SelfDistillation, ViTDinoPreTrainedModel):
    """Student and teacher, both ViT with a head; see :class:`.SelfDistillation`."""

    backbone_class = ViTDinoModel

    def features(self, backbone: nn.Module, pixel_values: torch.Tensor, **kwargs):
        outputs = backbone(pixel_values, interpolate_pos_encoding=True, **kwargs)
        return outputs, outputs.last_hidden_state[:, 0]


class ViTDinoForImageClassification(ViTDinoPreTrainedModel, ViTForImageClassification):  # pyright: ignore[reportIncompatibleVariableOverride]
    """A classifier on the teacher's encoder, to be fine-tuned."""

    _keys_to_ignore_on_load_unexpected = TRAINING_ONLY


__all__ = [
    "ViTDinoForImageClassification",
    "ViTDinoForPreTraining",
    "ViTDinoModel",
    "ViTDinoPreTrainedModel",
]
