"""Robust training: what is done to the images of a batch so that a network learns to stand it.

A hardening is frozen parameters and a stateless call on a batch, like an attack or a corruption. What it does to an
image depends on the seed of that image alone, so that a resumed training ends as one that was never stopped.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from anyscope.attacks import ATTACKS, Target, class_logits
from anyscope.corruptions import CORRUPTIONS, SEVERITIES
from anyscope.corruptions.mechanisms import MECHANISMS, mechanism_of
from anyscope.errors import BadInput, unknown_name
from anyscope.registry import Registry
from anyscope.running.documents import build_entry
from anyscope.seeding import generator, torch_generator
from anyscope.training.batches import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anyscope.models import Segmenter


@dataclass(frozen=True)
class Hardening(ABC):
    """A way to spoil training images.

    Args:
        share: How many images of a batch are spoiled, on average, 0..1; the others keep the clean score up.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]

    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise BadInput("robust_arguments.share", f"{self.share}", "above 0, at most 1")

    def __call__(self, batch: Batch, segmenter: Segmenter, seeds: Sequence[int]) -> Batch:
        """The batch with some images spoiled; ``valid`` loses pixels that show nothing any more.

        Args:
            batch: ``images`` [B, C, H, W] in 0..1, ``targets`` and ``valid``; left as it is.
            segmenter: The network as it is now; left as it is.
            seeds: One for each image.
        """
        chosen = [number for number, seed in enumerate(seeds) if generator(seed, "robust").random() < self.share]
        if not chosen:
            return batch
        part = {key: value[chosen] for key, value in batch.items()}
        images, valid = self.spoil(part, segmenter, [seeds[number] for number in chosen])
        result = dict(batch)
        for key, value in (("images", images), ("valid", valid)):
            result[key] = batch[key].clone()
            result[key][chosen] = value.to(batch[key].dtype)
        return result

    @abstractmethod
    def spoil(self, batch: Batch, segmenter: Segmenter, seeds: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Images and valid pixels of a batch, all of which are spoiled."""

    def record(self) -> dict[str, Any]:
        """What the provenance of a segmenter says of it: name, parameters, and what was seen of corruptions."""
        parameters = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        return {"name": self.name, "parameters": parameters, "seen": [], "held_out": []}


@dataclass(frozen=True)
class CorruptionHardening(Hardening):
    """Corruptions at a low severity, of all mechanisms but those that are held out.

    What moves pixels is never drawn, since targets would have to move too; neither is what needs a stack, or the range
    of the whole image (the corruptions before the camera).

    Args:
        held_out: Mechanisms that are not drawn, so that a gain under them is no memory of them; see
            :mod:`anyscope.corruptions.mechanisms`.
        severities: Severities that are drawn, all as often.
    """

    name: ClassVar[str] = "corruptions"
    summary: ClassVar[str] = "corruptions of some mechanisms; others are held out, so that the gain can be measured"
    source: ClassVar[str] = "after Hendrycks and Dietterich, ICLR 2019, who hold corruptions out; choice ours"

    held_out: tuple[str, ...] = ("blur", "artefacts")
    severities: tuple[int, ...] = (1, 2, 3)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.held_out:
            if name not in MECHANISMS:
                raise unknown_name("mechanism", name, MECHANISMS)
        if not self.severities or not set(self.severities) <= set(SEVERITIES):
            raise BadInput("robust_arguments.severities", f"{list(self.severities)}", "some of 1, 2, 3, 4, 5")
        if not self.drawn:
            raise BadInput("robust_arguments.held_out", "everything", "at least one mechanism that is drawn")

    @property
    def drawn(self) -> tuple[str, ...]:
        """The corruptions that are drawn."""
        left = set(MECHANISMS) - {"geometry", *self.held_out}
        return tuple(
            name
            for name, kind in CORRUPTIONS.items()
            if mechanism_of(name) in left and not kind.new_exposure and not kind.along_stack
        )

    def spoil(self, batch: Batch, segmenter: Segmenter, seeds: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """See :class:`Hardening`."""
        del segmenter
        images, valid = batch["images"].clone(), batch["valid"].clone()
        drawn = self.drawn
        for number, seed in enumerate(seeds):
            random = generator(seed, "robust", "corruption")
            kind = CORRUPTIONS[drawn[int(random.integers(len(drawn)))]]
            severity = self.severities[int(random.integers(len(self.severities)))]
            corrupted = kind.at(severity)(images[number][None, :, None], [seed])
            images[number] = corrupted.images[0, :, 0].clamp(0, 1)
            if corrupted.valid is not None:
                valid[number] &= corrupted.valid[0, 0]
        return images, valid

    def record(self) -> dict[str, Any]:
        """See :class:`Hardening`."""
        return super().record() | {"seen": list(self.drawn), "held_out": ["geometry", *self.held_out]}


@dataclass(frozen=True)
class NoiseHardening(Hardening):
    """Gaussian noise of a strength that is drawn for each image.

    Args:
        sigma_grey: Largest standard deviation in grey levels of 255. The published assay has 7, which the ordinary
            augmentation has already.
    """

    name: ClassVar[str] = "noise"
    summary: ClassVar[str] = "Gaussian noise of random strength"
    source: ClassVar[str] = "Zhong, Li, Yang, BMC Bioinformatics 25:269, 2024; strength ours"

    sigma_grey: float = 40.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.sigma_grey <= 255:
            raise BadInput("robust_arguments.sigma_grey", f"{self.sigma_grey}", "above 0, at most 255")

    def spoil(self, batch: Batch, segmenter: Segmenter, seeds: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """See :class:`Hardening`."""
        del segmenter
        images = batch["images"].clone()
        for number, seed in enumerate(seeds):
            random = torch_generator(seed, "robust", "noise")
            sigma = float(torch.rand((), generator=random)) * self.sigma_grey / 255
            noise = torch.randn(images.shape[1:], generator=random).to(images)
            images[number] = (images[number] + sigma * noise).clamp(0, 1)
        return images, batch["valid"]

    def record(self) -> dict[str, Any]:
        """See :class:`Hardening`."""
        other = [mechanism for mechanism in MECHANISMS if mechanism != "noise"]
        return super().record() | {"seen": ["gaussian_noise"], "held_out": other}


@dataclass(frozen=True)
class AdversarialHardening(Hardening):
    """Projected gradient ascent against the network as it is, in units of the image.

    The network is attacked in evaluation mode, so that batch statistics are not those of half-made images.

    Args:
        epsilon_grey: Largest change of a pixel in grey levels of 255.
        steps: Gradients for each image; steps of 2.5 epsilon / steps. The published assay has 8/255 and 10 steps.
    """

    name: ClassVar[str] = "adversarial"
    summary: ClassVar[str] = "PGD against the network as it is: as many more passes as it has steps"
    source: ClassVar[str] = "Madry et al., ICLR 2018, arXiv 1706.06083"

    epsilon_grey: float = 4.0
    steps: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.epsilon_grey <= 255:
            raise BadInput("robust_arguments.epsilon_grey", f"{self.epsilon_grey}", "above 0, at most 255")
        if self.steps < 1:
            raise BadInput("robust_arguments.steps", f"{self.steps}", "1 or more")

    @property
    def step_size(self) -> float:
        """Length of a step in units of the image."""
        return 2.5 * self.epsilon_grey / 255 / self.steps

    def spoil(self, batch: Batch, segmenter: Segmenter, seeds: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """See :class:`Hardening`."""
        attack = ATTACKS["pgd"](self.epsilon_grey / 255, steps=self.steps, step_size=self.step_size, keep="last")  # type: ignore[call-arg]
        images = batch["images"].contiguous()
        with _judging(segmenter):
            return attack(class_logits(segmenter), images, _target(batch, segmenter), seeds), batch["valid"]

    def record(self) -> dict[str, Any]:
        """See :class:`Hardening`."""
        return super().record() | {"held_out": list(MECHANISMS)}


@dataclass(frozen=True)
class FastAdversarialHardening(AdversarialHardening):
    """One long step from a random point of the ball: about twice the time of a plain training.

    It can fail all at once, when the network learns to mask its gradient for that one step ("catastrophic
    overfitting"); an assay with strong attacks shows it. The step is 1.25 epsilon, as published.
    """

    name: ClassVar[str] = "fast-adversarial"
    summary: ClassVar[str] = "FGSM from a random point: the cheap variant"
    source: ClassVar[str] = "Wong, Rice, Kolter, ICLR 2020, arXiv 2001.03994"

    steps: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps != 1:
            raise BadInput("robust_arguments.steps", f"{self.steps}", "1; 'adversarial' has more")

    @property
    def step_size(self) -> float:
        """Length of the step in units of the image."""
        return 1.25 * self.epsilon_grey / 255


HARDENINGS: Registry[type[Hardening]] = Registry("robust training")
_ENTRIES: tuple[type[Hardening], ...] = (
    CorruptionHardening, NoiseHardening, AdversarialHardening, FastAdversarialHardening,
)  # fmt: skip
for _entry in _ENTRIES:
    HARDENINGS.add(_entry.name, _entry)


def hardening(name: str, arguments: dict[str, Any]) -> Hardening:
    """The robust training called ``name``, with other parameters where they are given.

    Raises:
        BadInput: No such name or parameter, or a value that does not fit.
    """
    return build_entry(HARDENINGS[name], arguments, f"robust training {name!r}", "argument")


def _target(batch: Batch, segmenter: Segmenter) -> Target:
    """Classes [B, H, W] of the mask head, and where they are known."""
    found = batch["targets"][:, segmenter.spec.layout.targets["mask"]][:, 0]
    known = found.isfinite()
    return Target(torch.where(known, found, 0.0).round().long(), batch["valid"].bool() & known)


@contextmanager
def _judging(segmenter: Segmenter) -> Iterator[None]:
    """The network in evaluation mode, its modules put back to theirs afterwards."""
    modes = [(module, module.training) for module in segmenter.modules()]
    segmenter.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
