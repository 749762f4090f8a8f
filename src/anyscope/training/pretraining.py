"""Self-supervised pre-training: a network learns a pretext from images alone, and is judged on held-out ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from accelerate import Accelerator
from pydantic import Field, model_validator
from torch import nn

from anyscope.datasets import UnlabelledImages
from anyscope.errors import unknown_name
from anyscope.models import Segmenter, SegmenterSpec
from anyscope.running.run_folder import RunFolder
from anyscope.seeding import torch_generator
from anyscope.training.batches import Batch, epoch_loader, image_patches
from anyscope.training.course import Values
from anyscope.training.network_course import QUIET, NetworkCourse, accelerated
from anyscope.training.pretext import Pretext, make_pretext
from anyscope.training.settings import AugmentationSettings, LearnSettings, merge, validated

_HELD_BATCHES = 8
"""Batches of held-out patches that are judged after each epoch."""


class PretrainSettings(LearnSettings):
    """Everything that decides what a pre-training does, apart from the data.

    Args:
        pretext: ``masked`` or ``crappify``; see :mod:`anyscope.training.pretext`.
        parameters: Parameters of the pretext that differ from its defaults.
        images: Of dataset folders the images of the part ``train`` of their split, or ``all``. With ``all`` the network
            has seen the test images when it is tested on them later.
        held_out: Share of the images on which it is measured how well others are repaired, above 0 and at most .5.

    All others are those of :class:`~anyscope.training.settings.LearnSettings`. Augmentation varies geometry and grey
    levels; it adds neither noise nor blur unless it is told to, since the image is what is to be predicted.
    """

    pretext: str = "masked"
    parameters: dict[str, Any] = Field(default_factory=dict)
    images: Literal["train", "all"] = "train"
    held_out: float = Field(0.1, gt=0, le=0.5)
    learning_rate: float = Field(1e-3, gt=0)
    augmentation: AugmentationSettings = AugmentationSettings(
        angle_degrees=0, scale=1, elastic_px=0, contrast=0.25, brightness=0.1, gamma=1.3, noise=0, blur_px=0
    )

    @model_validator(mode="before")
    @classmethod
    def _still(cls, data: Any) -> Any:
        """What is not said of the augmentation is as here, not as in training."""
        if isinstance(data, dict) and isinstance(data.get("augmentation"), dict):
            own = cls.model_fields["augmentation"].default.model_dump()
            return {**data, "augmentation": {**own, **data["augmentation"]}}
        return data

    @model_validator(mode="after")
    def _consistent(self) -> PretrainSettings:
        self.make().check(self.patch_px)
        return self

    def make(self) -> Pretext:
        """The pretext with its parameters."""
        return make_pretext(self.pretext, self.parameters)

    def spec(self, channels: int) -> SegmenterSpec:
        """What the network will be, for images of so many channels."""
        return self.spec_with(channels, task="semantic", pretext=self.pretext)


PROFILES: dict[str, dict[str, Any]] = {
    "fast": {"epochs": 20},
    "standard": {"patch_px": 256, "batch": 16, "epochs": 100, "steps_per_epoch": 200},
    "best": {"patch_px": 256, "batch": 32, "epochs": 400, "steps_per_epoch": 250, "ema": 0.999},
}
"""``fast``, the default, takes about ten minutes on two cores for a network of 2M parameters; ``standard`` and
``best`` are meant for a GPU."""


def pretrain_settings(profile: str = "fast", **given: Any) -> PretrainSettings:
    """Settings from a profile and what was given, which stands above it.

    Raises:
        BadInput: An unknown profile, pretext or key, or a value that does not fit; the message names the key.
    """
    if profile not in PROFILES:
        raise unknown_name("profile", profile, PROFILES)
    return validated(PretrainSettings, merge(PROFILES[profile], given))


@dataclass(frozen=True, eq=False)
class Repair:
    """Held-out patches [N, C, H, W] in 0..1: as they were, spoiled, and repaired; ``hidden`` [N, 1, H, W] or None."""

    images: torch.Tensor
    spoiled: torch.Tensor
    repaired: torch.Tensor
    hidden: torch.Tensor | None

    def errors(self, which: Literal["spoiled", "repaired"]) -> list[float]:
        """The mean absolute difference from the image over the pixels that were to be repaired, patch by patch."""
        values = self.spoiled if which == "spoiled" else self.repaired
        weights = torch.ones_like(self.images) if self.hidden is None else self.hidden.expand_as(self.images).float()
        sums = ((values - self.images).abs() * weights).sum(dim=(1, 2, 3))
        return [float(value) for value in sums / weights.sum(dim=(1, 2, 3))]


class PretextCourse(NetworkCourse):
    """A network that learns a pretext. It is judged after each epoch on the same held-out patches, spoiled alike."""

    def __init__(
        self,
        accelerator: Accelerator,
        network: Segmenter,
        images: UnlabelledImages,
        held: UnlabelledImages,
        settings: PretrainSettings,
    ) -> None:
        super().__init__(
            accelerator, network, image_patches(images, settings, settings.augmentation, "pretext"), settings
        )
        self._pretext, self._seed = settings.make(), settings.seed
        self._rank = accelerator.process_index
        self._held = held_batches(held, settings)

    def loss(self, model: nn.Module, batch: Batch, number: int) -> torch.Tensor:
        """Spoil, and compare what the network makes of it."""
        images = batch["images"]
        spoiled = self._pretext.spoil(images, torch_generator(self._seed, "spoil", number, self._rank))
        return self._pretext.loss(model(spoiled.images).float(), images, spoiled)

    def end_epoch(self, epoch: int, means: Values) -> Values:  # noqa: ARG002
        """The loss on the held-out patches."""
        network = self.weights.eval()
        losses = []
        with torch.inference_mode():
            for number, batch in enumerate(self._held):
                images = batch.to(self.accelerator.device)
                spoiled = self._pretext.spoil(images, torch_generator(self._seed, "held out", number))
                losses.append(float(self._pretext.loss(network(spoiled.images).float(), images, spoiled)))
        loss = sum(losses) / len(losses)
        self.step_epoch(loss)
        return {"learning_rate": self.learning_rate, "val_loss": loss}


def held_batches(held: UnlabelledImages, settings: PretrainSettings) -> list[torch.Tensor]:
    """The held-out patches [B, C, H, W], the same in every epoch and every run of the same settings."""
    dataset = image_patches(held, settings, QUIET, "held out")
    return [batch["images"] for batch in epoch_loader(dataset, 0, _HELD_BATCHES, settings.batch, workers=0)]


def fit_pretext(
    network: Segmenter,
    images: UnlabelledImages,
    held: UnlabelledImages,
    settings: PretrainSettings,
    run: RunFolder,
    *,
    cpu: bool = False,
) -> None:
    """Let ``network`` learn a pretext, in place, and leave it with the weights it ended with.

    Args:
        network: As :func:`~anyscope.training.pretext.pretext_network` makes it.
        images: Images to learn from.
        held: Images that are held out; nothing is chosen by them.
        settings: What to do.
        run: Where records and checkpoints go; a run that has a checkpoint continues from it.
        cpu: Stay on the CPU where there is a GPU.

    Raises:
        BadInput: The loss is not a number any more, or a checkpoint is damaged.
    """
    with accelerated(settings, cpu=cpu) as accelerator:
        course = PretextCourse(accelerator, network, images, held, settings)
        course.run(run, title="pretrain")
        weights = {key: value.detach().cpu().clone() for key, value in course.weights.state_dict().items()}
    network.to("cpu").load_state_dict(weights)
    network.eval()


@torch.inference_mode()
def repair(
    network: Segmenter, batches: Sequence[torch.Tensor], settings: PretrainSettings, device: torch.device | str
) -> Repair:
    """What a network makes of spoiled images [B, C, H, W] in 0..1, all batches together."""
    pretext = settings.make()
    network.to(device).eval()
    found = []
    for number, batch in enumerate(batches):
        images = batch.to(device)
        spoiled = pretext.spoil(images, torch_generator(settings.seed, "held out", number))
        repaired = pretext.repaired(network(spoiled.images).float(), images, spoiled)
        hidden = None if spoiled.hidden is None else spoiled.hidden.cpu()
        found.append(Repair(images.cpu(), spoiled.images.cpu(), repaired.cpu(), hidden))
    masks = [one.hidden for one in found if one.hidden is not None]
    return Repair(
        torch.cat([one.images for one in found]),
        torch.cat([one.spoiled for one in found]),
        torch.cat([one.repaired for one in found]),
        torch.cat(masks) if masks else None,
    )
