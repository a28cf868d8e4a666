"""Rates and objective of every layer while a model trains."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback, TrainerControl

from whitebox_transformers.analysis.faithfulness import faithfulness
from whitebox_transformers.data.loading import evaluation_batches
from whitebox_transformers.data.protocol import Sample, Split
from whitebox_transformers.training.sharding import whole_model

if TYPE_CHECKING:
    from whitebox_transformers.training.trainer import WhiteboxTrainer

MONITORED = (
    "rate-published-z",
    "rate-definition-z",
    "compress-rate-published",
    "compress-rate-definition",
    "objective-published-z-next",
    "objective-definition-z-next",
    "nonzero-share",
)
"""Of ``analysis.measures``; those that the layers have."""
SAMPLES, BATCH = 64, 16


class RateMonitor(TrainerCallback):
    """Measures the first validation samples before training and every so many steps.

    The numbers go to the log, and from there to TensorBoard and ``metrics.json``.

    Args:
        trainer: Whose model is measured, and whose log is written.
        split: Samples as evaluation sees them.
        every: Steps between measurements.
    """

    def __init__(self, trainer: WhiteboxTrainer, split: Split, every: int) -> None:
        self.trainer, self.split, self.every = trainer, split, every

    def on_train_begin(self, args: Any, state: Any, control: TrainerControl, **kwargs: Any) -> None:
        """Measure the untrained model; a resumed run has done so."""
        if state.global_step == 0:
            self._measure(control)

    def on_step_end(self, args: Any, state: Any, control: TrainerControl, **kwargs: Any) -> None:
        """Measure where it is due."""
        if state.global_step % self.every == 0:
            self._measure(control)

    def _measure(self, control: TrainerControl) -> None:
        model = whole_model(self.trainer.accelerator.unwrap_model(self.trainer.model))
        if model is None:
            return
        body: Any = model.base_model
        curves = faithfulness(body, self._batches()).curves
        log_is_due = control.should_log
        self.trainer.log(
            {
                f"{key}/{layer}": value
                for key in MONITORED
                if key in curves
                for layer, value in enumerate(curves[key].mean, start=1)
            }
        )
        # Whoever logs has done what was due; the step's own entry still is.
        control.should_log = log_is_due

    def _batches(self) -> Iterator[Sample]:
        return islice(evaluation_batches(self.split, BATCH), SAMPLES // BATCH)


def monitored(log_history: list[dict[str, float]]) -> list[dict[str, Any]]:
    """The measurements in a log: step, and by measure one value for each layer."""
    found = []
    for entry in log_history:
        curves = {
            key: [entry[name] for name in _by_layer(entry, key)]
            for key in MONITORED
            if f"{key}/1" in entry
        }
        if curves:
            found.append({"step": entry["step"]} | curves)
    return found


def _by_layer(entry: dict[str, float], key: str) -> list[str]:
    names = [name for name in entry if name.startswith(f"{key}/")]
    return sorted(names, key=lambda name: int(name.rpartition("/")[2]))
