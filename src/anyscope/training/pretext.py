"""Pretexts: tasks that an image sets by itself, from which a network learns before it sees labels.

A pretext spoils images; the network is to repair them, with one output for each channel of its images. An entry is a
frozen dataclass of parameters whose calls are stateless.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F

from anyscope.errors import BadInput
from anyscope.models import InputTransform, Segmenter, build_segmenter
from anyscope.registry import Registry
from anyscope.running.documents import build_entry

_EPSILON = 1e-6
"""Added to variances, as by MAE's authors."""


@dataclass(frozen=True, eq=False)
class Spoiled:
    """Images that were made worse.

    Args:
        images: [B, C, H, W] in 0..1: what the network is shown.
        hidden: Mask [B, 1, H, W] of the pixels that are to be repaired, all of them where it is None.
    """

    images: torch.Tensor
    hidden: torch.Tensor | None = None


class Pretext(ABC):
    """A way to spoil images, and how well they were repaired. Subclasses are frozen dataclasses."""

    name: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]

    def check(self, patch_px: int) -> None:  # noqa: B027  (most work with any)
        """Refuse patches of an edge that it cannot work with.

        Raises:
            BadInput: They are too small.
        """

    @abstractmethod
    def spoil(self, images: torch.Tensor, generator: torch.Generator) -> Spoiled:
        """Spoil images.

        Args:
            images: [B, C, H, W] in 0..1; left as they are.
            generator: Of all draws, on the CPU, so that they are the same on every device.
        """

    @abstractmethod
    def loss(self, outputs: torch.Tensor, images: torch.Tensor, spoiled: Spoiled) -> torch.Tensor:
        """How far the repaired images are from the images, a scalar.

        Args:
            outputs: [B, C, H, W]: what the network made of ``spoiled.images``, before any activation.
            images: The images as they were.
            spoiled: What :meth:`spoil` made of them.
        """

    @abstractmethod
    def repaired(self, outputs: torch.Tensor, images: torch.Tensor, spoiled: Spoiled) -> torch.Tensor:
        """The repaired images [B, C, H, W] in 0..1, for the eye. Arguments as for :meth:`loss`."""


PRETEXTS: Registry[type[Pretext]] = Registry("pretext")


def make_pretext(name: str, given: Mapping[str, Any] | None = None) -> Pretext:
    """The pretext called ``name`` with the given parameters in the place of its defaults.

    Raises:
        BadInput: Unknown name or parameter, or a value that does not fit; the message names it.
    """
    return build_entry(PRETEXTS[name], given or {}, f"pretext {name!r}")


@PRETEXTS.register("masked")
@dataclass(frozen=True)
class Masked(Pretext):
    """Square pieces of the image are hidden, on a grid; the network is to say what was there.

    The same pieces are hidden in all channels, so that no neighbouring slice gives them away. Hidden pixels take the
    mean grey of those that are shown, image by image and channel by channel, as networks with attention in windows, and
    those with convolutions, cannot leave them out. The loss looks at hidden pixels alone.

    SimMIM, whose transformer has a learned vector for what is hidden, takes pieces of 32 pixels, a share of .6 and the
    L1 distance of pixels; MAE, whose transformer sees only what is shown, takes 16 pixels, .75, the squared distance,
    and targets normalised in each piece, which its section 4.1 finds better than plain pixels.

    Args:
        share: Share of the pieces that is hidden, above 0 and below 1.
        piece_px: Edge of a piece in pixels.
        normalised: Each hidden piece is to be predicted with mean 0 and deviation 1, which weighs its detail and not
            how bright it is; otherwise pixels in 0..1, through a sigmoid.
        distance: ``l1`` or ``mse``.

    Source: SimMIM, Xie et al., CVPR 2022, arXiv 2111.09886; MAE, He et al., CVPR 2022, arXiv 2111.06377.
    """

    name: ClassVar[str] = "masked"
    summary: ClassVar[str] = "square pieces of the image are hidden, and predicted from what is around them"
    source: ClassVar[str] = "SimMIM, Xie et al., CVPR 2022; MAE, He et al., CVPR 2022"

    share: float = 0.6
    piece_px: int = 16
    normalised: bool = False
    distance: Literal["l1", "mse"] = "l1"

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise BadInput("parameter 'share' of pretext 'masked'", f"{self.share}", "above 0 and below 1")
        if self.piece_px < 1:
            raise BadInput("parameter 'piece_px' of pretext 'masked'", f"{self.piece_px}", "1 or more")

    def check(self, patch_px: int) -> None:
        """Something must be shown, and something hidden."""
        if patch_px < 2 * self.piece_px:
            raise BadInput(
                "setting 'patch_px'",
                f"{patch_px}",
                f"at least {2 * self.piece_px}: two pieces of {self.piece_px} pixels",
            )

    def spoil(self, images: torch.Tensor, generator: torch.Generator) -> Spoiled:
        """Hide pieces; in every image as many, and never none or all. The last ones of a row may be cut."""
        number, _, height, width = images.shape
        rows, columns = -(-height // self.piece_px), -(-width // self.piece_px)
        pieces = rows * columns
        if pieces < 2:
            raise BadInput("images", f"{height} x {width} pixels", f"more than one piece of {self.piece_px} pixels")
        count = min(pieces - 1, max(1, round(self.share * pieces)))
        order = torch.rand((number, pieces), generator=generator).argsort(dim=1)
        chosen = (order < count).view(number, 1, rows, columns)  # a permutation has each rank once
        hidden = chosen.repeat_interleave(self.piece_px, 2).repeat_interleave(self.piece_px, 3)
        hidden = hidden[..., :height, :width].to(images.device)
        shown = (~hidden).to(images.dtype)
        mean = (images * shown).sum(dim=(2, 3), keepdim=True) / shown.sum(dim=(2, 3), keepdim=True)
        return Spoiled(torch.where(hidden, mean, images), hidden)

    def loss(self, outputs: torch.Tensor, images: torch.Tensor, spoiled: Spoiled) -> torch.Tensor:
        """The mean distance over hidden pixels and channels."""
        assert spoiled.hidden is not None
        if self.normalised:
            mean, deviation = self._statistics(images)
            found, wanted = outputs, (images - mean) / deviation
        else:
            found, wanted = outputs.sigmoid(), images
        each = (found - wanted).abs() if self.distance == "l1" else (found - wanted) ** 2
        weights = spoiled.hidden.to(each.dtype)
        return (each * weights).sum() / (weights.sum() * images.shape[1])

    def repaired(self, outputs: torch.Tensor, images: torch.Tensor, spoiled: Spoiled) -> torch.Tensor:
        """What was hidden as the network draws it, amid what was shown.

        Where targets are normalised, mean and deviation of the pieces, which the network does not predict, are the true
        ones, as in MAE's figures.
        """
        assert spoiled.hidden is not None
        if self.normalised:
            mean, deviation = self._statistics(images)
            drawn = outputs * deviation + mean
        else:
            drawn = outputs.sigmoid()
        return torch.where(spoiled.hidden, drawn.clamp(0, 1), images)

    def _statistics(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and deviation of the piece that each pixel is in, like the images."""
        size = images.shape[-2:]
        missing = [-length % self.piece_px for length in size]
        inside = F.pad(torch.ones_like(images[:1, :1]), (0, missing[1], 0, missing[0]))
        padded = F.pad(images, (0, missing[1], 0, missing[0]))
        share = F.avg_pool2d(inside, self.piece_px)
        mean = F.avg_pool2d(padded, self.piece_px) / share
        spread = (padded - self._spread(mean)) * inside
        pixels = share * self.piece_px**2
        # MAE divides by the number of pixels less one, where there is more than one
        variance = F.avg_pool2d(spread**2, self.piece_px) * self.piece_px**2 / (pixels - 1).clamp(min=1)
        deviation = (variance + _EPSILON).sqrt()
        return tuple(self._spread(each)[..., : size[0], : size[1]] for each in (mean, deviation))  # type: ignore[return-value]

    def _spread(self, values: torch.Tensor) -> torch.Tensor:
        return values.repeat_interleave(self.piece_px, -2).repeat_interleave(self.piece_px, -1)


@PRETEXTS.register("crappify")
@dataclass(frozen=True)
class Crappify(Pretext):
    """Noise is added, and the image made half as large and as large again; the clean one is wanted.

    See :func:`crappify`. The loss is the mean squared error of all pixels, through a sigmoid.

    Args:
        noise: Standard deviation of the noise as a share of the largest grey level of an image, 0..1.
        varied: Draw the share for each image between 0 and ``noise``.

    Source: Franco-Barranco et al., CMPB 222:106949, 2022, section on self-supervised learning, and its authors' code.
    """

    name: ClassVar[str] = "crappify"
    summary: ClassVar[str] = "noise is added and detail taken away, and the clean image wanted back"
    source: ClassVar[str] = "Franco-Barranco et al., CMPB 222:106949, 2022"

    noise: float = 0.3
    varied: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.noise <= 1:
            raise BadInput("parameter 'noise' of pretext 'crappify'", f"{self.noise}", "0..1")

    def spoil(self, images: torch.Tensor, generator: torch.Generator) -> Spoiled:
        """Make images worse, everywhere."""
        return Spoiled(crappify(images, self.noise, generator, varied=self.varied))

    def loss(self, outputs: torch.Tensor, images: torch.Tensor, spoiled: Spoiled) -> torch.Tensor:  # noqa: ARG002
        """The mean squared error."""
        return F.mse_loss(outputs.sigmoid(), images)

    def repaired(self, outputs: torch.Tensor, images: torch.Tensor, spoiled: Spoiled) -> torch.Tensor:  # noqa: ARG002
        """The image as the network draws it."""
        return outputs.sigmoid()


def crappify(images: torch.Tensor, share: float, generator: torch.Generator, *, varied: bool = False) -> torch.Tensor:
    """Images with noise, and with the detail that is left when they are made half as large and as large again.

    Gaussian noise of standard deviation ``share`` times the largest value of each image is added, and values are cut to
    0 and that largest value; then bilinear interpolation to half the rows and columns and back.

    Args:
        images: [B, C, H, W] in 0..1, at least 2 x 2 pixels.
        share: Strength of the noise, 0..1.
        generator: Of all draws, on the CPU, so that they are the same on every device.
        varied: Draw the strength of each image uniformly between 0 and ``share``.

    Source: Franco-Barranco et al., CMPB 222:106949, 2022, authors' code; the word is from Fang et al., Deep
    learning-based point-scanning super-resolution imaging, Nature Methods 18, 2021.
    """
    largest = images.amax(dim=(1, 2, 3), keepdim=True)
    draws = torch.randn(images.shape, generator=generator)
    strength = torch.full((len(images), 1, 1, 1), share)
    if varied:
        strength = strength * torch.rand(strength.shape, generator=generator)
    noisy = images + largest * (strength * draws).to(images)
    noisy = torch.minimum(noisy.clamp(min=0), largest)
    size = images.shape[-2:]
    coarse = F.interpolate(noisy, (size[0] // 2, size[1] // 2), mode="bilinear", align_corners=False)
    return F.interpolate(coarse, size, mode="bilinear", align_corners=False)


def pretext_network(segmenter: Segmenter, pretext: str, seed: int) -> Segmenter:
    """The segmenter's network with one output for each channel of its images, starting from the segmenter's weights.

    It has no input transform: it is shown what the segmenter makes of images. Tensors that do not fit, those of the
    last layer where numbers of channels differ, start at random.

    Args:
        segmenter: Left as it is.
        pretext: Name of the pretext, for its spec.
        seed: Seed of the random weights. Global generators stay as they were.
    """
    spec = segmenter.spec.model_copy(update={"input": InputTransform(), "pretext": pretext})
    network = build_segmenter(spec, seed)
    network.spec = spec
    own, start = network.state_dict(), segmenter.state_dict()
    fitting = {key: start[key] for key, value in own.items() if start[key].shape == value.shape}
    network.load_state_dict(fitting, strict=False)
    return network
