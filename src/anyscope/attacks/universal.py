"""One perturbation for all images of a kind, learned on some and applied to others."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, get_args

import torch

from anyscope.attacks.attack import Logits, Norm, Target
from anyscope.attacks.ball import size_of, steepest
from anyscope.attacks.losses import LOSSES, check_classes, image_sums
from anyscope.errors import BadInput
from anyscope.seeding import torch_generator

MOMENTUM = 0.9


@dataclass(frozen=True)
class Universal:
    """A square perturbation, repeated over images of any size, that raises the loss of a network on all images.

    Steps of steepest ascent on the mean Jensen-Shannon divergence over a batch of images, with momentum. The divergence
    is bounded, as the clipped loss of the source is, so that a single image cannot rule the perturbation. It is shifted
    at random against the images in every step: what is learned is a texture, not a place. Every step draws from a
    stream of its own, so that a learning that was stopped ends as one that was not.

    Args:
        epsilon: Radius: the largest change of a pixel for ``linf``; for ``l2`` the root mean square over the pixels.
        norm: Its norm.
        steps: Number of steps; None for 100.
        edge_px: Edge of the perturbation.
        seed: Seed of shifts and start.
    """

    name: ClassVar[str] = "universal"
    summary: ClassVar[str] = "one perturbation for all images, learned on others"
    source: ClassVar[str] = (
        "Moosavi-Dezfooli et al., CVPR 2017, arXiv 1610.08401; steps as Shafahi et al., AAAI 2020, arXiv 1811.11304"
    )

    epsilon: float
    norm: Norm = "linf"
    steps: int | None = None
    edge_px: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.epsilon) and self.epsilon >= 0):
            raise BadInput("epsilon", f"{self.epsilon}", "a radius of 0 or more, such as 8/255 = 0.0314")
        if self.norm not in get_args(Norm):
            raise BadInput("norm", repr(self.norm), " or ".join(get_args(Norm)))
        if (self.steps is not None and self.steps < 1) or self.edge_px < 1:
            raise BadInput("universal", f"{self.steps} steps, edge {self.edge_px}", "1 or more of each")

    @property
    def resolved_steps(self) -> int:
        """The number of steps that is used."""
        return 100 if self.steps is None else self.steps

    def begin(self, channels: int) -> Learning:
        """The state before the first step, for images of so many channels: a random perturbation of half the size."""
        random = torch_generator(self.seed, "attack", self.name)
        signs = 2 * torch.randint(0, 2, (channels, self.edge_px, self.edge_px), generator=random).float() - 1
        return Learning(0, signs * self.epsilon / 2, torch.zeros_like(signs))

    def step(self, network: Logits, state: Learning, images: torch.Tensor, target: Target, slices: int = 1) -> Learning:
        """One step further.

        Args:
            network: Class logits.
            state: From where.
            images: [B, slices * C, H, W] in 0..1.
            target: The reference.
            slices: Slices that the network sees as channels; all are changed alike.
        """
        random = torch_generator(self.seed, "attack", self.name, state.step)
        shift = torch.randint(0, self.edge_px, (2,), generator=random).tolist()
        device = images.device
        with torch.inference_mode(False), torch.enable_grad():
            change = state.change.to(device).clone().requires_grad_()
            pattern = repeated(torch.roll(change, shift, dims=(-2, -1)), images.shape[-2:]).repeat(slices, 1, 1)
            logits = network((images.clone() + pattern).clamp(0, 1))
            valid = target.valid.clone()
            labels = torch.where(valid, target.labels, torch.zeros_like(target.labels))
            check_classes(logits, labels)
            loss = image_sums(LOSSES["js"](logits, labels, valid), valid).sum() / valid.sum().clamp(min=1)
            (gradient,) = torch.autograd.grad(loss, change)
        gradient = gradient.cpu()
        momentum = MOMENTUM * state.momentum + gradient / gradient.abs().mean().clamp(min=torch.finfo().tiny)
        # Long at first, then shorter: the whole way can cross the ball ten times.
        length = 4 * self.epsilon * (1 - state.step / self.resolved_steps) / self.resolved_steps**0.5
        moved = state.change + self._unit(momentum) * length
        return Learning(state.step + 1, self._inside(moved), momentum, [*state.losses, float(loss.detach())])

    def _unit(self, direction: torch.Tensor) -> torch.Tensor:
        pixels = direction.numel() ** 0.5 if self.norm == "l2" else 1.0
        return steepest(direction[None], self.norm)[0] * pixels

    def _inside(self, change: torch.Tensor) -> torch.Tensor:
        if self.norm == "linf":
            return change.clamp(-self.epsilon, self.epsilon)
        length = float(size_of(change[None], "l2")) / change.numel() ** 0.5
        inside: torch.Tensor = change * min(1.0, self.epsilon / max(length, 1e-12))
        return inside


@dataclass(frozen=True, eq=False)
class Learning:
    """A universal perturbation on its way.

    Args:
        step: Steps that were made.
        change: The perturbation [C, h, w].
        momentum: Its momentum.
        losses: Loss before each step.
    """

    step: int
    change: torch.Tensor
    momentum: torch.Tensor
    losses: list[float] = field(default_factory=list)

    def state_dict(self) -> dict[str, Any]:
        """All of it, for a file."""
        return dict(vars(self))


def repeated(change: torch.Tensor, shape: torch.Size | tuple[int, ...]) -> torch.Tensor:
    """A perturbation [C, h, w] repeated over planes of a shape [C, H, W]."""
    height, width = shape
    times = (1, -(-height // change.shape[-2]), -(-width // change.shape[-1]))
    return change.repeat(*times)[:, :height, :width]
