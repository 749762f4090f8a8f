"""Learning rates of GANs: constant, then linearly down to almost nothing."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

BETAS = (0.5, 0.999)
"""Decay of Adam's moments, as in CycleGAN and CUT."""


def make_adam(parameters: Iterable[nn.Parameter], learning_rate: float) -> torch.optim.Adam:
    """Adam with the betas of CycleGAN and CUT."""
    return torch.optim.Adam(parameters, lr=learning_rate, betas=BETAS)


def linear_decay(epoch: int, constant: int, decaying: int) -> float:
    """Factor on the learning rate in an epoch, counted from 0.

        1 - max(0, epoch + 1 - constant) / (decaying + 1)

    1 in the first ``constant`` epochs, 1 / (decaying + 1) in the last of all.

    Args:
        epoch: From 0 to ``constant + decaying - 1``.
        constant: Epochs at the full rate.
        decaying: Epochs on the way down.

    >>> [round(linear_decay(epoch, 2, 3), 2) for epoch in range(5)]
    [1.0, 1.0, 0.75, 0.5, 0.25]
    """
    return 1 - max(0, epoch + 1 - constant) / (decaying + 1)


def set_learning_rate(optimiser: torch.optim.Optimizer, learning_rate: float) -> None:
    """Change the learning rate of all parameters."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate
