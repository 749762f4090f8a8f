"""Self-supervised pre-training: repair images that were made worse, then learn from labels with the encoder kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch.utils.data import Dataset

from anyscope.adaptation.descent import Descent, Rates
from anyscope.adaptation.step import Stage, Step
from anyscope.adaptation.work import Work, on_device
from anyscope.models import Segmenter, SegmenterSpec
from anyscope.models.encoders import check_encoder, encoder_names
from anyscope.models.initialisation import InitialisationReport, initialise
from anyscope.running.atomic import write_text
from anyscope.seeding import torch_generator
from anyscope.training.batches import Batch, MixedPatches
from anyscope.training.checkpoint import save_weights
from anyscope.training.course import Course, Losses, Stateful, Values
from anyscope.training.pretext import Crappify, pretext_network
from anyscope.training.tuning_modes import keeping_adapted

WEIGHTS_FILE, FINDINGS_FILE = "pretext.safetensors", "findings.json"
Count = Annotated[int, Field(ge=1)]


class Pretraining(Step):
    """The network learns to repair images of both domains; its weights then start the supervised training.

    The pretext: Gaussian noise is added, grey levels are cut to those there were, and the image is made half as large
    and as large again (:class:`Crappify`); the clean image is wanted, by MSE, with Adam and the one-cycle schedule. It
    is learned by the network itself, with as many sigmoid outputs as the image has channels. Then every tensor that
    fits is taken over, which is reported in ``findings.json`` tensor by tensor. As published, the encoder down to the
    bottleneck is then kept fixed in the training on labels that follows, and the bottleneck is trained with the
    decoder; the profile ``fast``, whose pretext of 150 steps makes no encoder to stay with, trains all.

    Published (profile ``paper``): Attention U-Net, noise of .3 of the largest grey level, factor 2 on either axis,
    rate 5e-4, batch 6, 200 epochs, source images in the style of the target where a step such as ``histogram`` stands
    before; then cross-entropy, Adam, one-cycle 1e-4, batch 5, 60 epochs on the source with the encoder fixed.
    Differences: the authors choose target patches by their labels and use test images too, neither is done here; an
    epoch has a fixed number of steps, theirs depends on how many patches remain; half of the patches are of either
    domain; augmentation is ours. Networks whose bottleneck is one with their encoder keep it fixed as well. It computes
    in fp32.

    Args:
        epochs, steps_per_epoch, batch: Of the pretext.
        learning_rate: Largest rate of its one-cycle.
        noise: Standard deviation of the noise as a share of the largest grey level of a patch.
        varied: Draw the share for each patch between 0 and ``noise``.
        keep_encoder: Keep the encoder fixed in the training that follows.

    Source: Franco-Barranco et al., CMPB 222:106949, 2022, section on self-supervised learning, and its authors' code.
    """

    name: ClassVar[str] = "pretrain"
    stage: ClassVar[Stage] = "pretraining"
    summary: ClassVar[str] = "learn to repair noisy, coarse images of both domains; then train on labels"
    source: ClassVar[str] = "Franco-Barranco et al., CMPB 222:106949, 2022"
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "best": {"epochs": 60, "steps_per_epoch": 200, "batch": 16, "keep_encoder": True},
        "paper": {
            **{"epochs": 200, "steps_per_epoch": 200, "batch": 6, "learning_rate": 5e-4, "varied": False},
            **{"keep_encoder": True},
        },
    }
    training: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {
            **{"model": "attention_unet", "patch_px": 256, "batch": 5, "epochs": 60, "steps_per_epoch": 200},
            **{"optimiser": "adam", "learning_rate": 1e-4, "schedule": "onecycle", "weight_decay": 0.0},
            **{"clip_norm": 0.0, "ema": 0.0, "losses": {"mask": "ce"}, "foreground": 0.0},
        }
    }

    epochs: Count = 6
    steps_per_epoch: Count = 25
    batch: Count = 4
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2e-3
    noise: Annotated[float, Field(ge=0, le=1)] = 0.3
    varied: bool = True
    keep_encoder: bool = False

    def check(self, spec: SegmenterSpec) -> None:
        """A network is needed whose encoder can be told from its decoder."""
        check_encoder(spec.model, self.name)

    def run(self, work: Work) -> Work:
        """See :class:`~anyscope.adaptation.step.Step`."""
        pretext = on_device(pretext_network(work.segmenter, Crappify.name, work.seed("pretext")), work.device)
        with keeping_adapted(pretext):
            course = PretextCourse(self, work, pretext)
            work.follow(course, epochs=self.epochs, steps=self.steps_per_epoch, title=self.name)
        weights = work.folder / WEIGHTS_FILE
        save_weights(pretext, weights)
        report = initialise(work.segmenter, weights)
        levels = encoder_names(work.segmenter).levels
        findings = _findings(report, levels, self.keep_encoder)
        write_text(work.folder / FINDINGS_FILE, json.dumps(findings, indent=2) + "\n")
        return replace(work, frozen=(*work.frozen, *levels)) if self.keep_encoder else work


def _findings(report: InitialisationReport, levels: tuple[str, ...], frozen: bool) -> dict[str, Any]:
    encoder = [key for key in report.loaded if key.startswith(levels)]
    lost = [key for key in (*report.missing, *(key for key, _, _ in report.other_shape)) if key.startswith(levels)]
    return {
        "transfer": report.to_document(),
        "frozen": encoder if frozen else [],
        "alarms": [f"{len(lost)} tensors of the encoder were not pre-trained: {', '.join(lost)}"] if lost else [],
    }


@dataclass(frozen=True)
class ImagesAlone(Dataset[Batch]):
    """Patches without what else is known of them, but for the domain: ``images`` and ``of_target`` [B]."""

    patches: Dataset[Batch]
    of_target: bool

    def __getitem__(self, number: int) -> Batch:
        """The images of the patch with the given number."""
        return {"images": self.patches[number]["images"], "of_target": torch.tensor(self.of_target)}


class PretextCourse(Course):
    """Learning to repair images of both domains.

    Args:
        step: Its parameters.
        work: Patches and settings.
        net: Trained in place; its outputs are logits of the clean images.
    """

    def __init__(self, step: Pretraining, work: Work, net: Segmenter) -> None:
        self._step, self._work, self._net = step, work, net
        self._pretext = Crappify(step.noise, step.varied)
        rates = Rates("adam", step.learning_rate, "onecycle", clip_norm=work.settings.clip_norm)
        self._descent = Descent(net.parameters(), rates, step.epochs * step.steps_per_epoch)
        both = (
            ImagesAlone(work.source_patches("pretext source"), False),
            ImagesAlone(work.target_patches("pretext target"), True),
        )
        self._patches = MixedPatches(both, (0.5, 0.5), work.seed("domains"))

    @property
    def parts(self) -> Mapping[str, Stateful]:
        """The network, the optimiser and its schedule."""
        return {"net": self._net, **self._descent.parts("")}

    def begin_epoch(self, epoch: int) -> None:  # noqa: ARG002
        """Dropout and normalisation as in training."""
        self._net.train()

    def step(self, number: int) -> Losses:
        """One batch of both domains."""
        batch = self._work.batch(self._patches, number, self._step.batch)
        clean = self._seen(batch["images"], batch["of_target"])
        draws = torch_generator(self._work.seed("crappify"), number)
        spoiled = self._pretext.spoil(clean, draws)
        loss = self._pretext.loss(self._net(spoiled.images), clean, spoiled)
        self._descent.step(loss)
        return {"loss": loss.detach()}

    @torch.no_grad()
    def _seen(self, images: torch.Tensor, of_target: torch.Tensor) -> torch.Tensor:
        """Images of each domain as the segmenter will see them in training and in prediction."""
        segmenter = self._work.segmenter
        with segmenter.seeing(self._work.source_input):
            source = segmenter.transform_input(images)
        return torch.where(of_target.view(-1, 1, 1, 1), segmenter.transform_input(images), source)

    def end_epoch(self, epoch: int, means: Values) -> Values:  # noqa: ARG002
        """The rate."""
        return {"learning_rate": self._descent.learning_rate}
