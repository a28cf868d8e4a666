"""What features depend on, as short keys: they are found again exactly if nothing has changed."""

from __future__ import annotations

import json
import os
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from torch import nn

from whitebox_transformers.data.config import DataConfig
from whitebox_transformers.data.location import expand, files_below
from whitebox_transformers.extras import require
from whitebox_transformers.training.strict import plain

# Neither where a configuration was read nor by which version changes what the model computes.
UNREAD = {"_name_or_path", "architectures", "auto_map", "dtype", "transformers_version"}
# How images are read into memory does not change them.
CONVENIENCES = {"cache", "cache_gib", "scan", "shuffle_buffer"}


def fingerprint(*parts: Any) -> str:
    """A key of 16 hexadecimal digits that depends on every part, in their order."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return blake2b(text.encode(), digest_size=8).hexdigest()


def fingerprint_of_model(model: nn.Module) -> str:
    """A key of every weight, every persistent buffer and the configuration."""
    digest = blake2b(digest_size=16)
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    config: Any = getattr(model, "config", None)
    values = {} if config is None else config.to_dict()
    read = {key: value for key, value in values.items() if key not in UNREAD}
    return fingerprint(type(model).__name__, read, digest.hexdigest())


def fingerprint_of_data(data: DataConfig) -> str | None:
    """A key of the images that a block names, or ``None`` if nothing on this machine tells.

    Files count by name, size and time of change; a hub data set by its revision.
    """
    keys = {key: value for key, value in plain(data).items() if key not in CONVENIENCES}
    if data.source == "digits":
        return fingerprint(keys, require("sklearn", extra="train").__version__)
    folder = Path(expand(data.path))
    if folder.is_dir():
        return fingerprint(keys, _listing(folder))
    return None if data.revision is None else fingerprint(keys)


def _listing(folder: Path) -> str:
    digest = blake2b(digest_size=16)
    for path in files_below(folder):
        state = os.stat(path)
        line = f"{path.relative_to(folder)}\0{state.st_size}\0{state.st_mtime_ns}\n"
        digest.update(os.fsencode(line))
    return digest.hexdigest()
