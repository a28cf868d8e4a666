"""Features of a model judged by k-NN and linear probes, beside what they must beat."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from whitebox_transformers.crate.image_processing_crate import CrateImageProcessor
from whitebox_transformers.data.build import ImageData, build_datasets
from whitebox_transformers.data.config import DataConfig
from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.nearest import nearest_classes
from whitebox_transformers.evaluation.probes.backbone import (
    Backbone,
    check_model,
    load_encoder,
    load_processor,
    untrained_encoder,
)
from whitebox_transformers.evaluation.probes.baselines import (
    LONGEST,
    ROWS_AT_ONCE,
    Pixels,
    PrincipalComponents,
)
from whitebox_transformers.evaluation.probes.features import (
    Features,
    Piece,
    read_features,
    stored_features,
)
from whitebox_transformers.evaluation.probes.fingerprints import (
    fingerprint,
    fingerprint_of_data,
    fingerprint_of_model,
)
from whitebox_transformers.evaluation.probes.labelled import probed_images
from whitebox_transformers.evaluation.probes.linear import fit_linear
from whitebox_transformers.evaluation.probes.settings import NEIGHBOURS, ProbeSettings
from whitebox_transformers.evaluation.probes.sgd import fit_by_sgd
from whitebox_transformers.training.files import write_json
from whitebox_transformers.training.provenance import provenance
from whitebox_transformers.training.strict import plain

SPLITS = ("train", "validation", "test")
Read = Callable[[torch.Tensor], torch.Tensor]
BySplit = dict[str, Features]


@dataclass(frozen=True)
class ProbeResult:
    """What a probe found."""

    scores: dict[str, dict[str, Any]]
    """By what was judged (``trained``, ``untrained``, ``pixels``, ``pca``): ``width``, ``knn`` with
    the accuracy of every k, and if asked for ``linear`` and ``sgd`` with theirs."""
    record: dict[str, Any]
    """The scores with everything that decides them, as written."""
    file: Path


def probe(
    run: str | Path,
    data: str | None = None,
    settings: ProbeSettings | None = None,
    overrides: list[str] | None = None,
    cache: str | Path | None = None,
    out: str | Path | None = None,
) -> ProbeResult:
    """Judge a model's features on labelled images.

    Training images vote or are fitted to; validation images choose what is to be chosen (C, the
    learning rate); accuracy is taken on ``settings.split``.

    Args:
        run: Run folder, any folder or hub name whose encoder ``AutoModel`` finds.
        data: ``digits``, a folder of parquet files or of images, ``hub:NAME``; ``None``: the
            run's own.
        settings: How features are read and judged.
        overrides: ``data.KEY=VALUE`` and ``augment.KEY=VALUE``.
        cache: Folder for features; ``None``: ``RUN/probes/features``.
        out: File for the scores; ``None``: one in ``RUN/probes``, named by data and settings.

    Raises:
        UserError: There is no such model or data, or they do not fit each other or the settings.
    """
    name, settings = str(run), settings or ProbeSettings()
    check_model(name)
    images = probed_images(name, data, overrides or [])
    processor = load_processor(name)
    encoder = load_encoder(name)
    backbone = Backbone(encoder, settings.pooling, settings.layers)
    splits = build_datasets(images.data, images.augment, processor, settings.seed)
    home = Path(name).expanduser()
    home = home / "probes" if home.is_dir() else Path("probes") / name.replace("/", "--")
    store = _Store(Path(cache) if cache else home / "features", images.data, processor, splits,
                   settings.batch_size, encoder.device)  # fmt: skip
    judged = _judged(name, backbone, store, settings)
    scores: dict[str, dict[str, Any]] = {}
    counts: dict[str, int] = {}
    for title, features in judged:
        counts = {split: len(of_split.labels) for split, of_split in features.items()}
        scores[title] = _scores(features, settings, encoder.device)
        scores[title]["features"] = {s: str(f.folder) for s, f in features.items()}
        if title == "trained" and settings.sgd_epochs:
            scores[title]["sgd"] = _sgd(features, splits, backbone, settings, encoder.device)
    record = {
        "model": name,
        "data": plain(images.data),
        "images": counts,
        "classes": splits.labels,
        "protocol": _protocol(settings, backbone, processor, images.augment),
        "scores": scores,
    } | provenance()
    key = fingerprint(record["data"], record["protocol"])[:8]
    file = Path(out) if out else home / f"{_word(images.data)}-{key}.json"
    write_json(file, record)
    return ProbeResult(scores, record, file)


@dataclass(frozen=True)
class _Store:
    """Reads features of the three splits of one data set, or finds them."""

    folder: Path
    data: DataConfig
    processor: CrateImageProcessor
    splits: ImageData
    batch_size: int
    device: torch.device

    def read(self, title: str, reader: Read, *of: Any) -> BySplit:
        """Features by split; ``of`` are the parts of their key that name the reader."""
        plain_splits = {
            "train": self.splits.train_plain,
            "validation": self.splits.validation,
            "test": self.splits.test,
        }
        return {
            role: read_features(
                self.folder / self.key(role, *of),
                split,
                reader,
                self.about(title, role, *of),
                self.batch_size,
                self.device,
                f"{title}, {role}",
            )
            for role, split in plain_splits.items()
        }

    def components(self, pixels: BySplit, count: int) -> BySplit:
        """The pixels' principal components in training, ``count`` of them at most."""
        of = ("pca", LONGEST, count)
        found: list[PrincipalComponents] = []

        def pieces(of_split: Features) -> Iterator[Piece]:
            if not found:
                found.append(PrincipalComponents(pixels["train"].values, count))
            for start in range(0, len(of_split.labels), ROWS_AT_ONCE):
                rows = slice(start, start + ROWS_AT_ONCE)
                yield found[0](of_split.values[rows]), of_split.labels[rows]

        return {
            role: stored_features(
                self.folder / self.key(role, *of),
                partial(pieces, of_split),
                self.about("pca", role, *of),
                f"pca, {role}",
            )
            for role, of_split in pixels.items()
        }

    def key(self, role: str, *of: Any) -> str:
        """Name of the folder; unlike any other where nothing tells whether the data changed."""
        data = fingerprint_of_data(self.data) or secrets.token_hex(8)
        return fingerprint(data, role, self.processor.to_dict(), *of)

    def about(self, title: str, role: str, *of: Any) -> dict[str, Any]:
        return {"of": title, "split": role, "reader": of, "data": plain(self.data)}


def _judged(
    name: str, backbone: Backbone, store: _Store, settings: ProbeSettings
) -> Iterator[tuple[str, BySplit]]:
    """What is judged, one after the other: the model, then what it must beat."""
    reading = (backbone.pooling, backbone.layers)
    trained = store.read("trained", backbone, fingerprint_of_model(backbone.model), *reading)
    yield "trained", trained
    if "untrained" in settings.baselines:
        encoder = untrained_encoder(name, settings.seed)
        control = Backbone(encoder, settings.pooling, settings.layers)
        yield "untrained", store.read("untrained", control, fingerprint_of_model(encoder), *reading)
    if not {"pixels", "pca"} & {*settings.baselines}:
        return
    pixels = store.read("pixels", Pixels(), "pixels", LONGEST)
    if "pixels" in settings.baselines:
        yield "pixels", pixels
    if "pca" in settings.baselines:
        yield "pca", store.components(pixels, trained["train"].values.shape[1])


def _scores(features: BySplit, settings: ProbeSettings, device: torch.device) -> dict[str, Any]:
    train, held, asked = (features[s] for s in ("train", "validation", settings.split))
    neighbours = settings.neighbours or tuple(k for k in NEIGHBOURS if k <= len(train.labels))
    if not neighbours:
        raise UserError(
            f"{len(train.labels)} training images are fewer than {NEIGHBOURS[0]} neighbours; "
            "give a smaller k with --k"
        )
    voted = nearest_classes(
        train.values, train.labels, asked.values, neighbours, settings.temperature, device
    )
    scores: dict[str, Any] = {
        "width": train.values.shape[1],
        "knn": {str(k): _accuracy(classes, asked) for k, classes in voted.items()},
    }
    if settings.linear:
        fit = fit_linear(
            (train.values, train.labels),
            (held.values, held.labels),
            asked.values,
            settings.strengths,
            settings.iterations,
        )
        scores["linear"] = {
            "accuracy": _accuracy(fit.predicted, asked),
            "C": fit.strength,
            "validation_accuracy": fit.validation_accuracy,
            "converged": fit.converged,
        }
    return scores


def _sgd(
    features: BySplit,
    splits: ImageData,
    backbone: Backbone,
    settings: ProbeSettings,
    device: torch.device,
) -> dict[str, Any]:
    held, asked = features["validation"], features[settings.split]
    fit = fit_by_sgd(
        splits.train,
        (held.values, held.labels),
        asked.values,
        backbone,
        len(splits.labels),
        settings.sgd_rates,
        settings.sgd_epochs,
        settings.batch_size,
        settings.seed,
        device,
    )
    return {
        "accuracy": _accuracy(fit.predicted, asked),
        "learning_rate": fit.rate,
        "validation_accuracy": fit.validation_accuracy,
    }


def _accuracy(predicted: np.ndarray, of: Features) -> float:
    return float(np.mean(predicted == of.labels))


def _protocol(
    settings: ProbeSettings, backbone: Backbone, processor: CrateImageProcessor, augment: Any
) -> dict[str, Any]:
    """Everything that decides the scores beside model and data."""
    said = asdict(settings) | {"pooling": backbone.pooling}
    if settings.sgd_epochs:
        said["augment"] = plain(augment)
    return said | {
        "knn": "votes exp(cosine / temperature) of the k nearest training images, by class",
        "linear_solver": "scikit-learn's LogisticRegression (lbfgs, L2) on standardised features, "
        "C chosen on validation",
        "pixels": f"as the model reads them, sides averaged down to {LONGEST} at most",
        "preprocessing": processor.to_dict(),
    }


def _word(data: DataConfig) -> str:
    """The data set's name as part of a file's."""
    name = data.source if data.path is None else Path(data.path).name
    return re.sub(r"[^\w.-]+", "-", name) or data.source
