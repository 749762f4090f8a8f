"""DAMT-Net: segmentation and reconstruction, with two discriminators that pull the domains together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from anyscope.adaptation.descent import Descent, Rates, Schedule
from anyscope.adaptation.multitask import MultiTaskNet, Outputs, with_reconstruction
from anyscope.adaptation.step import Stage, Step
from anyscope.adaptation.work import Work
from anyscope.contracts import HeadLayout
from anyscope.errors import BadInput
from anyscope.inference.activation import activate
from anyscope.models import Segmenter, SegmenterSpec
from anyscope.models.encoders import check_stages, stages_of
from anyscope.models.nets.domain_discriminators import (
    LABEL_DISCRIMINATOR_SMALLEST_PX,
    FeatureDiscriminator,
    LabelDiscriminator,
)
from anyscope.seeding import derive_seed
from anyscope.training.course import Course, Losses, Stateful, Values
from anyscope.training.objective import Objective
from anyscope.training.optimisation import freeze

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_SECOND = 0.99
"""Second coefficient of Adam; the first is .9."""


class DAMT(Step):
    """Adversarial multi-task training.

    L = segmentation loss on the source + ``reconstruction`` x MSE of the images of both domains drawn again (their
    mean) + ``label`` x cross-entropy of the label discriminator on the target, which is to take target maps for source
    maps + ``feature`` x that of the feature discriminator. The discriminators learn in turn to tell the domains apart,
    with half the sum of their cross-entropies on either.

    Published (profile ``paper``): the weights of the losses, cross-entropy, Adam with 5e-5 and 1e-4 and coefficients .9
    and .99, rates times .9 every 6000 and 3000 steps, one patch of 512 pixels from either domain in a step, both
    discriminators, the decoder without skips and with bilinear interpolation; 60 epochs of as many steps as the domains
    have images on average, as Franco-Barranco et al. trained it, here always 165, the number of slices of Lucchi++.
    Differences: the segmenter is ``unet`` of the zoo with ``norm=group``: transposed convolutions where the authors
    interpolate and apply a 1 x 1 convolution, 8 groups with weights where they have 32 without; maps of a binary mask
    are shown to the discriminator as the two probabilities that the authors' softmax gives; the adversarial terms use
    the same pass through the network as the others, where the authors take a second one; augmentation is ours. As
    theirs, it begins with a network that was trained on the source. It computes in fp32.

    Args:
        epochs, steps_per_epoch: Epochs, and optimiser steps of each.
        schedule: Of segmenter and decoder: ``steps`` as published, or another of
            :class:`~anyscope.adaptation.descent.Rates`.
        learning_rate: Of segmenter and decoder.
        decay_steps: After so many steps their rate falls to .9; with ``schedule=steps``.
        discriminator_rate: Learning rate of the discriminators.
        discriminator_decay_steps: After so many steps it falls to .9.
        reconstruction, label, feature: Weights of the three terms.
        width: Channels of the label discriminator's first convolution, a multiple of 32.
        cells: Rows and columns that the feature discriminator averages its maps to; 64 is all of a patch of 512.

    Source: Peng, Yi, Yuan, IEEE JSTSP 14(6):1199-1209, 2020, and its authors' code.
    """

    name: ClassVar[str] = "damt"
    stage: ClassVar[Stage] = "refinement"
    summary: ClassVar[str] = "segment the source, draw images again, and fool discriminators of labels and features"
    source: ClassVar[str] = "Peng, Yi, Yuan, IEEE JSTSP 14(6):1199-1209, 2020 (DAMT-Net)"
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "best": {"epochs": 60, "steps_per_epoch": 200, "width": 64, "cells": 16},
        "paper": {
            **{"epochs": 60, "steps_per_epoch": 165, "schedule": "steps", "learning_rate": 5e-5},
            **{"width": 64, "cells": 64},
        },
    }
    training: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {
            **{"model": "unet", "arguments": {"norm": "group"}, "patch_px": 512, "batch": 1, "foreground": 0.0},
            **{"clip_norm": 0.0, "losses": {"mask": "ce"}},
        }
    }

    epochs: Count = 8
    steps_per_epoch: Count = 20
    schedule: Schedule = "onecycle"
    learning_rate: Positive = 1e-3
    decay_steps: Count = 6000
    discriminator_rate: Positive = 1e-4
    discriminator_decay_steps: Count = 3000
    reconstruction: Weight = 0.0005
    label: Weight = 0.001
    feature: Weight = 0.001
    width: Annotated[int, Field(ge=32, le=512, multiple_of=32)] = 32
    cells: Annotated[int, Field(ge=1, le=64)] = 4

    def check(self, spec: SegmenterSpec) -> None:
        """A network is needed to whose bottleneck and last features more networks can be attached."""
        check_stages(spec.model, self.name)

    def run(self, work: Work) -> Work:
        """See :class:`~anyscope.adaptation.step.Step`."""
        if work.settings.patch_px < LABEL_DISCRIMINATOR_SMALLEST_PX:
            raise BadInput(
                "setting 'patch_px'",
                f"{work.settings.patch_px}",
                f"at least {LABEL_DISCRIMINATOR_SMALLEST_PX}, which the label discriminator of damt halves five times",
            )
        work.keep(0, work.segmenter)
        keep = work.keeping(self.epochs)
        with freeze(work.segmenter, work.frozen):
            work.follow(
                DAMTCourse(self, work),
                epochs=self.epochs,
                steps=self.steps_per_epoch,
                title=self.name,
                after_epoch=lambda epoch: keep(epoch, work.segmenter),
            )
        work.segmenter.eval()
        return work


class Discriminators(nn.Module):
    """Both discriminators, for the maps and the last features of a segmenter.

    Args:
        segmenter: What they judge; its device is theirs.
        width, cells: See :class:`DAMT`.
        seed: Seed of their first weights. Global generators stay as they were.
    """

    def __init__(self, segmenter: Segmenter, width: int, cells: int, seed: int) -> None:
        super().__init__()
        spec = segmenter.spec
        channels = spec.out_channels + (spec.classes == 2)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive_seed(seed, "discriminators"))
            self.of_labels = LabelDiscriminator(channels, width)
            self.of_features = FeatureDiscriminator(stages_of(segmenter).width, cells)
        self.to(segmenter.mean.device)
        self._layout = spec.layout

    def forward(self, outputs: Outputs) -> tuple[torch.Tensor, torch.Tensor]:
        """The logits of both on what a network says, positive for the source."""
        assert outputs.logits is not None
        assert outputs.features is not None
        maps = domain_maps(outputs.logits, self._layout)
        return self.of_labels(maps), self.of_features(outputs.features)

    @contextmanager
    def judging(self) -> Iterator[None]:
        """Give gradients to what is judged, not to the weights, inside the block."""
        self.requires_grad_(False)
        try:
            yield
        finally:
            self.requires_grad_(True)


def domain_maps(logits: torch.Tensor, layout: HeadLayout) -> torch.Tensor:
    """What the label discriminator sees of logits [B, K, H, W]: activated maps, a binary mask as two probabilities."""
    maps = activate(logits, layout)
    if layout.classes > 2 or "mask" not in layout.heads:
        return maps
    foreground = maps[:, layout.logits["mask"]]
    return torch.cat([1 - foreground, maps], dim=1)


def domain_loss(logits: torch.Tensor, *, source: bool) -> torch.Tensor:
    """Cross-entropy of a discriminator's logits, positive for the source, with one of the two domains as the truth."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(source)))


class DAMTCourse(Course):
    """Generator and discriminators, one step each on a batch from either domain.

    Args:
        step: Its parameters.
        work: Patches and settings; its segmenter is trained in place.
    """

    def __init__(self, step: DAMT, work: Work) -> None:
        self._step, self._work = step, work
        segmenter = work.segmenter
        self._net: MultiTaskNet = with_reconstruction(segmenter, "bilinear", work.seed("decoder"))
        self._judges = Discriminators(segmenter, step.width, step.cells, work.seed("discriminators"))
        rates = Rates(
            "adam",
            step.learning_rate,
            step.schedule,
            second=_SECOND,
            decay_steps=step.decay_steps,
            clip_norm=work.settings.clip_norm,
        )
        against = Rates(
            "adam", step.discriminator_rate, "steps", second=_SECOND, decay_steps=step.discriminator_decay_steps
        )
        total = step.epochs * step.steps_per_epoch
        self._descent = Descent(self._net.parameters(), rates, total)
        self._ascent = Descent(self._judges.parameters(), against, total)
        self._objective = Objective.of(work.settings, segmenter.spec.layout)
        self._source = work.source_patches("source")
        self._target = work.target_patches("target")

    @property
    def parts(self) -> Mapping[str, Stateful]:
        """The networks, the optimisers and their schedules."""
        return {
            "net": self._net,
            "judges": self._judges,
            **self._descent.parts("net_"),
            **self._ascent.parts("judges_"),
        }

    def begin_epoch(self, epoch: int) -> None:  # noqa: ARG002
        """Dropout and normalisation as in training."""
        self._net.train()
        self._judges.train()

    def step(self, number: int) -> Losses:
        """One step of the segmenter, then one of the discriminators on what it said before."""
        step = self._step
        labelled, images = self._work.batch(self._source, number), self._work.batch(self._target, number)
        with self._net.segmenter.seeing(self._work.source_input):
            source = self._net(labelled["images"])
        target = self._net(images["images"])
        mse = F.mse_loss(source.image, source.seen) + F.mse_loss(target.image, target.seen)
        with self._judges.judging():
            of_labels, of_features = self._judges(target)
        losses = {
            "segmentation": self._objective(lambda _: source.logits, labelled),
            "reconstruction": mse / 2,
            "label": domain_loss(of_labels, source=True),
            "feature": domain_loss(of_features, source=True),
        }
        loss = (
            losses["segmentation"]
            + step.reconstruction * losses["reconstruction"]
            + step.label * losses["label"]
            + step.feature * losses["feature"]
        )
        self._descent.step(loss)
        against = self.discriminator_loss(source, target)
        self._ascent.step(against)
        return {"loss": loss.detach(), **{k: v.detach() for k, v in losses.items()}, "discriminators": against.detach()}

    def discriminator_loss(self, source: Outputs, target: Outputs) -> torch.Tensor:
        """Half the sum of the cross-entropies of both discriminators on outputs of either domain."""
        losses = [
            domain_loss(logits, source=is_source)
            for outputs, is_source in ((source, True), (target, False))
            for logits in self._judges(_detached(outputs))
        ]
        return torch.stack(losses).sum() / 2

    def end_epoch(self, epoch: int, means: Values) -> Values:  # noqa: ARG002
        """The rate; a plateau looks at the mean loss."""
        rate = self._descent.learning_rate
        self._descent.end_epoch(means["loss"])
        return {"learning_rate": rate}


def _detached(outputs: Outputs) -> Outputs:
    """The outputs with what discriminators look at cut off from the segmenter."""
    return outputs._replace(
        logits=None if outputs.logits is None else outputs.logits.detach(),
        features=None if outputs.features is None else outputs.features.detach(),
    )
