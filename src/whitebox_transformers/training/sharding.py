"""Models whose parameters are cut among the processes (FSDP2): what is done to them as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

from whitebox_transformers.errors import UserError
from whitebox_transformers.tasks.recipe import Recipe
from whitebox_transformers.training.files import write_tensors, write_weights
from whitebox_transformers.training.processes import is_main_process, world_size


def sharding_arguments(recipe: Recipe, model: PreTrainedModel) -> dict[str, Any]:
    """What Trainer must be told; nothing where the recipe does not ask for it.

    Raises:
        UserError: There is one process only, or something looks at a layer from outside.
    """
    train = recipe.train
    if not train.shard:
        return {}
    if world_size() == 1:
        raise UserError(
            "train.shard=true cuts a model among processes, and there is one; start several with "
            "torchrun, or set it to false"
        )
    for key, value in (
        ("rate_penalty.weight", train.rate_penalty.weight),
        ("monitor_rates", train.monitor_rates),
    ):
        if value:
            raise UserError(
                f"train.{key}={value} looks at layers whose parameters train.shard=true has cut; "
                "leave one of them out"
            )
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


def is_sharded(model: nn.Module) -> bool:
    """Whether a process holds a part of the parameters only."""
    return any(isinstance(parameter, DTensor) for parameter in model.parameters())


def own_part(value: Tensor) -> Tensor:
    """Of a cut tensor what this process holds, without a copy; others as they are."""
    return value.to_local() if isinstance(value, DTensor) else value


def store_weights(path: Path, model: nn.Module, **metadata: Any) -> None:
    """Let the main process write weights, as :func:`.files.write_weights`; all must call this."""
    if not is_sharded(model):
        if is_main_process():
            write_weights(path, model, **metadata)
        return
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    whole: Any = get_model_state_dict(model, options=options)
    if is_main_process():
        twice = {*dict(model.named_parameters(remove_duplicate=False))}
        twice -= {*dict(model.named_parameters())}
        write_tensors(path, {k: v for k, v in whole.items() if k not in twice}, **metadata)


def whole_copy(model: PreTrainedModel) -> PreTrainedModel:
    """An uncut model of the same kind, on the same device, whose weights are still to be loaded."""
    copy: Any = type(model)(model.config)
    return copy.to(model.device).eval()
