"""Fourier domain adaptation: the coarse amplitudes of a source patch are replaced by those of a target patch.

Yang and Soatto, FDA: Fourier Domain Adaptation for Semantic Segmentation, CVPR 2020.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from pydantic import Field

from anyscope.adaptation.step import Stage, Step
from anyscope.adaptation.styles import Pixels, Style
from anyscope.adaptation.work import Work
from anyscope.datasets.patches import PatchSampler


def swap_amplitudes(image: Pixels, other: Pixels, beta: float) -> Pixels:
    """An image with the low-frequency amplitudes of another and its own phases.

    Frequencies whose index is at most ``floor(beta * min(y, x))`` along both axes count as low: a square around the
    mean grey level, as in the authors' code. ``beta`` 0 changes nothing.

    Args:
        image: (C, y, x).
        other: Of the same shape.
        beta: 0..0.5.

    Returns:
        float32, not clipped.
    """
    if beta == 0:
        return image
    height, width = image.shape[-2:]
    reach = int(beta * min(height, width))
    spectrum, theirs = np.fft.fft2(image), np.fft.fft2(other)
    rows, columns = (np.abs(np.fft.fftfreq(n, 1 / n)) <= reach + 0.5 for n in (height, width))
    low = rows[:, None] & columns
    # exp(i angle) rather than spectrum / |spectrum|, which is undefined where an amplitude is 0.
    spectrum[..., low] = np.abs(theirs[..., low]) * np.exp(1j * np.angle(spectrum[..., low]))
    return np.fft.ifft2(spectrum).real.astype(np.float32)


@dataclass(frozen=True, eq=False)
class FourierStyle(Style):
    """Every source patch with the coarse amplitudes of a random target patch.

    Args:
        target: Where target patches are cut.
        beta: See :func:`swap_amplitudes`.
    """

    target: PatchSampler
    beta: float

    def patch(self, region: int, image: Pixels, random: np.random.Generator) -> Pixels:  # noqa: ARG002
        """See :class:`Style`."""
        height, width = image.shape[-2:]
        sampler = replace(self.target, size=max(height, width), seed=int(random.integers(2**63)))
        other = sampler.draw(0).image[:, :height, :width]
        return np.clip(swap_amplitudes(image, other, self.beta), 0, 1)


class Fourier(Step):
    """Source patches with the coarse amplitudes of random target patches.

    It changes brightness, contrast and shading, not the texture of noise. The published training adds entropy
    minimisation on target images and self-training over several beta, which are steps of their own here or not there.
    """

    name: ClassVar[str] = "fda"
    stage: ClassVar[Stage] = "appearance"
    summary: ClassVar[str] = "give source patches the coarse Fourier amplitudes of target patches"
    source: ClassVar[str] = "Yang and Soatto, CVPR 2020"

    beta: float = Field(0.01, ge=0, le=0.5)

    def run(self, work: Work) -> Work:
        """See :class:`~anyscope.adaptation.step.Step`."""
        sampler = work.target_patches("fda").sampler
        return replace(work, styles=(*work.styles, FourierStyle(sampler, self.beta)))
