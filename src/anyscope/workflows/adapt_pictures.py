"""What an adaptation keeps for its page: pieces of target images with predictions before and after, and grey levels.

They are made when the adaptation ends, so that the page can be written again when images and candidates are gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anyscope.adaptation.comparison import Comparison
from anyscope.adaptation.domains import Domains
from anyscope.adaptation.histogram import (
    LEVELS,
    Histogram,
    matching_table,
    mean_histogram,
    region_histograms,
    without_padding,
)
from anyscope.adaptation.runner import Adapted, take
from anyscope.adaptation.settings import AdaptSettings
from anyscope.contracts import Labels, Unit
from anyscope.datasets.folder import ImageRegion
from anyscope.geometry import Roi
from anyscope.images import to_unit
from anyscope.images.resampling import resampling_for
from anyscope.inference import segment
from anyscope.models import Segmenter, SegmenterSpec, build_segmenter, load_segmenter
from anyscope.reports import pictures
from anyscope.reports.scenes import AdaptationPictures, Scene
from anyscope.seeding import generator

PICTURES = "pictures.npz"
_MOST_SCENES = 4
_SIDE_PX = 256
"""Longest side of a scene, in working pixels at the nominal scale."""
_SHOWN_PX = 448
_DEPTHS = 4

Levels = NDArray[np.float64]


def adaptation_pictures(
    domains: Domains,
    settings: AdaptSettings,
    start: SegmenterSpec,
    adapted: Adapted,
    comparison: Comparison,
    device: str,
    init: Path | str | None,
) -> AdaptationPictures:
    """Predict a fixed choice of at most four pieces of target images before and after. No label is read.

    Args:
        domains: Source and target.
        settings: Of the adaptation.
        start: The spec of the segmenter that it began with: its input transform has the nominal scale.
        adapted: What it ended with.
        comparison: Of the two domains, for their grey levels.
        device: Where networks work.
        init: The segmenter that was given; None where a new one was trained.
    """
    places = _places(domains.target.regions, start)
    before, words = _before(adapted, settings, start, device, init)
    earlier = [None] * len(places) if before is None else [_labels(before, *place) for place in places]
    segmenter = adapted.segmenter.to(device).eval()
    scenes = [
        _scene(region, box, start, old, _labels(segmenter, region, box))
        for (region, box), old in zip(places, earlier, strict=True)
    ]
    matched = _matched(domains, settings, start)
    levels = {"source": comparison.source.levels, "target": comparison.target.levels}
    if matched is None:
        return AdaptationPictures(tuple(scenes), levels, words)
    return AdaptationPictures(tuple(scenes), levels | {"matched": matched[0]}, words, matched[1])


def _before(
    adapted: Adapted, settings: AdaptSettings, start: SegmenterSpec, device: str, init: Path | str | None
) -> tuple[Segmenter | None, str]:
    """The network before it was shown the target, at the nominal scale, and what it is in words."""
    if init is not None:
        return load_segmenter(init).to(device), f"the network that was given ({Path(init).name}), at the nominal scale"
    for step in adapted.steps:
        if step.stage == "training" and step.choices:
            choice = step.choices[adapted.rule]
            segmenter = build_segmenter(start, settings.train.seed).to(device)
            take(segmenter, step.candidates[choice.epoch])
            return segmenter, f"epoch {choice.epoch} of {step.name}, at the nominal scale"
    return None, ""


def _places(regions: tuple[ImageRegion, ...], spec: SegmenterSpec) -> list[tuple[ImageRegion, Roi]]:
    """Pieces spread over the regions, then over depth and place within a region; the same whoever asks."""
    count = min(_MOST_SCENES, len(regions))
    chosen = [regions[int(index)] for index in np.unique(np.linspace(0, len(regions) - 1, count).round())]
    queues = [_boxes(region, spec) for region in chosen]
    turns = [(turn, number) for turn in range(_MOST_SCENES) for number in range(len(chosen))]
    found = [(chosen[number], queues[number][turn]) for turn, number in turns if turn < len(queues[number])]
    return found[:_MOST_SCENES]


def _boxes(region: ImageRegion, spec: SegmenterSpec) -> list[Roi]:
    """Boxes of one slice in a fixed random order, relative to the region."""
    scale = resampling_for(region.pixel_size_nm, spec.pixel_size_nm, spec.input.zoom).scale
    depth, *sides = region.roi.shape
    shape = [max(1, min(side, round(_SIDE_PX / scale))) for side in sides]
    depths = np.unique(np.linspace(0, depth - 1, min(depth, _DEPTHS)).round().astype(int))
    boxes = [
        Roi((int(z), y, x), (int(z) + 1, y + shape[0], x + shape[1]))
        for z in depths
        for y in _starts(sides[0], shape[0])
        for x in _starts(sides[1], shape[1])
    ]
    order = generator(0, "pictures", region.stem).permutation(len(boxes))
    return [boxes[int(place)] for place in order]


def _starts(length: int, part: int) -> list[int]:
    """Where about as many parts as fit begin, spread over the whole length."""
    return [int(start) for start in np.linspace(0, length - part, max(1, round(length / part))).round()]


def _unit(region: ImageRegion, box: Roi, spec: SegmenterSpec) -> tuple[Unit, int]:
    """The piece (c, z, y, x) in 0..1 with the neighbouring slices that the network wants, and the place of its own."""
    (z, y, x), (_, y1, x1) = box.start, box.stop
    first, last = max(0, z - spec.neighbours), min(region.roi.shape[0], z + 1 + spec.neighbours)
    wide = Roi((first, y, x), (last, y1, x1)).shift(region.roi.start)
    return to_unit(region.image.read(wide), spec.intensity.range_of(region.image, region.roi)), z - first


def _labels(segmenter: Segmenter, region: ImageRegion, box: Roi) -> Labels:
    unit, place = _unit(region, box, segmenter.spec)
    return np.asarray(segment(segmenter, unit, region.pixel_size_nm).labels[place])


def _scene(region: ImageRegion, box: Roi, spec: SegmenterSpec, before: Labels | None, after: Labels) -> Scene:
    unit, place = _unit(region, box, spec)
    plane = unit[:, place].mean(axis=0)
    shape = plane.shape if max(plane.shape) <= _SHOWN_PX else pictures.shown_shape(plane.shape, _SHOWN_PX)
    grey = pictures.shrink(pictures.to_grey(plane), shape)
    earlier = None if before is None else pictures.resample_labels(before, shape)
    (z, y, x), whole = box.start, region.roi.shape
    where = f", slice {z}" if whole[0] > 1 else ""
    where += f", from row {y}, column {x}" if box.shape[1:] != whole[1:] else ""
    size = None if region.pixel_size_nm is None else region.pixel_size_nm * plane.shape[1] / shape[1]
    return Scene(f"{region.stem}{where}", grey, earlier, pictures.resample_labels(after, shape), size)


def _matched(domains: Domains, settings: AdaptSettings, spec: SegmenterSpec) -> tuple[Levels, str] | None:
    """Grey levels (c, 256) after they were matched, as shares, and of which images; None where they were not."""
    steps: Mapping[str, object] = {step.name: step for step in settings.chain(trained=False)}
    step = steps.get(Histogram.name)
    if not isinstance(step, Histogram):
        return None
    of_source = region_histograms(domains.source.without_labels(), spec, settings.train.zoom)
    of_target = mean_histogram(region_histograms(domains.target, spec, spec.input.zoom))
    if step.direction == "source-to-target":
        moved = sum(_moved(counts, matching_table(counts, of_target)) for counts in of_source)
        return _shares(np.asarray(moved)), "the source as the network learned from it"
    moved = _moved(of_target, matching_table(of_target, mean_histogram(of_source)))
    return _shares(moved), "the target as the network is shown it"


def _moved(counts: Levels, table: Levels) -> Levels:
    """Histograms (c, 256) after grey levels were changed by tables (c, 256)."""
    places = np.rint(np.clip(table, 0, 1) * (LEVELS - 1)).astype(np.intp)
    return np.stack([
        np.bincount(place, own, minlength=LEVELS) for place, own in zip(places, counts, strict=True)
    ])  # fmt: skip


def _shares(counts: Levels) -> Levels:
    """Shares of the grey levels, without black padding, as the comparison of the domains has them."""
    counted = without_padding(counts)
    return np.asarray(counted / np.maximum(counted.sum(axis=1, keepdims=True), 1))
