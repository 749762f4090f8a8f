"""Mean teacher: the student agrees with its own moving average on the target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from anyscope.adaptation.refinement.pseudo_labels import divergence
from anyscope.adaptation.refinement.teacher import TeacherCourse, TeacherStep
from anyscope.adaptation.refinement.views import WEAK
from anyscope.adaptation.work import Work
from anyscope.models import Segmenter
from anyscope.training.batches import Batch
from anyscope.training.course import Losses


class MeanTeacher(TeacherStep):
    """A student learns from source labels, and from soft maps of its teacher on target patches.

    The teacher is the moving average of the student (Tarvainen & Valpola, NeurIPS 2017). It sees a target patch as it
    is, the student the same patch with other contrast, brightness, gamma, blur and noise.

    The profile ``paper`` is the separate training of Archit & Pape: from the source checkpoint on the target alone,
    Adam 1e-5, decay .999, patches of 512 pixels, batch 4, both views varied by weak blur and noise, soft labels
    weighted by consensus. It differs in this: consensus is taken over eight orientations, since the networks here give
    one answer each and not samples of a probabilistic U-Net; the first steps use a smaller decay; patches are drawn
    anywhere, where the authors' are chosen by target labels; the learning rate stays, where theirs falls by a
    validation on the target.
    """

    name: ClassVar[str] = "mean-teacher"
    summary: ClassVar[str] = "agree with a moving average of oneself on differently varied target images"
    source: ClassVar[str] = (
        "Tarvainen & Valpola, NeurIPS 2017, arXiv 1703.01780; Archit & Pape, arXiv 2303.11790, in the profile paper"
    )
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "best": {"epochs": 40, "steps_per_epoch": 200, "batch": 8, "decay": 0.999, "learning_rate": 2e-4},
        "paper": {
            "epochs": 50,
            "steps_per_epoch": 200,
            "batch": 4,
            "learning_rate": 1e-5,
            "decay": 0.999,
            "source_weight": 0.0,
            "alignment": 0.0,
            "rise": 0.0,
            "threshold": 0.9,
            "orientations": 8,
            "weak": {"noise": 0.03, "blur_px": 1.0},
            "strong": {"contrast": 0.0, "brightness": 0.0, "gamma": 1.0, "noise": 0.03, "blur_px": 1.0},
        },
    }
    training: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {"patch_px": 512}}

    def course(self, work: Work) -> TeacherCourse:
        """See :class:`~anyscope.adaptation.refinement.teacher.TeacherStep`."""
        return _MeanTeacherCourse(self, work)


class _MeanTeacherCourse(TeacherCourse):
    def on_target(self, student: Segmenter, teacher: Segmenter, views: Batch, number: int) -> Losses:  # noqa: ARG002
        step, spec = self._step, student.spec
        pseudo = self.labeller()(teacher, views[WEAK])
        loss = divergence(student(views["strong0"]), pseudo, spec.layout, dice=step.dice)
        return {"target": loss}
