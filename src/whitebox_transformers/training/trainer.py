"""Hugging Face's Trainer with randomness that is a function of seed and position only."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset
from transformers import (
    EvalPrediction,
    PreTrainedModel,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from whitebox_transformers.data.sampler import EpochSampler
from whitebox_transformers.data.seeding import seed_of
from whitebox_transformers.errors import UserError
from whitebox_transformers.training.objective import (
    ClassificationLoss,
    decaying_parameters,
    optimizer_class,
)
from whitebox_transformers.training.recipe import Recipe
from whitebox_transformers.training.schedule import Schedule


class WhiteboxTrainer(Trainer):
    """Trains a classifier so that an interrupted run ends with the weights of an unbroken one.

    Order and augmentation come from the data as functions of (seed, epoch, image); dropout is drawn
    anew from (seed, step, piece of the batch) before each forward pass.

    Args:
        recipe: The run.
        model: Its model, freshly built.
        train_dataset: Addressed by ``(epoch, index)``, or an endless stream of batches with
            ``start_at(batch)``.
        eval_dataset: The validation split.
        checkpoints: Folder for checkpoints.
        schedule: The length of the run in steps.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: PreTrainedModel,
        train_dataset: Dataset | IterableDataset,
        eval_dataset: Dataset | IterableDataset,
        checkpoints: Path,
        schedule: Schedule,
    ) -> None:
        self.recipe = recipe
        self.schedule = schedule
        self._piece = 0
        super().__init__(
            model=model,
            args=_arguments(recipe, checkpoints, schedule, train_dataset),
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            compute_loss_func=ClassificationLoss(recipe.train.label_smoothing),
            compute_metrics=_accuracy,
            preprocess_logits_for_metrics=lambda logits, labels: logits.argmax(-1),
            optimizer_cls_and_kwargs=optimizer_class(recipe.train),
        )
        # The loss is ours: the model need not hear how many images the whole step has.
        self.model_accepts_loss_kwargs = False
        self.remove_callback(ProgressCallback)
        self.add_callback(_CountPieces(self))

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """Names by the recipe's rule instead of Trainer's."""
        return decaying_parameters(model, self.recipe.train.decay)

    def get_train_dataloader(self) -> DataLoader:
        """Images by (epoch, index) in an order made from seed and epoch; streams by batches."""
        if isinstance(self.train_dataset, IterableDataset):
            return self._stream()
        sampler = EpochSampler(len(self.train_dataset), self.recipe.seed)  # type: ignore[arg-type]
        self.add_callback(_FollowEpochs(sampler, self.schedule.steps_per_epoch))
        loader = DataLoader(
            self.train_dataset,  # type: ignore[arg-type]
            batch_size=self._train_batch_size,
            sampler=sampler,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
        )
        return self.accelerator.prepare(loader)

    def training_step(
        self,
        model: nn.Module,
        inputs: dict[str, torch.Tensor | Any],
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """One piece of a batch, under its own seed.

        Raises:
            UserError: The loss is not a finite number.
        """
        step = self.state.global_step
        place = (step, self._piece, self.args.process_index)
        torch.manual_seed(seed_of("dropout", self.recipe.seed, *place))
        self._piece += 1
        loss = super().training_step(model, inputs, num_items_in_batch)
        if not math.isfinite(loss.item()):
            raise UserError(
                f"loss is {loss.item()} at step {step + 1}: lower train.learning_rate "
                f"({self.recipe.train.learning_rate}), lengthen train.warmup or set train.clip; "
                "checkpoints up to this step are intact"
            )
        return loss

    def _stream(self) -> DataLoader:
        position = self.state.global_step * self.args.gradient_accumulation_steps
        self.train_dataset.start_at(position)  # type: ignore[union-attr]
        loader = DataLoader(
            self.train_dataset,  # type: ignore[arg-type]
            batch_size=None,
            num_workers=self.args.dataloader_num_workers,
        )
        return self.accelerator.prepare(loader)


class _CountPieces(TrainerCallback):
    """Starts the count of accumulated pieces anew at each step."""

    def __init__(self, trainer: WhiteboxTrainer) -> None:
        self.trainer = trainer

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer._piece = 0


class _FollowEpochs(TrainerCallback):
    """Tells the sampler the epoch, also when a run resumes in its middle."""

    def __init__(self, sampler: EpochSampler, steps_per_epoch: int) -> None:
        self.sampler = sampler
        self.steps_per_epoch = steps_per_epoch

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.sampler.set_epoch(state.global_step // self.steps_per_epoch)


def _accuracy(prediction: EvalPrediction) -> dict[str, float]:
    return {"accuracy": float(np.mean(prediction.predictions == prediction.label_ids))}


def _arguments(
    recipe: Recipe, checkpoints: Path, schedule: Schedule, dataset: Dataset | IterableDataset
) -> TrainingArguments:
    train = recipe.train
    piece = train.batch_size // train.accumulate
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        seed=recipe.seed,
        max_steps=schedule.steps,
        per_device_train_batch_size=piece,
        per_device_eval_batch_size=piece,
        gradient_accumulation_steps=train.accumulate,
        # The batch is cut among processes, so that their number does not change it.
        accelerator_config={"split_batches": True},
        learning_rate=train.learning_rate,
        weight_decay=train.weight_decay,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr": train.min_learning_rate},
        warmup_steps=train.warmup_steps(schedule.steps),
        max_grad_norm=train.clip,
        bf16=train.bf16,
        use_cpu=train.device == "cpu" or not torch.accelerator.is_available(),
        eval_strategy="steps",
        eval_steps=schedule.evaluate_every,
        save_strategy="steps",
        save_steps=schedule.checkpoint_every,
        logging_steps=train.log_every,
        # A loss that is not finite stops the run instead of being left out of the log.
        logging_nan_inf_filter=False,
        dataloader_num_workers=train.workers,
        dataloader_pin_memory=torch.accelerator.is_available(),
        remove_unused_columns=False,
        # Streams are positioned by `start_at`; skipping would decode all that has been seen.
        ignore_data_skip=isinstance(dataset, IterableDataset),
        report_to="none",
    )
    # One process uses one device; several GPUs are for torchrun, not for DataParallel, which would
    # multiply the batch.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments
