"""What strong attacks climb: losses [B, H, W] of pixels, from logits [B, K, H, W] and class numbers [B, H, W].

All of them keep a gradient where a network is very sure; see :func:`pixel_loss`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F

from anyscope.errors import BadInput

LossName = Literal["ce", "masked", "balanced", "js"]
PixelLoss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""The loss of every pixel from logits, labels and the pixels [B, H, W] that count."""


def margin(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Log odds [B, H, W] of any other class against the right one: logsumexp of the others - logit of the right one."""
    index = labels[:, None]
    right = logits.gather(1, index)[:, 0]
    others: torch.Tensor = logits.scatter(1, index, -torch.inf).logsumexp(dim=1)
    return others - right


def pixel_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy [B, H, W] of logits [B, K, H, W] against class numbers [B, H, W].

    It is written as softplus of the :func:`margin`. The textbook form subtracts the probability of the right class
    from 1, so its gradient is exactly 0 in single precision as soon as a pixel is right by 17 logits, and an attack
    would find nothing to climb. This form keeps a gradient down to 87 logits.
    """
    return F.softplus(margin(logits, labels))


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of every pixel."""
    del valid
    return pixel_loss(logits, labels)


def masked_cross_entropy(logits: torch.Tensor, labels: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the pixels that are still right: what is wrong already need not become worse.

    Source: Croce, Singh, Hein, ECCV 2024, arXiv 2306.12941, section 3.
    """
    del valid
    right = logits.detach().argmax(dim=1) == labels
    return pixel_loss(logits, labels) * right


def balanced_cross_entropy(logits: torch.Tensor, labels: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Masked cross-entropy in which the classes of an image weigh the same, however many pixels they have.

    The weight of a pixel is 1 / (classes of the image x pixels of its class) times the number of its pixels, so that
    the weights of an image have the mean 1. Source: as for :func:`masked_cross_entropy`; the inverse frequency within
    each image is ours.
    """
    weights = torch.zeros(labels.shape, dtype=logits.dtype, device=logits.device)
    counts = torch.stack([((labels == k) & valid).flatten(1).sum(dim=1) for k in range(logits.shape[1])])
    present = (counts > 0).sum(dim=0).clamp(min=1)
    whole = counts.sum(dim=0)
    for k, count in enumerate(counts):
        weight = whole / (present * count.clamp(min=1))
        weights = torch.where(labels == k, weight.view(-1, 1, 1).to(logits.dtype), weights)
    return masked_cross_entropy(logits, labels, valid) * weights


def jensen_shannon(logits: torch.Tensor, labels: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Jensen-Shannon divergence of softmax and one-hot reference, 0 to ln 2.

    With p the probability of the right class it is ln 2 + (p ln p - (1 + p) ln(1 + p)) / 2: the other classes only
    count through their sum. It is bounded, so that pixels that are wrong pull less and less. Source: as for
    :func:`masked_cross_entropy`.
    """
    del valid
    surprise = pixel_loss(logits, labels)  # -ln p
    p = torch.exp(-surprise)
    return math.log(2) - (p * surprise + (1 + p) * torch.log1p(p)) / 2


LOSSES: dict[LossName, PixelLoss] = {
    "ce": cross_entropy,
    "masked": masked_cross_entropy,
    "balanced": balanced_cross_entropy,
    "js": jensen_shannon,
}


def check_classes(logits: torch.Tensor, labels: torch.Tensor) -> None:
    """Refuse logits of a single class, and labels that the network has no class for.

    Raises:
        BadInput: Either of them.
    """
    classes = logits.shape[1]
    if classes < 2:
        raise BadInput("network", "gives one logit", "the logits of two classes or more", "wrap it in class_logits")
    if labels.numel() and not (int(labels.min()) >= 0 and int(labels.max()) < classes):
        found = f"classes {int(labels.min())}..{int(labels.max())}"
        raise BadInput("target.labels", found, f"0..{classes - 1}, as the network predicts {classes} classes")


def image_sums(pixels: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Sums [B] over the pixels that count."""
    return torch.where(valid, pixels, torch.zeros_like(pixels)).flatten(1).sum(dim=1)
