"""The one loop of everything that learns: epochs of numbered steps, checkpoints, records.

A killed course continues from its last epoch and, on the CPU, ends as one that was never killed: what a step draws
depends on its number alone, dropout draws from a stream named by it, and the whole state of the course is kept.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch

from anyscope.errors import BadInput
from anyscope.running.progress import progress
from anyscope.running.run_folder import RunFolder
from anyscope.seeding import derive_seed
from anyscope.training.checkpoint import State, load_checkpoint, save_checkpoint

Losses = Mapping[str, torch.Tensor]
Values = Mapping[str, float]


class Stateful(Protocol):
    """What a checkpoint can hold: networks, optimisers, schedules, averages."""

    def state_dict(self) -> State:
        """All that changes."""

    def load_state_dict(self, state: State) -> object:
        """The reverse."""


class Course(ABC):
    """Something that learns, step by step."""

    @property
    @abstractmethod
    def parts(self) -> Mapping[str, Stateful]:
        """Everything that changes from step to step, by name, for checkpoints."""

    @abstractmethod
    def step(self, number: int) -> Losses:
        """One step. All it draws must follow from ``number``, counted from 0 over all epochs.

        Returns:
            Detached losses, scalars; the one named ``loss`` is shown. None may become infinite.
        """

    def begin_epoch(self, epoch: int) -> None:  # noqa: B027  (most have nothing to do)
        """Called before the steps of an epoch, counted from 0."""

    def end_epoch(self, epoch: int, means: Values) -> Values:  # noqa: ARG002
        """Called after the steps of an epoch, counted from 1, with the means of its losses.

        Returns:
            More values for the record.
        """
        return {}

    def describe(self) -> str:
        """A remark for the progress line."""
        return ""


def follow(
    course: Course,
    run: RunFolder,
    *,
    epochs: int,
    steps: int,
    seed: int,
    device: torch.device | str,
    title: str = "train",
    after_epoch: Callable[[int], None] | None = None,
) -> None:
    """Let a course run to its end, or from where it was stopped.

    Args:
        course: What learns.
        run: Where records, checkpoints and TensorBoard's files go.
        epochs: Number of epochs; a record and a checkpoint after each.
        steps: Steps of an epoch.
        seed: Seed of dropout.
        device: Where it runs.
        title: Name on the progress line.
        after_epoch: Called after each epoch, counted from 1, before its checkpoint; after a kill perhaps twice.

    Raises:
        BadInput: A loss is not a number any more, or a checkpoint is damaged.
    """
    device = torch.device(device)
    last = run.path / "checkpoints" / "last.safetensors"
    done, seconds = 0, 0.0
    if last.is_file():
        state = load_checkpoint(last, str(device))
        done, seconds = state["epoch"], state["seconds"]
        for name, part in course.parts.items():
            part.load_state_dict(state["parts"][name])
    run.keep_records(done)
    with _tensorboard(run, done) as board, progress(title, epochs * steps, "steps", done * steps) as shown:
        while done < epochs:
            started = time.monotonic()
            course.begin_epoch(done)
            sums: dict[str, float] = {}
            for number in range(done * steps, (done + 1) * steps):
                with _dropout_stream(seed, number, device):
                    losses = {name: float(value) for name, value in course.step(number).items()}
                _refuse_infinite(losses, title, number)
                for name, value in losses.items():
                    sums[name] = sums.get(name, 0.0) + value
                shown.advance(note=_note(losses, course.describe()))
            done += 1
            means = {name: total / steps for name, total in sums.items()}
            trained = {f"train_{name}": mean for name, mean in means.items()}
            record = {"epoch": done, "step": done * steps, **trained, **course.end_epoch(done, means)}
            if after_epoch is not None:
                after_epoch(done)
            seconds += time.monotonic() - started
            record["seconds"] = round(seconds, 3)
            parts = {name: part.state_dict() for name, part in course.parts.items()}
            save_checkpoint(last, {"epoch": done, "seconds": seconds, "parts": parts})
            run.record(record)
            board(record)


def _refuse_infinite(losses: Values, title: str, number: int) -> None:
    for name, value in losses.items():
        if not math.isfinite(value):
            raise BadInput(
                f"{title}: step {number}", f"the {name} is {value}", "a finite loss", "lower the learning rate"
            )


def _note(losses: Values, remark: str) -> str:
    shown = f"loss {losses['loss']:.4f}" if "loss" in losses else ""
    return ", ".join(part for part in (shown, remark) if part)


@contextmanager
def _dropout_stream(seed: int, step: int, device: torch.device) -> Iterator[None]:
    # Dropout can only draw from torch's global stream: it is set for this step and put back.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(derive_seed(seed, "dropout", step))
        yield


@contextmanager
def _tensorboard(run: RunFolder, epoch: int) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(run.path / "tensorboard"), purge_step=epoch + 1) as writer:

        def write(record: Mapping[str, Any]) -> None:
            for name, value in record.items():
                if name not in ("epoch", "step") and isinstance(value, (int, float)):
                    writer.add_scalar(name, value, record["epoch"])

        yield write
