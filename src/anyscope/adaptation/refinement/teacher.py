"""A student that learns from source labels and from its own moving average on the target: what its methods share."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from copy import deepcopy
from typing import Annotated, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import Dataset

from anyscope.adaptation.refinement.alignment import Alignment, shares_of_source
from anyscope.adaptation.refinement.course import (
    Positive,
    RefinementCourse,
    Share,
    batch_norms,
    descend,
    keeping_statistics,
    refine,
)
from anyscope.adaptation.refinement.pseudo_labels import Labeller
from anyscope.adaptation.refinement.views import StrongView, ViewPatches, WeakView, target_views
from anyscope.adaptation.step import Stage, Step
from anyscope.adaptation.work import Work
from anyscope.models import Segmenter
from anyscope.training.batches import Batch
from anyscope.training.course import Losses, Stateful
from anyscope.training.objective import Objective


class TeacherStep(Step):
    """Parameters of all methods with a teacher.

    Args:
        epochs, steps_per_epoch: Epochs, and steps of an epoch.
        batch: Patches of each domain in a step.
        learning_rate: Of Adam, constant.
        decay: Of the moving average that is the teacher; smaller in the first steps, see :func:`moving_average`.
        source_weight: Weight of the loss on source labels; 0 for the target alone, no source patch is read then.
        target_weight: Weight of the loss on the target, once it has risen.
        rise: Share of the steps during which it rises, as exp(-5 (1 - t)^2) (Laine & Aila, ICLR 2017).
        threshold: See :class:`~anyscope.adaptation.refinement.pseudo_labels.Labeller`.
        orientations: See there.
        alignment: How far the teacher's classes are made as frequent as the source's labels are; 0 for not at all. See
            :class:`~anyscope.adaptation.refinement.alignment.Alignment`.
        dice: Weight of a soft Dice loss on the target beside the cross-entropy.
        statistics: What batch normalisation goes by. ``fixed``: running statistics, as they are. Otherwise the student
            normalises by each batch, and the running ones, which are the teacher's, follow the ``target`` or ``both``
            domains in turn; patches of the target show less foreground than those of a source, which are laid around
            labels, and statistics take that for a change of style. No difference without batch normalisation.
        weak, strong: How grey levels are varied for teacher and student.
    """

    epochs: Positive = 8
    steps_per_epoch: Positive = 50
    batch: Positive = 4
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    decay: Annotated[float, Field(gt=0, lt=1)] = 0.99
    source_weight: Annotated[float, Field(ge=0)] = 1.0
    target_weight: Annotated[float, Field(ge=0)] = 1.0
    rise: Share = 0.25
    threshold: Share = 0.0
    orientations: Annotated[int, Field(ge=1, le=8)] = 1
    alignment: Share = 0.5
    dice: Annotated[float, Field(ge=0)] = 0.0
    statistics: Literal["fixed", "target", "both"] = "both"
    weak: WeakView = WeakView()
    strong: StrongView = StrongView()

    stage: ClassVar[Stage] = "refinement"
    strong_views: ClassVar[int] = 1

    def run(self, work: Work) -> Work:
        """See :class:`~anyscope.adaptation.step.Step`. What is kept is the teacher."""
        course = self.course(work)
        return refine(work, course, self.epochs, self.steps_per_epoch, self.name)

    @abstractmethod
    def course(self, work: Work) -> TeacherCourse:
        """What learns."""

    def risen(self, number: int) -> float:
        """The share 0..1 of its weight that the loss on the target has in a step."""
        length = self.rise * self.epochs * self.steps_per_epoch
        return 1.0 if number >= length else math.exp(-5 * (1 - number / length) ** 2)


class TeacherCourse(RefinementCourse):
    """Student and teacher, both beginning with the segmenter of ``work``, which stays as it is.

    Source images are seen without the segmenter's input transform, target images through it. Only the segmenter's
    network learns, without its auxiliary outputs.
    """

    def __init__(self, step: TeacherStep, work: Work) -> None:
        self._step, self._work = step, work
        self._student = deepcopy(work.segmenter).train()
        self._average = moving_average(self._student, step.decay)
        self._trained = [parameter for parameter in self._student.net.parameters() if parameter.requires_grad]
        self._optimiser = torch.optim.Adam(self._trained, lr=step.learning_rate)
        self._objective = Objective.of(work.settings, work.segmenter.spec.layout)
        self._source: Dataset[Batch] | None = work.source_patches("source") if step.source_weight > 0 else None
        self._alignment = _alignment(work, step.alignment) if step.alignment > 0 else None
        self._target: ViewPatches = target_views(work, step.weak, step.strong, step.strong_views)

    @property
    def parts(self) -> Mapping[str, Stateful]:
        """Both networks, the optimiser, and how often the teacher saw which class."""
        parts: dict[str, Stateful] = {"student": self._student, "teacher": self._average, "optimiser": self._optimiser}
        return parts if self._alignment is None else {**parts, "alignment": self._alignment}

    @property
    def weights(self) -> Segmenter:
        """The teacher."""
        return cast(Segmenter, self._average.module)

    def labeller(self, *, share: float = 0.0, hard: bool = False) -> Labeller:
        """How the teacher is asked."""
        return Labeller(self._step.threshold, self._step.orientations, share, hard, self._alignment)

    @abstractmethod
    def on_target(self, student: Segmenter, teacher: Segmenter, views: Batch, number: int) -> Losses:
        """Losses of the student on a batch of target patches, in training and evaluation mode respectively.

        Returns:
            Losses with gradients by name; they are summed.
        """

    def step(self, number: int) -> Losses:
        """One batch of each domain."""
        step, work, student = self._step, self._work, self._student
        student.train()
        layers = batch_norms(student)
        if step.statistics == "fixed":
            for layer in layers:
                layer.eval()
        losses: dict[str, torch.Tensor] = {}
        if self._source is not None:
            still = layers if step.statistics == "target" else []
            with student.seeing(work.source_input), keeping_statistics(still):
                batch = work.batch(self._source, number, step.batch)
                losses["source"] = step.source_weight * self._objective(student, batch)
        views = work.batch(self._target, number, step.batch)
        weight = step.target_weight * step.risen(number)
        teacher = self.weights.eval()
        losses |= {name: weight * loss for name, loss in self.on_target(student, teacher, views, number).items()}
        losses["loss"] = torch.stack(list(losses.values())).sum()
        descend(self._optimiser, losses["loss"], self._trained, work.settings.clip_norm)
        self._average.update_parameters(student)
        return {name: loss.detach() for name, loss in losses.items()}


def _alignment(work: Work, strength: float) -> Alignment:
    spec = work.segmenter.spec
    return Alignment(shares_of_source(work), spec.layout, strength)


def moving_average(student: Segmenter, decay: float) -> AveragedModel:
    """The exponential moving average of weights and buffers, with a decay of at most 1 - 1 / n in its n-th step.

    So it is the plain mean at first (Tarvainen & Valpola, NeurIPS 2017, in their code).
    """

    def average(old: torch.Tensor, new: torch.Tensor, count: torch.Tensor | int) -> torch.Tensor:
        return torch.lerp(old, new, max(1 - decay, 1 / (float(count) + 1))) if old.is_floating_point() else new

    return AveragedModel(student, avg_fn=average, use_buffers=True)
