"""Processes that train together, forked from a server that has imported everything once."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable
from typing import Any

import torch

SERVED = ["whitebox_transformers.training.run", "tests.learn.ranks"]


def together(function: Callable[..., None], *arguments: Any, count: int = 2) -> list[int]:
    """Let ``count`` processes call ``function(*arguments)``; their exit statuses in order.

    A process that is killed has minus the signal's number.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(SERVED)
    port = _free_port()
    ranks = [
        context.Process(target=_as_rank, args=(rank, count, port, function, arguments))
        for rank in range(count)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(600)
        if process.is_alive():
            process.kill()
            process.join()
    return [process.exitcode for process in ranks]


def _as_rank(
    rank: int, count: int, port: int, function: Callable[..., None], arguments: tuple
) -> None:
    if count > 1:
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
        place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        os.environ |= {key: str(value) for key, value in place.items()}
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    try:
        function(*arguments)
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
