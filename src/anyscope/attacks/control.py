"""Noise as large as an attack, which does not look at the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from anyscope.attacks.attack import Attack, Logits, Target, check_batch
from anyscope.attacks.ball import random_corner


@dataclass(frozen=True)
class RandomNoise(Attack):
    """The control of every attack: a random corner of the ``linf`` ball, a random direction of the ``l2`` ball.

    What an attack breaks beyond this is due to its direction, not to its size.
    """

    name: ClassVar[str] = "random_noise"
    summary: ClassVar[str] = "control: noise at the rim of the ball, whatever the network says"
    source: ClassVar[str] = "ours"
    uses_gradient: ClassVar[bool] = False

    def __call__(self, network: Logits, images: torch.Tensor, target: Target, seeds: Sequence[int]) -> torch.Tensor:
        """See :class:`~anyscope.attacks.attack.Attack`."""
        del network
        check_batch(images, target, seeds)
        return random_corner(images.detach(), self.epsilon, self.norm, seeds, self.name)


ENTRIES = (RandomNoise,)
