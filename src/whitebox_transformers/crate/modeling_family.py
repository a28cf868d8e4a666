"""What every model of the family shares: recording, attention implementations, saving."""

from typing import ClassVar

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.utils.output_capturing import OutputRecorder

from .attention import AttentionMap
from .block import CrateLayer, RecordZ, RecordZHalf
from .dictionary import DictionaryBlock
from .model_mixin import ModelMixin
from .mssa import FixedOutput
from .tssa import TokenStatistics
from .window import Window


class RemoteFamily(ModelMixin):
    """Saving, in front of a ``PreTrainedModel``, so that a folder also loads as remote code."""

    # Where remote code finds each Auto class; a folder saved from any of them loads as every other.
    remote_classes: ClassVar[dict[str, str]] = {}

    def save_pretrained(self, *args, **kwargs):
        """Save as Hugging Face does, naming every class of the family for remote code."""
        self.config.auto_map = (getattr(self.config, "auto_map", None) or {}) | self.remote_classes
        return super().save_pretrained(*args, **kwargs)


class FamilyPreTrainedModel(RemoteFamily, PreTrainedModel):
    """Loading, saving, recording and initialisation shared by the family."""

    base_model_prefix = "crate"
    supports_gradient_checkpointing = True
    _no_split_modules = ["CrateLayer"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _can_record_outputs = {
        "hidden_states": CrateLayer,
        "attentions": OutputRecorder(AttentionMap, index=0),
        "z": OutputRecorder(RecordZ, index=0),
        "z_half": OutputRecorder(RecordZHalf, index=0),
    }

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, FixedOutput | DictionaryBlock | TokenStatistics | Window):
            module.reset_parameters()


def recording_requests(config: PreTrainedConfig, kwargs: dict) -> dict:
    """Recording requests of a call for the stack, with the configuration's where it has none.

    They are taken out of ``kwargs``, and so are the ones that the stack does not read.
    """
    kwargs.pop("output_hidden_states", None)
    keys = ("output_attentions", "output_z", "output_z_half")
    return {key: kwargs.pop(key, getattr(config, key, None)) for key in keys}


__all__ = ["FamilyPreTrainedModel", "RemoteFamily", "recording_requests"]
