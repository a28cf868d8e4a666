"""Do heads and features hold objects that nobody showed them? Runs, untrained controls, a box.

    python -m benchmarks.segmentation RUN... --masks /where/ecssd/masks

Every RUN is a run folder, a model folder or a hub name; each is scored beside the same network
with fresh weights, and all beside a box in the middle of the image. Grids have the same number of
patches whatever the patch size. Images lie in the folder ``images`` beside the masks unless
``--images`` names another. Scores are those of ``wbt attention`` and ``wbt segment``;
docs/segmentation.md says what they are.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from benchmarks.records import write_result
from whitebox_transformers.report.attention import AttentionSettings
from whitebox_transformers.segmentation.attention_masks import HeadScores, head_maps
from whitebox_transformers.segmentation.batch import Batch
from whitebox_transformers.segmentation.encoder import (
    ImageEncoder,
    load_encoder,
    untrained_encoder,
)
from whitebox_transformers.segmentation.object_scores import ObjectScores
from whitebox_transformers.segmentation.objects import MaskCutSettings, Objects, find_objects
from whitebox_transformers.segmentation.reading import ImageRead, Reading, image_files
from whitebox_transformers.segmentation.truth import MaskFolder

BOX = 0.6
"""Share of either side that the box in the middle covers."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", metavar="RUN")
    parser.add_argument("--masks", type=Path, required=True, help="folder of drawn masks")
    parser.add_argument("--images", type=Path, help="folder of images; beside the masks")
    parser.add_argument("--limit", type=int, help="the first so many images only")
    parser.add_argument("--patches", type=int, default=32, help="along a side of the grid")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0], help="of untrained controls")
    parser.add_argument("--layer", type=int, help="of attention, from 1; the paper's")
    parser.add_argument("--threshold", type=float, default=MaskCutSettings.threshold)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--label", default="", help="names the recorded file")
    parser.add_argument("--out", type=Path, help="JSON file instead of the recorded one")
    return parser.parse_args()


def model_row(
    what: str, encoder: ImageEncoder, files: list[Path], options: argparse.Namespace
) -> dict:
    """Scores of a model over the images."""
    layer = None if options.layer is None else options.layer - 1
    layer, heads = AttentionSettings(layer).places(encoder)
    settings = MaskCutSettings(threshold=options.threshold)
    reading = Reading(resolution=options.patches * min(encoder.patch))
    batch, truth = Batch(encoder, files, reading), MaskFolder(options.masks)
    objects, attention = ObjectScores(truth), HeadScores(len(heads))

    def look(image: ImageRead) -> tuple[Objects, np.ndarray]:
        return find_objects(encoder, image, settings), head_maps(encoder, image, layer)

    for image, (found, maps) in batch.each(look, what):
        drawn = objects.truth(image)
        objects.add(drawn, found)
        attention.add(drawn.labels, maps)
    found, looked = objects.values(), attention.values()
    return {
        "what": what,
        "best-head mIoU": looked["best_head_miou"],
        "one-head IoU": looked["one_head_iou"],
        "attention max-F": looked["max_f"],
        "MaskCut mIoU": found["miou"],
        "MaskCut first IoU": found["first_iou"],
        "MaskCut max-F": found["max_f"],
        "images": batch.used,
        "heads": len(heads),
        "attention layer": layer + 1,
        "patches": f"{options.patches} x {options.patches}",
        "parameters": sum(p.numel() for p in encoder.model.parameters()),
    }


def box_row(files: list[Path], options: argparse.Namespace) -> dict:
    """Scores of a box in the middle, which knows nothing of the image but its size."""
    truth = MaskFolder(options.masks)
    scores = ObjectScores(truth)
    for path in files:
        labels = truth.of(path, size_of(path))
        box = middle_box(labels.shape)
        scores.add_labels(labels, Objects([box], box.astype(np.float64)))
    found = scores.values()
    return {
        "what": f"box over the middle {BOX:.0%} of either side",
        "MaskCut mIoU": found["miou"],
        "MaskCut first IoU": found["first_iou"],
        "MaskCut max-F": found["max_f"],
        "images": len(files),
    }


def middle_box(size: tuple[int, ...]) -> np.ndarray:
    box = np.zeros(size, dtype=bool)
    (top, left), (bottom, right) = (
        [round(side * share) for side in size] for share in ((1 - BOX) / 2, (1 + BOX) / 2)
    )
    box[top:bottom, left:right] = True
    return box


def size_of(path: Path) -> tuple[int, int]:
    from PIL import Image

    with Image.open(path) as image:
        return image.height, image.width


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    folder = options.images or options.masks.parent / "images"
    files = image_files([folder])[: options.limit]
    MaskFolder(options.masks).check(files)
    rows = [box_row(files, options)]
    print(rows[0], flush=True)
    for run in options.runs:
        encoders = {f"{run}, trained": lambda run=run: load_encoder(run, options.device)}
        for seed in options.seeds:
            encoders[f"{run}, untrained, seed {seed}"] = lambda run=run, seed=seed: (
                untrained_encoder(run, seed, options.device)
            )
        for what, load in encoders.items():
            rows.append(model_row(what, load(), files, options))
            print(rows[-1], flush=True)
    settings = {key: str(value) for key, value in vars(options).items() if key != "out"}
    name = "_".join(("segmentation", *options.label.split()))
    print(write_result(name, settings, rows, options.out))


if __name__ == "__main__":
    main()
