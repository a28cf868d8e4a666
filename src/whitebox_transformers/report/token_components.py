"""PCA of the tokens of images together: one fit, a picture an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from whitebox_transformers.analysis.layers import checked_index
from whitebox_transformers.analysis.patches import Facet, patch_features
from whitebox_transformers.errors import UserError
from whitebox_transformers.extras import require
from whitebox_transformers.report.canvas import save, styled
from whitebox_transformers.report.component_figures import draw_components
from whitebox_transformers.report.file_names import FileNames, folder_for
from whitebox_transformers.segmentation.batch import Batch
from whitebox_transformers.segmentation.encoder import load_encoder
from whitebox_transformers.segmentation.reading import ImageRead, Reading, image_files
from whitebox_transformers.training.files import write_json
from whitebox_transformers.training.provenance import provenance

if TYPE_CHECKING:
    from whitebox_transformers.segmentation.token_pca import TokenPCA

COLORS = 3
MOST_PATCHES = 65_536
MOST_KEPT = 2**29
"""Bytes of tokens that are kept between passes."""


@dataclass(frozen=True)
class ComponentSettings:
    """Which tokens are decomposed and how components become colours; see `TokenPCA`.

    Attributes:
        layer: From 0, or negative from the end.
        facet: What of the layer's attention describes a patch.
        foreground: Find the foreground by the first component.
        threshold: Of its coordinate, scaled to 0 .. 1.
        invert: Take the other side.
        refit: Fit again to the foreground.
        signs: Of red, green and blue, 1 or -1 each.
    """

    layer: int = -1
    facet: Facet = "key"
    foreground: bool = True
    threshold: float = 0.5
    invert: bool = False
    refit: bool = True
    signs: tuple[int, int, int] = (1, 1, 1)

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise UserError(f"threshold={self.threshold} must be between 0 and 1")
        if len(self.signs) != COLORS or not set(self.signs) <= {1, -1}:
            raise UserError(f"signs={self.signs}: expected three of 1 and -1, for red, green, blue")


@dataclass(frozen=True)
class ComponentResult:
    """What `show_components` wrote.

    Attributes:
        json: Settings, variances and provenance.
        pictures: Folder of the pictures.
        pca: Fitted to the tokens of all images.
        images: How many images were used.
        left_out: How many could not be.
        reasons: The first of those.
    """

    json: Path
    pictures: Path
    pca: TokenPCA
    images: int
    left_out: int
    reasons: list[str]


class _Tokens:
    """Tokens of images, an image a chunk; those that are not kept are made anew on each pass."""

    def __init__(self, batch: Batch, settings: ComponentSettings) -> None:
        self.batch, self.settings = batch, settings
        self.kept: dict[Path, np.ndarray] = {}

    def images(self, title: str) -> Iterator[tuple[ImageRead, np.ndarray]]:
        """Every usable image and its tokens (rows, columns, D)."""
        self.batch.forget()
        return self.batch.each(self._look, title)

    def _look(self, image: ImageRead) -> np.ndarray:
        if image.path in self.kept:
            return self.kept[image.path]
        tokens = self._made(image)
        if tokens.nbytes + sum(each.nbytes for each in self.kept.values()) <= MOST_KEPT:
            self.kept[image.path] = tokens
        return tokens

    def _made(self, image: ImageRead) -> np.ndarray:
        settings, model = self.settings, self.batch.encoder.model
        features = patch_features(model, image.pixel_values, settings.layer, settings.facet)[0]
        if not features.isfinite().all():
            raise UserError("some tokens are not finite; the model may have diverged in training")
        return features.numpy()

    def __iter__(self) -> Iterator[np.ndarray]:
        for _, tokens in self.images("fit"):
            yield tokens.reshape(-1, tokens.shape[-1])


def show_components(
    run: str | Path,
    images: Sequence[str | Path],
    settings: ComponentSettings | None = None,
    reading: Reading | None = None,
    out: str | Path | None = None,
    device: str | None = None,
) -> ComponentResult:
    """Fit one PCA to the tokens of all images and colour each image by its three coordinates.

    Memory is bounded: 512 MB of tokens are kept, those of further images are made anew on each of
    up to five passes. An image that cannot be used is left out, named and counted.

    Args:
        run: Run folder, model folder or hub name; CRATE, ViT, DeiT, DINOv2 or the like.
        images: Files and folders, best of one kind of object.
        settings: Layer, foreground, signs.
        reading: Size at which images are read, and limits.
        out: Folder to write; ``pca`` in the run folder if None, or here for a hub name.
        device: Where to compute, e.g. ``"cpu"``; an accelerator if there is one.

    Raises:
        UserError: A model, setting or file that cannot be used, no usable image, or too few
            tokens.
        MissingExtra: matplotlib, Pillow or scikit-learn is missing.
    """
    for module in ("matplotlib", "PIL", "sklearn"):
        require(module, extra="analysis")
    from whitebox_transformers.segmentation.token_pca import TokenPCA

    settings, reading = settings or ComponentSettings(), reading or Reading()
    files = image_files(images)
    encoder = load_encoder(run, device)
    checked_index("layer", settings.layer, encoder.model.config.num_hidden_layers)
    batch = Batch(encoder, files, reading)
    batch.check_patches(MOST_PATCHES, "larger grids take gigabytes")
    tokens = _Tokens(batch, settings)
    pca = TokenPCA(
        COLORS,
        foreground=settings.foreground,
        threshold=settings.threshold,
        invert=settings.invert,
        refit=settings.refit,
    )
    try:
        pca.fit_chunks(tokens)
    except ValueError as error:
        raise UserError(f"the tokens of the images cannot be decomposed: {error}") from error
    low, high = _range(pca, tokens, settings)
    folder, names = folder_for(run, out, "pca"), FileNames()
    with styled():
        for image, values in tokens.images("pictures"):
            colors, kept = _colors(pca, values, settings)
            shares = (colors - low) / (high - low if high > low else 1.0)
            figure = draw_components(
                image.path.name, image.image, shares.clip(0, 1), kept if pca.foreground else None
            )
            save(figure, folder / "pictures" / f"{names.of(image.path)}.png")
    record: dict[str, Any] = provenance() | {
        "model": str(run),
        "pca": asdict(settings),
        "reading": asdict(reading),
        "tokens": pca.n_samples_,
        "foreground_share": pca.n_foreground_ / pca.n_samples_,
        "explained_variance_ratio": pca.explained_variance_ratio_.tolist(),
    }
    write_json(folder / "pca.json", record | batch.to_json())
    return ComponentResult(
        folder / "pca.json", folder / "pictures", pca, batch.used, batch.left_out, batch.reasons
    )


def _colors(
    pca: TokenPCA, values: np.ndarray, settings: ComponentSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (rows, columns, 3) with their signs, and the foreground (rows, columns)."""
    flat, grid = values.reshape(-1, values.shape[-1]), values.shape[:2]
    colors = pca.transform(flat) * np.asarray(settings.signs, dtype=flat.dtype)
    return colors.reshape(*grid, COLORS), pca.is_foreground(flat).reshape(grid)


def _range(pca: TokenPCA, tokens: _Tokens, settings: ComponentSettings) -> tuple[float, float]:
    """Smallest and largest coordinate of the foreground, over the three together."""
    low, high = np.inf, -np.inf
    for _, values in tokens.images("colours"):
        colors, kept = _colors(pca, values, settings)
        if kept.any():
            low, high = min(low, colors[kept].min()), max(high, colors[kept].max())
    return (float(low), float(high)) if high >= low else (0.0, 0.0)
