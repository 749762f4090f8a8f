"""Climbing the loss of an image within its ball, step by step: what all attacks by gradient share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch

from anyscope.attacks.attack import Logits, Norm, Target
from anyscope.attacks.ball import project, steepest
from anyscope.attacks.losses import check_classes, image_sums, pixel_loss

Keep = Literal["overlap", "pixels", "last"]
Weights = Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]
"""Weights [B, H, W] of the loss of every pixel, from logits [B, K, H, W], labels [B, H, W], and the part 0..1 of the
steps that is behind. They are constants: no gradient flows through them."""


def climb(
    network: Logits,
    images: torch.Tensor,
    target: Target,
    *,
    epsilon: float,
    norm: Norm,
    steps: int,
    step_size: float,
    start: torch.Tensor,
    weights: Weights,
    keep: Keep,
) -> torch.Tensor:
    """Steepest ascent of the weighted loss, projected to the ball and to 0..1 after every step.

    The loss is a sum over the valid pixels of an image, and a sum over images, so the gradient of an image does not
    depend on the other images.

    Args:
        network: Class logits.
        images: [B, C, H, W] in 0..1, the centres of the balls.
        target: The reference; labels of pixels that are not valid may be anything.
        epsilon: Radius of the ball.
        norm: Its norm.
        steps: Number of gradients.
        step_size: Length of a step in the norm.
        start: [B, C, H, W], where to begin, within the ball.
        weights: Weights of the pixels.
        keep: Which of the ``steps + 1`` images on the way is returned: ``last``; ``pixels``, the one with the fewest
            right pixels; ``overlap``, the one with the lowest IoU of all foreground classes together, and of equal ones
            that with the fewest right pixels.

    Returns:
        [B, C, H, W].

    Raises:
        BadInput: The network gives less than two classes, or labels have more classes than the network.
    """
    # A caller may be in inference mode, whose tensors cannot be part of a graph: hence the clones.
    with torch.inference_mode(False), torch.enable_grad():
        originals, current = images.detach().clone(), start.detach().clone()
        labels, valid = labels_of(target)
        best = Best(current, keep)
        for step in range(steps):
            current.requires_grad_()
            logits = network(current)
            if step == 0:
                check_classes(logits, labels)
            best.offer(current, logits, labels, valid)
            pixels = pixel_loss(logits, labels) * weights(logits.detach(), labels, step / steps)
            total = image_sums(pixels, valid).sum()
            (gradient,) = torch.autograd.grad(total, current)
            moved = current.detach() + step_size * steepest(gradient, norm)
            current = project(moved, originals, epsilon, norm)
        if keep != "last":
            with torch.no_grad():
                best.offer(current, network(current), labels, valid)
        return current if keep == "last" else best.images


def labels_of(target: Target) -> tuple[torch.Tensor, torch.Tensor]:
    """Class numbers [B, H, W], 0 where a pixel does not count, and the pixels that count."""
    valid = target.valid.detach().clone()
    return torch.where(valid, target.labels.detach(), torch.zeros_like(target.labels)), valid


class Best:
    """The worst version of each image so far."""

    def __init__(self, images: torch.Tensor, keep: Keep) -> None:
        self.images = images
        self._keep = keep
        self._overlap = torch.full((len(images),), torch.inf, dtype=torch.float64, device=images.device)
        self._right = torch.full_like(self._overlap, torch.inf)

    @torch.no_grad()
    def offer(self, images: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor, valid: torch.Tensor) -> None:
        """Take those of the images that are worse than what was seen before."""
        if self._keep == "last":
            return
        predicted = logits.argmax(dim=1)
        hits = (predicted == labels) & valid
        right = hits.flatten(1).sum(dim=1).double()
        better = right < self._right
        if self._keep == "overlap":
            overlap = _overlap(predicted, labels, hits, valid)
            better = (overlap < self._overlap) | ((overlap == self._overlap) & better)
            self._overlap = torch.where(better, overlap, self._overlap)
        self._right = torch.where(better, right, self._right)
        self.images = torch.where(better.view(-1, 1, 1, 1), images.detach(), self.images)


def _overlap(predicted: torch.Tensor, labels: torch.Tensor, hits: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """IoU [B] of all foreground classes together; 1 where there is no foreground at all."""
    found, wanted = (predicted > 0) & valid, (labels > 0) & valid
    common, sizes = hits & wanted, (found.flatten(1).sum(1), wanted.flatten(1).sum(1))
    intersection = common.flatten(1).sum(dim=1).double()
    union = sizes[0] + sizes[1] - intersection
    return torch.where(union > 0, intersection / union.clamp(min=1), torch.ones_like(union))
