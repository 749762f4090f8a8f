"""What refinements share: going on from a trained segmenter with images of the target, and leaving candidates."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import torch
from pydantic import Field
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from anyscope.adaptation.work import Work
from anyscope.models import Segmenter
from anyscope.training.course import Course

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]


class RefinementCourse(Course):
    """A course that a refinement follows."""

    @property
    @abstractmethod
    def weights(self) -> Segmenter:
        """What becomes a candidate."""


def refine(work: Work, course: RefinementCourse, epochs: int, steps: int, title: str) -> Work:
    """Follow a course and keep candidates, the network that it began with included."""
    work.keep(0, work.segmenter)
    keep = work.keeping(epochs)
    work.follow(course, epochs=epochs, steps=steps, title=title, after_epoch=lambda epoch: keep(epoch, course.weights))
    return work


def descend(
    optimiser: torch.optim.Optimizer, loss: torch.Tensor, parameters: list[nn.Parameter], clip_norm: float
) -> None:
    """One step against the gradient of ``loss``, its norm limited where ``clip_norm`` is not 0."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    if clip_norm > 0:
        nn.utils.clip_grad_norm_(parameters, clip_norm)
    optimiser.step()


def batch_norms(module: nn.Module) -> list[_BatchNorm]:
    """All batch normalisations in ``module`` with running statistics, of whatever library."""
    found = [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]
    return [layer for layer in found if layer.running_mean is not None]


@contextmanager
def keeping_statistics(layers: Sequence[_BatchNorm]) -> Iterator[None]:
    """Inside the block running statistics of the layers stay as they are, also in training mode."""
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
