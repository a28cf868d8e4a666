"""Checkpoints as another group of processes reads them: one or several, the model cut or whole.

What the optimiser of a whole model left a whole model reads by Trainer's own means; all else is
read here. A parameter may have no state yet, as prototypes that are still frozen.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed import checkpoint as parts
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor

from whitebox_transformers.errors import UserError
from whitebox_transformers.training.load_report import without_load_report
from whitebox_transformers.training.progress import without_bars

MODEL, OPTIMIZER = "pytorch_model_fsdp_0", "optimizer_0"
"""Folders of the parts, by Accelerate."""


def in_parts(checkpoint: Path) -> bool:
    """Whether a checkpoint holds a part from each of several processes."""
    return (checkpoint / MODEL).is_dir()


def load_weights(checkpoint: Path, model: nn.Module) -> None:
    """Fill a model, cut or whole; all processes do this together."""
    if in_parts(checkpoint):
        state = get_model_state_dict(model)
        _read(checkpoint / MODEL, {"model": state})
        set_model_state_dict(model, state)
        return
    options = StateDictOptions(full_state_dict=True)
    set_model_state_dict(model, _whole_weights(checkpoint, model), options=options)


def _whole_weights(checkpoint: Path, model: nn.Module) -> dict[str, Any]:
    """Weights under their present names.

    Not as they are in the file: a stored ViT bears the names of older versions, which only
    ``from_pretrained`` turns into the present ones, and a tied weight is stored once.

    Raises:
        UserError: A weight is missing, which ``from_pretrained`` would draw anew.
    """
    # FSDP2 puts a class of its own in front of a cut model's.
    kind = next(kind for kind in type(model).__mro__ if not issubclass(kind, FSDPModule))
    with without_load_report(), without_bars():
        stored, info = cast(Any, kind).from_pretrained(
            checkpoint, config=model.config, output_loading_info=True
        )
    if missing := sorted(info["missing_keys"]):
        raise UserError(
            f"{checkpoint} has no weights for {', '.join(missing[:3])} and {len(missing)} in all; "
            "remove it, and the run goes on from the checkpoint before"
        )
    return stored.state_dict()


def load_optimizer(checkpoint: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """The same with the state of the optimiser that moves the model's parameters."""
    if in_parts(checkpoint):
        _load_parts(checkpoint / OPTIMIZER, model, optimizer)
        return
    stored = torch.load(checkpoint / "optimizer.pt", map_location="cpu", weights_only=True)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for number, values in stored["state"].items():
        stored["state"][number] = {
            key: _cut_like(value, parameters[number]) for key, value in values.items()
        }
    optimizer.load_state_dict(stored)


def _load_parts(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    state: Any = get_optimizer_state_dict(model, optimizer)
    stored = parts.FileSystemReader(folder).read_metadata().state_dict_metadata
    known = {key.removeprefix("optimizer.state.").rpartition(".")[0] for key in stored}
    state["state"] = {name: values for name, values in state["state"].items() if name in known}
    _read(folder, {"optimizer": state})
    set_optimizer_state_dict(model, optimizer, state, options=StateDictOptions(strict=False))


def _read(folder: Path, state: Mapping[str, Any]) -> None:
    """Fill tensors in place, of each what this process holds."""
    with warnings.catch_warnings():
        # One process need not hear that it is alone.
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        parts.load(dict(state), storage_reader=parts.FileSystemReader(folder))


def _cut_like(value: Any, parameter: Tensor) -> Any:
    """This process's part of a tensor that is shaped as a cut parameter; others as they are."""
    if not isinstance(parameter, DTensor) or value.shape != parameter.shape:
        return value
    whole = value.to(parameter.device)
    # Every process has read it all: nothing need be sent.
    return distribute_tensor(whole, parameter.device_mesh, parameter.placements, src_data_rank=None)
