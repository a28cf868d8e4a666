"""The score of a language model on texts, stored with everything that decides it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.encoded_text import end_token
from whitebox_transformers.evaluation.language_model import LanguageModel, load_language_model
from whitebox_transformers.evaluation.language_modelling import MASKED_SHARE, score_texts
from whitebox_transformers.evaluation.texts import Texts, read_texts
from whitebox_transformers.training.files import write_json
from whitebox_transformers.training.provenance import provenance

CAUSAL = (
    "every token of a text but the first is predicted once; windows of `context` tokens move on by "
    "`stride`, and each predicts what none has predicted before"
)
CAUSAL_CONDITION = (
    "the {least:,} to {context:,} tokens before it in the same text, fewer near its beginning; "
    "nothing of other texts"
)
MASKED = (
    "every token of a text is hidden once and predicted; tokens hidden together are drawn at "
    "random and all replaced by the mask"
)
MASKED_CONDITION = (
    "the other tokens of its window on both sides, up to {context:,} with special ones, less those "
    "hidden together with it; nothing of other texts"
)
LAST_WORD = (
    "greedy: every token of the last word is the most probable one given the tokens before it; a "
    "word is what stands after the last white space"
)


@dataclass(frozen=True)
class StoredScore:
    """A score and the file that holds it.

    Attributes:
        values: As in the file.
        file: Where it was written; ``None`` if it was not.
    """

    values: dict[str, Any]
    file: Path | None


def evaluate_texts(
    run: str | Path,
    data: Sequence[str | Path],
    context: int | None = None,
    stride: int | None = None,
    lambada: bool = False,
    column: str | None = None,
    separator: str | None = None,
    join: bool = False,
    split: str = "test",
    masked_share: float = MASKED_SHARE,
    seed: int = 0,
    out: str | Path | None = None,
    device: str | None = None,
) -> StoredScore:
    """Score a language model on texts and store the score with its protocol.

    Args:
        run: Finished run, model folder, or name of a model on the hub.
        data: See :func:`.texts.read_texts`.
        context: See :func:`.language_modelling.score_texts`.
        stride: Likewise.
        lambada: One passage a line or row; also the accuracy of last words.
        column: Column of a table that holds the texts.
        separator: What ends a text within a file, as ``data.separator`` in a recipe; the end token
            of a causal model stands for it and is scored, as in training.
        join: The texts follow each other, each ended by the end token, as in training with
            ``data.cross_documents``; causal models only.
        split: Of a data set that ``datasets`` loads.
        masked_share: See :func:`.language_modelling.score_texts`.
        seed: Likewise.
        out: File to write; ``None``: one in ``scores/`` of the model's folder, if it is a folder.
        device: Where to compute; ``None``: an accelerator if there is one.

    Raises:
        UserError: The model or the texts cannot be used; nothing is computed or written then.
    """
    if lambada and (separator is not None or join):
        raise UserError(
            "lambada reads one passage a line, each by itself; leave --separator and --join out"
        )
    if out is not None and Path(out).expanduser().is_dir():
        raise UserError(f"out={out} is a folder; name the file to write in it")
    texts = read_texts(data, column, separator, lambada, split, join)
    language = load_language_model(run, device)
    scores = score_texts(language, texts, context, stride, lambada, masked_share, seed)
    windows = {key: scores.pop(key) for key in ("context", "stride")}
    values = scores | {
        "protocol": _protocol(language, texts, lambada, masked_share, seed, **windows)
    }
    file = Path(out).expanduser() if out else _default_file(run, data, texts, values["protocol"])
    if file is not None:
        write_json(file, values)
    return StoredScore(values, file)


def _protocol(
    language: LanguageModel,
    texts: Texts,
    last_words: bool,
    masked_share: float,
    seed: int,
    context: int,
    stride: int,
) -> dict[str, Any]:
    causal = language.kind == "causal"
    condition = CAUSAL_CONDITION if causal else MASKED_CONDITION
    model, tokenizer = language.model, language.tokenizer
    end = end_token(language)
    masked = {"hidden_together": masked_share or "one token", "seed": seed}
    return {
        "measured": CAUSAL if causal else MASKED,
        "conditioned_on": condition.format(least=context - stride + 1, context=context),
        "context": context,
        "stride": stride,
        **({"last_word": LAST_WORD} if last_words else {}),
        **({} if causal else masked),
        "texts": {"form": texts.form, "sources": texts.sources},
        "model": {
            "name": language.name,
            "class": type(model).__name__,
            "parameters": model.num_parameters(),
            "weights_sha256": _weights_digest(Path(language.name).expanduser()),
            "dtype": str(model.dtype).removeprefix("torch."),
        },
        "tokenizer": {
            "class": type(tokenizer).__name__,
            "tokens": len(tokenizer),
            "opening": tokenizer.convert_ids_to_tokens(language.opening),
            "end": None if end is None else tokenizer.convert_ids_to_tokens(end),
            "sha256": hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest(),
        },
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        **provenance(),
    }


def _weights_digest(folder: Path) -> str | None:
    """SHA-256 of the weight files of a folder, in the order of their names."""
    digest = hashlib.sha256()
    files = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest() if files else None


def _default_file(
    run: str | Path, data: Sequence[str | Path], texts: Texts, protocol: dict[str, Any]
) -> Path | None:
    """A name that says what was scored, and ends in a digest of all that decides it.

    Texts of the same name, or other columns, splits and separators, have files of their own.
    """
    folder = Path(run).expanduser()
    if not folder.is_dir():
        return None
    first = texts.sources[0]
    parts = [Path(data[0]).name, first.get("split"), first.get("column")]
    parts.append(f"and-{len(data) - 1}-more" if len(data) > 1 else None)
    parts += [f"context{protocol['context']}", f"stride{protocol['stride']}"]
    parts.append("last-words" if "last_word" in protocol else None)
    parts.append("separated" if any(texts.endings) else None)
    parts.append("joined" if texts.together else None)
    # A file is what it holds, wherever it lies.
    sources = [{**source, "file": None} for source in texts.sources]
    drawn = [protocol.get(key) for key in ("hidden_together", "seed")]
    decides = json.dumps([texts.form, sources, drawn], sort_keys=True)
    parts.append(hashlib.sha256(decides.encode()).hexdigest()[:8])
    # A column may be called anything, also what no file can be.
    named = (re.sub(r"[^\w.+-]+", "_", str(part))[:60] for part in parts if part is not None)
    return folder / "scores" / f"{'-'.join(named)}.json"
