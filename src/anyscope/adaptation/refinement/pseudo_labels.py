"""What a teacher says about unlabelled images, how sure it is, and how far a student is from it. For all heads.

Maps are activated: probabilities of mask, classes and boundary, tanh of the distance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F

from anyscope.adaptation.refinement.views import turned, turned_back
from anyscope.contracts import HEADS, HeadLayout
from anyscope.inference.activation import activate
from anyscope.models import Segmenter, SegmenterSpec

_OF_DISTANCE = 5.0
"""Weight of the squared error of the distance beside cross-entropies, as in the losses of supervised training."""


class Pseudo(NamedTuple):
    """What stands in for labels.

    Args:
        maps: Activated maps [B, K, H, W].
        weights: How much each pixel of each head counts, [B, heads, H, W] in 0..1.
    """

    maps: torch.Tensor
    weights: torch.Tensor


@dataclass(frozen=True)
class Labeller:
    """Asks a teacher, in one or several orientations, and counts the pixels that it is sure of.

    A pixel counts by the share of orientations in which the probability of its class, the most probable one on
    average, reaches the threshold. With one orientation this is the confidence mask of FixMatch (Sohn et al., NeurIPS
    2020), with several the consensus weighting of Archit & Pape (arXiv 2303.11790), whose samples come from a
    probabilistic network instead. Pixels of the distance count as those of the mask.

    Args:
        threshold: Least probability of a sure pixel; 0 counts all of them.
        orientations: How many of the eight quarter turns and mirror images are asked and averaged.
        share: Of the pixels of each class at least this share counts, the surest of them, even below the threshold, so
            that a rare class does not vanish (Zou et al., ECCV 2018). 0 for none.
        hard: Maps become 0 and 1, the distance excepted.
        align: Changes the maps [orientations, B, K, H, W] before they are judged; None for none.
    """

    threshold: float
    orientations: int
    share: float = 0.0
    hard: bool = False
    align: Callable[[torch.Tensor], torch.Tensor] | None = None

    @torch.no_grad()
    def __call__(self, teacher: Segmenter, images: torch.Tensor) -> Pseudo:
        """Ask ``teacher``, in the mode it is in, about square images [B, C, N, N]."""
        spec = teacher.spec
        samples = torch.stack([
            turned_back(activate(teacher(turned(images, turn)).float(), spec.layout), turn)
            for turn in range(self.orientations)
        ])  # fmt: skip
        return self.judge(samples if self.align is None else self.align(samples), spec)

    def judge(self, samples: torch.Tensor, spec: SegmenterSpec) -> Pseudo:
        """What activated maps [orientations, B, K, H, W] amount to."""
        maps = samples.mean(0)
        channels = spec.layout.logits
        weights, kept = {}, maps.clone()
        for head, part in channels.items():
            if HEADS[head].activation == "tanh":
                continue
            certain = _of_classes(maps[:, part])
            best, chosen = certain.max(dim=1, keepdim=True)
            limits = self._limits(best, chosen, certain.shape[1])
            of_chosen = torch.stack([_of_classes(sample[:, part]).gather(1, chosen) for sample in samples])
            weights[head] = (of_chosen >= limits[chosen]).float().mean(0)[:, 0]
            if self.hard:
                kept[:, part] = one_hot(chosen[:, 0], certain.shape[1])[:, -(part.stop - part.start) :]
        return Pseudo(kept, torch.stack([weights.get(head, weights["mask"]) for head in spec.heads], dim=1))

    def _limits(self, best: torch.Tensor, chosen: torch.Tensor, classes: int) -> torch.Tensor:
        """The probability from which a pixel of each class counts."""
        limits = torch.full((classes,), self.threshold, device=best.device)
        if self.share == 0:
            return limits
        for number in range(classes):
            found = best[chosen == number]
            if len(found):
                # the least of the surest ones, so that they are at least the share
                place = len(found) - max(1, round(self.share * len(found))) + 1
                limits[number] = torch.minimum(limits[number], found.kthvalue(place).values)
        return limits


def _of_classes(maps: torch.Tensor) -> torch.Tensor:
    """Probabilities of all classes, also where there is only the foreground's."""
    return torch.cat([1 - maps, maps], dim=1) if maps.shape[1] == 1 else maps


def one_hot(classes: torch.Tensor, count: int) -> torch.Tensor:
    """Class numbers [B, H, W] as maps [B, count, H, W] of 0 and 1."""
    return F.one_hot(classes, count).movedim(-1, 1).float()


def divergence(logits: torch.Tensor, pseudo: Pseudo, layout: HeadLayout, *, dice: float = 0.0) -> torch.Tensor:
    """How far logits [B, K, H, W] are from pseudo-labels: a scalar, the sum over heads.

    Cross-entropy with soft targets for mask, classes and boundary, the squared error of the tanh for the distance, each
    a mean over all pixels, also those that do not count: a teacher that is sure of little pulls little.

    Args:
        logits: What the student says.
        pseudo: What the teacher said.
        layout: What the channels are.
        dice: Weight of a soft Dice loss of mask, classes and boundary beside the cross-entropy.
    """
    logits = logits.float()
    parts = []
    for place, (head, part) in enumerate(layout.logits.items()):
        values, target, weight = logits[:, part], pseudo.maps[:, part], pseudo.weights[:, place]
        if HEADS[head].activation == "tanh":
            parts.append(_OF_DISTANCE * (weight * (values[:, 0].tanh() - target[:, 0]) ** 2).mean())
            continue
        if values.shape[1] == 1:
            distance = F.binary_cross_entropy_with_logits(values, target, reduction="none")[:, 0]
            probability, reference = values.sigmoid(), target
        else:
            distance = -(target * values.log_softmax(dim=1)).sum(dim=1)
            probability, reference = values.softmax(dim=1)[:, 1:], target[:, 1:]
        parts.append((weight * distance).mean())
        if dice > 0:
            parts.append(dice * _soft_dice(probability, reference, weight[:, None]))
    return torch.stack(parts).sum()


def _soft_dice(probability: torch.Tensor, reference: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """1 - Dice over the batch, with squares in the denominator, so that equal soft maps have none (Milletari 2016)."""
    axes = (0, 2, 3)
    shared = (weight * probability * reference).sum(axes)
    total = (weight * (probability**2 + reference**2)).sum(axes)
    return (1 - (2 * shared + 1) / (total + 1)).mean()


def entropy(logits: torch.Tensor, layout: HeadLayout) -> torch.Tensor:
    """Mean entropy in nats of what logits [B, K, H, W] say, a scalar: the sum over mask, classes and boundary."""
    logits = logits.float()
    parts = []
    for head, part in layout.logits.items():
        if HEADS[head].activation == "tanh":
            continue
        values = logits[:, part]
        if values.shape[1] == 1:
            values = torch.cat([torch.zeros_like(values), values], dim=1)
        shares = values.log_softmax(dim=1)
        parts.append(-(shares.exp() * shares).sum(dim=1).mean())
    return torch.stack(parts).sum()
