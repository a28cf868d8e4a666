"""CRATE for timm: importing this module registers every preset with ``timm.create_model``.

    import timm
    import whitebox_transformers.timm_models

    model = timm.create_model("crate-base", num_classes=10)

Each preset has its own name and, since timm spells names with underscores, that spelling too
(``crate_base``). Parameters are named as in `CrateForImageClassification`, so ``checkpoint_path``
takes the ``model.safetensors`` of a converted or trained folder.

Legend: B batch, N tokens (class token first), D width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from whitebox_transformers.crate import PRESETS, CrateConfig, CrateForImageClassification
from whitebox_transformers.extras import require
from whitebox_transformers.training.recompute import recompute_layers

require("timm", extra="timm")

from timm.models import (  # noqa: E402
    build_model_with_cfg,
    generate_default_cfgs,
    register_model,
)
from timm.models._features import feature_take_indices  # noqa: E402

POOLING = {"token": "cls", "avg": "mean"}


class TimmCrate(nn.Module):
    """A CRATE classifier with timm's conventions: images in, scores out.

    Args:
        preset: A key of `PRESETS`.
        num_classes: Classes; 0 leaves the normalised pooled feature (B, D).
        in_chans: Channels of the image.
        img_size: Height and width the position table is made for.
        global_pool: ``"token"`` or ``"avg"`` (over all tokens, as the authors do).
        drop_rate: Dropout in front of the classifier.
        overrides: Any field of `CrateConfig`.

    Raises:
        ValueError: An unknown ``global_pool`` or field.
    """

    def __init__(
        self,
        preset: str,
        num_classes: int = 1000,
        in_chans: int = 3,
        img_size: int | tuple[int, int] = 224,
        global_pool: str = "token",
        drop_rate: float = 0.0,
        **overrides: Any,
    ):
        super().__init__()
        config = CrateConfig.from_preset(
            preset,
            num_channels=in_chans,
            image_size=img_size,
            pooling=_pooling(global_pool),
            num_labels=max(num_classes, 1),
            **overrides,
        )
        model = CrateForImageClassification(config)
        self.crate, self.classifier = model.crate, model.classifier
        self.head_drop = nn.Dropout(drop_rate)
        self.global_pool = global_pool
        self.num_classes = num_classes
        self.num_features = self.embed_dim = config.hidden_size
        self.head_hidden_size = self.classifier.linear.in_features
        self.feature_info = [
            {
                "module": f"crate.stack.layers.{i}",
                "num_chs": config.hidden_size,
                "reduction": self.crate.embeddings.patch_embeddings.patch_size[0],
            }
            for i in range(config.num_hidden_layers)
        ]
        if num_classes == 0:
            self.reset_classifier(0)

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) to scores (B, classes)."""
        return self.forward_head(self.forward_features(x))

    def forward_features(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) to tokens Z^L (B, N, D)."""
        return self.crate(x).last_hidden_state

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Tokens (B, N, D) to scores, or to the feature in front of the classes."""
        feature = self.classifier.norm(self.crate.pool(x))
        if self.classifier.projection is not None:
            feature = self.classifier.projection(feature)
        feature = self.head_drop(feature)
        return feature if pre_logits else self.classifier.linear(feature)

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | list[int] | None = None,
        return_prefix_tokens: bool = False,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> Any:
        """Z^{l+1} of chosen layers l, as maps (B, D, rows, columns) or patch tokens.

        Args:
            x: Images (B, C, H, W).
            indices: Layers; the last n if a number, all if ``None``.
            return_prefix_tokens: Pair every map with its class token (B, 1, D).
            norm: Pass every result through the classifier's LayerNorm.
            stop_early: Leave out the layers after the last chosen one.
            output_fmt: ``"NCHW"`` for maps, ``"NLC"`` for tokens (B, rows * columns, D).
            intermediates_only: Return the list alone, without the last tokens in front.

        Raises:
            ValueError: An unknown ``output_fmt``.
        """
        if output_fmt not in ("NCHW", "NLC"):
            raise ValueError(f"output_fmt is {output_fmt!r}; expected 'NCHW' or 'NLC'")
        layers = self.crate.stack.layers
        chosen, last = feature_take_indices(len(layers), indices)
        z, found = self.crate.embeddings(x), []
        grid = self.crate.embeddings.patch_embeddings.grid(x)
        for i, layer in enumerate(layers[: last + 1] if stop_early else layers):
            z = layer(z)
            if i in chosen:
                found.append(self.classifier.norm(z) if norm else z)
        maps = [tokens[:, 1:] for tokens in found]
        if output_fmt == "NCHW":
            maps = [tokens.transpose(1, 2).unflatten(2, grid).contiguous() for tokens in maps]
        if return_prefix_tokens:
            maps = list(zip(maps, (tokens[:, :1] for tokens in found), strict=True))
        return maps if intermediates_only else (z, maps)

    def prune_intermediate_layers(
        self, indices: int | list[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Drop what the chosen layers do not need; the layers' indices are returned."""
        chosen, last = feature_take_indices(len(self.crate.stack.layers), indices)
        self.crate.stack.layers = self.crate.stack.layers[: last + 1]
        if prune_norm:
            self.classifier.register_module("norm", nn.Identity())
        if prune_head:
            self.reset_classifier(0)
        return chosen

    def get_classifier(self) -> nn.Module:
        """The last linear map, or an identity where there are no classes."""
        return self.classifier.linear

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A fresh linear map to ``num_classes``, 0 for none; perhaps another pooling."""
        if global_pool is not None:
            self.crate.config.pooling = _pooling(global_pool)
            self.global_pool = global_pool
        self.num_classes = num_classes
        like = self.crate.embeddings.cls_token
        linear = (
            nn.Linear(self.head_hidden_size, num_classes, device=like.device, dtype=like.dtype)
            if num_classes
            else nn.Identity()
        )
        self.classifier.register_module("linear", linear)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute layers in the backward pass instead of storing them."""
        recompute_layers(self.crate, enable)

    def no_weight_decay(self) -> set[str]:
        """Parameters that timm's optimisers leave undecayed besides norms and biases."""
        return {"crate.embeddings.position_embeddings", "crate.embeddings.cls_token"}

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """How parameters group into stem, layers and head, for layer-wise learning rates."""
        return {
            "stem": r"^crate\.embeddings",
            "blocks": r"^crate\.stack\.layers\.(\d+)",
        }


def _pooling(global_pool: str) -> Any:
    if global_pool not in POOLING:
        raise ValueError(f"global_pool is {global_pool!r}; expected one of {', '.join(POOLING)}")
    return POOLING[global_pool]


def _names(preset: str) -> tuple[str, str]:
    return preset, preset.replace("-", "_")


def _preprocessing(preset: str) -> dict[str, Any]:
    """The authors' evaluation transform: resize 256 and crop 224 (alpha: resize 224)."""
    return {
        "crop_pct": 1.0 if preset.startswith("crate-alpha") else 224 / 256,
        "interpolation": "bilinear",
        "first_conv": "crate.embeddings.patch_embeddings.projection",
        "classifier": "classifier.linear",
        "origin_url": "https://github.com/Ma-Lab-Berkeley/CRATE",
        "paper_ids": "arXiv:2405.20299" if preset.startswith("crate-alpha") else "arXiv:2311.13110",
    }


def _builder(preset: str, name: str) -> Callable[..., nn.Module]:
    """The function timm calls for ``name``; timm reads its ``__name__``."""

    def build(pretrained: bool = False, **kwargs: Any) -> nn.Module:
        return build_model_with_cfg(
            TimmCrate,
            name,
            pretrained,
            preset=preset,
            feature_cfg={"out_indices": 3, "feature_cls": "getter"},
            **kwargs,
        )

    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"The preset {preset}."
    return build


# timm looks default_cfgs up here, by name, when a function of this module registers.
default_cfgs = generate_default_cfgs(
    {name: _preprocessing(preset) for preset in PRESETS for name in _names(preset)}
)
for _preset in PRESETS:
    for _name in _names(_preset):
        register_model(_builder(_preset, _name))

__all__ = ["TimmCrate"]
