"""The images that a report of a run or of an evaluation shows, read from where they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from anyscope.contracts import Task
from anyscope.datasets import Dataset
from anyscope.metrics import EvaluationProtocol
from anyscope.reports.error_crops import error_crop, telling_plane
from anyscope.reports.numbers import score, score_name
from anyscope.reports.object_findings import Compared, ObjectError, kind_totals, total_numbers, worst_errors
from anyscope.reports.object_section import ObjectFindings
from anyscope.reports.pictures import GalleryItem
from anyscope.reports.samples import Sample
from anyscope.reports.selection import choose
from anyscope.reports.stacks import Stack, StackItem, StackLimits, chosen_planes, stack_item
from anyscope.workflows.predicted_regions import PredictedRegion

_SHOWN_PER_GROUP = 2
_STACKS = 2


@dataclass(frozen=True)
class ShownImages:
    """What a report shows of images.

    Args:
        samples: Planes.
        ranking: Scores of all planes that they were chosen from.
        stacks: Stacks to scroll through.
        findings: Errors of objects; None for masks and classes.
        notes: Remarks.
    """

    samples: tuple[Sample, ...] = ()
    ranking: Mapping[str, float | None] = field(default_factory=dict)
    stacks: tuple[StackItem, ...] = ()
    findings: ObjectFindings | None = None
    notes: tuple[str, ...] = ()


def show_images(dataset: Dataset, predicted: Sequence[PredictedRegion], protocol: EvaluationProtocol) -> ShownImages:
    """The worst, middle and best planes, the worst stacks, and the worst errors of objects.

    Args:
        dataset: Where the regions are from.
        predicted: Regions and their predictions.
        protocol: How they were scored; its headline ranks the planes, each scored for itself.
    """
    task, headline = protocol.task, protocol.headline
    sign = -1.0 if headline in protocol.errors else 1.0
    places = {each.name(z): (each, z) for each in predicted for z in range(each.depth)}
    ranking: dict[str, float | None] = {}
    for name, (each, z) in places.items():
        ranking[name] = each.scores(protocol, z, z + 1)[headline]
    compared: dict[str, list[Compared]] = {}
    by_plane = dataset.description.objects == "2d" or protocol.by_slice
    if task == "instances":
        compared = {each.region.stem: _compare(each, by_plane) for each in predicted}
    everything = [one for each in compared.values() for one in each]
    listed = worst_errors(everything)
    samples = [
        _sample(*places[choice.name], choice.score, task, compared, everything, listed)
        for choice in choose(ranking, _SHOWN_PER_GROUP, higher_is_better=sign > 0)
    ]
    stacks = _stacks(predicted, protocol, compared, sign)
    findings = None
    if task == "instances":
        crops = _crops(predicted, everything, listed)
        findings = ObjectFindings(total_numbers(everything), kind_totals(everything), crops, by_plane=by_plane)
    return ShownImages(tuple(samples), ranking, stacks, findings)


def _compare(each: PredictedRegion, by_plane: bool) -> list[Compared]:
    if not by_plane:
        return [Compared.of(each.region.stem, None, *each.labels("instances"))]
    return [Compared.of(each.region.stem, z, *each.labels("instances", z, z + 1)) for z in range(each.depth)]


def _of_plane(compared: Sequence[Compared], z: int) -> Compared:
    """What holds for plane ``z``: its own comparison, or that of the whole image."""
    return compared[z] if compared[0].z is not None else compared[0]


def _sample(
    each: PredictedRegion,
    z: int,
    value: float,
    task: Task,
    compared: Mapping[str, Sequence[Compared]],
    everything: Sequence[Compared],
    listed: Sequence[ObjectError],
) -> Sample:
    reference, prediction = (labels[0] for labels in each.labels(task, z, z + 1))
    more: dict[str, Any] = {}
    if each.region.stem in compared:
        judged = _of_plane(compared[each.region.stem], z)
        more["errors"] = judged.errors
        more["listed"] = tuple(error for error in listed if everything[error.place] is judged)
    return Sample(each.name(z), each.image(z), reference, prediction, value, each.region.voxel_size_nm, **more)


def _stacks(
    predicted: Sequence[PredictedRegion],
    protocol: EvaluationProtocol,
    compared: Mapping[str, Sequence[Compared]],
    sign: float,
) -> tuple[StackItem, ...]:
    """The stacks with the worst scores."""
    scored = []
    for place, each in enumerate(predicted):
        if each.depth > 1:
            value = each.scores(protocol)[protocol.headline]
            scored.append((sign * value if np.isfinite(value) else np.inf, place, value))
    items = []
    for _, place, value in sorted(scored)[:_STACKS]:
        each = predicted[place]
        planes = chosen_planes(each.depth, StackLimits().planes)
        labels = [each.labels(protocol.task, z, z + 1) for z in planes]
        judged = compared.get(each.region.stem, ())
        stack = Stack(
            each.region.stem,
            np.stack([each.image(z) for z in planes]),
            np.concatenate([reference for reference, _ in labels]),
            np.concatenate([prediction for _, prediction in labels]),
            planes,
            each.depth,
            tuple(judged[z].errors for z in planes) if len(judged) > 1 else tuple(one.errors for one in judged),
            f"{score_name(protocol.headline)} {score(value)}",
            each.region.voxel_size_nm,
        )
        items.append(stack_item(stack, protocol.task))
    return tuple(items)


def _crops(
    predicted: Sequence[PredictedRegion], everything: Sequence[Compared], listed: Sequence[ObjectError]
) -> tuple[GalleryItem, ...]:
    """Pieces of images around the listed errors, in their order."""
    regions = {each.region.stem: each for each in predicted}
    items = []
    for error in listed:
        judged = everything[error.place]
        each = regions[judged.image]
        z = judged.z
        if z is None:
            z = telling_plane(error, *each.labels("instances")) if each.depth > 1 else 0
        reference, prediction = (labels[0] for labels in each.labels("instances", z, z + 1))
        size = each.region.voxel_size_nm
        items.append(error_crop(error, judged.errors, each.image(z), reference, prediction, each.name(z), size))
    return tuple(items)
