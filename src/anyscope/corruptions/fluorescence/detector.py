"""A worse camera, or one that is used badly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from anyscope.corruptions.corruption import Acquisition, Corrupted, Levels
from anyscope.corruptions.fluorescence.acquisition import full_scale, to_scale
from anyscope.corruptions.fluorescence.exposure import Change, FluorescenceCorruption, LightCorruption, in_grey_levels
from anyscope.corruptions.fluorescence.sensor import expose, multiply, spread_blocks, sum_blocks, take_images
from anyscope.corruptions.randomness import draw_per_image, normal_like


@dataclass(frozen=True)
class ReadNoise(FluorescenceCorruption):
    """Noise of the readout, on top of what the camera has.

    At SNR 8 of the reference microscope the levels lower it to about 6, 4, 3, 2 and 1.5, as photon_loss does.

    Args:
        electrons: Its standard deviation, relative to the charge before any multiplication.
    """

    name = "read_noise"
    summary = "noise of the camera's readout"
    source = "levels ours; CCD 6 electrons by microsim's camera, sCMOS 1 to 2"
    levels: ClassVar[Levels] = {"electrons": (2.5, 5.0, 7.0, 11.0, 15.0)}

    electrons: float

    def retake(self, acquisition: Acquisition, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.fluorescence.exposure.FluorescenceCorruption`."""
        camera = acquisition.camera
        total = (camera.read_noise_e**2 + (self.electrons * camera.em_gain) ** 2) ** 0.5
        return Corrupted(expose(acquisition, seeds, camera=camera.changed(read_noise_e=total)))

    def degrade(self, images: torch.Tensor, seeds: Sequence[int], acquisition: Acquisition) -> Corrupted:
        """See :class:`~anyscope.corruptions.fluorescence.exposure.FluorescenceCorruption`."""
        noise = normal_like(images, seeds, self.name) * self.electrons / acquisition.camera.quantum_efficiency
        return Corrupted(images + in_grey_levels(noise, acquisition))


@dataclass(frozen=True)
class EMExcessNoise(FluorescenceCorruption):
    """Chance in the multiplication of electrons: each counts as a Gamma-distributed number of mean 1.

    A camera with a multiplying register of its own adds its excess to this one.

    Args:
        excess: Variance of the signal over that of its Poisson number, the square of the excess noise factor.
    """

    name = "em_excess_noise"
    summary = "chance in the multiplication of electrons"
    source = "2 is an EMCCD of high gain, doi 10.1371/journal.pone.0053671; beyond, as in intensified cameras, ours"
    levels: ClassVar[Levels] = {"excess": (1.5, 2.0, 3.0, 4.5, 7.0)}

    excess: float

    def retake(self, acquisition: Acquisition, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.fluorescence.exposure.FluorescenceCorruption`."""
        return Corrupted(expose(acquisition, seeds, excess=self.excess))

    def degrade(self, images: torch.Tensor, seeds: Sequence[int], acquisition: Acquisition) -> Corrupted:
        """See :class:`~anyscope.corruptions.fluorescence.exposure.FluorescenceCorruption`."""
        efficiency = acquisition.camera.quantum_efficiency
        electrons = acquisition.photons.clamp(min=0) * efficiency
        rows = iter(electrons)
        multiplied = draw_per_image(
            seeds, self.name, images.device, lambda random: multiply(next(rows), self.excess, random)
        )
        return Corrupted(images + in_grey_levels((multiplied - electrons) / efficiency, acquisition))


@dataclass(frozen=True)
class Saturation(FluorescenceCorruption):
    """The gain of the converter is too high: bright pixels all get its highest number.

    Args:
        ceiling: Grey level of the uncorrupted image, 0..1, from which on nothing is told apart.
    """

    name = "saturation"
    summary = "everything bright is equally bright"
    source = "clipping of the converter; levels ours"
    levels: ClassVar[Levels] = {"ceiling": (0.8, 0.65, 0.5, 0.35, 0.2)}

    ceiling: float

    def retake(self, acquisition: Acquisition, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.fluorescence.exposure.FluorescenceCorruption`."""
        return Corrupted(expose(acquisition, seeds).clamp_(max=self.ceiling))

    def degrade(self, images: torch.Tensor, seeds: Sequence[int], acquisition: Acquisition) -> Corrupted:  # noqa: ARG002
        """See :class:`~anyscope.corruptions.fluorescence.exposure.FluorescenceCorruption`."""
        return Corrupted(images.clamp(max=self.ceiling))


@dataclass(frozen=True)
class Binning(FluorescenceCorruption):
    """Counts summed over blocks of pixels: less read noise, less resolution.

    The shape stays: each pixel of a block gets its share of the counts, so that grey levels stay, too. CCD and EMCCD
    sum charges before they are read, sCMOS digitised pixels. A block at the border that has not all its pixels repeats
    the last. Blocks of real images are averaged.

    Args:
        factor: Pixels along one side of a block.
    """

    name = "binning"
    summary = "blocks of pixels read as one"
    source = "microsim: CCD and EMCCD sum before the readout, CMOS after; levels ours"
    levels: ClassVar[Levels] = {"factor": (2, 3, 4, 6, 8)}

    factor: int

    def retake(self, acquisition: Acquisition, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.fluorescence.exposure.FluorescenceCorruption`."""
        camera = acquisition.camera
        binned = take_images(camera, self._padded(acquisition.photons), seeds, binning=self.factor)
        share = self.factor**2
        # One readout has one offset: of all pixels of a block, unless the camera reads them before it sums.
        offset = 0.0 if camera.kind == "scmos" else camera.offset_dn
        numbers = (binned - offset) / share + offset
        return Corrupted(self._spread(to_scale(numbers, acquisition), acquisition.photons.shape))

    def degrade(self, images: torch.Tensor, seeds: Sequence[int], acquisition: Acquisition) -> Corrupted:  # noqa: ARG002
        """See :class:`~anyscope.corruptions.fluorescence.exposure.FluorescenceCorruption`."""
        averaged = sum_blocks(self._padded(images), self.factor) / self.factor**2
        return Corrupted(self._spread(averaged, images.shape))

    def _padded(self, images: torch.Tensor) -> torch.Tensor:
        """Images whose height and width are whole blocks."""
        for axis in (-2, -1):
            length = images.shape[axis]
            whole = -(-length // self.factor) * self.factor
            images = images.index_select(axis, torch.arange(whole, device=images.device).clamp_(max=length - 1))
        return images

    def _spread(self, blocks: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        return spread_blocks(blocks, self.factor)[..., : shape[-2], : shape[-1]].contiguous()


@dataclass(frozen=True)
class HotPixels(LightCorruption):
    """Pixels with a large dark current, the same ones in all planes and channels of an image.

    The current of a hot pixel is exponentially distributed, on average as many electrons as lie between the grey levels
    0 and 1.

    Args:
        fraction: Share of hot pixels.
    """

    name = "hot_pixels"
    summary = "single pixels that glow without light"
    source = "ours"
    levels: ClassVar[Levels] = {"fraction": (0.001, 0.003, 0.01, 0.03, 0.1)}

    fraction: float

    def change(self, photons: torch.Tensor, seeds: Sequence[int], acquisition: Acquisition) -> Change:
        """See :class:`~anyscope.corruptions.fluorescence.exposure.LightCorruption`."""
        shape, device = (2, 1, 1, *photons.shape[-2:]), photons.device
        drawn = draw_per_image(
            seeds, self.name, device, lambda random: torch.rand(shape, generator=random, device=device)
        )
        current = -torch.log1p(-drawn[:, 1]) * full_scale(acquisition)
        hot = drawn[:, 0] < self.fraction
        return photons.new_tensor(1.0), torch.where(hot, current, torch.zeros_like(current))
