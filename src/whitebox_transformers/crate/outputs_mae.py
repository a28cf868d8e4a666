"""What the masked autoencoder returns, by Hugging Face's names, and what is recorded of it.

Legend: B batch, N patches, M visible patches, D width, L layers, P numbers of a patch.
"""

from dataclasses import dataclass

import torch
from transformers.utils import ModelOutput

Recorded = tuple[torch.Tensor | None, ...] | None


@dataclass
class CrateMAEModelOutput(ModelOutput):
    """What :class:`.modeling_crate_mae.CrateMAEModel` returns.

    Args:
        last_hidden_state: Z^L through the final LayerNorm, (B, 1 + N, D), or (B, 1 + M, D) where
            only the visible patches were seen.
        pooler_output: Class token or mean over tokens, (B, D).
        mask: (B, N), 1 where a patch was hidden; ``None`` without noise.
        ids_restore: (B, N), as in :class:`.masking.Masking`; ``None`` without noise.
        hidden_states: Z^0 .. Z^L when recorded.
        attentions: Per layer when recorded.
        z: Z^0 .. Z^L when recorded.
        z_half: Z^{l+1/2} per layer when recorded.
    """

    last_hidden_state: torch.Tensor | None = None
    pooler_output: torch.Tensor | None = None
    mask: torch.Tensor | None = None
    ids_restore: torch.Tensor | None = None
    hidden_states: Recorded = None
    attentions: Recorded = None
    z: Recorded = None
    z_half: Recorded = None


@dataclass
class CrateMAEDecoderOutput(ModelOutput):
    """What the decoder returns; what is recorded is named as in the encoder.

    Args:
        logits: (B, N, P).
    """

    logits: torch.Tensor | None = None
    hidden_states: Recorded = None
    attentions: Recorded = None
    z: Recorded = None
    z_half: Recorded = None


@dataclass
class CrateMAEForPreTrainingOutput(ModelOutput):
    """What pre-training returns, named as ``ViTMAEForPreTraining`` names it.

    Args:
        loss: Mean squared error over the hidden patches.
        logits: Reconstructed patches, (B, N, P); the model's ``unpatchify`` makes images of them.
        mask: (B, N), 1 where a patch was hidden.
        ids_restore: (B, N), as in :class:`.masking.Masking`.
        hidden_states: Of the encoder when recorded, and so are the following.
        decoder_hidden_states: Of the decoder when recorded, and so are the following.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    mask: torch.Tensor | None = None
    ids_restore: torch.Tensor | None = None
    hidden_states: Recorded = None
    attentions: Recorded = None
    z: Recorded = None
    z_half: Recorded = None
    decoder_hidden_states: Recorded = None
    decoder_attentions: Recorded = None
    decoder_z: Recorded = None
    decoder_z_half: Recorded = None


__all__ = ["CrateMAEDecoderOutput", "CrateMAEForPreTrainingOutput", "CrateMAEModelOutput"]
