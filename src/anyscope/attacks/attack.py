"""What an attack is: frozen parameters and a stateless call that moves images within a ball around them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch

from anyscope.errors import BadInput

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

    Every channel is attacked on its own: a grey image has one, so there are no copies that could move apart, and where
    the channels are neighbouring slices the change is one of all slices that the network sees.

    Args:
        epsilon: Radius of the ball in units of the image, whose range is 0..1: the largest change of a pixel for
            ``linf``, the Euclidean length of the whole change of an image for ``l2``.
        norm: The norm of the ball.

    Raises:
        BadInput: A radius or a norm that does not exist.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]
    uses_gradient: ClassVar[bool] = True
    """False for controls that do not look at the network."""

    epsilon: float
    norm: Norm = "linf"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.epsilon) and self.epsilon >= 0):
            raise BadInput("epsilon", f"{self.epsilon}", "a radius of 0 or more, such as 8/255 = 0.0314")
        if self.norm not in get_args(Norm):
            raise BadInput("norm", repr(self.norm), " or ".join(get_args(Norm)))

    @abstractmethod
    def __call__(self, network: Logits, images: torch.Tensor, target: Target, seeds: Sequence[int]) -> torch.Tensor:
        """Images [B, C, H, W] within ``epsilon`` of ``images`` and within 0..1.

        Args:
            network: Class logits; its parameters need no gradient and get none. It stays in the mode it is in: batch
                statistics would let images change each other, so evaluation mode is what is meant.
            images: [B, C, H, W] float32 in 0..1; left as they are.
            target: The reference.
            seeds: One for each image; what happens to an image depends on its seed alone.

        Raises:
            BadInput: Shapes or numbers that do not fit each other.
        """


def check_batch(images: torch.Tensor, target: Target, seeds: Sequence[int]) -> None:
    """Refuse images, a reference and seeds that do not belong together.

    Raises:
        BadInput: Shapes that differ, or images outside 0..1.
    """
    if images.ndim != 4 or not images.is_floating_point():
        raise BadInput("images", f"{images.dtype} of shape {tuple(images.shape)}", "floats [B, C, H, W]")
    plane = (images.shape[0], *images.shape[2:])
    for name, tensor in (("labels", target.labels), ("valid", target.valid)):
        if tuple(tensor.shape) != plane:
            raise BadInput(f"target.{name}", f"shape {tuple(tensor.shape)}", f"{plane}, one plane for each image")
    if len(seeds) != len(images):
        raise BadInput("seeds", f"{len(seeds)} for {len(images)} images", "one for each image")
    if images.numel() and not (float(images.min()) >= 0 and float(images.max()) <= 1):
        raise BadInput("images", f"values in {float(images.min()):g}..{float(images.max()):g}", "0..1")
