"""Attention maps of images at any resolution: pictures, agreement with masks, stability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from whitebox_transformers.analysis.layers import checked_index
from whitebox_transformers.extras import require
from whitebox_transformers.report.attention_figures import draw_heads
from whitebox_transformers.report.canvas import save, styled
from whitebox_transformers.report.file_names import FileNames, folder_for
from whitebox_transformers.report.gallery import layer_shown_first
from whitebox_transformers.segmentation.attention_masks import (
    MASS,
    HeadScores,
    PixelNoise,
    Stability,
    head_maps,
    mass_mask,
)
from whitebox_transformers.segmentation.batch import Batch
from whitebox_transformers.segmentation.encoder import ImageEncoder, load_encoder
from whitebox_transformers.segmentation.reading import ImageRead, Reading, as_read, image_files
from whitebox_transformers.segmentation.scores import for_json
from whitebox_transformers.segmentation.truth import MaskFolder, MaskKind
from whitebox_transformers.training.files import write_json
from whitebox_transformers.training.provenance import provenance

MOST_PATCHES = 65_536


@dataclass(frozen=True)
class AttentionSettings:
    """Which attention is shown and how it becomes masks.

    Attributes:
        layer: From 0, or negative from the end; ``None``: the last but one of a white box, as in
            arXiv 2308.16271, the last of a black box.
        heads: From 0; ``None`` for all.
        mass: Share of a head's attention that its mask keeps.
        draw_masks: Draw those masks too.
        noise: Kinds of noise under which maps are compared with those without.
    """

    layer: int | None = None
    heads: tuple[int, ...] | None = None
    mass: float = MASS
    draw_masks: bool = False
    noise: tuple[PixelNoise, ...] = ()

    def places(self, encoder: ImageEncoder) -> tuple[int, list[int]]:
        """Layer and heads counted from the front, as this model has them.

        Raises:
            UserError: It has no such layer or head, or the mass is no share.
        """
        config = encoder.model.config
        mass_mask(np.ones((1, 1)), self.mass)
        layer = layer_shown_first(encoder.model) if self.layer is None else self.layer
        count = config.num_attention_heads
        heads = range(count) if self.heads is None else self.heads
        return (
            checked_index("layer", layer, config.num_hidden_layers),
            [checked_index("head", head, count) for head in heads],
        )


@dataclass(frozen=True)
class AttentionResult:
    """What `show_attention` wrote and measured.

    Attributes:
        json: Settings, scores and provenance.
        pictures: Folder of the pictures, or ``None``.
        scores: See `HeadScores.values`; empty without masks.
        stability: By deviation of the noise: ``correlation`` and ``overlap``.
        layer: The layer shown, from 0.
        images: How many images were looked at.
        left_out: How many could not be used.
        reasons: The first of those.
    """

    json: Path
    pictures: Path | None
    scores: dict[str, float]
    stability: dict[float, dict[str, float]]
    layer: int
    images: int
    left_out: int
    reasons: list[str]


def show_attention(
    run: str | Path,
    images: Sequence[str | Path],
    settings: AttentionSettings | None = None,
    reading: Reading | None = None,
    masks: str | Path | None = None,
    mask_kind: MaskKind = "auto",
    out: str | Path | None = None,
    pictures: bool = True,
    device: str | None = None,
) -> AttentionResult:
    """Draw where the class token looks, and measure it.

    One image is held at a time. One that cannot be used is left out, named and counted.

    Args:
        run: Run folder, model folder or hub name; CRATE, ViT, DeiT, DINOv2 or the like.
        images: Files and folders.
        settings: Layer, heads, mass, noise.
        reading: Size at which images are read, and limits.
        masks: Folder with drawn masks, found by the names of the images.
        mask_kind: How their values are read.
        out: Folder to write; ``attention`` in the run folder if None, or here for a hub name.
        pictures: Write a picture an image.
        device: Where to compute, e.g. ``"cpu"``; an accelerator if there is one.

    Raises:
        UserError: A model, setting or file that cannot be used, or no usable image.
        MissingExtra: matplotlib or Pillow is missing.
    """
    for module in ("matplotlib", "PIL"):
        require(module, extra="analysis")
    files = image_files(images)
    truth = None if masks is None else MaskFolder(masks, mask_kind)
    if truth is not None:
        truth.check(files)
    encoder = load_encoder(run, device)
    settings, reading = settings or AttentionSettings(), reading or Reading()
    layer, heads = settings.places(encoder)
    batch = Batch(encoder, files, reading)
    batch.check_patches(MOST_PATCHES, "larger grids take gigabytes a layer")
    scores = HeadScores(len(heads), settings.mass)
    stability = {noise: Stability(settings.mass) for noise in settings.noise}

    def look(image: ImageRead) -> tuple[np.ndarray | None, np.ndarray]:
        labels = None if truth is None else truth.of(image.path, image.size)
        return labels, head_maps(encoder, image, layer)[heads]

    folder, names = folder_for(run, out, "attention"), FileNames()
    with styled():
        for image, (labels, maps) in batch.each(look, "attention"):
            if labels is not None:
                scores.add(labels, maps)
            for noise, alike in stability.items():
                noisy = as_read(image.path, noise.on(image.image, batch.used), encoder, reading)
                alike.add(maps, head_maps(encoder, noisy, layer)[heads])
            if pictures:
                figure = draw_heads(
                    f"Attention of the class token, layer {layer + 1}: {image.path.name}",
                    image.image,
                    {head + 1: weights for head, weights in zip(heads, maps, strict=True)},
                    settings.mass if settings.draw_masks else None,
                )
                save(figure, folder / "pictures" / f"{names.of(image.path)}.png")
    by_noise = {
        noise.std: {"correlation": alike.correlation.value, "overlap": alike.overlap.value}
        for noise, alike in stability.items()
    }
    record: dict[str, Any] = provenance() | {
        "model": str(run),
        "attention": asdict(settings) | {"layer": layer, "heads": heads},
        "reading": asdict(reading),
        "stability": by_noise,
    }
    values = {}
    if truth is not None:
        values = scores.values()
        record |= {"masks": str(masks), "scores": for_json(values)}
        record["by_head"] = [for_json(row) for row in scores.by_head(heads)]
    write_json(folder / "attention.json", record | batch.to_json())
    return AttentionResult(
        folder / "attention.json",
        folder / "pictures" if pictures else None,
        values,
        by_noise,
        layer,
        batch.used,
        batch.left_out,
        batch.reasons,
    )
