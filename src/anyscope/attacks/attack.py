"""What an attack is: frozen parameters and a stateless call that moves images within a ball around them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

Norm = Literal["linf", "l2"]
Logits = Callable[[torch.Tensor], torch.Tensor]
"""A differentiable network: class logits [B, K, H, W] with K >= 2 of images [B, C, H, W] in 0..1. A binary network
with one logit z is seen as the two classes [0, z]; see :func:`anyscope.attacks.logits.class_logits`."""


@dataclass(frozen=True, eq=False)
class Target:
    """What the network ought to say: labels [B, H, W] (int64 class numbers) and the pixels [B, H, W] that count."""

    labels: torch.Tensor
    valid: torch.Tensor


@dataclass(frozen=True)
class Attack(ABC):
    """A way to find the worst image near an image.

    Args:
        epsilon: Radius of the ball in units of the image, whose range is 0..1: the largest change of a pixel for
            ``linf``, the Euclidean length of the whole change of an image for ``l2``.
        norm: The norm of the ball.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]
    uses_gradient: ClassVar[bool] = True
    """False for controls that do not look at the network."""

    epsilon: float
    norm: Norm = "linf"

    @abstractmethod
    def __call__(self, network: Logits, images: torch.Tensor, target: Target, seeds: Sequence[int]) -> torch.Tensor:
        """Images [B, C, H, W] within ``epsilon`` of ``images`` and within 0..1.

        Args:
            network: Class logits; its parameters need no gradient and get none.
            images: [B, C, H, W] float32 in 0..1; left as they are.
            target: The reference.
            seeds: One for each image; what happens to an image depends on its seed alone.
        """
