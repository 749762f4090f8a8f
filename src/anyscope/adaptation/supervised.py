"""Plain training on the labels of the source: the floor of every comparison, and what most chains begin with."""

from __future__ import annotations

from typing import ClassVar

from anyscope.adaptation.step import Stage, Step
from anyscope.adaptation.work import Work, on_device
from anyscope.training.loop import fit_patches
from anyscope.training.optimisation import freeze


class Supervised(Step):
    """Training on source labels, on images in the style of the target where a step before it said so.

    It stands in every chain that names no other step of training, unless a trained segmenter was given and nothing in
    the chain changes what it learned from. The weights after each epoch are the moving average, where there is one.
    """

    name: ClassVar[str] = "supervised"
    stage: ClassVar[Stage] = "training"
    summary: ClassVar[str] = "train on the labels of the source"
    source: ClassVar[str] = "the baseline of Franco-Barranco et al., CMPB 222:106949, 2022, in the profile paper"

    def run(self, work: Work) -> Work:
        """See :class:`~anyscope.adaptation.step.Step`."""
        with freeze(work.segmenter, work.frozen):
            fit_patches(
                work.segmenter,
                work.source_patches("train"),
                None,
                work.settings,
                work.run,
                cpu=work.device == "cpu",
                keep=work.keeping(work.settings.epochs),
            )
        on_device(work.segmenter, work.device)
        return work
