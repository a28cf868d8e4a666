"""Models whose parameters are cut among the processes (FSDP2): what is done to them as a whole."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

from whitebox_transformers.tasks.recipe import Recipe
from whitebox_transformers.training.files import write_tensors, write_weights
from whitebox_transformers.training.processes import is_main_process, world_size
from whitebox_transformers.training.settings import TrainConfig


def cuts(train: TrainConfig) -> bool:
    """Whether this run cuts its model: one process has nobody to share it with."""
    return train.shard and world_size() > 1


def sharding_arguments(recipe: Recipe, model: PreTrainedModel) -> dict[str, Any]:
    """What Trainer must be told; nothing where no model is cut."""
    if not cuts(recipe.train):
        return {}
    settings = {
        "version": 2,
        "state_dict_type": "SHARDED_STATE_DICT",
        "transformer_layer_cls_to_wrap": _layer_classes(model),
    }
    return {"fsdp": True, "fsdp_config": settings}


def _layer_classes(model: PreTrainedModel) -> list[str]:
    """Names of what is cut by itself: what is not to be split, less what holds the embedding.

    Accelerate cuts the embedding as well, and nothing may be cut twice.
    """
    embedding = model.get_input_embeddings()
    holders = {
        type(module).__name__
        for module in model.modules()
        if any(part is embedding for part in module.modules())
    }
    return sorted({*(model._no_split_modules or [])} - holders)


def allow_on_cpu() -> None:
    """Let Accelerate cut models that stay on a CPU: it knows that of accelerators only.

    To be called between the making of Trainer's arguments and of Trainer.
    """
    # Accelerate belongs to the extra `train`; measuring a finished run does without.
    from accelerate import DistributedType, PartialState

    state = PartialState()
    if state.distributed_type is DistributedType.MULTI_CPU:
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU


@contextmanager
def without_needless_warnings() -> Iterator[None]:
    """Not a word of an output that nobody writes into: patches as tokens are a view."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
        yield


def is_sharded(model: nn.Module) -> bool:
    """Whether a process holds a part of the parameters only."""
    return any(isinstance(parameter, DTensor) for parameter in model.parameters())


def own_part(value: Tensor) -> Tensor:
    """Of a cut tensor what this process holds, without a copy; others as they are."""
    return value.to_local() if isinstance(value, DTensor) else value


def whole_value(value: Tensor) -> Tensor:
    """A number that every process has its part of, for all; others as they are."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def store_weights(path: Path, model: nn.Module, **metadata: Any) -> None:
    """Let the main process write weights, as :func:`.files.write_weights`; all must call this."""
    if not is_sharded(model):
        if is_main_process():
            write_weights(path, model, **metadata)
        return
    whole = _whole_state(model)
    if is_main_process():
        twice = {*dict(model.named_parameters(remove_duplicate=False))}
        twice -= {*dict(model.named_parameters())}
        write_tensors(path, {k: v for k, v in whole.items() if k not in twice}, **metadata)


def whole_model(model: PreTrainedModel) -> PreTrainedModel | None:
    """The model itself, or an uncut copy; ``None`` but in the main process. All must call this."""
    if not is_sharded(model):
        return model if is_main_process() else None
    state = _whole_state(model)
    if not is_main_process():
        return None
    copy = whole_copy(model)
    copy.load_state_dict(state)
    return copy


def whole_copy(model: PreTrainedModel) -> PreTrainedModel:
    """An uncut model of the same kind, on the same device, whose weights are still to be loaded."""
    copy: Any = type(model)(model.config)
    return copy.to(model.device).eval()


def _whole_state(model: nn.Module) -> dict[str, Any]:
    """All tensors of a cut model, on the CPU of the main process; the others get nothing."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return get_model_state_dict(model, options=options)
