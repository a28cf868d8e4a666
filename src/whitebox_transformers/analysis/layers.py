"""Where the white-box layers of a model are, and the words for asking for one that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from whitebox_transformers.crate.block import Compress, CrateLayer, Sparsify
from whitebox_transformers.crate.folding import ForInferenceOnly
from whitebox_transformers.crate.mssa import Subspaces, SubspaceStep
from whitebox_transformers.errors import UserError


def white_box_layers(model: nn.Module) -> list[CrateLayer]:
    """The CRATE layers of any model of the family, in order; empty for a black box.

    Of a model with a decoder they are the encoder's; its ``decoder`` is a model of its own.

    Raises:
        UserError: The model is folded, so that its layers no longer exist.
    """
    if isinstance(model, ForInferenceOnly):
        raise UserError(
            "this model is folded for inference and its layers cannot be inspected; "
            "inspect the model that was passed to fold(), which fold() left unchanged"
        )
    body = getattr(model, "base_model", model)
    return [module for module in body.modules() if isinstance(module, CrateLayer)]


def encoder_layers(model: nn.Module) -> list[CrateLayer]:
    """Those of `white_box_layers` that compress first; a decoder's, run backwards, do not."""
    return [layer for layer in white_box_layers(model) if not layer.sparsify_first]


def layer_at(model: nn.Module, index: int) -> CrateLayer:
    """The CRATE layer with this index, from 0, or negative from the end.

    Raises:
        UserError: No such layer, no CRATE layers at all, or a folded model.
    """
    layers = white_box_layers(model)
    if not layers:
        raise UserError(
            f"{type(model).__name__} has no CRATE layers; expected a model of the CRATE family"
        )
    return layers[checked_index("layer", index, len(layers))]


def compress_of(layer: CrateLayer) -> Compress:
    """The layer's compression step, or `UserError` if the configuration has none."""
    if layer.compress is None:
        raise UserError("the model's layers have no compression step: compression is 'none'")
    return layer.compress


def sparsify_of(layer: CrateLayer) -> Sparsify:
    """The layer's sparsification step, or `UserError` if the configuration has none."""
    if layer.sparsify is None:
        raise UserError("the model's layers have no sparsification step: sparsification is 'none'")
    return layer.sparsify


def subspaces_of(layer: CrateLayer) -> Subspaces:
    """The layer's subspaces, or `UserError` if it compresses by neither MSSA nor TSSA."""
    mssa = compress_of(layer).mssa
    if not isinstance(mssa, SubspaceStep):
        raise UserError("the model's layers have no subspaces: compression is not 'mssa' or 'tssa'")
    return mssa.subspaces


def checked_index(what: str, index: int, count: int) -> int:
    """``index`` counted from the front.

    Raises:
        UserError: It is outside ``-count .. count - 1``.
    """
    if not -count <= index < count:
        raise UserError(
            f"{what} {index} does not exist: the model has {count}, "
            f"so choose 0 to {count - 1}, or -1 to {-count} from the end"
        )
    return index % count


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode (no dropout), no cache, nothing compiled; as it was after the block.

    Without a cache language models keep attention inside the documents packed into a sequence;
    compiled code does not see hooks that came after it.
    """
    training = [module for module in model.modules() if module.training]
    config = getattr(model, "config", None)
    caching = getattr(config, "use_cache", None)
    model.eval()
    if config is not None and caching:
        config.use_cache = False
    try:
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        if config is not None and caching:
            config.use_cache = caching
        for module in training:
            module.training = True
