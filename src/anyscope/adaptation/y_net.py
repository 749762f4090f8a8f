"""Attention Y-Net: segment what has labels, draw again what has none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch.utils.data import Dataset

from anyscope.adaptation.descent import Descent, Optimiser, Rates, Schedule
from anyscope.adaptation.multitask import MultiTaskNet, Outputs, with_reconstruction
from anyscope.adaptation.step import Stage, Step
from anyscope.adaptation.work import Work
from anyscope.models import SegmenterSpec
from anyscope.models.encoders import check_stages, encoder_names
from anyscope.seeding import generator
from anyscope.training.batches import Batch, MixedPatches
from anyscope.training.course import Course, Losses, Stateful, Values
from anyscope.training.objective import Objective
from anyscope.training.optimisation import freeze

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_PATIENCE = (7, 6, 15)


class YNet(Step):
    """Multi-task training in three steps: both tasks on both domains, reconstruction alone, segmentation alone.

    L = alpha MSE(reconstruction) + beta segmentation loss. Every batch is of one domain; one of the target has no
    labels and no segmentation loss. In the second and third step a share of the source patches is in the style of the
    target, where a step such as ``histogram`` stands before this one in the chain. The third step trains the bottleneck
    and the segmentation decoder; candidates come from its epochs.

    Published (profile ``paper``): Attention U-Net of 32 to 512 filters with the authors' gate, a decoder without skips
    and with linear output for the image; epochs, optimisers, rates, alpha, beta, what is trained, 1000 patches of 256
    pixels from either domain in an epoch, batch 1, flips and rotation. Differences: the authors also draw from the test
    images of both domains, which is left out; their plateau looks at a tenth of the patches that is held back, here at
    the mean loss of the epoch, and they may end the first two steps early by it; dropout is of single values, theirs of
    whole channels in the code they published; rotation is by any angle here as there, with reflection at the rim.
    A network whose bottleneck is one with its encoder keeps its whole encoder in the third step. It computes in fp32.

    Args:
        epochs: Epochs of the three steps.
        steps_per_epoch: Optimiser steps of an epoch, half of them of either domain in the first two; the third has
            ``last_steps_per_epoch``.
        last_steps_per_epoch: Optimiser steps of an epoch of the third step.
        optimisers: Of the three steps.
        schedules: Of the three steps; see :class:`~anyscope.adaptation.descent.Rates`.
        learning_rates: Of the three steps.
        momentum: Of SGD.
        alpha: Weights of the reconstruction in the three steps.
        beta: Weights of the segmentation in the three steps.
        matched: Share of source patches in the style of the target in the second and third step.

    Source: Franco-Barranco et al., CMPB 222:106949, 2022; the Y-Net of Roels et al., ISBI 2019.
    """

    name: ClassVar[str] = "y-net"
    stage: ClassVar[Stage] = "training"
    summary: ClassVar[str] = "segment the source and draw images of both domains again, with one encoder"
    source: ClassVar[str] = "Franco-Barranco et al., CMPB 222:106949, 2022 (Attention Y-Net); Roels et al., ISBI 2019"
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "best": {"epochs": (30, 20, 60), "steps_per_epoch": 200, "last_steps_per_epoch": 200},
        "paper": {
            "epochs": (50, 40, 100),
            "steps_per_epoch": 2000,
            "last_steps_per_epoch": 1000,
            "optimisers": ("sgd", "adam", "adam"),
            "schedules": ("plateau", "plateau", "onecycle"),
            "learning_rates": (1e-3, 2e-4, 2e-4),
        },
    }
    training: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {
            "model": "attention_unet",
            "arguments": {"filters": (32, 64, 128, 256, 512), "gate": "authors"},
            "patch_px": 256,
            "batch": 1,
            "foreground": 0.0,
            "clip_norm": 0.0,
            "losses": {"mask": "ce"},
            "augmentation": {
                **{"angle_degrees": 180.0, "scale": 1.0, "elastic_px": 0.0, "contrast": 0.0},
                **{"brightness": 0.0, "gamma": 1.0, "noise": 0.0, "blur_px": 0.0},
            },
        }
    }

    epochs: tuple[Count, Count, Count] = (4, 2, 8)
    steps_per_epoch: Count = 75
    last_steps_per_epoch: Count = 75
    optimisers: tuple[Optimiser, Optimiser, Optimiser] = ("adam", "adam", "adam")
    schedules: tuple[Schedule, Schedule, Schedule] = ("onecycle", "onecycle", "onecycle")
    learning_rates: tuple[Positive, Positive, Positive] = (1e-3, 1e-3, 2e-3)
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.99
    alpha: tuple[Weight, Weight, Weight] = (0.98, 1.0, 0.0)
    beta: tuple[Weight, Weight, Weight] = (0.02, 0.0, 1.0)
    matched: Annotated[float, Field(ge=0, le=1)] = 0.5

    @model_validator(mode="after")
    def _something_to_learn(self) -> Self:
        if not all(alpha + beta > 0 for alpha, beta in zip(self.alpha, self.beta, strict=True)):
            raise ValueError("alpha and beta: one of them must be above 0 in each of the three steps")
        return self

    def check(self, spec: SegmenterSpec) -> None:
        """A network is needed to whose bottleneck a second decoder can be attached."""
        check_stages(spec.model, self.name)

    def run(self, work: Work) -> Work:
        """See :class:`~anyscope.adaptation.step.Step`."""
        net = with_reconstruction(work.segmenter, "transposed", work.seed("decoder"))
        keep = work.keeping(self.epochs[2])

        def keep_last(epoch: int) -> None:
            keep(epoch, work.segmenter)

        for number in (0, 1, 2):
            last = number == 2
            frozen = work.frozen
            if last:
                frozen = (*frozen, *encoder_names(work.segmenter).levels)
            steps = self.last_steps_per_epoch if last else self.steps_per_epoch
            with freeze(work.segmenter, tuple(dict.fromkeys(frozen))):
                course = YNetCourse(self, work, net, number)
                work.follow(
                    course,
                    epochs=self.epochs[number],
                    steps=steps,
                    part=number,
                    title=f"y-net {number + 1}/3",
                    after_epoch=keep_last if last else None,
                )
        work.segmenter.eval()
        return work


class YNetCourse(Course):
    """One of the three steps.

    Args:
        step: Its parameters.
        work: Patches and settings.
        net: Trained in place; parameters that want no gradient stay as they are.
        number: 0, 1 or 2.
    """

    def __init__(self, step: YNet, work: Work, net: MultiTaskNet, number: int) -> None:
        self._work, self._net, self._number = work, net, number
        self._alpha, self._beta = step.alpha[number], step.beta[number]
        self._both = self._alpha > 0
        self._steps = step.steps_per_epoch if number < 2 else step.last_steps_per_epoch
        rates = Rates(
            step.optimisers[number],
            step.learning_rates[number],
            step.schedules[number],
            momentum=step.momentum if step.optimisers[number] == "sgd" else 0.9,
            patience=_PATIENCE[number],
            clip_norm=work.settings.clip_norm,
        )
        tasks = (net.segmenter, net.decoder) if self._both else (net.segmenter,)
        parameters = [parameter for task in tasks for parameter in task.parameters()]
        self._descent = Descent(parameters, rates, step.epochs[number] * self._steps)
        self._objective = Objective.of(work.settings, work.segmenter.spec.layout)
        self._source = self._source_patches(0.0 if number == 0 else step.matched)
        self._target = work.target_patches(f"target {number}") if self._both else None

    def _source_patches(self, matched: float) -> Dataset[Batch]:
        stream = f"source {self._number}"
        if matched == 0 or not self._work.styles:
            return self._work.source_patches(stream, styled=False)
        both = (self._work.source_patches(stream), self._work.source_patches(stream, styled=False))
        return MixedPatches(both, (matched, 1 - matched), self._work.seed("matched", self._number))

    @property
    def parts(self) -> Mapping[str, Stateful]:
        """The networks, the optimiser and its schedule."""
        return {"net": self._net, **self._descent.parts("")}

    def begin_epoch(self, epoch: int) -> None:  # noqa: ARG002
        """Dropout and normalisation as in training."""
        self._net.train()

    def step(self, number: int) -> Losses:
        """One batch of one domain."""
        target = self._target if self._of_target(number) else None
        batch = self._work.batch(self._source if target is None else target, number)
        segment = self._beta > 0 and target is None
        segmenter, work = self._net.segmenter, self._work
        with segmenter.seeing(work.source_input if target is None else segmenter.spec.input):
            outputs = self._net(batch["images"], segment=segment, reconstruct=self._both)
        losses = y_net_losses(outputs, batch, self._objective)
        weights = {"reconstruction": self._alpha, "segmentation": self._beta}
        loss = torch.stack([weight * losses[name] for name, weight in weights.items() if weight > 0]).sum()
        self._descent.step(loss)
        return {"loss": loss.detach(), **{name: losses[name].detach() for name, weight in weights.items() if weight}}

    def _of_target(self, number: int) -> bool:
        """Whether the batch of a step is of the target: half of an epoch's are, in an order of its own."""
        epoch, place = divmod(number, self._steps)
        order = generator(self._work.seed("domains", self._number), epoch).permutation(self._steps)
        return bool(order[place] < self._of_target_in_epoch)

    @property
    def _of_target_in_epoch(self) -> int:
        return 0 if self._target is None else self._steps // 2

    def end_epoch(self, epoch: int, means: Values) -> Values:  # noqa: ARG002
        """The plateau looks at the mean loss. That of the segmentation is taken over batches that have one."""
        values = {"learning_rate": self._descent.learning_rate}
        self._descent.end_epoch(means["loss"])
        if "segmentation" in means:
            labelled = self._steps - self._of_target_in_epoch
            values["train_segmentation"] = means["segmentation"] * self._steps / labelled
        return values


def y_net_losses(outputs: Outputs, batch: Batch, objective: Objective) -> dict[str, torch.Tensor]:
    """The two losses of a batch, 0 where its outputs lack what they are made of.

    Args:
        outputs: What the network says of the batch.
        batch: ``images``, and ``targets`` and ``valid`` where it has labels.
        objective: The segmentation loss.

    Returns:
        ``reconstruction``: the mean squared error between images as they were seen and those drawn again;
        ``segmentation``.
    """
    nothing = batch["images"].new_zeros(())
    logits = outputs.logits
    image = outputs.image
    return {
        "reconstruction": nothing if image is None else torch.nn.functional.mse_loss(image, outputs.seen),
        "segmentation": nothing if logits is None else objective(lambda _: logits, batch),
    }
