"""CRATE-DINO: the encoder learns from itself, without labels."""

import torch
from torch import nn

from .configuration_crate_dino import CrateDinoConfig
from .modeling_crate import CrateForImageClassification, CrateModel, CratePreTrainedModel
from .modeling_self_distillation import TRAINING_ONLY, SelfDistillation


class CrateDinoPreTrainedModel(CratePreTrainedModel):
    """What the models share that are made of a folder with a student and a teacher."""

    config: CrateDinoConfig  # pyright: ignore[reportIncompatibleVariableOverride]
    remote_classes = {
        "AutoModel": "modeling_crate_dino.CrateDinoModel",
        "AutoModelForPreTraining": "modeling_crate_dino.CrateDinoForPreTraining",
        "AutoModelForImageClassification": "modeling_crate_dino.CrateDinoForImageClassification",
    }


class CrateDinoModel(CrateDinoPreTrainedModel, CrateModel):  # pyright: ignore[reportIncompatibleVariableOverride]
    """The teacher's encoder."""

    _keys_to_ignore_on_load_unexpected = [*TRAINING_ONLY, r"^classifier\."]


class CrateDinoForPreTraining(SelfDistillation, CrateDinoPreTrainedModel):
    """Student and teacher, both CRATE with a head; see :class:`.SelfDistillation`."""

    backbone_class = CrateModel

    def features(self, backbone: nn.Module, pixel_values: torch.Tensor, **kwargs):
        outputs = backbone(pixel_values, **kwargs)
        return outputs, outputs.pooler_output


class CrateDinoForImageClassification(CrateDinoPreTrainedModel, CrateForImageClassification):  # pyright: ignore[reportIncompatibleVariableOverride]
    """A classifier on the teacher's encoder, to be fine-tuned."""

    _keys_to_ignore_on_load_unexpected = TRAINING_ONLY


__all__ = [
    "CrateDinoForImageClassification",
    "CrateDinoForPreTraining",
    "CrateDinoModel",
    "CrateDinoPreTrainedModel",
]
