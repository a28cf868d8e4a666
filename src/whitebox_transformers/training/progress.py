"""One readable line while a model trains."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.utils import logging

from whitebox_transformers.tasks.task import Score


@contextmanager
def without_bars() -> Iterator[None]:
    """No bars of transformers, which shows one for every file it reads or writes."""
    if not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()


class ProgressLine(TrainerCallback):
    """Bar over all steps with epoch, training loss and the latest validation score.

    Args:
        title: What is being trained.
        score: What is shown of a validation.
        steps_per_epoch: ``None`` for streams, whose epochs have no known length.
    """

    def __init__(self, title: str, score: Score, steps_per_epoch: int | None) -> None:
        self.title = title
        self.score = score
        self.steps_per_epoch = steps_per_epoch
        self._bar: tqdm | None = None
        self._shown: dict[str, str] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Open the bar where the run stands."""
        self._bar = tqdm(
            total=state.max_steps,
            initial=state.global_step,
            desc=self.title,
            unit="step",
            disable=not state.is_world_process_zero,
            dynamic_ncols=True,
            # A log file gets a line now and then instead of a redrawn one.
            mininterval=0.2 if sys.stderr.isatty() else 10.0,
        )

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Advance by one step."""
        if self.steps_per_epoch is not None:
            total = math.ceil(state.max_steps / self.steps_per_epoch)
            epoch = math.ceil(state.global_step / self.steps_per_epoch)
            self._shown = (
                {"epoch": f"{epoch}/{total}"} | self._shown | {"epoch": f"{epoch}/{total}"}
            )
        self._show()
        if self._bar is not None:
            self._bar.update(1)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float],
        **kwargs: Any,
    ) -> None:
        """Take up the newest loss and validation score."""
        if "loss" in logs:
            self._shown["loss"] = f"{logs['loss']:.3f}"
        key = f"eval_{self.score.key}"
        if key in logs:
            self._shown["validation"] = self.score.show(logs[key])
        self._show()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave the finished line on the screen."""
        self.close()

    def close(self) -> None:
        """Close the bar, also when training stopped with an error."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _show(self) -> None:
        if self._bar is not None:
            self._bar.set_postfix(self._shown, refresh=False)
