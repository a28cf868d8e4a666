"""What a machine does to a run, told as what happened, what is left and what helps."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from whitebox_transformers.errors import UserError
from whitebox_transformers.tasks.recipe import Recipe
from whitebox_transformers.training.checkpoints import complete_checkpoints, remove_incomplete
from whitebox_transformers.training.processes import is_main_process

MEBIBYTE = 2**20
NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
# Not every library passes on the number: safetensors and torch have words instead.
NO_ROOM_WORDS = re.compile(
    "no space left|quota exceeded|PytorchStreamWriter failed|iostream error|unexpected pos",
    re.IGNORECASE,
)
NO_MEMORY_WORDS = re.compile("can't allocate memory|not enough memory|out of memory", re.IGNORECASE)


@contextmanager
def told_plainly(recipe: Recipe, checkpoints: Path, step: Callable[[], int]) -> Iterator[None]:
    """Turn a full disk, a lack of memory and the death of another process into one line.

    Args:
        recipe: The run.
        checkpoints: Its folder of checkpoints, from which what was left half written is removed.
        step: Steps that are done.

    Raises:
        UserError: In place of the error that the fault came as.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        told = _told(error, recipe, checkpoints)
        if told is None:
            raise
        if is_main_process():
            remove_incomplete(checkpoints)
        done = complete_checkpoints(checkpoints)
        left = f"{done[-1].path} is intact" if done else "there is no checkpoint yet"
        raise UserError(f"{told[0]} after step {step()}: {left}; {told[1]}") from error


def _told(error: Exception, recipe: Recipe, folder: Path) -> tuple[str, str] | None:
    """What happened and what helps; ``None``: something else."""
    text = str(error)
    if getattr(error, "errno", None) in NO_ROOM or NO_ROOM_WORDS.search(text):
        free = shutil.disk_usage(folder).free / MEBIBYTE
        return (
            f"no room on the disk for a file of the run ({free:,.1f} MiB free at {folder})",
            f"make room, or keep fewer than train.checkpoints={recipe.train.checkpoints}; "
            "then the same command goes on",
        )
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or NO_MEMORY_WORDS.search(text):
        train = recipe.train
        return (
            "out of memory",
            f"train.recompute=true (is {str(train.recompute).lower()}) stores less and goes on "
            f"from there; a larger train.accumulate (is {train.accumulate}, of "
            f"train.batch_size={train.batch_size}) makes smaller pieces, in a new run",
        )
    if isinstance(error, torch.distributed.DistError) or "gloo" in text:
        return (
            "another process of the run ended, or cannot be reached,",
            "its own last line says why; when that is mended, the same command goes on",
        )
    if "DataLoader worker" in text:
        return (
            f"a data worker died ({' '.join(text.split())})",
            "a worker that is killed often lacks memory: lower train.workers (is "
            f"{recipe.train.workers}); then the same command goes on",
        )
    return None
