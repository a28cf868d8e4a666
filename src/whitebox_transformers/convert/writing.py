"""Write the Hugging Face folder, whole or not at all."""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from whitebox_transformers.convert.report import ConversionReport
from whitebox_transformers.errors import UserError

CARD = """---
library_name: transformers
pipeline_tag: {task}
tags: [crate, white-box]
---

# {title}

Converted from `{file}` (sha256 `{digest}`), a {layout}.

| setting | value | decided by |
|---|---|---|
{settings}

{used} weights, {parameters:,} numbers in {dtype}. {dropped}{notes}

```python
import whitebox_transformers
from transformers import {auto_class}

model = {auto_class}.from_pretrained("path/to/this/folder")
```
"""

# What model cards call the work of a class.
TASKS = {
    "AutoModel": "feature-extraction",
    "AutoModelForCausalLM": "text-generation",
    "AutoModelForPreTraining": "image-feature-extraction",
    "AutoModelForImageClassification": "image-classification",
    "AutoModelForMaskedLM": "fill-mask",
    "AutoModelForMultipleChoice": "multiple-choice",
    "AutoModelForQuestionAnswering": "question-answering",
    "AutoModelForSequenceClassification": "text-classification",
    "AutoModelForTokenClassification": "token-classification",
}


def refuse_existing(out: Path) -> None:
    """Raise `UserError` where ``out`` is there already, were it an empty folder or a dead link."""
    if out.exists() or out.is_symlink():
        raise UserError(f"{out} exists already; give a new folder, or remove it first")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A hidden sibling that becomes ``out`` when the block succeeds and vanishes when it fails.

    Raises:
        UserError: ``out`` exists, or cannot be made there.
    """
    refuse_existing(out)
    draft = out.absolute().parent / f".{out.absolute().name}.{uuid.uuid4().hex[:8]}"
    try:
        draft.mkdir(parents=True)
        yield draft
        refuse_existing(out)
        draft.rename(out)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_card(report: ConversionReport, folder: Path) -> None:
    """README.md with what was decided and why."""
    with report.source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    dropped = "; ".join(f"`{key}` is dropped: {why}" for key, why in report.dropped.items())
    card = CARD.format(
        title=report.out.name,
        task=TASKS[report.auto_class],
        auto_class=report.auto_class,
        file=report.source.name,
        digest=digest,
        layout=report.layout,
        settings="\n".join(f"| {d.name} | {d.value} | {d.origin} |" for d in report.decisions),
        used=len(report.used),
        parameters=report.parameters,
        dtype=report.dtype,
        dropped=f"{dropped}." if dropped else "Nothing is dropped.",
        notes="".join(f"\n\nNote: {note}." for note in report.notes),
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
