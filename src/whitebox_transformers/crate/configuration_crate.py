"""Configuration of CRATE for images."""

from collections.abc import Iterable
from typing import Any, ClassVar, Literal, Self

from huggingface_hub.dataclasses import strict
from transformers.backbone_utils import BackboneConfigMixin

from .configuration_operators import OperatorConfig
from .presets import PRESETS


@strict
class CrateConfig(BackboneConfigMixin, OperatorConfig):
    """What a CRATE model of images is made of. Defaults are CRATE-Base as published.

    The fields of :class:`.configuration_operators.OperatorConfig`, and:

    Args:
        image_size: Height and width the position table is made for; one number means square.
        patch_size: Height and width of a patch.
        num_channels: Channels of the image.
        patch_embedding: ``norm_linear`` (published: LayerNorm, Linear, LayerNorm), ``linear``, or
            ``conv`` (one strided convolution). On tiny patches the first LayerNorm of
            ``norm_linear`` removes brightness and contrast, which is much of the signal. Its
            LayerNorms have ``layer_norm_eps`` too.
        position_embedding_type: ``learned`` (published), or ``sine``: fixed waves of row and
            column, for which ``hidden_size`` is a multiple of 4.
        final_norm: LayerNorm on Z^L, before pooling.
        final_norm_eps: Epsilon of that LayerNorm.
        pooling: Feature for the classifier: the class token, or the mean over all tokens
            including the class token (as in the authors' code).
        classifier_norm_eps: Epsilon of the LayerNorm in front of the classifier.
        projection_size: Width of one linear map between that LayerNorm and the classifier, or
            ``None`` for none. The published segmentation checkpoint has one.
        position_init_std: Standard deviation of fresh position embeddings and class token; the
            authors draw them with standard deviation 1.

    Raises:
        ValueError: As for the shared fields, or an image that is not a multiple of the patch.
    """

    model_type = "crate"
    presets: ClassVar[dict[str, dict[str, Any]]] = PRESETS
    setters = OperatorConfig.setters | {"out_features", "out_indices"}
    counts = ("num_channels", *OperatorConfig.counts, "projection_size")
    not_negative = (*OperatorConfig.not_negative, "position_init_std")
    positive = (*OperatorConfig.positive, "final_norm_eps", "classifier_norm_eps")

    image_size: int | list[int] | tuple[int, int] = 224
    patch_size: int | list[int] | tuple[int, int] = 16
    num_channels: int = 3
    patch_embedding: Literal["norm_linear", "linear", "conv"] = "norm_linear"
    position_embedding_type: Literal["learned", "sine"] = "learned"
    final_norm: bool = False
    final_norm_eps: float | int = 1e-5
    pooling: Literal["cls", "mean"] = "cls"
    classifier_norm_eps: float | int = 1e-5
    projection_size: int | None = None
    position_init_std: float | int = 1.0

    _out_features: list[str] | None = None
    _out_indices: list[int] | None = None

    def __post_init__(self, **kwargs):
        self.stage_names = ["stem"] + [f"stage{i + 1}" for i in range(self.num_hidden_layers)]
        self.set_output_features_output_indices(
            out_indices=kwargs.pop("out_indices", None),
            out_features=kwargs.pop("out_features", None),
        )
        super().__post_init__(**kwargs)

    def _check(self, unknown: Iterable[str]) -> None:
        super()._check(unknown)
        if self.position_embedding_type == "sine" and self.hidden_size % 4:
            raise ValueError(
                f"position_embedding_type='sine' needs a multiple of 4 as hidden_size, not "
                f"{self.hidden_size}."
            )
        for name in ("image_size", "patch_size"):
            value = getattr(self, name)
            if not isinstance(value, int):
                value = list(value)
                setattr(self, name, value)
            sides = (value, value) if isinstance(value, int) else value
            if len(sides) != 2 or min(sides) < 1:
                raise ValueError(
                    f"{name}={value} must be one positive number or [height, width] of them."
                )
        (height, width), (tall, wide) = pair(self.image_size), pair(self.patch_size)
        if height % tall or width % wide:
            raise ValueError(
                f"image_size {height}x{width} is not a multiple of patch_size {tall}x{wide}; "
                f"the nearest multiple is {nearest_multiple(height, tall)}x"
                f"{nearest_multiple(width, wide)}."
            )

    @property
    def grid_size(self) -> tuple[int, int]:
        """Rows and columns of patches the position table is made for."""
        (height, width), (tall, wide) = pair(self.image_size), pair(self.patch_size)
        return height // tall, width // wide

    @classmethod
    def from_preset(cls, name: str, **overrides) -> Self:
        """Configuration of a published size, e.g. ``from_preset("crate-base", num_labels=10)``.

        Args:
            name: A key of ``PRESETS``.
            overrides: Any field of this configuration, or ``num_labels``; by default 1000 classes.

        Raises:
            ValueError: Unknown preset, or an override that is not a field.
        """
        if "id2label" not in overrides:
            overrides.setdefault("num_labels", 1000)
        return super().from_preset(name, **overrides)


def nearest_multiple(length: int, patch: int) -> int:
    """The positive multiple of ``patch`` nearest to ``length``."""
    return max(round(length / patch), 1) * patch


def pair(value: int | list[int] | tuple[int, ...]) -> tuple[int, int]:
    """Height and width, where one number means both."""
    height, width = (value, value) if isinstance(value, int) else value
    return height, width


__all__ = ["PRESETS", "CrateConfig"]
