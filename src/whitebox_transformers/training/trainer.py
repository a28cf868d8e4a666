"""Hugging Face's Trainer with randomness that is a function of seed and position only."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from transformers import (
    PreTrainedModel,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from whitebox_transformers.analysis.padding import real_tokens
from whitebox_transformers.data.protocol import Split
from whitebox_transformers.data.seeding import seed_of
from whitebox_transformers.evaluation.measuring import measure
from whitebox_transformers.tasks import task_of
from whitebox_transformers.tasks.recipe import Recipe
from whitebox_transformers.training.batches import Position, RunBatches
from whitebox_transformers.training.blow_up import bad_loss, clip_gradients
from whitebox_transformers.training.optimizer import decaying_parameters, optimizer_class
from whitebox_transformers.training.processes import any_of, world_size
from whitebox_transformers.training.rate_monitor import RateMonitor
from whitebox_transformers.training.rate_penalty import RatePenalty, learning_layers
from whitebox_transformers.training.recompute import recompute_layers
from whitebox_transformers.training.regrouping import in_parts, load_optimizer, load_weights
from whitebox_transformers.training.schedule import Schedule
from whitebox_transformers.training.settings import TrainConfig
from whitebox_transformers.training.sharding import allow_on_cpu, cuts, sharding_arguments
from whitebox_transformers.training.stopping import StopOnSignal


class WhiteboxTrainer(Trainer):
    """Trains a model so that an interrupted run ends with the weights of an unbroken one.

    Order and augmentation come from the data as functions of (seed, epoch, sample); dropout is
    drawn anew from (seed, step, piece of the batch) before each forward pass.

    Args:
        recipe: The run.
        model: Its model, freshly built.
        train_split: What is learned from.
        validation_split: What the best weights are chosen by.
        checkpoints: Folder for checkpoints.
        schedule: The length of the run in steps.
        position: The batch to begin with.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: PreTrainedModel,
        train_split: Split,
        validation_split: Split,
        checkpoints: Path,
        schedule: Schedule,
        position: Position,
    ) -> None:
        self.recipe = recipe
        self.task = task_of(recipe)
        self.schedule = schedule
        self.position = position
        self.train_split: Any = train_split
        self.validation_split: Any = validation_split
        self.objective = self.task.objective(recipe)
        self._use_cache = getattr(model.config, "use_cache", None)
        self._piece = 0
        arguments = _arguments(recipe, model, checkpoints, schedule)
        self._cuts = cuts(recipe.train)
        if self._cuts:
            allow_on_cpu()
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=self.train_split,
            eval_dataset=self.validation_split,
            compute_loss_func=self.objective,
            optimizer_cls_and_kwargs=optimizer_class(recipe.train),
        )
        # The loss is ours: the model need not hear how many items the whole step has.
        self.model_accepts_loss_kwargs = False
        self.remove_callback(ProgressCallback)
        self.add_callback(_KeepPlace(self))
        self.stop = StopOnSignal()
        if recipe.train.recompute:
            recompute_layers(model)
        weight, every = recipe.train.rate_penalty.weight, recipe.train.monitor_rates
        self.penalty = (
            RatePenalty(recipe.train.rate_penalty, model, recipe.seed) if weight else None
        )
        if every is not None:
            learning_layers(model)
            self.add_callback(RateMonitor(self, validation_split, every))
        for callback in self.task.callbacks(recipe, schedule):
            self.add_callback(callback)

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """Names by the recipe's rule instead of Trainer's."""
        return decaying_parameters(model, self.recipe.train.decay)

    def get_train_dataloader(self) -> RunBatches:
        """The batches of the run from its position on."""
        return RunBatches(
            self.train_split,
            self.args.per_device_train_batch_size,
            self.position,
            rank=self.args.process_index,
            world=self.args.world_size,
            workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
        )

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Weights, also those that another group of processes wrote."""
        load_weights(Path(resume_from_checkpoint), self._present_model if model is None else model)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """The state of the optimiser in the same way; its rate follows from the schedule's."""
        if checkpoint is None or not (self._cuts or in_parts(Path(checkpoint))):
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        optimizer: Any = self.optimizer
        load_optimizer(Path(checkpoint), self._present_model, optimizer.optimizer)
        state = torch.load(Path(checkpoint) / "scheduler.pt", weights_only=True)
        cast(Any, self.lr_scheduler).load_state_dict(state)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The task's scores on the validation split, whose batches the processes share."""
        found = self.measure(
            self._present_model,
            self.validation_split,
            self.args.per_device_eval_batch_size,
            "validation",
        )
        metrics = {f"eval_{score.key}": found[score.key] for score in self.task.scores}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    @property
    def _present_model(self) -> PreTrainedModel:
        """The model; Trainer's own type lets it be missing."""
        return cast(PreTrainedModel, self.model)

    def measure(
        self, model: PreTrainedModel, split: Split, size: int, title: str
    ) -> dict[str, Any]:
        """What the task says of a model on a split; all processes do this together.

        Args:
            model: On the device to use.
            split: As evaluation sees it.
            size: Samples that a process looks at at a time.
            title: Name of the split.
        """
        workers = self.args.dataloader_num_workers
        return measure(self.task, model, split, size, workers, title, together=True)

    def get_batch_samples(
        self, epoch_iterator: Iterator, num_batches: int, device: torch.device
    ) -> tuple[list, torch.Tensor | None]:
        """The pieces of a step, and how many items the loss has in all of them and all processes.

        Trainer would count entries of ``labels``: a soft label has one for each class, and the
        labels of a causal model are shifted.
        """
        pieces, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        if self.objective is None:
            return pieces, None
        count = sum(self.objective.count(piece["labels"]) for piece in pieces)
        total: Any = self.accelerator.reduce(torch.tensor(count, device=device))
        return pieces, total.clamp(min=1)

    def training_step(
        self,
        model: nn.Module,
        inputs: dict[str, torch.Tensor | Any],
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """One piece of a batch, under its own seed.

        Raises:
            UserError: The loss is not finite; names the layer where that began.
        """
        step = self.state.global_step
        place = (step, self._piece, self.args.process_index)
        torch.manual_seed(seed_of("dropout", self.recipe.seed, *place))
        self._piece += 1
        loss = super().training_step(model, inputs, num_items_in_batch)
        rate = self.recipe.train.learning_rate
        bad = not math.isfinite(loss.item())
        # Of a cut model all must look together.
        if any_of(bad) if self._cuts else bad:
            raise bad_loss(
                loss.item(), step + 1, rate, self._present_model, self._prepare_inputs(inputs)
            )
        return loss

    def _clip_grad_norm(self, model: nn.Module) -> torch.Tensor:
        """Of a whole step; named where it is not finite."""
        train, step = self.recipe.train, self.state.global_step + 1
        return clip_gradients(self._present_model, train.clip, step, train.learning_rate)

    def _get_grad_norm(self, model: nn.Module, grad_norm: torch.Tensor | None = None) -> Any:
        """The norm that clipping found, or would have, so that it is taken once."""
        return self._clip_grad_norm(model) if grad_norm is None else grad_norm

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, torch.Tensor | Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """The loss of one piece of a batch, and what the layers are asked for beside it."""
        if self.penalty is None:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        with self.penalty.watching(self.state.global_step, real_tokens(inputs)) as costs:
            loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        # Where the loss is the model's own, Trainer divides it by the pieces itself.
        pieces = 1 if self.objective is None else self.current_gradient_accumulation_steps
        loss = loss + self.penalty.value(costs) / pieces
        return (loss, outputs) if return_outputs else loss

    def trained_model(self) -> PreTrainedModel:
        """The model as it is to be stored and measured: what only training needed is taken off.

        That is the autocast around its forward pass, and a cache switched off for good.
        """
        model = self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
        if self._use_cache is not None:
            model.config.use_cache = self._use_cache
        return model


class _KeepPlace(TrainerCallback):
    """Counts the accumulated pieces of each step, and epochs as the data have them."""

    def __init__(self, trainer: WhiteboxTrainer) -> None:
        self.trainer = trainer

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer._piece = 0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        state.epoch = state.global_step / (self.trainer.schedule.steps_per_epoch or math.inf)


def _schedule(train: TrainConfig) -> dict[str, Any]:
    """Names of Hugging Face's schedules; the polynomial one of degree 1 is a line with an end."""
    end = train.min_learning_rate
    kind, options = {
        "cosine": ("cosine_with_min_lr", {"min_lr": end}),
        "linear": ("polynomial", {"lr_end": end, "power": 1.0}),
        "constant": ("constant_with_warmup", {}),
    }[train.schedule]
    return {"lr_scheduler_type": kind, "lr_scheduler_kwargs": options}


def _arguments(
    recipe: Recipe, model: PreTrainedModel, checkpoints: Path, schedule: Schedule
) -> TrainingArguments:
    train = recipe.train
    # The batch is cut among processes, so that their number does not change it.
    piece = train.batch_size // (train.accumulate * world_size())
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        seed=recipe.seed,
        max_steps=schedule.steps,
        per_device_train_batch_size=piece,
        per_device_eval_batch_size=piece,
        gradient_accumulation_steps=train.accumulate,
        learning_rate=train.learning_rate,
        weight_decay=train.weight_decay,
        **_schedule(train),
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
        # Every parameter that learns has a part in every loss.
        ddp_find_unused_parameters=False,
        **sharding_arguments(recipe, model),
        # `RunBatches` begins at the right batch by itself.
        ignore_data_skip=True,
        report_to="none",
    )
    # One process uses one device; several GPUs are for torchrun, not for DataParallel, which would
    # multiply the batch.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments
