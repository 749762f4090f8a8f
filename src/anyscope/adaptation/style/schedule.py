"""What GANs have in common: Adam, and a learning rate that is constant, then falls linearly to almost nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import nn

from anyscope.training.course import Course, Stateful, Values

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


class GanCourse(Course):
    """Networks that learn against each other, at one learning rate.

    Args:
        networks: All that change, by name.
        optimisers: Their optimisers, by name.
        learning_rate: Of all optimisers.
        constant, decaying: Epochs at this rate, and linearly down from it.
    """

    def __init__(
        self,
        networks: Mapping[str, Stateful],
        optimisers: Mapping[str, torch.optim.Optimizer],
        learning_rate: float,
        constant: int,
        decaying: int,
    ) -> None:
        self._networks, self._optimisers = networks, optimisers
        self._rate, self._constant, self._decaying = learning_rate, constant, decaying

    @property
    def parts(self) -> Mapping[str, Stateful]:
        """Networks and optimisers."""
        return {**self._networks, **{f"{name}_optimiser": each for name, each in self._optimisers.items()}}

    def begin_epoch(self, epoch: int) -> None:
        """Set the learning rate of the epoch."""
        factor = linear_decay(epoch, self._constant, self._decaying)
        for optimiser in self._optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = factor * self._rate

    def end_epoch(self, epoch: int, means: Values) -> Values:
        """The learning rate, for the record."""
        del epoch, means
        return {"learning_rate": float(next(iter(self._optimisers.values())).param_groups[0]["lr"])}
