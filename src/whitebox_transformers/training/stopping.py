"""SIGTERM: a checkpoint at the end of the step, then the end of the process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from whitebox_transformers.errors import Terminated
from whitebox_transformers.training.processes import any_of, world_size


class StopOnSignal(TrainerCallback):
    """Ends training after the step in which SIGTERM came, with a checkpoint.

    Batch systems send it some time before they kill a job. A second signal ends a process that is
    alone at once. Of several it is enough that one is told, and what comes after is ignored: a
    batch system tells their launcher too, which tells them again.
    """

    def __init__(self) -> None:
        self.asked = False
        self.stopped_at: int | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signal inside the block.

        Raises:
            Terminated: It came; the checkpoint is written.
        """
        # Only the main thread may say what a signal does.
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGTERM, self._ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)
        if self.stopped_at is not None:
            raise Terminated(
                f"stopped by SIGTERM after step {self.stopped_at}, with a checkpoint; "
                "the same command goes on from there"
            )

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Ask for a checkpoint and the end."""
        if any_of(self.asked):
            control.should_save = control.should_training_stop = True
            self.stopped_at = state.global_step

    def _ask(self, *_: Any) -> None:
        self.asked = True
        signal.signal(signal.SIGTERM, signal.SIG_IGN if world_size() > 1 else signal.SIG_DFL)
