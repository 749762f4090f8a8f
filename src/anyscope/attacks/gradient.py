"""Attacks that follow the gradient of the network: FGSM, I-FGSM, PGD, SegPGD, CosPGD."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch

from anyscope.attacks.ascent import Keep, climb
from anyscope.attacks.attack import Attack, Logits, Target, check_batch
from anyscope.attacks.ball import random_point
from anyscope.errors import BadInput

GREY_LEVEL = 1 / 255
"""One grey level of an 8-bit image."""


def equal_weights(logits: torch.Tensor, labels: torch.Tensor, progress: float) -> torch.Tensor:
    """Every pixel counts the same."""
    del progress
    return torch.ones(labels.shape, dtype=logits.dtype, device=logits.device)


@dataclass(frozen=True)
class FGSM(Attack):
    """One step as long as the radius: to a corner of the ball for ``linf``, along the gradient for ``l2``."""

    name: ClassVar[str] = "fgsm"
    summary: ClassVar[str] = "one step along the gradient, as long as epsilon"
    source: ClassVar[str] = "Goodfellow et al., ICLR 2015, arXiv 1412.6572"

    def __call__(self, network: Logits, images: torch.Tensor, target: Target, seeds: Sequence[int]) -> torch.Tensor:
        """See :class:`~anyscope.attacks.attack.Attack`."""
        check_batch(images, target, seeds)
        return climb(
            network,
            images,
            target,
            epsilon=self.epsilon,
            norm=self.norm,
            steps=1,
            step_size=self.epsilon,
            start=images,
            weights=equal_weights,
            keep="last",
        )


@dataclass(frozen=True)
class _Iterative(Attack):
    """Many steps.

    Args:
        steps: Number of steps, each a forward and a backward pass; None for the rule of the attack.
        step_size: Length of a step in the norm, in units of the image; None for the rule of the attack.
        keep: Which image on the way is the result; see :func:`anyscope.attacks.ascent.climb`. Every other choice than
            ``last`` costs one more forward pass.
    """

    starts_at_random: ClassVar[bool] = True

    steps: int | None = None
    step_size: float | None = None
    keep: Keep = "overlap"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps is not None and self.steps < 1:
            raise BadInput("steps", f"{self.steps}", "1 or more")
        if self.step_size is not None and not (math.isfinite(self.step_size) and self.step_size > 0):
            raise BadInput("step_size", f"{self.step_size}", "a length above 0")
        if self.keep not in get_args(Keep):
            raise BadInput("keep", repr(self.keep), f"one of {', '.join(get_args(Keep))}")

    @property
    @abstractmethod
    def resolved_step_size(self) -> float:
        """The length of a step that is used."""

    @property
    def resolved_steps(self) -> int:
        """The number of steps that is used."""
        return 10 if self.steps is None else self.steps

    def weights(self, logits: torch.Tensor, labels: torch.Tensor, progress: float) -> torch.Tensor:
        """Weights [B, H, W] of the loss of every pixel; see :data:`anyscope.attacks.ascent.Weights`."""
        return equal_weights(logits, labels, progress)

    def __call__(self, network: Logits, images: torch.Tensor, target: Target, seeds: Sequence[int]) -> torch.Tensor:
        """See :class:`~anyscope.attacks.attack.Attack`."""
        check_batch(images, target, seeds)
        start = random_point(images, self.epsilon, self.norm, seeds, self.name) if self.starts_at_random else images
        return climb(
            network,
            images,
            target,
            epsilon=self.epsilon,
            norm=self.norm,
            steps=self.resolved_steps,
            step_size=self.resolved_step_size,
            start=start,
            weights=self.weights,
            keep=self.keep,
        )


@dataclass(frozen=True)
class IFGSM(_Iterative):
    """FGSM in small steps from the image itself.

    A step is one grey level for ``linf``, as published, and a tenth of the radius for ``l2``. The published number of
    steps, min(epsilon + 4, 1.25 epsilon) in grey levels, is just enough to reach the rim if no pixel ever turns back,
    and a single step for epsilon 1. Ours is enough to cross the whole ball, twice the radius over the step, and at
    least 10.
    """

    name: ClassVar[str] = "ifgsm"
    summary: ClassVar[str] = "steps of one grey level along the gradient, enough of them to cross the ball"
    source: ClassVar[str] = "Kurakin et al., ICLR workshop 2017, arXiv 1607.02533; number of steps ours"
    starts_at_random: ClassVar[bool] = False

    @property
    def resolved_step_size(self) -> float:
        """The length of a step that is used."""
        if self.step_size is not None:
            return self.step_size
        return GREY_LEVEL if self.norm == "linf" else self.epsilon / 10

    @property
    def resolved_steps(self) -> int:
        """The number of steps that is used."""
        if self.steps is not None:
            return self.steps
        length = self.resolved_step_size
        # Less a little, so that 2 * (8/255) / (1/255) is 16 and not 17.
        return max(10, math.ceil(2 * self.epsilon / length - 1e-6)) if length else 10


@dataclass(frozen=True)
class PGD(_Iterative):
    """Steps along the gradient from a random point of the ball: 10 of 2.5 epsilon / steps unless told otherwise.

    That length is the one of Madry's code for MNIST and of the `robustness` library: steps can cross the whole ball,
    and later ones can turn back.
    """

    name: ClassVar[str] = "pgd"
    summary: ClassVar[str] = "projected gradient ascent from a random point of the ball"
    source: ClassVar[str] = "Madry et al., ICLR 2018, arXiv 1706.06083"

    @property
    def resolved_step_size(self) -> float:
        """The length of a step that is used."""
        return 2.5 * self.epsilon / self.resolved_steps if self.step_size is None else self.step_size


@dataclass(frozen=True)
class SegPGD(_Iterative):
    """PGD that looks at the pixels that are still right first, and at all of them alike towards the end.

    After t of T steps pixels that are right weigh 1 - lambda and those that are wrong lambda = t / (2 T), equations 4
    and 5 of the paper. A step is a third of the radius, the published .01 at .03.
    """

    name: ClassVar[str] = "segpgd"
    summary: ClassVar[str] = "PGD for segmentation: pixels that are still right count more"
    source: ClassVar[str] = "Gu et al., ECCV 2022, arXiv 2207.12391"

    @property
    def resolved_step_size(self) -> float:
        """The length of a step that is used."""
        return self.epsilon / 3 if self.step_size is None else self.step_size

    def weights(self, logits: torch.Tensor, labels: torch.Tensor, progress: float) -> torch.Tensor:
        """1 - lambda where a pixel is right, lambda where it is wrong."""
        share = progress / 2
        right = logits.argmax(dim=1) == labels
        return torch.where(right, 1 - share, share).to(logits.dtype)


Squashing = Literal["softmax", "sigmoid"]


@dataclass(frozen=True)
class CosPGD(_Iterative):
    """PGD that weights a pixel by the cosine of its predicted distribution and the right one-hot vector.

    The cosine is p_y / |p|: near 1 where the network is right and sure, near 0 where it is wrong and sure. A step is a
    third of the radius, the published .01 at .03.

    Args:
        squashing: What makes a distribution p of the logits; the paper has both.
    """

    name: ClassVar[str] = "cospgd"
    summary: ClassVar[str] = "PGD for segmentation: pixels count by how near they are to the reference"
    source: ClassVar[str] = "Agnihotri et al., ICML 2024, arXiv 2302.02213"

    squashing: Squashing = "softmax"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.squashing not in get_args(Squashing):
            raise BadInput("squashing", repr(self.squashing), " or ".join(get_args(Squashing)))

    @property
    def resolved_step_size(self) -> float:
        """The length of a step that is used."""
        return self.epsilon / 3 if self.step_size is None else self.step_size

    def weights(self, logits: torch.Tensor, labels: torch.Tensor, progress: float) -> torch.Tensor:
        """The cosine at every pixel."""
        del progress
        values = logits.softmax(dim=1) if self.squashing == "softmax" else logits.sigmoid()
        right = values.gather(1, labels[:, None])[:, 0]
        cosine: torch.Tensor = right / values.norm(dim=1).clamp(min=torch.finfo(values.dtype).tiny)
        return cosine


ENTRIES = (FGSM, IFGSM, PGD, SegPGD, CosPGD)
