"""From a checkpoint in the authors' format to a Hugging Face folder."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from whitebox_transformers.convert.choices import Choices
from whitebox_transformers.convert.layouts import Layout, recognise
from whitebox_transformers.convert.reading import Checkpoint, read_checkpoint
from whitebox_transformers.convert.report import ConversionReport
from whitebox_transformers.convert.writing import new_folder, refuse_existing, write_card
from whitebox_transformers.errors import UserError


def convert(
    file: str | Path,
    out: str | Path,
    heads: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    step_size: float | None = None,
    threshold: float | None = None,
    pool: str | None = None,
    patch_size: int | tuple[int, int] | None = None,
    apply_head: bool = False,
    embedding_norm_eps: float | None = None,
    pad_token_id: int | None = None,
    norm_pix_loss: bool | None = None,
    decoder_heads: int | None = None,
) -> ConversionReport:
    """Convert ``file`` into the new folder ``out``, which ``from_pretrained`` and pipelines read.

    Every weight is used or, if the authors' own forward pass never reads it, dropped and listed.
    The folder keeps the file's floating-point type; where weights differ in type, the narrowest
    type that holds them all. It appears whole or not at all.

    Args:
        file: Checkpoint of PyTorch or safetensors; never executed.
        out: Folder to write; must not exist.
        heads: Number of subspaces, where the file does not decide it.
        image_size: Pixels the position table was made for, one number or (height, width).
        step_size: eta; the published 0.1 unless given.
        threshold: lambda; the published 0.1, or 0.5 of CRATE-MAE, unless given.
        pool: ``"cls"`` (published) or ``"mean"``.
        patch_size: Pixels of a patch, where neither shapes nor image size decide it.
        apply_head: Let the demo checkpoint's ``head``, which the authors never apply, follow
            its ``mlp_head``.
        embedding_norm_eps: Epsilon of CRATE-BERT's embedding and head LayerNorms; the published
            1e-12 unless the file's configuration or this says otherwise.
        pad_token_id: CRATE-BERT's padding token, after which positions count; likewise, 1.
        norm_pix_loss: Whether CRATE-MAE learned normalised patches; likewise, False.
        decoder_heads: Number of subspaces in CRATE-MAE's decoder; likewise, ``heads``.

    Returns:
        What was decided, used, dropped and ignored.

    Raises:
        UserError: Nothing was written, for the reason in the message.
    """
    out = Path(out)
    choices = Choices(
        heads,
        _pair(image_size),
        _pair(patch_size),
        step_size,
        threshold,
        pool,
        apply_head or None,
        embedding_norm_eps,
        pad_token_id,
        norm_pix_loss,
        decoder_heads,
    )
    refuse_existing(out)
    checkpoint = read_checkpoint(file)
    layout = recognise(checkpoint)
    choices.refuse_others(layout.reads, layout.name)
    names, dropped = _account(checkpoint, layout, choices)
    config, decisions = layout.configure(checkpoint, choices)
    model = _assemble(checkpoint, names, config, layout)
    processing, notes = layout.companion(checkpoint, config)
    report = ConversionReport(
        source=checkpoint.path,
        out=out,
        layout=layout.name,
        auto_class=type(model)._auto_class or "AutoModel",
        decisions=tuple(decisions),
        used=names,
        dropped=dropped,
        ignored=checkpoint.ignored,
        notes=notes,
        parameters=model.num_parameters(),
        dtype=str(model.dtype).removeprefix("torch."),
    )
    with new_folder(out) as folder:
        model.save_pretrained(folder)
        if processing is not None:
            processing.save_pretrained(folder)
        write_card(report, folder)
    return report


def _pair(size: int | Iterable[int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    numbers = (size, size) if isinstance(size, int) else tuple(size)
    if len(numbers) == 1:
        numbers *= 2
    if len(numbers) != 2 or min(numbers) < 1:
        raise UserError(f"a size is {numbers}; expected one positive number, or height and width")
    return numbers


def _account(
    checkpoint: Checkpoint, layout: Layout, choices: Choices
) -> tuple[dict[str, str], dict[str, str]]:
    """Names of the weights to use and to drop; together they are exactly the file's."""
    names, dropped = layout.names(checkpoint, choices), layout.unread(checkpoint, choices)
    present = checkpoint.tensors.keys()
    if missing := [key for key in names if key not in present]:
        raise UserError(
            f"{checkpoint.path} is a {layout.name} without {_listed(missing)}; is it complete?"
        )
    if unknown := [key for key in present if key not in names and key not in dropped]:
        raise UserError(
            f"{checkpoint.path} is a {layout.name} with weights it has no place for: "
            f"{_listed(unknown)}; remove them if the model never used them"
        )
    return names, dropped


def _assemble(
    checkpoint: Checkpoint, names: dict[str, str], config: PreTrainedConfig, layout: Layout
) -> PreTrainedModel:
    """The model with the file's weights, every shape checked."""
    with torch.device("meta"):
        model = layout.build(checkpoint, config)
    expected = model.state_dict()
    used = {new: layout.weight(checkpoint, old) for old, new in names.items()}
    for old, new in names.items():
        found, wanted = tuple(used[new].shape), tuple(expected[new].shape)
        if found != wanted:
            raise UserError(f"{checkpoint.path}: {old!r} has shape {found}; expected {wanted}")
    dtype = reduce(torch.promote_types, (tensor.dtype for tensor in used.values()))
    # A file may leave out what is tied to another weight; tying fills it in.
    model.load_state_dict({n: _own(used[n], dtype) for n in used}, strict=False, assign=True)
    model.tie_weights()
    assert not any(value.is_meta for value in model.state_dict().values())
    return model


def _own(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """A contiguous copy that shares memory with no other weight, as safetensors demands."""
    return tensor.detach().to(dtype).clone(memory_format=torch.contiguous_format)


def _listed(keys: list[str], limit: int = 6) -> str:
    more = f" and {len(keys) - limit} more" if len(keys) > limit else ""
    return ", ".join(keys[:limit]) + more
