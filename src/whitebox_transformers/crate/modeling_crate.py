"""CRATE for images: encoder, classifier and backbone.

Legend: B batch, N = 1 + patches, D width, K heads, L layers, C classes.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from transformers import initialization as init
from transformers.backbone_utils import BackboneMixin
from transformers.modeling_outputs import BackboneOutput
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .block import CrateStack
from .configuration_crate import CrateConfig
from .embeddings import CrateEmbeddings
from .masks import bidirectional_mask
from .modeling_family import FamilyPreTrainedModel, recording_requests
from .products import Linear


@dataclass
class CrateModelOutput(ModelOutput):
    """What :class:`CrateModel` returns.

    Args:
        last_hidden_state: Z^L, (B, N, D), through the final LayerNorm where there is one.
        pooler_output: Class token or mean over tokens, (B, D).
        hidden_states: Z^0 .. Z^L when recorded.
        attentions: Per layer (B, K, N, N) when recorded, under any attention implementation.
        z: Z^0 .. Z^L when recorded; ``z[l]`` is the input of layer l.
        z_half: Z^{l+1/2} per layer when recorded.
    """

    last_hidden_state: torch.Tensor | None = None
    pooler_output: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor | None, ...] | None = None
    attentions: tuple[torch.Tensor | None, ...] | None = None
    z: tuple[torch.Tensor | None, ...] | None = None
    z_half: tuple[torch.Tensor | None, ...] | None = None


@dataclass
class CrateImageClassifierOutput(ModelOutput):
    """What :class:`CrateForImageClassification` returns.

    Args:
        loss: Cross-entropy when labels were given.
        logits: (B, C).
        hidden_states: As in :class:`CrateModelOutput`, and so are the following.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor | None, ...] | None = None
    attentions: tuple[torch.Tensor | None, ...] | None = None
    z: tuple[torch.Tensor | None, ...] | None = None
    z_half: tuple[torch.Tensor | None, ...] | None = None


class CratePreTrainedModel(FamilyPreTrainedModel):
    """What the image models share.

    Fresh weights follow the authors: PyTorch's default for linear maps; the configuration's
    ``dictionary_init`` for dictionaries, and its standard deviation ``position_init_std`` for
    positions and class token.
    """

    config: CrateConfig
    main_input_name = "pixel_values"
    input_modalities = "image"
    _no_split_modules = ["CrateLayer", "CrateEmbeddings"]
    remote_classes = {
        "AutoModel": "modeling_crate.CrateModel",
        "AutoModelForImageClassification": "modeling_crate.CrateForImageClassification",
        "AutoBackbone": "modeling_crate.CrateBackbone",
    }

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.Linear | nn.Conv2d):
            bound = module.weight[0].numel() ** -0.5
            init.uniform_(module.weight, -bound, bound)
            if module.bias is not None:
                init.uniform_(module.bias, -bound, bound)
        elif isinstance(module, CrateEmbeddings):
            module.reset_parameters()


class CrateModel(CratePreTrainedModel):
    """The encoder: patches to tokens, then L white-box layers.

    Image sizes other than the configured one are accepted when they are multiples of the patch;
    positions are then interpolated.
    """

    # A classifier's checkpoint is a fine source for its encoder.
    _keys_to_ignore_on_load_unexpected = [r"^classifier\."]

    def __init__(self, config: CrateConfig):
        super().__init__(config)
        self.embeddings = CrateEmbeddings(config)
        self.stack = CrateStack(config)
        self.norm = None
        if config.final_norm:
            self.norm = nn.LayerNorm(config.hidden_size, eps=config.final_norm_eps)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings.patch_embeddings

    def pool(self, z: torch.Tensor) -> torch.Tensor:
        """Tokens (B, N, D) to the feature (B, D) that ``config.pooling`` names."""
        return z[:, 0] if self.config.pooling == "cls" else z.mean(dim=1)

    @merge_with_config_defaults
    @capture_outputs(tie_last_hidden_states=False)
    def forward(
        self, pixel_values: torch.Tensor, first_token_only: bool = False, **kwargs
    ) -> CrateModelOutput:
        """Run the encoder.

        Args:
            pixel_values: (B, channels, height, width).
            first_token_only: Let the last layer leave out every token but the class token, for a
                reader of that alone; ``last_hidden_state`` is then (B, 1, D), or all tokens where
                somebody watches the layer by a hook.
            kwargs: ``output_hidden_states``, ``output_attentions``, ``output_z``,
                ``output_z_half``: True, or the layer indices wanted (others come as ``None``).
                Indices for ``output_hidden_states`` are transformers' own, and old versions leave
                out Z^0; ``output_z`` holds the same tensors and is the same everywhere.
                Recording under ``torch.compile(fullgraph=True)`` needs one recorded call before
                compilation, in which transformers installs its hooks.
        """
        recording = recording_requests(self.config, kwargs)
        # ViT's flag, which its users pass; positions here are interpolated whenever they must be.
        kwargs.pop("interpolate_pos_encoding", None)
        z = self.embeddings(pixel_values)
        z = self.encoded(z, first_token_only=first_token_only, **recording, **kwargs)
        return CrateModelOutput(last_hidden_state=z, pooler_output=self.pool(z))

    def encoded(self, z: torch.Tensor, **kwargs) -> torch.Tensor:
        """Z^0 through the layers and the final LayerNorm, (B, N, D) to (B, N, D).

        Args:
            z: Z^0, (B, N, D).
            kwargs: For :class:`.block.CrateStack`.

        Raises:
            ValueError: An attention mask, which ViT's users may have one of.
        """
        if kwargs.pop("attention_mask", None) is not None:
            raise ValueError("attention_mask: every patch of an image is attended to; leave it out")
        z = self.stack(z, bidirectional_mask(self.config, z), **kwargs)
        return z if self.norm is None else self.norm(z)


class CrateClassifier(nn.Module):
    """LayerNorm, an optional linear projection, and the class scores: (B, D) to (B, C)."""

    def __init__(self, config: CrateConfig):
        super().__init__()
        width = config.hidden_size
        self.norm = nn.LayerNorm(width, eps=config.classifier_norm_eps)
        self.projection = None
        if config.projection_size is not None:
            self.projection = Linear(width, config.projection_size)
            width = config.projection_size
        assert config.num_labels is not None  # a configuration without names is given two
        self.linear = Linear(width, config.num_labels)

    def forward(self, feature: torch.Tensor) -> torch.Tensor:
        feature = self.norm(feature)
        if self.projection is not None:
            feature = self.projection(feature)
        return self.linear(feature)


class CrateForImageClassification(CratePreTrainedModel):
    """The image classifier: encoder, pooled feature, linear classifier."""

    encoder: ClassVar[type[CrateModel]] = CrateModel
    # Folded models are for speed alone.
    sparing_in_evaluation: ClassVar[bool] = False

    def __init__(self, config: CrateConfig):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.crate = self.encoder(config)
        self.classifier = CrateClassifier(config)
        self.post_init()

    @property
    def reads_first_token_only(self) -> bool:
        """Whether the last layer leaves out the tokens that the classifier does not read.

        It does so in training. In evaluation all are computed, so that a call that is watched by a
        hook and one that is not agree to the bit.
        """
        return self.config.pooling == "cls" and (self.training or self.sparing_in_evaluation)

    @can_return_tuple
    def forward(
        self, pixel_values: torch.Tensor, labels: torch.Tensor | None = None, **kwargs
    ) -> CrateImageClassifierOutput:
        """Score images.

        Args:
            pixel_values: (B, channels, height, width).
            labels: Class indices (B,), for the cross-entropy loss.
            kwargs: Recording requests, see :meth:`CrateModel.forward`.
        """
        outputs = self.crate(pixel_values, first_token_only=self.reads_first_token_only, **kwargs)
        logits = self.classifier(outputs.pooler_output)
        loss = None
        if labels is not None:
            loss = self.loss_function(labels, logits, self.config, **kwargs)
        return CrateImageClassifierOutput(
            loss=loss,
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            z=outputs.z,
            z_half=outputs.z_half,
        )


class CrateBackbone(BackboneMixin, CratePreTrainedModel):
    """Feature maps of chosen layers for detectors and segmenters.

    ``out_features`` names ``stem`` (Z^0) and ``stage1`` .. ``stageL`` (Z^1 .. Z^L); every map is
    (B, D, rows, columns) at the patch grid. ``AutoBackbone.from_pretrained`` of transformers takes
    names of the hub alone; from a folder load with this class.
    """

    _keys_to_ignore_on_load_unexpected = [r"^classifier\."]

    def __init__(self, config: CrateConfig):
        super().__init__(config)
        self.num_features = [config.hidden_size] * (config.num_hidden_layers + 1)
        self.crate = CrateModel(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.crate.get_input_embeddings()

    @can_return_tuple
    def forward(self, pixel_values: torch.Tensor, **kwargs) -> BackboneOutput:
        """Run the encoder and reshape the chosen layers' patch tokens to maps.

        Args:
            pixel_values: (B, channels, height, width).
            kwargs: Recording requests, see :meth:`CrateModel.forward`.
        """
        asked = kwargs.pop("output_hidden_states", None)
        if asked is None:
            asked = self.config.output_hidden_states
        outputs = self.crate(pixel_values, output_hidden_states=True, **kwargs)
        grid = self.crate.embeddings.patch_embeddings.grid(pixel_values)
        maps = tuple(
            z[:, 1:].transpose(1, 2).unflatten(2, grid).contiguous()
            for stage, z in zip(self.stage_names, outputs.hidden_states, strict=True)
            if stage in self.out_features
        )
        return BackboneOutput(
            feature_maps=maps,
            hidden_states=outputs.hidden_states if asked else None,
            attentions=outputs.attentions,
        )


__all__ = [
    "CrateBackbone",
    "CrateForImageClassification",
    "CrateImageClassifierOutput",
    "CrateModel",
    "CrateModelOutput",
    "CratePreTrainedModel",
]
