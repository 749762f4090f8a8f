"""Training on labels: source validation after every epoch, the best weights as a segmenter."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import Dataset

from anyscope.contracts import HeadLayout
from anyscope.datasets.folder import LabelledImages
from anyscope.inference import InferenceSettings
from anyscope.models import Segmenter
from anyscope.running.run_folder import RunFolder
from anyscope.seeding import derive_seed
from anyscope.training.batches import Batch, epoch_loader, labelled_patches
from anyscope.training.checkpoint import State, save_weights
from anyscope.training.course import Stateful, Values
from anyscope.training.hardening import hardening
from anyscope.training.network_course import QUIET, NetworkCourse, accelerated
from anyscope.training.objective import Objective
from anyscope.training.settings import TrainSettings
from anyscope.training.validation import Validation

EARLIER = Path("checkpoints", "earlier.safetensors")
"""Where a run keeps the weights of :func:`earlier_epoch`: what has changed since says how firm its answers are."""
_VALIDATION_BATCHES = 4
_CLEARLY = 0.05
"""By what share of it a validation loss has to be lower to count as clearly lower."""


@dataclass(frozen=True)
class Fit:
    """What a training run ended with: the epoch (from 1) of the best weights, and their validation score."""

    best_epoch: int
    best_score: float | None


class SupervisedCourse(NetworkCourse):
    """A segmenter that learns from labels, judged on the validation part after every epoch."""

    def __init__(
        self,
        accelerator: Accelerator,
        segmenter: Segmenter,
        dataset: Dataset[Batch],
        settings: TrainSettings,
        best: Path,
        validation: LabelledImages | None,
    ) -> None:
        super().__init__(accelerator, segmenter, dataset, settings)
        self._best_file = best
        self._hardening = None if settings.robust is None else hardening(settings.robust, settings.robust_arguments)
        self._objective = Objective.of(settings, segmenter.spec.layout)
        self.best = Best()
        self._judged = None if validation is None else Validation.read(validation, segmenter.spec, settings)
        self._fixed: list[Batch] = []
        if validation is not None:
            self._fixed = _fixed_batches(validation, settings, segmenter.spec.layout, accelerator.device)

    @property
    def parts(self) -> Mapping[str, Stateful]:
        """Weights, their average, the optimiser, the schedule and the best epoch."""
        return {**super().parts, "best": self.best}

    def loss(self, model: nn.Module, batch: Batch, number: int) -> torch.Tensor:
        """The objective, of a batch that robust training has spoiled where there is one."""
        if self._hardening is not None:
            place = (number, self.accelerator.process_index)
            seeds = [derive_seed(self._settings.seed, "robust", *place, i) for i in range(len(batch["images"]))]
            batch = self._hardening(batch, self._segmenter, seeds)
        return self._objective(model, batch, auxiliary=self._segmenter.is_guided)

    def end_epoch(self, epoch: int, means: Values) -> Values:
        """Validate, and keep the weights where they are the best so far."""
        weights = self.weights
        values = {"learning_rate": self.learning_rate}
        score = rating = float(epoch)
        if self._judged is not None:
            values["val_loss"] = self._judged.loss(weights, self._fixed, self._objective)
            scores = self._judged.scores(weights, InferenceSettings(device=str(self.accelerator.device)))
            values |= {f"val_{name}": value for name, value in scores.items()}
            protocol = self._judged.while_training
            score, rating = scores[protocol.headline], protocol.rating(scores)
        self.step_epoch(values.get("val_loss", means["loss"]))
        now = Best(epoch, score, rating, values.get("val_loss", math.nan))
        steady = self._judged is None or self._judged.while_training.steady
        if now.beats(self.best, steady=steady) or not self._best_file.is_file():
            self.best.load_state_dict(now.state_dict())
            save_weights(weights, self._best_file)
        return values

    def describe(self) -> str:
        """The best score so far."""
        return f"best {self.best.score:.4f}" if self.best.epoch else ""


@dataclass
class Best:
    """The epoch of the best weights so far, from 1, with their score, how it is ranked, and their validation loss.

    Args:
        epoch: Counted from 1; 0 is none yet.
        score: The headline score.
        rating: The same so that more is better.
        loss: The validation loss; NaN without a validation part.
    """

    epoch: int = 0
    score: float = math.nan
    rating: float = -math.inf
    loss: float = math.nan

    def beats(self, other: Best, *, steady: bool) -> bool:
        """Whether this epoch is kept instead of another.

        The better score wins. Where the score is not ``steady``, a clearly lower loss wins before it: a lucky merge
        in a handful of images would else keep the weights of a network that has hardly learned.
        """
        if not steady and other.epoch:
            if self.loss < (1 - _CLEARLY) * other.loss:
                return True
            if other.loss < (1 - _CLEARLY) * self.loss:
                return False
        return self.rating > other.rating

    def state_dict(self) -> State:
        """All of it."""
        return asdict(self)

    def load_state_dict(self, state: State) -> None:
        """The reverse."""
        self.epoch, self.score, self.rating, self.loss = (state[one.name] for one in fields(self))


def fit(
    segmenter: Segmenter,
    train: LabelledImages,
    validation: LabelledImages | None,
    settings: TrainSettings,
    run: RunFolder,
    *,
    cpu: bool = False,
) -> Fit:
    """Train ``segmenter`` in place and leave it with its best weights.

    Args:
        segmenter: The network, as built or initialised.
        train: The training part.
        validation: The validation part, by which the best epoch is chosen; without one the last epoch is taken.
        settings: What to do.
        run: Where records and checkpoints go; a run that has a checkpoint continues from it.
        cpu: Stay on the CPU where there is a GPU.

    Raises:
        BadInput: The network cannot be tuned as the settings ask, the loss is not a number any more, or a checkpoint is
            damaged.
    """
    dataset = labelled_patches(train, settings, settings.augmentation, segmenter.spec.layout, "train")

    def keep(epoch: int, weights: Segmenter) -> None:
        if epoch == earlier_epoch(settings.epochs):
            save_weights(weights, run.path / EARLIER)

    return fit_patches(segmenter, dataset, validation, settings, run, cpu=cpu, keep=keep)


def earlier_epoch(epochs: int) -> int:
    """The epoch, from 1, a quarter of a training before its end; 0 where there is none.

    >>> earlier_epoch(8), earlier_epoch(3), earlier_epoch(1)
    (6, 2, 0)
    """
    return epochs - max(1, round(epochs / 4))


def fit_patches(
    segmenter: Segmenter,
    dataset: Dataset[Batch],
    validation: LabelledImages | None,
    settings: TrainSettings,
    run: RunFolder,
    *,
    cpu: bool = False,
    keep: Callable[[int, Segmenter], None] | None = None,
) -> Fit:
    """:func:`fit` on patches that were prepared elsewhere.

    Args:
        segmenter, validation, settings, run, cpu: As there.
        dataset: The training patches.
        keep: Given the weights after each epoch, counted from 1.
    """
    with accelerated(settings, cpu=cpu) as accelerator:
        best = run.path / "checkpoints" / "best.safetensors"
        course = SupervisedCourse(accelerator, segmenter, dataset, settings, best, validation)
        course.run(run, after_epoch=None if keep is None else lambda epoch: keep(epoch, course.weights))
        segmenter.load_state_dict(load_file(best))
        segmenter.to("cpu").eval()
        return Fit(course.best.epoch, None if validation is None else course.best.score)


def _fixed_batches(
    validation: LabelledImages, settings: TrainSettings, layout: HeadLayout, device: torch.device
) -> list[Batch]:
    dataset = labelled_patches(validation, settings, QUIET, layout, "validation")
    loader = epoch_loader(dataset, 0, _VALIDATION_BATCHES, settings.batch, workers=0)
    return [{key: value.to(device) for key, value in batch.items()} for batch in loader]
