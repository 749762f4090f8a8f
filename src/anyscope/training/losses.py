"""Losses on logits, each a mean over the pixels that count, and sums of them such as ``bce+0.5*dice``.

All take logits [B, K, H, W] of one head, targets [B, H, W] and valid [B, H, W] (bool), and return a scalar.
K is 1 for binary masks, boundaries and distances, and the number of classes otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
import torch.nn.functional as F

from anyscope.errors import BadInput
from anyscope.registry import Registry

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]

LOSSES: Registry[Loss] = Registry("loss")

DEFAULT_LOSSES = {
    "mask": "bce+dice",
    "classes": "ce+dice",
    "boundary": "bce+0.5*dice",
    "distance": "5*mse",
    "centre": "bce+0.5*dice",
    "affinities": "bce+0.5*dice",
}
"""Defaults by head. Boundary and distance follow the BC and BCD targets of pytorch_connectomics: BCE + .5 Dice on maps,
5 MSE on the tanh of the distance."""


def _mean(values: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    weights = valid.to(values.dtype)
    return (values * weights).sum() / weights.sum().clamp(min=1)


@LOSSES.register("bce")
def binary_cross_entropy(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of a one-channel head."""
    return _mean(F.binary_cross_entropy_with_logits(logits[:, 0], target, reduction="none"), valid)


@LOSSES.register("ce")
def cross_entropy(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Cross-entropy over K classes; with one channel, over the two classes [0, logit]."""
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    return _mean(F.cross_entropy(logits, target.long(), reduction="none"), valid)


@LOSSES.register("balanced")
def balanced_cross_entropy(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Cross-entropy in which each class of the batch counts the same, however many pixels it has.

    The weight of a class is the inverse of its share of the pixels that count, as in the class-weighted losses by which
    boundaries and neurites of EM are usually learned; the mean of all weights is 1.
    """
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    target = target.long()
    counts = torch.bincount(target[valid], minlength=logits.shape[1]).to(logits.dtype)
    weights = valid.sum() / (counts.clamp(min=1) * (counts > 0).sum().clamp(min=1))
    return _mean(weights[target] * F.cross_entropy(logits, target, reduction="none"), valid)


@LOSSES.register("focal")
def focal(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Focal loss with gamma 2: cross-entropy weighted by (1 - p)^2 (Lin et al., ICCV 2017, eq. 4)."""
    if logits.shape[1] == 1:
        values = F.binary_cross_entropy_with_logits(logits[:, 0], target, reduction="none")
    else:
        values = F.cross_entropy(logits, target.long(), reduction="none")
    return _mean((1 - torch.exp(-values)) ** 2 * values, valid)


@LOSSES.register("dice")
def dice(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Soft Dice loss over the whole batch, averaged over the foreground classes (Milletari et al., 3DV 2016).

    Sums run over the batch, since patches without foreground have no Dice of their own.
    """
    if logits.shape[1] == 1:
        probability, reference = logits.sigmoid(), target[:, None]
    else:
        probability = logits.softmax(dim=1)[:, 1:]
        reference = F.one_hot(target.long(), logits.shape[1]).movedim(-1, 1)[:, 1:].to(logits.dtype)
    weights = valid[:, None].to(probability.dtype)
    axes = (0, 2, 3)
    shared = (probability * reference * weights).sum(axes)
    total = ((probability + reference) * weights).sum(axes)
    return (1 - (2 * shared + 1) / (total + 1)).mean()


@LOSSES.register("mse")
def mean_squared_error(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Mean squared error between tanh of the logits and a target in -1..1."""
    return _mean((logits[:, 0].tanh() - target) ** 2, valid)


_TERM = re.compile(r"\s*(?:(\d+(?:\.\d+)?)\s*\*)?\s*([a-z]+)\s*\Z")


def parse_loss(text: str) -> list[tuple[float, str]]:
    """The terms of a sum of losses as pairs of weight and name.

    >>> parse_loss("bce+0.5*dice")
    [(1.0, 'bce'), (0.5, 'dice')]
    """
    terms = []
    for part in text.split("+"):
        match = _TERM.match(part)
        if match is None:
            raise BadInput("loss", f"{text!r}", f"a sum such as 'bce+0.5*dice' of {', '.join(LOSSES)}")
        weight, name = match.groups()
        LOSSES[name]
        terms.append((float(weight) if weight else 1.0, name))
    return terms


def combined_loss(text: str) -> Loss:
    """The loss that a sum such as ``bce+0.5*dice`` stands for."""
    terms = [(weight, LOSSES[name]) for weight, name in parse_loss(text)]

    def total(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        parts = [weight * loss(logits, target, valid) for weight, loss in terms]
        return torch.stack(parts).sum()

    return total
