"""Configuration of CRATE-MAE, the white-box masked autoencoder of images."""

from collections.abc import Iterable
from typing import Any, ClassVar, Literal, Self

from huggingface_hub.dataclasses import strict

from .configuration_crate import CrateConfig, pair
from .configuration_operators import OperatorConfig
from .masking import visible_patches
from .presets import MAE_PRESETS


@strict
class CrateMAEDecoderConfig(OperatorConfig):
    """What the decoder's layers are made of; :meth:`CrateMAEConfig.decoder_config` fills it in.

    Args:
        dictionary_transposed: The first step is D^T y in place of D y.
        patch_pixels: Numbers that a patch consists of, all channels together.
        norm_eps: Epsilon of the LayerNorm behind the layers.
    """

    model_type = "crate_mae_decoder"
    sparsify_first: ClassVar[bool] = True

    dictionary_transposed: bool = False  # pyright: ignore[reportIncompatibleVariableOverride]
    patch_pixels: int = 768
    norm_eps: float | int = 1e-6


def _read_by(chooser: str) -> list[str]:
    """Fields of the operators that the choice of ``chooser`` reads."""
    return [name for name, (by, _) in OperatorConfig.read_by.items() if by == chooser]


@strict
class CrateMAEConfig(CrateConfig):
    """What a masked autoencoder is made of. Defaults are CRATE-MAE-Base as published.

    The fields of :class:`.configuration_crate.CrateConfig` describe the encoder, some with the
    authors' other defaults: threshold 0.5, patches by convolution, fixed positions, a final
    LayerNorm. The decoder has the encoder's width, its operators with the signs turned, and:

    Args:
        decoder_num_hidden_layers: Depth of the decoder; ``None`` means the encoder's.
        decoder_num_attention_heads: Its number of subspaces; ``None`` means the encoder's.
        decoder_dictionary: Dictionary E of decoder layer l: its ``own``, the ``encoder``'s D of
            layer L + 1 - l, or that one ``transposed``. The theory's E is D, orthogonal.
        decoder_sparsification: What precedes a decoder layer's MSSA: E y (``linear``, published) or
            the residual step of an ``overcomplete`` encoder taken back, y - D' A(LN y), with
            dictionaries of its own (``overcomplete``; needs ``ista_residual``).
        decoder_subspaces: Subspaces V of decoder layer l: its ``own``, or the ``encoder``'s U of
            layer L + 1 - l. The output matrices are shared where ``mssa_output`` is ``tied``.
        mask_tokens: Where the hidden patches' token enters: the ``encoder`` (published; it sees as
            many tokens as there are patches) or the ``decoder`` (as in MAE, arXiv 2111.06377; the
            encoder sees the visible patches alone).
        mask_ratio: Share of the patches that are hidden, above 0 and below 1.
        norm_pix_loss: Reconstruct every patch with mean 0 and variance 1 in place of its pixels.

    Raises:
        ValueError: As for the shared fields; a mask ratio that leaves nothing to see or to
            reconstruct; sharing between layers that do not fit.
    """

    model_type = "crate_mae"
    presets: ClassVar[dict[str, dict[str, Any]]] = MAE_PRESETS
    counts = (*CrateConfig.counts, "decoder_num_hidden_layers", "decoder_num_attention_heads")
    read_by = CrateConfig.read_by | {
        "decoder_dictionary": ("sparsification", ("ista", "majorizer")),
        "decoder_sparsification": ("sparsification", ("overcomplete",)),
        "decoder_subspaces": ("compression", ("mssa", "tssa")),
    }
    # Under this name transformers asks whether a model has any tied weights.
    tie_word_embeddings: ClassVar[bool] = True

    threshold: float | int = 0.5
    patch_embedding: Literal["norm_linear", "linear", "conv"] = "conv"
    position_embedding_type: Literal["learned", "sine"] = "sine"
    position_init_std: float | int = 0.02
    final_norm: bool = True
    final_norm_eps: float | int = 1e-6
    decoder_num_hidden_layers: int | None = None
    decoder_num_attention_heads: int | None = None
    decoder_dictionary: Literal["own", "encoder", "transposed"] = "own"
    decoder_sparsification: Literal["linear", "overcomplete"] = "linear"
    decoder_subspaces: Literal["own", "encoder"] = "own"
    mask_tokens: Literal["encoder", "decoder"] = "encoder"
    mask_ratio: float | int = 0.75
    norm_pix_loss: bool = False

    def _check(self, unknown: Iterable[str]) -> None:
        super()._check(unknown)
        if not 0 < self.mask_ratio < 1:
            raise ValueError(
                f"mask_ratio={self.mask_ratio} must be above 0 and below 1: with 0 there is "
                f"nothing to reconstruct, with 1 nothing to reconstruct it from."
            )
        rows, columns = self.grid_size
        visible_patches(rows * columns, self.mask_ratio)
        if self.decoder_num_hidden_layers is None:
            self.decoder_num_hidden_layers = self.num_hidden_layers
        if self.decoder_num_attention_heads is None:
            self.decoder_num_attention_heads = self.num_attention_heads
        if self.decoder_sparsification == "overcomplete" and not self.ista_residual:
            raise ValueError(
                "decoder_sparsification='overcomplete' takes a residual step back, but with "
                "ista_residual=False the encoder takes none; set ista_residual=True, or "
                "decoder_sparsification='linear'."
            )
        self._check_sharing(self.decoder_num_hidden_layers, self.decoder_num_attention_heads)
        self.decoder_config()

    def _check_sharing(self, depth: int, heads: int) -> None:
        shares = {
            name
            for name in ("decoder_dictionary", "decoder_subspaces")
            if getattr(self, name) != "own"
        }
        if shares and depth > self.num_hidden_layers:
            raise ValueError(
                f"{' and '.join(sorted(shares))} pair decoder layers with encoder layers, but "
                f"there are {depth} and {self.num_hidden_layers}; lower decoder_num_hidden_layers."
            )
        if "decoder_subspaces" in shares and heads != self.num_attention_heads:
            raise ValueError(
                f"decoder_subspaces='encoder' needs equal heads, but decoder_num_attention_heads="
                f"{heads} and num_attention_heads={self.num_attention_heads}."
            )

    def decoder_config(self) -> CrateMAEDecoderConfig:
        """What the decoder's layers are made of.

        Raises:
            ValueError: Sizes that do not fit.
        """
        shared = (
            "hidden_size",
            "layer_norm_eps",
            "hidden_dropout_prob",
            "attention_probs_dropout_prob",
            "compression",
            "dictionary_init",
            *_read_by("compression"),
        )
        said = {name: getattr(self, name) for name in shared}
        if self.compression != "none":
            said["mssa_sign"] = -self.mssa_sign
        if self.decoder_sparsification == "overcomplete":
            step = ("step_size", "threshold", "synthesis_init", *_read_by("sparsification"))
            said |= {name: getattr(self, name) for name in step}
        depth, heads = self.decoder_num_hidden_layers, self.decoder_num_attention_heads
        assert depth is not None  # both are filled in by now
        assert heads is not None
        same_heads = heads == self.num_attention_heads
        tall, wide = pair(self.patch_size)
        return CrateMAEDecoderConfig(
            **said,
            num_hidden_layers=depth,
            num_attention_heads=heads,
            head_dim=self.head_dim if same_heads else None,
            sparsification=self.decoder_sparsification,
            dictionary_transposed=self.decoder_dictionary == "transposed",
            patch_pixels=tall * wide * self.num_channels,
            norm_eps=self.final_norm_eps,
        )

    @classmethod
    def from_preset(cls, name: str, **overrides) -> Self:
        """Configuration of a published size, e.g. ``from_preset("crate-mae-base")``.

        Args:
            name: A key of ``MAE_PRESETS``; ``-efficient`` in it is the flow of MAE.
            overrides: Any field of this configuration, or ``num_labels``.

        Raises:
            ValueError: Unknown preset, or an override that is not a field.
        """
        return super(CrateConfig, cls).from_preset(name, **overrides)


__all__ = ["MAE_PRESETS", "CrateMAEConfig", "CrateMAEDecoderConfig"]
