"""This process among those that ``torchrun`` started."""

import os


def world_size() -> int:
    """Number of processes of the run."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Whether this one writes the run folder."""
    return int(os.environ.get("RANK", "0")) == 0
