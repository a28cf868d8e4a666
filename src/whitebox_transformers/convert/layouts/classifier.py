"""What the authors' image classifiers have in common."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Set
from typing import Any, ClassVar

from transformers import PreTrainedConfig

from whitebox_transformers.convert.choices import Choices, Size, choose
from whitebox_transformers.convert.heads import Shapes, divisors
from whitebox_transformers.convert.layouts.layout import Companion, Layout, layers_below
from whitebox_transformers.convert.reading import Checkpoint
from whitebox_transformers.convert.report import Decision
from whitebox_transformers.crate import CrateConfig, CrateForImageClassification
from whitebox_transformers.errors import UserError

LAYERS, OUR_LAYERS = "transformer.layers.", "crate.stack.layers."


class ClassifierLayout(Layout):
    """A layout whose files become `CrateForImageClassification`.

    Attributes:
        resize_over_crop: Shorter edge over crop in the authors' evaluation transform.
    """

    reads: ClassVar[frozenset[str]] = frozenset(
        {"heads", "image_size", "patch_size", "step_size", "threshold", "pool"}
    )
    resize_over_crop: ClassVar[float] = 1.0

    def build(
        self, checkpoint: Checkpoint, config: PreTrainedConfig
    ) -> CrateForImageClassification:
        assert isinstance(config, CrateConfig)
        return CrateForImageClassification(config)

    def companion(self, checkpoint: Checkpoint, config: PreTrainedConfig) -> Companion:
        """The authors' evaluation transform: resize, cut the centre, ImageNet mean and spread."""
        assert isinstance(config, CrateConfig)
        if config.num_channels != 3:
            note = (
                f"no preprocessor_config.json: the authors publish mean and spread for 3 "
                f"channels, this model reads {config.num_channels}"
            )
            return Companion(None, (note,))
        if importlib.util.find_spec("PIL") is None:
            note = "no preprocessor_config.json: it needs Pillow (extra 'train')"
            return Companion(None, (note,))
        from whitebox_transformers.crate.image_processing_crate import CrateImageProcessor

        size = config.image_size
        height, width = (size, size) if isinstance(size, int) else size
        processor = CrateImageProcessor(
            size={"shortest_edge": round(min(height, width) * self.resize_over_crop)},
            crop_size={"height": height, "width": width},
            num_channels=config.num_channels,
        )
        return Companion(processor)


def depth_of(keys: Set[str]) -> int:
    """Number of layers."""
    return layers_below(LAYERS, keys)


def has_output(keys: Set[str]) -> bool:
    """Whether any layer has an output matrix; one head of full width has none anywhere."""
    return any(".fn.to_out." in key for key in keys)


def head_shapes(checkpoint: Checkpoint, width: int) -> Shapes:
    """The numbers of heads that the projections allow.

    The authors leave the output matrix out exactly for one head of the token's width.

    Raises:
        UserError: There is no output matrix, and projections of another width.
    """
    keys = checkpoint.tensors.keys()
    inner, _ = checkpoint.shape(f"{LAYERS}0.0.fn.qkv.weight", axes=2)
    fitting = divisors(inner)
    if not has_output(keys):
        if inner != width:
            raise UserError(
                f"{checkpoint.path}: the layers have no output matrix, which needs projections to "
                f"the token width {width}; they have {inner} rows"
            )
        fitting = [1]
    elif inner == width:
        fitting.remove(1)
    return Shapes(width, depth_of(keys), inner, fitting)


def decide_pooling(metadata: Mapping[str, Any], choices: Choices) -> Decision:
    """Class token or mean, which no weight shows.

    Raises:
        UserError: Another word.
    """
    said = metadata.get("pool")
    pooling = choose("pooling", choices.pool, said if said in ("cls", "mean") else None, "cls")
    if pooling.value not in ("cls", "mean"):
        raise UserError(f"--pool {pooling.value} is unknown; expected cls or mean")
    return pooling


def positions_of(checkpoint: Checkpoint, width: int, key: str = "pos_embedding") -> int:
    """Number of patches in the position table (1, 1 + patches, width).

    Raises:
        UserError: The table has another form.
    """
    leading, rows, columns = checkpoint.shape(key, axes=3)
    if leading != 1 or rows < 2 or columns != width:
        raise UserError(
            f"{checkpoint.path}: {key!r} has shape {(leading, rows, columns)}; "
            f"expected (1, 1 + patches, {width})"
        )
    return rows - 1


def one_if_square(size: Size) -> int | list[int]:
    """A size as configurations spell it: one number where both sides agree."""
    height, width = size
    return height if height == width else [height, width]
