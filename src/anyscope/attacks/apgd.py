"""APGD, which finds its own step size, and the ensemble SEA of three of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, get_args

import torch

from anyscope.attacks.ascent import Best, Keep, labels_of
from anyscope.attacks.attack import Attack, Logits, Norm, Target, check_batch
from anyscope.attacks.ball import project, random_point, steepest
from anyscope.attacks.losses import LOSSES, LossName, check_classes, image_sums, pixel_loss
from anyscope.errors import BadInput

MOMENTUM = 0.75
"""Part of a step that follows the gradient; the rest goes on in the direction of the last one."""
ENOUGH = 0.75
"""Part of the steps since the last checkpoint that must have raised the loss for the step size to stay."""
WIDE = ((2.0, 0.3), (1.5, 0.3), (1.0, 0.4))
"""Radii of SEA's schedule in parts of epsilon, and the part of the steps that each has."""


def checkpoints(steps: int) -> list[int]:
    """The steps after which the step size is looked at: 22 % of all, then intervals shorter by 3 % each, at least 6 %.

    Source: Croce and Hein, ICML 2020, arXiv 2003.01690, section 3.1.

    >>> checkpoints(100)
    [22, 41, 57, 70, 80, 87, 93, 99]
    """
    parts, found = [0.0, 0.22], []
    while parts[-1] <= 1:
        found.append(math.ceil(parts[-1] * steps - 1e-9))
        parts.append(parts[-1] + max(parts[-1] - parts[-2] - 0.03, 0.06))
    return [step for step in dict.fromkeys(found) if 0 < step < steps]


@dataclass(frozen=True)
class APGD(Attack):
    """Projected gradient ascent with momentum that halves its steps where they do not help, and goes back to the best.

    A step begins with twice the radius. At the :func:`checkpoints` it is halved for an image if fewer than 75 % of the
    steps since the last one raised its loss, or if neither step size nor best loss changed since; the image then goes
    on from its best point. Every image has its own step size and its own best point.

    The gradient is that of ``loss``; what is compared is cross-entropy, since the masked losses fall when a pixel
    turns wrong, which is what the attack is after.

    Args:
        steps: Number of gradients; None for 30. The published evaluation of SEA has 300 for each loss.
        loss: ``ce``; ``masked`` to the pixels that are right; the same ``balanced`` by class; ``js``, the
            Jensen-Shannon divergence; see :mod:`anyscope.attacks.losses`.
        wide: Begin in a ball of twice the radius for 30 % of the steps, go on in one of 1.5 times for 30 %, then in the
            ball itself. Only images within the ball are kept.
        keep: Which image on the way is the result; see :func:`anyscope.attacks.ascent.climb`.
    """

    name: ClassVar[str] = "apgd"
    summary: ClassVar[str] = "projected gradient ascent with momentum and its own step size"
    source: ClassVar[str] = "Croce and Hein, ICML 2020, arXiv 2003.01690"

    steps: int | None = None
    loss: LossName = "ce"
    wide: bool = False
    keep: Keep = "overlap"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps is not None and self.steps < 1:
            raise BadInput("steps", f"{self.steps}", "1 or more")
        if self.loss not in LOSSES:
            raise BadInput("loss", repr(self.loss), f"one of {', '.join(LOSSES)}")
        if self.keep not in get_args(Keep):
            raise BadInput("keep", repr(self.keep), f"one of {', '.join(get_args(Keep))}")

    @property
    def resolved_steps(self) -> int:
        """The number of steps that is used."""
        return 30 if self.steps is None else self.steps

    def __call__(self, network: Logits, images: torch.Tensor, target: Target, seeds: Sequence[int]) -> torch.Tensor:
        """See :class:`~anyscope.attacks.attack.Attack`."""
        check_batch(images, target, seeds)
        with torch.inference_mode(False), torch.enable_grad():
            climber = _Climber(network, images, target, self)
            start = random_point(climber.originals, self.epsilon, self.norm, seeds, self.name)
            for radius, steps in self._phases():
                start = climber.climb(start, radius * self.epsilon, steps)
            return climber.result.images if self.keep != "last" else start

    def _phases(self) -> list[tuple[float, int]]:
        """Radii in parts of epsilon and their numbers of steps; the last one is never empty."""
        if not self.wide:
            return [(1.0, self.resolved_steps)]
        early = [(radius, int(share * self.resolved_steps)) for radius, share in WIDE[:-1]]
        phases = [*early, (WIDE[-1][0], self.resolved_steps - sum(steps for _, steps in early))]
        return [(radius, steps) for radius, steps in phases if steps]


class _Climber:
    """The images on their way, and the worst of them within the ball so far."""

    def __init__(self, network: Logits, images: torch.Tensor, target: Target, attack: APGD) -> None:
        # A caller may be in inference mode, whose tensors cannot be part of a graph: hence the clones.
        self.originals = images.detach().clone()
        self.labels, self.valid = labels_of(target)
        self.result = Best(self.originals, attack.keep)
        self._network, self._attack = network, attack

    def climb(self, start: torch.Tensor, epsilon: float, steps: int) -> torch.Tensor:
        """The image of the highest cross-entropy within ``epsilon`` that ``steps`` gradients lead to."""
        norm: Norm = self._attack.norm
        inside = epsilon <= self._attack.epsilon
        current = project(start, self.originals, epsilon, norm)
        length = torch.full((len(current), 1, 1, 1), 2 * epsilon, dtype=current.dtype, device=current.device)
        value, gradient = self._look(current, inside)
        before, best, best_value, best_gradient = current, current, value, gradient
        raised = torch.zeros_like(value)
        halved, seen, since = torch.zeros_like(value, dtype=torch.bool), value, 0
        marks = set(checkpoints(steps))
        for step in range(1, steps + 1):
            with torch.no_grad():
                aim = project(current + length * steepest(gradient, norm), self.originals, epsilon, norm)
                share = MOMENTUM if step > 1 else 1.0
                moved = current + share * (aim - current) + (1 - share) * (current - before)
                before, current = current, project(moved, self.originals, epsilon, norm)
            last = value
            value, gradient = self._look(current, inside, with_gradient=step < steps)
            raised += value > last
            better = value > best_value
            best_value = torch.where(better, value, best_value)
            best, best_gradient = _where(better, current, best), _where(better, gradient, best_gradient)
            since += 1
            if step in marks:
                stuck = (~halved & (best_value <= seen)) | (raised < ENOUGH * since)
                length = torch.where(stuck.view(-1, 1, 1, 1), length / 2, length)
                current, gradient = _where(stuck, best, current), _where(stuck, best_gradient, gradient)
                value = torch.where(stuck, best_value, value)
                raised, seen, halved, since = torch.zeros_like(raised), best_value, stuck, 0
        return best

    def _look(
        self, images: torch.Tensor, inside: bool, *, with_gradient: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Cross-entropy [B] and the gradient of the loss; images within the ball are offered as the result."""
        images = images.detach().requires_grad_()
        with torch.set_grad_enabled(with_gradient):
            logits = self._network(images)
            check_classes(logits, self.labels)
            loss = LOSSES[self._attack.loss](logits, self.labels, self.valid)
        gradient = torch.zeros_like(images)
        if with_gradient:
            (gradient,) = torch.autograd.grad(image_sums(loss, self.valid).sum(), images)
        with torch.no_grad():
            value = image_sums(pixel_loss(logits.detach(), self.labels), self.valid)
            if inside:
                self.result.offer(images.detach(), logits.detach(), self.labels, self.valid)
        return value.double(), gradient


def _where(chosen: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return torch.where(chosen.view(-1, 1, 1, 1), first, second)


_SEA = "Croce, Singh, Hein, ECCV 2024, arXiv 2306.12941"


@dataclass(frozen=True)
class SEABalanced(APGD):
    """The part of SEA that looks at every class alike."""

    name: ClassVar[str] = "sea_balanced"
    summary: ClassVar[str] = "part of SEA: APGD on the pixels that are right, classes weighing the same"
    source: ClassVar[str] = _SEA

    loss: LossName = "balanced"
    wide: bool = True


@dataclass(frozen=True)
class SEAMasked(APGD):
    """The part of SEA that looks at the pixels that are right."""

    name: ClassVar[str] = "sea_masked"
    summary: ClassVar[str] = "part of SEA: APGD on the pixels that are right"
    source: ClassVar[str] = _SEA

    loss: LossName = "masked"
    wide: bool = True


@dataclass(frozen=True)
class SEADivergence(APGD):
    """The part of SEA whose loss is bounded."""

    name: ClassVar[str] = "sea_js"
    summary: ClassVar[str] = "part of SEA: APGD on the Jensen-Shannon divergence to the reference"
    source: ClassVar[str] = _SEA

    loss: LossName = "js"
    wide: bool = True


SEA_PARTS: tuple[type[APGD], ...] = (SEABalanced, SEAMasked, SEADivergence)


@dataclass(frozen=True)
class SEA(Attack):
    """Of every image the worst that the three parts find.

    Over many images the worst pooled score is no choice for each image alone: an assay runs the parts as attacks of
    their own and chooses by :func:`anyscope.assay.worst_case.greedy_choice`.

    Args:
        steps: Gradients of each part; None for 30, the published evaluation has 300.
        keep: What is worst; see :func:`anyscope.attacks.ascent.climb`. ``last`` takes the last part.
    """

    name: ClassVar[str] = "sea"
    summary: ClassVar[str] = "ensemble of three APGDs with a wide start: the worst of each image"
    source: ClassVar[str] = _SEA

    steps: int | None = None
    keep: Keep = "overlap"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.parts()

    def parts(self) -> tuple[APGD, ...]:
        """The attacks that it consists of."""
        return tuple(part(self.epsilon, self.norm, steps=self.steps, keep=self.keep) for part in SEA_PARTS)

    @property
    def resolved_steps(self) -> int:
        """The number of steps of all parts together."""
        return sum(part.resolved_steps for part in self.parts())

    def __call__(self, network: Logits, images: torch.Tensor, target: Target, seeds: Sequence[int]) -> torch.Tensor:
        """See :class:`~anyscope.attacks.attack.Attack`."""
        check_batch(images, target, seeds)
        labels, valid = labels_of(target)
        worst = Best(images, self.keep)
        for part in self.parts():
            found = part(network, images, target, seeds)
            with torch.no_grad():
                worst.offer(found, network(found), labels, valid)
            if self.keep == "last":
                worst.images = found
        return worst.images


ENTRIES: tuple[type[Attack], ...] = (APGD, *SEA_PARTS, SEA)
