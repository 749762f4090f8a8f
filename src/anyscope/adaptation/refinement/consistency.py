"""FixMatch and UniMatch: hard labels from a teacher's sure pixels, learned from strongly varied views."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from anyscope.adaptation.refinement.course import Positive, Share
from anyscope.adaptation.refinement.pseudo_labels import Pseudo, divergence
from anyscope.adaptation.refinement.teacher import TeacherCourse, TeacherStep
from anyscope.adaptation.refinement.views import WEAK, cutmix_box, paste
from anyscope.adaptation.work import Work
from anyscope.models import Segmenter
from anyscope.training.batches import Batch
from anyscope.training.course import Losses


class FixMatch(TeacherStep):
    """The teacher labels the pixels of target patches that it is sure of; the student learns them from a strong view.

    Strong views have other grey levels, and rectangles of another patch pasted in (CutMix), labels included. Labels are
    0 and 1 (classes: one of them), the distance is taken as it is. The teacher is a moving average of the student,
    where the publication takes the student itself.

    The profile ``paper`` has the published threshold and no guard against vanishing classes; optimiser, teacher and the
    variation of grey levels stay as they are here.

    Args:
        share: See :class:`~anyscope.adaptation.refinement.pseudo_labels.Labeller`: keeps rare classes from vanishing.
        cutmix: Probability of a pasted rectangle in a patch.
    """

    threshold: Share = 0.9
    share: Share = 0.5
    cutmix: Share = 0.5

    name: ClassVar[str] = "fixmatch"
    summary: ClassVar[str] = "learn one's own sure labels of target images from strongly varied views of them"
    source: ClassVar[str] = "Sohn et al., NeurIPS 2020, arXiv 2001.07685"
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "best": {"epochs": 40, "steps_per_epoch": 200, "batch": 8, "decay": 0.999, "learning_rate": 2e-4},
        "paper": {
            "epochs": 80,
            "steps_per_epoch": 200,
            "batch": 8,
            "decay": 0.999,
            "threshold": 0.95,
            "share": 0.0,
            "alignment": 0.0,
            "rise": 0.0,
        },
    }

    def course(self, work: Work) -> TeacherCourse:
        """See :class:`~anyscope.adaptation.refinement.teacher.TeacherStep`."""
        return FixMatchCourse(self, work)


class UniMatch(FixMatch):
    """FixMatch with two strong views, and a third one that is varied inside the network.

    The weak view passes the network once more with half of the channels of the encoder's maps left out, at every
    resolution. The encoder is found by its name (see :func:`encoder_stages`): in U-Nets, SegNet, HRNet and the
    architectures of segmentation-models-pytorch. Other networks learn from the two strong views alone.

    Args:
        steps_per_epoch: Half of those of the others, since each is twice the work.
        features: Weight of the view varied inside; the strong views share the rest.
    """

    steps_per_epoch: Positive = 25
    features: Share = 0.5

    name: ClassVar[str] = "unimatch"
    summary: ClassVar[str] = "fixmatch with two strong views and one with features left out"
    source: ClassVar[str] = "Yang et al., CVPR 2023, arXiv 2208.09910"
    strong_views: ClassVar[int] = 2

    def course(self, work: Work) -> TeacherCourse:
        """See :class:`~anyscope.adaptation.refinement.teacher.TeacherStep`."""
        return FixMatchCourse(self, work, self.features)


class FixMatchCourse(TeacherCourse):
    """See :class:`FixMatch` and :class:`UniMatch`."""

    def __init__(self, step: FixMatch, work: Work, features: float = 0.0) -> None:
        super().__init__(step, work)
        self._cutmix, self._strong = step.cutmix, step.strong_views
        self._labeller = self.labeller(share=step.share, hard=True)
        self._features = features if features > 0 and has_features(self._student) else 0.0

    def on_target(self, student: Segmenter, teacher: Segmenter, views: Batch, number: int) -> Losses:
        """See :class:`~anyscope.adaptation.refinement.teacher.TeacherCourse`."""
        pseudo = self._labeller(teacher, views[WEAK])
        losses = {}
        share = (1 - self._features) / self._strong
        for view in range(self._strong):
            random = self._work.random("cutmix", view, number)
            size = views[WEAK].shape[-1]
            boxes = [cutmix_box(size, random, chance=self._cutmix) for _ in range(len(views[WEAK]))]
            mixed = Pseudo(paste(pseudo.maps, boxes), paste(pseudo.weights, boxes))
            losses[f"strong{view}"] = share * self._far(student(paste(views[f"strong{view}"], boxes)), mixed)
        if self._features > 0:
            with leaving_out(student.net, 0.5):
                losses["features"] = self._features * self._far(student(views[WEAK]), pseudo)
        return losses

    def _far(self, logits: torch.Tensor, pseudo: Pseudo) -> torch.Tensor:
        spec = self._student.spec
        return divergence(logits, pseudo, spec.layout, dice=self._step.dice)


def encoder_stages(net: nn.Module) -> list[nn.Module]:
    """The modules of a network whose outputs are the maps of its encoder; none where they are not known.

    They are known by name: ``down``, a list of stages, or ``encoder``, which returns the maps of all resolutions.
    """
    inner = getattr(net, "net", net)
    stages = getattr(inner, "down", None)
    if isinstance(stages, nn.ModuleList):
        return list(stages)
    encoder = getattr(inner, "encoder", None)
    return [encoder] if isinstance(encoder, nn.Module) else []


@contextmanager
def leaving_out(net: nn.Module, rate: float) -> Iterator[list[torch.Size]]:
    """Inside the block channels of the encoder's maps are left out with probability ``rate``, the others scaled up.

    Yields:
        The shapes of the maps that it happened to, filled as the network is used.
    """
    shapes: list[torch.Size] = []

    def some(value: Any, image: torch.Tensor) -> Any:
        if isinstance(value, list | tuple):
            # encoders of segmentation-models-pytorch return the image too, and maps without channels for want of any
            return type(value)(item if item is image else some(item, image) for item in value)
        if not isinstance(value, torch.Tensor) or value.ndim != 4 or value.numel() == 0:
            return value
        shapes.append(value.shape)
        return F.dropout2d(value, rate)

    with ExitStack() as hooks:
        for stage in encoder_stages(net):
            hooks.callback(stage.register_forward_hook(lambda _, inputs, output: some(output, inputs[0])).remove)
        yield shapes


@torch.no_grad()
def has_features(segmenter: Segmenter) -> bool:
    """Whether :func:`leaving_out` finds maps in a segmenter, which is tried on a small image."""
    probe = deepcopy(segmenter).eval()
    image = torch.zeros(1, segmenter.spec.in_channels, 32, 32, device=segmenter.mean.device)
    with leaving_out(probe.net, 0.0) as shapes:
        probe(image)
    return bool(shapes)
