"""What the scanning beam, the stage and the charge of the specimen do to places and lines. Lines run along x."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F

from anyscope.corruptions.corruption import Corrupted, Corruption, Levels
from anyscope.corruptions.planes import plane_numbers, rows_and_columns, shorter_side
from anyscope.corruptions.randomness import draw_per_image
from anyscope.corruptions.warping import warp_images

HALO_GRID = (6, 4)
"""Independent values of the halos along y and x: halos are drawn out along the lines."""
DRIFT_GRID = 5


def line_normal(images: torch.Tensor, seeds: Sequence[int], stream: str) -> torch.Tensor:
    """A standard normal number for every line of every plane: [B, Z, H, 1]."""
    shape = (images.shape[2], images.shape[3], 1)
    device = images.device
    return draw_per_image(
        seeds, stream, device, lambda random: torch.randn(shape, generator=random, device=device, dtype=images.dtype)
    )


def smooth_normal(images: torch.Tensor, seeds: Sequence[int], stream: str, grid: tuple[int, int]) -> torch.Tensor:
    """A smooth pattern through a coarse grid of standard normal numbers: [B, Z, H, W]."""
    cpu = torch.device("cpu")
    shape = (images.shape[2], *grid)
    coarse = draw_per_image(seeds, stream, cpu, lambda random: torch.randn(shape, generator=random)).to(images.device)
    return F.interpolate(coarse, tuple(images.shape[-2:]), mode="bicubic", align_corners=True)


@dataclass(frozen=True)
class ScanLineNoise(Corruption):
    """Every scan line is brighter or darker by a number of its own.

    Args:
        sigma: Standard deviation of these numbers.
    """

    name = "scan_line_noise"
    family = "electron"
    summary = "scan lines of different brightness"
    source = "noise of the beam current; levels ours"
    levels: ClassVar[Levels] = {"sigma": (0.03, 0.06, 0.1, 0.15, 0.2)}

    sigma: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        return Corrupted((images + self.sigma * line_normal(images, seeds, self.name)[:, None]).clamp_(0, 1))


@dataclass(frozen=True)
class Charging(Corruption):
    """Charge of the specimen: broad bright and dark halos, and scan lines of different brightness.

    Args:
        halo: Standard deviation of the halos.
        line_sigma: Standard deviation of the brightness of the lines.
    """

    name = "charging"
    family = "electron"
    summary = "bright and dark halos and lines of a charged specimen"
    source = "ours"
    levels: ClassVar[Levels] = {
        "halo": (0.05, 0.1, 0.15, 0.2, 0.3),
        "line_sigma": (0.01, 0.02, 0.03, 0.045, 0.06),
    }

    halo: float
    line_sigma: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        added = self.halo * smooth_normal(images, seeds, "charging halos", HALO_GRID)
        added += self.line_sigma * line_normal(images, seeds, self.name)
        return Corrupted((images + added[:, None]).clamp_(0, 1))


@dataclass(frozen=True)
class ScanDistortion(Corruption):
    """The beam is not where it should be: slow drift in y and x, and jitter of every line in x. Labels follow.

    Args:
        drift_px: Standard deviation of the drift, which varies over about a quarter of the image; at most a fiftieth of
            the shorter side.
        jitter_px: Standard deviation of the jitter.
    """

    name = "scan_distortion"
    family = "electron"
    summary = "drift and line jitter of the scan"
    source = "npj Comput Mater 2023, s41524-023-01188-0 (model); levels ours"
    levels: ClassVar[Levels] = {"drift_px": (1, 2, 4, 6, 9), "jitter_px": (0.3, 0.6, 1, 1.5, 2)}

    drift_px: float
    jitter_px: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        drift_px = min(self.drift_px, shorter_side(images) / 50)
        # time runs down the image: drift depends on the line alone
        down = drift_px * smooth_normal(images, seeds, "scan drift in y", (DRIFT_GRID, 1))
        right = drift_px * smooth_normal(images, seeds, "scan drift in x", (DRIFT_GRID, 1))
        right = right + self.jitter_px * line_normal(images, seeds, self.name)
        field = torch.stack([down, right], dim=1)
        return Corrupted(warp_images(images, field).clamp_(0, 1), field)


@dataclass(frozen=True)
class Misalignment(Corruption):
    """Sections of a stack are shifted against each other by whole pixels. In a single section, everything to one side
    of a straight line is shifted along it. Labels follow.

    Args:
        shift_px: Largest shift; the least is half of it. At most a quarter of the shorter side.
    """

    name = "misalignment"
    family = "electron"
    summary = "sections are shifted against each other"
    source = "pytorch_connectomics: shifts of up to 16 px; levels ours"
    levels: ClassVar[Levels] = {"shift_px": (2, 4, 8, 12, 16)}
    along_stack = True

    shift_px: float

    def corrupt(self, images: torch.Tensor, seeds: Sequence[int]) -> Corrupted:
        """See :class:`~anyscope.corruptions.corruption.Corruption`."""
        turn, share, place = plane_numbers(seeds, self.name, images, 3)
        length = (0.5 + 0.5 * share) * min(self.shift_px, shorter_side(images) / 4)
        along_y, along_x = torch.sin(2 * math.pi * turn), torch.cos(2 * math.pi * turn)
        shift = torch.stack([along_y * length, along_x * length], dim=1).round_()
        if images.shape[2] == 1:
            y, x = rows_and_columns(images)
            beyond = y * along_x - x * along_y > (place - 0.5) * shorter_side(images) / 2
            field = shift * beyond[:, None]
        else:
            field = shift.expand(-1, -1, -1, *images.shape[-2:]).contiguous()
        return Corrupted(warp_images(images, field).clamp_(0, 1), field)
