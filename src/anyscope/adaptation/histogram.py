"""Histogram matching that black padding does not spoil.

Franco-Barranco et al. (CMPB 222:106949, 2022): images of the source are given the mean histogram of the target. Images
may be padded with black, which has nothing to do with the specimen. Therefore the count of black pixels is replaced by
the linear extrapolation of the two next grey levels, on both sides, and black pixels stay black.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from anyscope.adaptation.step import Stage, Step
from anyscope.adaptation.styles import Pixels, Style
from anyscope.adaptation.work import Work
from anyscope.datasets import UnlabelledImages
from anyscope.datasets.planes import PlaneReader
from anyscope.models import SegmenterSpec

LEVELS = 256
"""Grey levels that are counted. The grey level of a value v in 0..1 is the nearest of n / 255."""

_MOST_PLANES = 16

Counts = NDArray[np.float64]
Table = NDArray[np.float64]


def count_levels(images: Iterable[Pixels]) -> Counts:
    """How often each grey level occurs in images (c, ...) in 0..1, as (c, 256); values beyond count as the ends.

    Raises:
        ValueError: There is no image.
    """
    total: Counts | None = None
    for image in images:
        levels = np.rint(np.clip(image, 0, 1) * np.float32(LEVELS - 1)).astype(np.intp)
        counts = np.stack([np.bincount(channel.ravel(), minlength=LEVELS) for channel in levels]).astype(np.float64)
        total = counts if total is None else total + counts
    if total is None:
        raise ValueError("a histogram needs an image")
    return total


def without_padding(counts: Counts) -> Counts:
    """Histograms (..., 256) whose black pixels are as many as the next two levels let expect.

    The expectation is their linear extrapolation, 2 h(1) - h(2), and never below 0. Padding only adds, so that a count
    which is lower already stays; the authors' code raises it, which invents pixels where there is no padding.
    """
    changed = counts.copy()
    expected = np.maximum(0.0, 2 * counts[..., 1] - counts[..., 2])
    changed[..., 0] = np.minimum(counts[..., 0], expected)
    return changed


def matching_table(counts: Counts, wanted: Counts) -> Table:
    """For every grey level of images with the histogram ``counts`` the one (0..1) that gives the histogram ``wanted``.

    As in :func:`skimage.exposure.match_histograms`: shares of pixels up to a level are equal on both sides, linear
    between the levels that occur. (The authors' code keeps empty levels of the reference in that interpolation.) Each
    channel for itself. What there is no pixel of is left as it is.

    Args:
        counts: (c, 256) of what shall be changed.
        wanted: (c, 256) of what it shall look like.

    Returns:
        (c, 256), never decreasing except from black.
    """
    tables = np.tile(np.linspace(0, 1, LEVELS), (len(counts), 1))
    for table, own, other in zip(tables, without_padding(counts), without_padding(wanted), strict=True):
        if own.sum() > 0 and other.sum() > 0:
            there = np.flatnonzero(other)
            shares = np.cumsum(other[there]) / other.sum()
            table[:] = np.interp(np.cumsum(own) / own.sum(), shares, there / (LEVELS - 1))
    tables[counts[:, 0] > 0, 0] = 0.0
    return tables


def change_levels(image: Pixels, tables: Table) -> Pixels:
    """An image (c, ...) in 0..1 with other grey levels, linear between those of the tables (c, levels)."""
    places = np.linspace(0, 1, tables.shape[-1])
    changed = [np.interp(channel, places, table) for channel, table in zip(image, tables, strict=True)]
    return np.stack(changed).astype(np.float32)


@dataclass(frozen=True, eq=False)
class HistogramStyle(Style):
    """The planes of every source region with the histogram of the target.

    One table for each region, so that the planes of a stack stay comparable and a plane without objects is not
    stretched to look like one with them.

    Args:
        tables: (c, 256) for each region of the source.
        least: See :class:`Histogram`.
    """

    tables: tuple[Table, ...]
    least: float = 1.0

    def plane(self, region: int, image: Pixels) -> Pixels:
        """See :class:`Style`."""
        return change_levels(image, self.tables[region]) if self.least == 1 else image

    def patch(self, region: int, image: Pixels, random: np.random.Generator) -> Pixels:
        """See :class:`Style`."""
        if self.least == 1:
            return image
        table = np.tile(self.tables[region], (len(image) // len(self.tables[region]), 1))
        changed: Pixels = image + np.float32(random.uniform(self.least, 1)) * (change_levels(image, table) - image)
        return changed


class Histogram(Step):
    """Histogram matching between the two domains.

    ``source-to-target`` is the published one: a network is then trained on source images that look like the target's.
    ``target-to-source`` shows target images to a network as it is, with the mean histogram of the source, by a table of
    grey levels in its input transform. Histograms are those at working pixels: resampling changes them.

    Differences to the publication: a stack is matched as a whole and not slice by slice, 256 levels instead of its
    255, and what :func:`without_padding` and :func:`matching_table` say.

    Args:
        direction: Which domain is changed.
        least: Every source patch goes a random part of the way to the target's levels, from this to 1; 1 as published.
            Below that the network learns all that lies between the domains, and does not depend on the match.
    """

    name: ClassVar[str] = "histogram"
    stage: ClassVar[Stage] = "appearance"
    summary: ClassVar[str] = "match the grey levels of one domain to the other's"
    source: ClassVar[str] = "Franco-Barranco et al., CMPB 222:106949, 2022"

    direction: Literal["source-to-target", "target-to-source"] = "source-to-target"
    least: Annotated[float, Field(ge=0, le=1)] = 1.0

    @model_validator(mode="after")
    def _only_of_patches(self) -> Self:
        if self.least < 1 and self.direction == "target-to-source":
            raise ValueError("least is for source-to-target: predictions need one table")
        return self

    def run(self, work: Work) -> Work:
        """See :class:`~anyscope.adaptation.step.Step`."""
        spec = work.segmenter.spec
        source, target = work.domains.source.without_labels(), work.domains.target
        of_target = mean_histogram(region_histograms(target, spec, spec.input.zoom))
        of_source = region_histograms(source, spec, work.source_input.zoom)
        if self.direction == "source-to-target":
            style = HistogramStyle(tuple(matching_table(counts, of_target) for counts in of_source), self.least)
            return replace(work, styles=(*work.styles, style))
        table = matching_table(of_target, mean_histogram(of_source))
        levels = tuple(tuple(float(level) for level in channel) for channel in table)
        work.segmenter.spec = spec.with_input(levels=levels)
        return work


def region_histograms(images: UnlabelledImages, spec: SegmenterSpec, zoom: float) -> list[Counts]:
    """The histogram (c, 256) of each region at working pixels, from at most 16 evenly spaced planes of it."""
    reader = PlaneReader(images.regions, "semantic", spec.intensity, spec.pixel_size_nm, zoom=zoom, budget_bytes=0)
    found = []
    for number in range(len(images)):
        depth = reader.depth(number)
        depths = np.unique(np.linspace(0, depth - 1, min(depth, _MOST_PLANES)).astype(int))
        found.append(count_levels(reader.plane(number, int(z)).image for z in depths))
    return found


def mean_histogram(histograms: Iterable[Counts]) -> Counts:
    """The histogram (c, 256) of all pixels of several regions, each region by its number of counted pixels."""
    return np.asarray(sum(histograms), np.float64)
