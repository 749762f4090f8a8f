"""Square: an attack that asks the network for answers and never for a gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, get_args

import torch

from anyscope.attacks.ascent import Best, Keep, labels_of
from anyscope.attacks.attack import Attack, Logits, Target, check_batch
from anyscope.attacks.ball import project, size_of
from anyscope.attacks.losses import check_classes, image_sums, margin
from anyscope.errors import BadInput
from anyscope.seeding import torch_generator

QUERIES_PER_STEP = 10
"""Questions to the network that count as a step: without gradients many more are needed."""
FIRST_SHARE = 0.8
"""Part of the pixels that the first square covers."""
HALVINGS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
"""Parts of the queries after which the share of the pixels is halved: 10, 50, 200 ... of the published 10,000."""


@dataclass(frozen=True)
class Square(Attack):
    """Random squares of the largest change, each kept if the image gets worse by it.

    For ``linf`` it begins with vertical stripes of plus and minus epsilon, and a query gives the pixels of a random
    square the same sign. For ``l2`` it begins with a grid of bumps, and a query moves the change of one window into
    another. Squares get smaller as the queries go on. What gets worse is the number of wrong pixels, softly: the
    probability of all wrong classes, summed over the pixels. The published margin of one class score would be ruled by
    the few pixels that are wrong already.

    Args:
        steps: Ten queries each; None for 30. The published attack on classifiers has 5,000 queries and more.
        keep: Which image on the way is the result; see :func:`anyscope.attacks.ascent.climb`. ``last`` is the one of
            the highest loss.
    """

    name: ClassVar[str] = "square"
    summary: ClassVar[str] = "black box: random squares, kept where the image gets worse; no gradient"
    source: ClassVar[str] = "Andriushchenko et al., ECCV 2020, arXiv 1912.00049; summed over pixels, loss ours"
    uses_gradient: ClassVar[bool] = False

    steps: int | None = None
    keep: Keep = "overlap"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps is not None and self.steps < 1:
            raise BadInput("steps", f"{self.steps}", "1 or more")
        if self.keep not in get_args(Keep):
            raise BadInput("keep", repr(self.keep), f"one of {', '.join(get_args(Keep))}")

    @property
    def resolved_steps(self) -> int:
        """The number of steps that is used; :data:`QUERIES_PER_STEP` queries each."""
        return 30 if self.steps is None else self.steps

    @property
    def queries(self) -> int:
        """The number of answers that the network is asked for."""
        return QUERIES_PER_STEP * self.resolved_steps

    def __call__(self, network: Logits, images: torch.Tensor, target: Target, seeds: Sequence[int]) -> torch.Tensor:
        """See :class:`~anyscope.attacks.attack.Attack`."""
        check_batch(images, target, seeds)
        with torch.inference_mode():
            originals = images.detach()
            labels, valid = labels_of(target)
            randoms = [torch_generator(seed, "attack", self.name) for seed in seeds]
            start = _stripes if self.norm == "linf" else _bumps
            change = [start(image, random) for image, random in zip(originals, randoms, strict=True)]
            best = self._placed(change, originals)
            highest = torch.full((len(images),), -torch.inf, dtype=torch.float64, device=images.device)
            worst = Best(best, self.keep)
            candidate = best
            for query in range(self.queries):
                if query:
                    edge = _edge(query / self.queries, originals)
                    move = _square if self.norm == "linf" else _shift
                    change = [move(each, edge, random) for each, random in zip(best - originals, randoms, strict=True)]
                    candidate = self._placed(change, originals, best if self.norm == "linf" else None)
                logits = network(candidate)
                if not query:
                    check_classes(logits, labels)
                worst.offer(candidate, logits, labels, valid)
                wrong = image_sums(margin(logits, labels).double().sigmoid(), valid)
                better = wrong > highest
                highest = torch.where(better, wrong, highest)
                best = torch.where(better.view(-1, 1, 1, 1), candidate, best)
            result = best if self.keep == "last" else worst.images
        return result.clone()

    def _placed(
        self, changes: list[torch.Tensor], originals: torch.Tensor, best: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Images at the rim of the ball; for ``linf`` those of ``best`` where a change is 0."""
        if not changes:
            return originals
        change = torch.stack(changes)
        if self.norm == "linf":
            moved = project(originals + self.epsilon * change, originals, self.epsilon, self.norm)
            return moved if best is None else torch.where(change == 0, best, moved)
        length = size_of(change, "l2").clamp(min=1e-12).view(-1, 1, 1, 1)
        return project(originals + self.epsilon * change / length, originals, self.epsilon, self.norm)


def _edge(progress: float, images: torch.Tensor) -> int:
    """Edge of the square in pixels after a part of the queries."""
    height, width = images.shape[-2:]
    share = FIRST_SHARE * 0.5 ** sum(progress > mark for mark in HALVINGS)
    edge: int = max(1, min(round((share * height * width) ** 0.5), height, width))
    return edge


def _signs(shape: tuple[int, ...], random: torch.Generator, like: torch.Tensor) -> torch.Tensor:
    """-1 or 1, drawn on the CPU so that they are the same wherever the network is."""
    return (2 * torch.randint(0, 2, shape, generator=random) - 1).to(like)


def _corner(image: torch.Tensor, edge: int, random: torch.Generator) -> tuple[int, int]:
    y, x = (int(torch.randint(0, length - edge + 1, (), generator=random)) for length in image.shape[-2:])
    return y, x


def _stripes(image: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Signs [C, H, W] that are the same along every column of a channel."""
    channels, _, width = image.shape
    return _signs((channels, 1, width), random, image).expand_as(image).clone()


def _square(image: torch.Tensor, edge: int, random: torch.Generator) -> torch.Tensor:
    """Signs [C, H, W] within a random square, one for each channel; 0 elsewhere."""
    y, x = _corner(image, edge, random)
    change = torch.zeros_like(image)
    change[:, y : y + edge, x : x + edge] = _signs((len(image), 1, 1), random, image)
    return change


def _bumps(image: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """A grid of bumps [C, H, W] of random signs, about five on the shorter side."""
    change = torch.zeros_like(image)
    edge = max(1, min(image.shape[-2:]) // 5)
    for y in range(0, image.shape[-2], edge):
        for x in range(0, image.shape[-1], edge):
            part = change[:, y : y + edge, x : x + edge]
            part += _bump(edge, image)[: part.shape[1], : part.shape[2]] * _signs((len(image), 1, 1), random, image)
    return change


def _bump(edge: int, like: torch.Tensor) -> torch.Tensor:
    """A bump [edge, edge] of length 1 that falls off as 1 / distance squared, summed over rings as published."""
    steps = torch.arange(edge, dtype=torch.float64) - (edge - 1) / 2
    ring = torch.maximum(steps[:, None].abs(), steps[None, :].abs())
    # The value of a ring is the sum of 1 / m^2 over the rings from it outwards, counted from 1 in the middle.
    rings = int(ring.max() + 0.5) + 1
    tails = (1 / torch.arange(1, rings + 1, dtype=torch.float64) ** 2).flip(0).cumsum(0).flip(0)
    values = tails[ring.floor().long()]
    bump: torch.Tensor = (values / values.norm()).to(like)
    return bump


def _shift(change: torch.Tensor, edge: int, random: torch.Generator) -> torch.Tensor:
    """The change with that of one random window moved into another, where it becomes a bump of random signs."""
    (y, x), (other_y, other_x) = _corner(change, edge, random), _corner(change, edge, random)
    signs = _signs((len(change), 1, 1), random, change)
    flipped = bool(torch.randint(0, 2, (), generator=random))
    moved = change.clone()
    here = (slice(None), slice(y, y + edge), slice(x, x + edge))
    there = (slice(None), slice(other_y, other_y + edge), slice(other_x, other_x + edge))
    covered = torch.zeros_like(change, dtype=torch.bool)
    covered[here] = covered[there] = True
    budget = (change * covered).norm()
    bump = _two_bumps(edge, change)
    new = signs * (bump.T if flipped else bump) + moved[here] / moved[here].norm().clamp(min=1e-10)
    moved[there] = 0
    moved[here] = new / new.norm().clamp(min=1e-10) * budget
    return moved


def _two_bumps(edge: int, like: torch.Tensor) -> torch.Tensor:
    """Two bumps [edge, edge] of opposite signs, one above the other."""
    upper = _bump(edge, like)
    return upper * torch.where(torch.arange(edge, device=like.device)[:, None] < (edge + 1) // 2, 1.0, -1.0).to(like)


ENTRIES = (Square,)
