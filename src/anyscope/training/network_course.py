"""A network that learns from numbered patches: optimiser, schedule, moving average, mixed precision, several processes.

What it learns is up to the subclasses: labels (:mod:`anyscope.training.loop`), or a pretext
(:mod:`anyscope.training.pretraining`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import cast

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DataLoaderConfiguration
from torch import nn
from torch.utils.data import Dataset

from anyscope.errors import BadInput
from anyscope.models import Segmenter
from anyscope.running.run_folder import RunFolder
from anyscope.training.batches import Batch, epoch_loader
from anyscope.training.course import Course, Losses, Stateful, follow
from anyscope.training.optimisation import make_average, make_optimiser, make_schedule, step_batch, step_epoch
from anyscope.training.settings import AugmentationSettings, LearnSettings
from anyscope.training.tuning_modes import keeping, rate_factors

QUIET = AugmentationSettings(
    flips=False, angle_degrees=0, scale=1, elastic_px=0, contrast=0, brightness=0, gamma=1, noise=0, blur_px=0
)
"""No augmentation: for patches that are judged."""


@contextmanager
def accelerated(settings: LearnSettings, *, cpu: bool) -> Iterator[Accelerator]:
    """Devices, processes and precision for the block; several trainings can follow each other in one process."""
    precision = "no" if settings.precision == "fp32" else settings.precision
    loading = DataLoaderConfiguration(split_batches=True)
    accelerator = Accelerator(cpu=cpu, mixed_precision=precision, dataloader_config=loading)
    try:
        yield accelerator
    finally:
        accelerator.free_memory()
        AcceleratorState._reset_state(reset_partial_state=accelerator.num_processes == 1)


class NetworkCourse(Course):
    """A network that learns from batches of numbered patches.

    Args:
        accelerator: Where, and at which precision.
        segmenter: Trained in place.
        dataset: The patches by number.
        settings: Batches, optimiser, schedule, moving average, and what learns (:mod:`anyscope.training.tuning_modes`);
            parameters that stay as they are in all epochs are not given to the optimiser.

    Raises:
        BadInput: The network cannot be tuned as the settings ask, or the batch does not divide among the processes.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        segmenter: Segmenter,
        dataset: Dataset[Batch],
        settings: LearnSettings,
    ) -> None:
        if settings.batch % accelerator.num_processes:
            found = f"{settings.batch} for {accelerator.num_processes} processes"
            raise BadInput("batch", found, "a multiple of their number", "--set batch=N")
        self.accelerator, self._dataset, self._settings = accelerator, dataset, settings
        self._kept: AbstractContextManager[None] = nullcontext()
        self._segmenter = segmenter
        # Convolutions are a quarter to a half faster with the channels innermost, on CPUs as with tensor cores.
        segmenter.to(memory_format=torch.channels_last)
        with keeping(segmenter, settings, 0):
            self._learning = self._names_that_learn()
            self._model: nn.Module = accelerator.prepare(segmenter)
        with keeping(segmenter, settings, settings.epochs - 1):  # the fewest stay in the last epoch
            optimiser = make_optimiser(segmenter.parameters(), settings, rate_factors(segmenter, settings))
        self._optimiser = accelerator.prepare(optimiser)
        self._average = make_average(segmenter, settings.ema)
        self._schedule = make_schedule(optimiser, settings)
        self._batches: Iterator[Batch] = iter(())

    @property
    def parts(self) -> Mapping[str, Stateful]:
        """Weights, their average, the optimiser and the schedule."""
        parts: dict[str, Stateful | None] = {
            "model": self._segmenter,
            "average": self._average,
            "optimiser": self._optimiser,
            "schedule": self._schedule,
        }
        return {name: part for name, part in parts.items() if part is not None}

    @property
    def weights(self) -> Segmenter:
        """The segmenter as it is validated and saved: the average where there is one."""
        return self._segmenter if self._average is None else cast(Segmenter, self._average.module)

    @property
    def learning_rate(self) -> float:
        """The rate of what learns fastest."""
        return float(max(group["lr"] for group in self._optimiser.param_groups))

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch, number: int) -> torch.Tensor:
        """The loss of a batch, that of the step with the given number.

        Args:
            model: The segmenter, wrapped for several processes where there are some.
            batch: The batch.
            number: Number of the step.
        """

    def run(self, run: RunFolder, title: str = "train", after_epoch: Callable[[int], None] | None = None) -> None:
        """Learn to the end, or from where it was stopped; afterwards every parameter may learn again.

        Args:
            run: Where records and checkpoints go.
            title, after_epoch: See :func:`~anyscope.training.course.follow`.

        Raises:
            BadInput: The loss is not a number any more, or a checkpoint is damaged.
        """
        settings, accelerator = self._settings, self.accelerator
        try:
            follow(
                self,
                run,
                epochs=settings.epochs,
                steps=settings.steps_per_epoch,
                seed=settings.seed,
                device=accelerator.device,
                title=title,
                after_epoch=after_epoch,
            )
        finally:
            self._release()
        accelerator.wait_for_everyone()

    def begin_epoch(self, epoch: int) -> None:
        """Prepare the batches of the epoch, and what stays as it is."""
        self._release()
        self._kept = keeping(self._segmenter, self._settings, epoch)
        self._kept.__enter__()
        self._wrap()
        self._model.train()
        settings = self._settings
        loader = epoch_loader(self._dataset, epoch, settings.steps_per_epoch, settings.batch, settings.workers)
        self._batches = iter(self.accelerator.prepare(loader))

    def _wrap(self) -> None:
        """Several processes exchange the gradients of what learnt when it was wrapped: wrap anew where that changed."""
        learning = self._names_that_learn()
        if learning != self._learning and self.accelerator.num_processes > 1:
            self._model = self.accelerator.prepare(self._segmenter)
        self._learning = learning

    def _names_that_learn(self) -> frozenset[str]:
        return frozenset(name for name, each in self._segmenter.named_parameters() if each.requires_grad)

    def _release(self) -> None:
        """Let all learn again that stayed as it was."""
        self._kept.__exit__(None, None, None)
        self._kept = nullcontext()

    def step(self, number: int) -> Losses:
        """One batch."""
        accelerator, model = self.accelerator, self._model
        batch = next(self._batches)
        with accelerator.autocast():
            loss = self.loss(model, batch, number)
        accelerator.backward(loss)
        if self._settings.clip_norm > 0:
            accelerator.clip_grad_norm_(model.parameters(), self._settings.clip_norm)
        self._optimiser.step()
        step_batch(self._schedule)
        self._optimiser.zero_grad(set_to_none=True)
        if self._average is not None:
            self._average.update_parameters(self._segmenter)
        return {"loss": accelerator.reduce(loss.detach(), reduction="mean")}

    def step_epoch(self, loss: float) -> None:
        """Tell the schedule the loss that an epoch ended with."""
        step_epoch(self._schedule, loss)
