"""CRATE-MAE: a masked autoencoder whose decoder is the encoder run backwards.

Legend: B batch, N patches, M visible patches, D width, L layers, P numbers of a patch.

Encoder layer: ``Z + MSSA(LN Z)``, then ISTA. Decoder layer: ``E LN Y``, or the residual sparse step
taken back where configured, then ``Y - MSSA(LN Y)`` (arXiv 2404.02446; arXiv 2311.13110, section 3;
authors' code). Decoder layer l is meant to undo encoder layer L + 1 - l.
"""

import torch
from torch import nn
from transformers import initialization as init
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .block import CrateStack
from .bounds import check_finite
from .configuration_crate_mae import CrateMAEConfig, CrateMAEDecoderConfig
from .masking import check_noise, masking, visible_tokens, with_hidden_tokens
from .masks import bidirectional_mask
from .modeling_crate import CrateForImageClassification, CrateModel, CratePreTrainedModel
from .modeling_family import recording_requests
from .outputs_mae import (
    CrateMAEDecoderOutput,
    CrateMAEForPreTrainingOutput,
    CrateMAEModelOutput,
)
from .patches import normalised, patch_errors, patchify, unpatchify
from .products import Linear


class CrateMAEPreTrainedModel(CratePreTrainedModel):
    """What the masked autoencoder's models share.

    Fresh weights follow the authors: Xavier's uniform for linear maps and the patches, zero
    biases, a small normal for class and mask token, the configured ``dictionary_init``.
    """

    config: CrateMAEConfig  # pyright: ignore[reportIncompatibleVariableOverride]
    remote_classes = {
        "AutoModel": "modeling_crate_mae.CrateMAEModel",
        "AutoModelForPreTraining": "modeling_crate_mae.CrateMAEForPreTraining",
        "AutoModelForImageClassification": "modeling_crate_mae.CrateMAEForImageClassification",
    }

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.Linear | nn.Conv2d):
            inputs, outputs = module.weight[0].numel(), module.weight.shape[0]
            bound = (6 / (inputs + outputs)) ** 0.5
            init.uniform_(module.weight, -bound, bound)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, CrateMAEForPreTraining):
            init.normal_(module.mask_token, std=module.config.position_init_std)


class CrateMAEModel(CrateMAEPreTrainedModel, CrateModel):  # pyright: ignore[reportIncompatibleVariableOverride]
    """The encoder. It sees the whole image, and the same features come of it every time.

    Given ``noise`` it hides patches as in pre-training.
    """

    _keys_to_ignore_on_load_unexpected = [r"^decoder\.", r"^mask_token$", r"^classifier\."]

    @merge_with_config_defaults
    @capture_outputs(tie_last_hidden_states=False)
    def forward(
        self,
        pixel_values: torch.Tensor,
        noise: torch.Tensor | None = None,
        mask_token: torch.Tensor | None = None,
        **kwargs,
    ) -> CrateMAEModelOutput:
        """Run the encoder.

        Args:
            pixel_values: (B, channels, height, width), multiples of the patch.
            noise: (B, N); the patches with the most noise are hidden. ``None`` hides none.
            mask_token: (1, 1, D), what stands for a hidden patch; ``None`` leaves it out.
            kwargs: Recording requests, see :meth:`.modeling_crate.CrateModel.forward`.

        Raises:
            ValueError: Images or noise of the wrong shape.
        """
        recording = recording_requests(self.config, kwargs)
        kwargs.pop("interpolate_pos_encoding", None)
        embeddings = self.embeddings
        positions = embeddings.positions(*embeddings.patch_embeddings.grid(pixel_values))
        tokens = embeddings.patch_embeddings(pixel_values.to(embeddings.cls_token.dtype))
        drawn = None
        if noise is not None:
            check_noise(noise, *tokens.shape[:2])
            drawn = masking(noise.to(tokens.device), self.config.mask_ratio)
            if mask_token is None:
                places = positions[:, 1:].expand(len(tokens), -1, -1)
                seen = visible_tokens(places, drawn.ids_keep)
                positions = torch.cat([positions[:, :1].expand(len(tokens), -1, -1), seen], dim=1)
                tokens = visible_tokens(tokens, drawn.ids_keep)
            else:
                hidden = drawn.mask.unsqueeze(-1).bool()
                tokens = torch.where(hidden, mask_token.to(tokens.dtype), tokens)
        z = embeddings.dropout(embeddings.with_class_token(tokens) + positions)
        z = self.encoded(z, **recording, **kwargs)
        return CrateMAEModelOutput(
            last_hidden_state=z,
            pooler_output=self.pool(z),
            mask=None if drawn is None else drawn.mask,
            ids_restore=None if drawn is None else drawn.ids_restore,
        )


class CrateMAEDecoder(CrateMAEPreTrainedModel):
    """Layers run backwards, LayerNorm, and a linear map to the pixels of a patch."""

    config: CrateMAEDecoderConfig  # pyright: ignore[reportIncompatibleVariableOverride]
    main_input_name = "z"

    def __init__(self, config: CrateMAEDecoderConfig):
        super().__init__(config)  # pyright: ignore[reportArgumentType]
        self.stack = CrateStack(config)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.norm_eps)
        self.prediction = Linear(config.hidden_size, config.patch_pixels)
        self.post_init()

    @merge_with_config_defaults
    @capture_outputs(tie_last_hidden_states=False)
    def forward(self, z: torch.Tensor, **kwargs) -> CrateMAEDecoderOutput:
        """Tokens (B, 1 + N, D) to patches (B, N, P).

        Args:
            z: What the encoder made, the class token first.
            kwargs: Recording requests, as of the encoder.
        """
        recording = recording_requests(self.config, kwargs)
        z = self.stack(z, bidirectional_mask(self.config, z), **recording, **kwargs)
        return CrateMAEDecoderOutput(logits=self.prediction(self.norm(z))[:, 1:])


class CrateMAEForPreTraining(CrateMAEPreTrainedModel):
    """The masked autoencoder: hide patches, encode, decode, compare where they were hidden."""

    def __init__(self, config: CrateMAEConfig):
        super().__init__(config)
        self.crate = CrateMAEModel(config)
        self.mask_token = nn.Parameter(torch.empty(1, 1, config.hidden_size))
        decoder_config = config.decoder_config()
        decoder_config._attn_implementation = config._attn_implementation
        self.decoder = CrateMAEDecoder(decoder_config)
        self._tied_weights_keys = shared_weights(config)
        self.post_init()

    @can_return_tuple
    def forward(
        self, pixel_values: torch.Tensor, noise: torch.Tensor | None = None, **kwargs
    ) -> CrateMAEForPreTrainingOutput:
        """Reconstruct hidden patches.

        Args:
            pixel_values: (B, channels, height, width), multiples of the patch.
            noise: (B, N); the patches with the most noise are hidden. ``None`` draws it from
                PyTorch's generator.
            kwargs: Recording requests, see :meth:`.modeling_crate.CrateModel.forward`; with
                ``decoder_`` in front they are the decoder's, e.g. ``decoder_output_z``.

        Raises:
            ValueError: Images or noise of the wrong shape, or an image that is not finite.
        """
        asked = {key: kwargs.pop(key) for key in list(kwargs) if key.startswith("decoder_")}
        encoded, z = self.encode(pixel_values, noise, **kwargs)
        assert encoded.mask is not None
        decoded = self.decoder(
            z, **{key.removeprefix("decoder_"): request for key, request in asked.items()}
        )
        return CrateMAEForPreTrainingOutput(
            loss=self.reconstruction_loss(pixel_values, decoded.logits, encoded.mask),
            logits=decoded.logits,
            mask=encoded.mask,
            ids_restore=encoded.ids_restore,
            **{key: encoded.get(key) for key in RECORDS},
            **{f"decoder_{key}": decoded.get(key) for key in RECORDS},
        )

    def encode(
        self, pixel_values: torch.Tensor, noise: torch.Tensor | None = None, **kwargs
    ) -> tuple[CrateMAEModelOutput, torch.Tensor]:
        """Hide patches and encode: what the encoder says, and what the decoder gets, (B, 1 + N, D).

        Arguments and errors are those of :meth:`forward`.
        """
        grid = self.crate.embeddings.patch_embeddings.grid(pixel_values)
        check_finite("pixel_values", pixel_values, self.training)
        if noise is None:
            shape = (len(pixel_values), grid[0] * grid[1])
            noise = torch.rand(shape, device=pixel_values.device)
        in_encoder = self.config.mask_tokens == "encoder"
        encoded = self.crate(
            pixel_values, noise, mask_token=self.mask_token if in_encoder else None, **kwargs
        )
        z = encoded.last_hidden_state
        if not in_encoder:
            filled = with_hidden_tokens(z[:, 1:], self.mask_token, encoded.ids_restore)
            z = torch.cat([z[:, :1], filled], dim=1) + self.crate.embeddings.positions(*grid)
        return encoded, z

    def targets(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """What is to be reconstructed, (B, N, P): pixels, normalised with ``norm_pix_loss``."""
        patches = self.patchify(pixel_values)
        return normalised(patches) if self.config.norm_pix_loss else patches

    def reconstruction_loss(
        self, pixel_values: torch.Tensor, logits: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Mean squared error over hidden patches, a scalar."""
        errors = patch_errors(logits, self.targets(pixel_values))
        return (errors * mask).sum() / mask.sum()

    def patchify(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Images (B, channels, height, width) to patches (B, N, P)."""
        return patchify(pixel_values, self.crate.embeddings.patch_embeddings.patch_size)

    def unpatchify(
        self,
        patchified_pixel_values: torch.Tensor,
        original_image_size: tuple[int, int] | None = None,
    ) -> torch.Tensor:
        """Patches (B, N, P) to images (B, channels, height, width).

        Args:
            patchified_pixel_values: Such as ``logits``.
            original_image_size: Height and width; by default the configured ones.

        Raises:
            ValueError: They are not of images of that size.
        """
        tall, wide = self.crate.embeddings.patch_embeddings.patch_size
        grid = self.config.grid_size
        if original_image_size is not None:
            grid = (original_image_size[0] // tall, original_image_size[1] // wide)
        height, width = original_image_size or (grid[0] * tall, grid[1] * wide)
        if (height % tall, width % wide) != (0, 0) or (
            patchified_pixel_values.shape[1] != grid[0] * grid[1]
        ):
            raise ValueError(
                f"{patchified_pixel_values.shape[1]} patches of {tall}x{wide} are not an image of "
                f"{height}x{width} pixels; give original_image_size=(height, width)."
            )
        return unpatchify(patchified_pixel_values, (tall, wide), grid)


RECORDS = ("hidden_states", "attentions", "z", "z_half")


def shared_weights(config: CrateMAEConfig) -> dict[str, str]:
    """The decoder's weights that are the encoder's, each with the name of the latter.

    Decoder layer l (from 1) is paired with encoder layer L + 1 - l.
    """
    parts = []
    if config.decoder_dictionary != "own":
        parts.append("sparsify.ista.dictionary")
    if config.decoder_subspaces == "encoder":
        parts.append("compress.mssa.subspaces.weight")
    depth = config.num_hidden_layers
    return {
        f"decoder.stack.layers.{index}.{part}": f"crate.stack.layers.{depth - 1 - index}.{part}"
        for index in range(config.decoder_num_hidden_layers or 0)
        for part in parts
    }


class CrateMAEForImageClassification(CrateMAEPreTrainedModel, CrateForImageClassification):  # pyright: ignore[reportIncompatibleVariableOverride]
    """A classifier on the pre-trained encoder, to be fine-tuned: whole images, no decoder."""

    _keys_to_ignore_on_load_unexpected = [r"^decoder\.", r"^mask_token$"]
    encoder = CrateMAEModel


__all__ = [
    "CrateMAEDecoder",
    "CrateMAEForImageClassification",
    "CrateMAEForPreTraining",
    "CrateMAEModel",
    "CrateMAEPreTrainedModel",
]
