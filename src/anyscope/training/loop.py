"""The training loop: epochs of seeded batches, source validation, checkpoints, the best weights as a segmenter.

A killed run continues from its last epoch and, on the CPU, ends with the same weights as one that was never killed:
patches are numbered, dropout draws from a stream named by the step, and the whole state of the optimiser is kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from safetensors.torch import load_file, save_file
from torch.optim.swa_utils import AveragedModel

from anyscope.datasets.folder import LabelledImages
from anyscope.datasets.patches import PatchSampler
from anyscope.datasets.planes import PlaneReader
from anyscope.errors import BadInput
from anyscope.inference import InferenceSettings
from anyscope.models import Segmenter
from anyscope.running.atomic import atomic_file
from anyscope.running.progress import Progress, progress
from anyscope.running.run_folder import RunFolder
from anyscope.seeding import derive_seed
from anyscope.training.augmentation import margin_px
from anyscope.training.batches import Batch, PatchDataset, epoch_loader
from anyscope.training.checkpoint import State, load_checkpoint, save_checkpoint
from anyscope.training.objective import Objective
from anyscope.training.optimisation import (
    Schedule,
    make_average,
    make_optimiser,
    make_schedule,
    step_batch,
    step_epoch,
)
from anyscope.training.settings import AugmentationSettings, TrainSettings
from anyscope.training.validation import Validation

_VALIDATION_BATCHES = 4
_QUIET = AugmentationSettings(
    flips=False, angle_degrees=0, scale=1, elastic_px=0, contrast=0, brightness=0, gamma=1, noise=0, blur_px=0
)


@dataclass(frozen=True)
class Fit:
    """What a training run ended with: the epoch (from 1) of the best weights, and their validation score."""

    best_epoch: int
    best_score: float | None


@dataclass
class _Progressing:
    """Everything that changes while training, and that a checkpoint holds."""

    model: Segmenter
    average: AveragedModel | None
    optimiser: torch.optim.Optimizer
    schedule: Schedule | None
    epoch: int = 0
    best_epoch: int = 0
    best_score: float = -math.inf
    seconds: float = 0.0

    def state(self) -> State:
        return {
            "model": self.model.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            **{name: getattr(self, name) for name in ("epoch", "best_epoch", "best_score", "seconds")},
        }

    def restore(self, state: State) -> None:
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        for name in ("epoch", "best_epoch", "best_score", "seconds"):
            setattr(self, name, state[name])


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
        BadInput: The loss is not a number any more, or a checkpoint is damaged.
    """
    precision = "no" if settings.precision == "fp32" else settings.precision
    accelerator = Accelerator(cpu=cpu, mixed_precision=precision, split_batches=True)
    try:
        return _fit(accelerator, segmenter, train, validation, settings, run)
    finally:
        accelerator.free_memory()
        AcceleratorState._reset_state(reset_partial_state=accelerator.num_processes == 1)


def _fit(
    accelerator: Accelerator,
    segmenter: Segmenter,
    train: LabelledImages,
    validation: LabelledImages | None,
    settings: TrainSettings,
    run: RunFolder,
) -> Fit:
    device = accelerator.device
    # Convolutions are a quarter to a half faster with the channels innermost, on CPUs as with tensor cores.
    segmenter.to(memory_format=torch.channels_last)
    objective = Objective.of(settings, segmenter.spec.classes)
    optimiser = make_optimiser(segmenter.parameters(), settings)
    model, optimiser = accelerator.prepare(segmenter, optimiser)
    now = _Progressing(
        segmenter, make_average(segmenter, settings.ema), optimiser, make_schedule(optimiser.optimizer, settings)
    )
    last, best = run.path / "checkpoints" / "last.safetensors", run.path / "checkpoints" / "best.safetensors"
    if last.is_file():
        now.restore(load_checkpoint(last, str(device)))
    run.keep_records(now.epoch)
    dataset = _patches(train, settings, settings.augmentation, segmenter.spec.classes, "train")
    judged = None if validation is None else Validation.read(validation, segmenter.spec, settings)
    fixed = [] if validation is None else _fixed_batches(validation, settings, segmenter.spec.classes, device)
    total = settings.epochs * settings.steps_per_epoch
    with (
        _tensorboard(run, now.epoch, accelerator.is_main_process) as board,
        progress("train", total, "steps", now.epoch * settings.steps_per_epoch) as shown,
    ):
        while now.epoch < settings.epochs:
            started = time.monotonic()
            loss = _epoch(accelerator, model, now, objective, dataset, settings, shown)
            weights = segmenter if now.average is None else cast(Segmenter, now.average.module)
            now.epoch += 1
            record: dict[str, Any] = {
                "epoch": now.epoch,
                "step": now.epoch * settings.steps_per_epoch,
                "train_loss": loss,
                "learning_rate": optimiser.param_groups[0]["lr"],
            }
            if judged is not None:
                record["val_loss"] = judged.loss(weights, fixed, objective)
                scores = judged.scores(weights, InferenceSettings(device=str(device)))
                record |= {f"val_{name}": value for name, value in scores.items()}
                score = scores[judged.selection]
            else:
                score = float(now.epoch)
            step_epoch(now.schedule, record.get("val_loss", loss))
            if score > now.best_score or not best.is_file():
                now.best_score, now.best_epoch = score, now.epoch
                if accelerator.is_main_process:
                    with atomic_file(best) as temporary:
                        save_file(
                            {k: v.detach().cpu().contiguous() for k, v in weights.state_dict().items()}, temporary
                        )
            now.seconds += time.monotonic() - started
            record["seconds"] = round(now.seconds, 3)
            if accelerator.is_main_process:
                save_checkpoint(last, now.state())
                run.record(record)
                board(record)
            accelerator.wait_for_everyone()
    segmenter.load_state_dict(load_file(best))
    segmenter.to("cpu").eval()
    return Fit(now.best_epoch, now.best_score if judged is not None else None)


def _epoch(
    accelerator: Accelerator,
    model: torch.nn.Module,
    now: _Progressing,
    objective: Objective,
    dataset: PatchDataset,
    settings: TrainSettings,
    shown: Progress,
) -> float:
    model.train()
    loader = accelerator.prepare(
        epoch_loader(dataset, now.epoch, settings.steps_per_epoch, settings.batch, settings.workers)
    )
    sum_of_losses = torch.zeros((), device=accelerator.device)
    for number, batch in enumerate(loader):
        step = now.epoch * settings.steps_per_epoch + number
        with _dropout_stream(settings.seed, step, accelerator.device), accelerator.autocast():
            loss = objective(model, batch, auxiliary=now.model.is_guided)
        if not torch.isfinite(loss):
            raise BadInput(
                f"training step {step}", f"the loss is {float(loss)}", "a finite loss", "lower learning_rate"
            )
        accelerator.backward(loss)
        if settings.clip_norm > 0:
            accelerator.clip_grad_norm_(model.parameters(), settings.clip_norm)
        now.optimiser.step()
        step_batch(now.schedule)
        now.optimiser.zero_grad(set_to_none=True)
        if now.average is not None:
            now.average.update_parameters(now.model)
        sum_of_losses += loss.detach()
        shown.advance(
            note=f"loss {float(loss.detach()):.4f}" + (f", best {now.best_score:.4f}" if now.best_epoch else "")
        )
    mean = accelerator.reduce(sum_of_losses / settings.steps_per_epoch, reduction="mean")
    return float(mean)


def _patches(
    part: LabelledImages, settings: TrainSettings, augmentation: AugmentationSettings, classes: int, stream: str
) -> PatchDataset:
    planes = PlaneReader(part.regions, settings.task, settings.intensity, settings.pixel_size_nm)
    cut = settings.patch_px + 2 * margin_px(settings.patch_px, augmentation)
    seed = derive_seed(settings.seed, stream)
    sampler = PatchSampler(planes, cut, settings.neighbours, settings.foreground, seed)
    return PatchDataset(sampler, settings.patch_px, settings.heads, classes, augmentation)


def _fixed_batches(
    validation: LabelledImages, settings: TrainSettings, classes: int, device: torch.device
) -> list[Batch]:
    dataset = _patches(validation, settings, _QUIET, classes, "validation")
    loader = epoch_loader(dataset, 0, _VALIDATION_BATCHES, settings.batch, workers=0)
    return [{key: value.to(device) for key, value in batch.items()} for batch in loader]


@contextmanager
def _dropout_stream(seed: int, step: int, device: torch.device) -> Iterator[None]:
    # Dropout can only draw from torch's global stream: it is set for this step and put back.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(derive_seed(seed, "dropout", step))
        yield


@contextmanager
def _tensorboard(run: RunFolder, epoch: int, main: bool) -> Iterator[Any]:
    if not main:
        yield dict
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(run.path / "tensorboard"), purge_step=epoch + 1) as writer:

        def write(record: dict[str, Any]) -> None:
            for name, value in record.items():
                if name not in ("epoch", "step") and isinstance(value, (int, float)):
                    writer.add_scalar(name, value, record["epoch"])

        yield write
