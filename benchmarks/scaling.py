"""What a second process adds: training steps of two processes beside one, a thread each.

    python -m benchmarks.scaling                      # the recorded CPU table, gloo
    python -m benchmarks.scaling --device cuda        # a GPU each, NCCL

The same two processes carry all of it out in turns: alone, the first takes a whole batch while the
second waits; together they share it (strong scaling), or take one each (weak scaling). What they
tell each other in a step is counted where it is sent.
"""

import argparse
import os
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from torch import multiprocessing
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel

from benchmarks.records import write_result
from benchmarks.timing import Timing, interleave, ratio_row, time_rows
from whitebox_transformers import CrateConfig, CrateForImageClassification

PROCESSES = 2
CLASSES = 1000


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="crate-tiny")
    parser.add_argument("--batch", type=int, default=8, help="samples of a whole batch")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each process")
    parser.add_argument("--port", default="29541", help="where the processes meet")
    parser.add_argument("--out", type=Path, help="JSON file instead of the recorded one")
    return parser.parse_args()


class Learner:
    """A model that takes steps, alone or with the other process."""

    def __init__(self, preset: str, device: torch.device, together: bool):
        torch.manual_seed(0)
        config = CrateConfig.from_preset(preset, num_labels=CLASSES)
        self.size = config.image_size
        self.device = device
        self.bytes = 0
        self.model = CrateForImageClassification(config).to(device).train()
        if together:
            self.model = DistributedDataParallel(self.model)
            self.model.register_comm_hook(None, self._count)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), fused=True)

    def step(self, batch: int) -> None:
        """One optimiser step on noise."""
        pixels = torch.randn(batch, 3, self.size, self.size, device=self.device)
        labels = torch.arange(batch, device=self.device)
        self.bytes = 0
        self.model(pixels, labels=labels).loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def _count(self, _: None, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
        self.bytes += bucket.buffer().nbytes
        return allreduce_hook(dist.group.WORLD, bucket)


def measure(rank: int, options: argparse.Namespace) -> None:
    """One of the processes; the first writes the table."""
    place = {"RANK": rank, "WORLD_SIZE": PROCESSES, "MASTER_PORT": options.port}
    os.environ |= {key: str(value) for key, value in place.items()} | {"MASTER_ADDR": "127.0.0.1"}
    torch.set_num_threads(options.threads)
    device = torch.device(options.device, rank) if options.device == "cuda" else torch.device("cpu")
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    alone, shared = (Learner(options.preset, device, together) for together in (False, True))

    def by_the_first() -> None:
        if rank == 0:
            alone.step(options.batch)
        dist.barrier()

    contenders = {
        "one process": by_the_first,
        "two share the batch": partial(shared.step, options.batch // PROCESSES),
        "two with a batch each": partial(shared.step, options.batch),
    }
    times = interleave(contenders, options.rounds, device, f"process {rank}")
    if rank == 0:
        settings = {key: str(value) for key, value in vars(options).items() if key != "out"}
        load = {"load average at the end": os.getloadavg()}
        name = f"scaling_{options.device}"
        path = write_result(name, settings | load, rows(times, shared), options.out)
        print(path.read_text())
    dist.destroy_process_group()


def rows(times: dict[str, Timing], shared: Learner) -> list[dict]:
    """Ratios, seconds, and bytes that a process hands over beside those of the parameters."""
    mode = f"{PROCESSES} processes, one thread each"
    one, split, each = times.values()
    trained = sum(p.nbytes for p in shared.model.parameters() if p.requires_grad)
    doubled = one * PROCESSES  # each does a whole batch: twice the work is done in the time
    return [
        ratio_row(mode, "strong scaling: speed over one process, ideal 2", one, split),
        ratio_row(mode, "weak scaling: speed over one process, ideal 2", doubled, each),
        *time_rows(times, mode),
        {"mode": mode, "what": "bytes reduced in a step", "median": shared.bytes},
        {"mode": mode, "what": "bytes of the parameters that learn", "median": trained},
    ]


def main() -> None:
    options = arguments()
    multiprocessing.spawn(measure, (options,), nprocs=PROCESSES)


if __name__ == "__main__":
    main()
