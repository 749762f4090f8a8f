"""What an attack sees of a segmenter: the classes of its mask head."""

from __future__ import annotations

from typing import Protocol

import torch

from anyscope.attacks.attack import Logits
from anyscope.contracts import HeadLayout
from anyscope.errors import BadInput


class Heads(Protocol):
    """The part of a spec that says which channels are which."""

    @property
    def layout(self) -> HeadLayout:
        """Which channels of the logits are whose."""


class Predictor(Protocol):
    """Anything with a spec that turns images [B, C, H, W] in 0..1 into logits [B, K, H, W] of all its heads."""

    @property
    def spec(self) -> Heads:
        """What it is."""

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of images."""


def class_logits(segmenter: Predictor) -> Logits:
    """The mask head of a segmenter as class logits [B, K, H, W] with K >= 2; other heads are left out.

    A binary head of one logit z becomes [0, z]: the softmax of the pair is (1 - sigmoid(z), sigmoid(z)), and its
    highest class is foreground where z > 0.

    Args:
        segmenter: The network with its normalisation inside, in evaluation mode.

    Raises:
        BadInput: It has no mask head.
    """
    layout = segmenter.spec.layout
    if "mask" not in layout.heads:
        raise BadInput(
            "segmenter", f"has the heads {', '.join(layout.heads)}", "a mask head, which is what is attacked"
        )
    part = layout.logits["mask"]

    def logits(images: torch.Tensor) -> torch.Tensor:
        mask = segmenter(images)[:, part]
        return torch.cat([torch.zeros_like(mask), mask], dim=1) if mask.shape[1] == 1 else mask

    return logits
