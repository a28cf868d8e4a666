"""What Hugging Face keeps beside a checkpoint: its configuration and its tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from whitebox_transformers.errors import UserError

# Only beside files of these names is a config.json the checkpoint's own.
CHECKPOINT_NAMES = ("pytorch_model.bin", "model.safetensors")


def configuration_beside(file: Path) -> dict[str, Any]:
    """The plain values of ``config.json`` in a folder of Hugging Face's form, else nothing.

    Raises:
        UserError: It is there and cannot be read.
    """
    path = file.parent / "config.json"
    if file.name not in CHECKPOINT_NAMES or not path.is_file():
        return {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}; mend it or move it away") from error
    if not isinstance(stored, dict):
        raise UserError(f"{path} holds a {type(stored).__name__}; expected settings by name")
    return stored


def tokenizer_beside(
    file: Path, of_pairs: type[PreTrainedTokenizerBase]
) -> PreTrainedTokenizerBase | None:
    """The tokenizer in a folder of Hugging Face's form; ``None`` where there is none.

    ``tokenizer.json``, or ``vocab.json`` and ``merges.txt``, a byte-level BPE. No code is run.

    Args:
        file: The checkpoint.
        of_pairs: The class that reads the latter two.

    Raises:
        UserError: It is there and cannot be read.
    """
    if file.name not in CHECKPOINT_NAMES:
        return None
    folder = file.parent
    if (folder / "tokenizer.json").is_file():
        kind = PreTrainedTokenizerFast
    elif (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        kind = of_pairs
    else:
        return None
    try:
        return kind.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # tokenizers raises bare exceptions on foreign bytes
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"the tokenizer in {folder} cannot be read: {reason}; mend it or move it away"
        ) from error
