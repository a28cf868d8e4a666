"""Accuracy and cross-entropy of a classifier over a data set."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional
from tqdm import tqdm
from transformers import PreTrainedModel

from whitebox_transformers.data.dataset import ImageDataset
from whitebox_transformers.data.loading import evaluation_batches
from whitebox_transformers.data.stream import ImageStream
from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.class_names import class_names


@torch.inference_mode()
def measure(
    model: PreTrainedModel,
    dataset: ImageDataset | ImageStream,
    batch_size: int,
    workers: int = 0,
    title: str = "evaluation",
) -> dict[str, Any]:
    """Accuracy and cross-entropy of one pass over a data set.

    Args:
        model: A classifier on the device to use.
        dataset: A split as evaluation sees it.
        batch_size: Images at a time.
        workers: Processes that decode images.
        title: Name of the data set, for the progress bar and messages.

    Returns:
        ``accuracy`` (top-1), ``top5_accuracy`` with more than five classes, ``loss``
        (cross-entropy), ``images`` and ``class_accuracy`` by class name.

    Raises:
        UserError: There is no image to measure.
    """
    model.eval()
    names = class_names(model)
    classes = len(names)
    seen, right = torch.zeros(classes), torch.zeros(classes)
    top5, loss = 0, 0.0
    for batch in tqdm(
        evaluation_batches(dataset, batch_size, workers), desc=title, leave=False, delay=1
    ):
        labels = batch["labels"]
        logits = model(pixel_values=batch["pixel_values"].to(model.device)).logits.float().cpu()
        loss += functional.cross_entropy(logits, labels, reduction="sum").item()
        hits = logits.topk(min(5, classes)).indices == labels[:, None]  # (B, 5)
        seen += torch.bincount(labels, minlength=classes)
        right += torch.bincount(labels[hits[:, 0]], minlength=classes)
        top5 += int(hits.any(-1).sum())
    images = int(seen.sum())
    if images == 0:
        raise UserError(f"the {title} split holds no image; nothing to measure")
    shares = (right / seen).tolist()
    result = {"accuracy": float(right.sum()) / images, "loss": loss / images, "images": images}
    if classes > 5:
        result["top5_accuracy"] = top5 / images
    result["class_accuracy"] = {names[i]: shares[i] for i in range(classes) if seen[i] > 0}
    return result
