"""This process among those of a run, which ``torchrun`` or ``accelerate launch`` started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist

if TYPE_CHECKING:
    from accelerate import PartialState

T = TypeVar("T")

PATIENCE = timedelta(hours=2)
"""How long processes wait for one that prepares data or writes."""


def world_size() -> int:
    """Number of processes of the run."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Number of this one, from 0."""
    return int(os.environ.get("RANK", "0"))


def is_main_process() -> bool:
    """Whether this one writes the run folder."""
    return rank() == 0


def join(cpu: bool) -> None:
    """Meet the other processes; alone there is nothing to do.

    Args:
        cpu: Whether the model stays there: gloo speaks for it, as NCCL does for GPUs.
    """
    if world_size() > 1:
        _state(cpu=cpu or not torch.accelerator.is_available(), timeout=PATIENCE)


@contextmanager
def first_here_first() -> Iterator[None]:
    """Let the first process of each machine go ahead; the others find what it stored."""
    if world_size() == 1:
        yield
        return
    with _state().local_main_process_first():
        yield


def wait() -> None:
    """Until all are here."""
    if world_size() > 1:
        _state().wait_for_everyone()


def gathered(value: T) -> list[T]:
    """The values of all processes in order, for the main one; the others get an empty list."""
    if world_size() == 1:
        return [value]
    values: list[Any] | None = [None] * world_size() if is_main_process() else None
    dist.gather_object(value, values)
    return values or []


def of_main(value: T) -> T:
    """The main process's value, for all."""
    if world_size() == 1:
        return value
    values: list[Any] = [value]
    dist.broadcast_object_list(values)
    return values[0]


def any_of(flag: bool) -> bool:
    """Whether it is so in any process."""
    if world_size() == 1:
        return flag
    votes = torch.tensor([float(flag)], device=_state().device)
    dist.all_reduce(votes)
    return bool(votes.item())


def _state(**options: Any) -> PartialState:
    # Accelerate belongs to the extra `train`; measuring a finished run does without.
    from accelerate import PartialState

    return PartialState(**options)
