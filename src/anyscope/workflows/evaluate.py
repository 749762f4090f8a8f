"""``anyscope evaluate``: a prediction against a reference, file by file or folder by folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Labels, Task
from anyscope.datasets import Part, open_dataset
from anyscope.datasets.folder import LabelledRegion
from anyscope.errors import BadInput
from anyscope.geometry import Roi
from anyscope.images import Image, ReadOptions, list_images, open_labels, stem_of
from anyscope.metrics import PROTOCOLS, EvaluationProtocol, default_protocol
from anyscope.metrics.chunked import ChunkedLabels
from anyscope.metrics.evaluation import Evaluation, Pair, evaluate_pairs
from anyscope.running.progress import say
from anyscope.workflows.predicted_regions import PredictedRegion

PIECEWISE_VOXELS = 1 << 26
"""Larger label images are not read whole, but counted box by box."""


def evaluate(
    prediction: Path | str,
    reference: Path | str,
    *,
    protocol: str | None = None,
    split: Part | None = None,
    read: ReadOptions | None = None,
    report: Path | str | None = None,
) -> Evaluation:
    """Score label images against reference label images.

    Args:
        prediction: A file, or a folder of files.
        reference: A file, a folder of files with the same stems, or a dataset folder, whose ``labels/`` are taken and
            whose ignored labels are not scored, and whose masks are made objects where objects are scored.
        protocol: A name of :data:`anyscope.metrics.PROTOCOLS`; by default ``semantic`` for masks, ``multiclass`` for
            more than two classes and ``instances`` for instance labels, as the dataset says or as the values of the
            references show. Several classes need a dataset that declares them; elsewhere a mask is everything above 0.
            Likewise ids that count by slice (``objects: 2d``, scored by ``instances_2d``).
        split: Score only this part of a dataset's split; predictions are of whole images or of just that part.
        read: How to read the files where they leave it open.
        report: Write a page with pictures to this file; ``reference`` must be a dataset then, which has the images.

    Raises:
        BadInput: Files that do not pair up in name or shape, or cannot be read; a report without a dataset.
    """
    prediction, reference = Path(prediction), Path(reference)
    read = read or ReadOptions()
    pairs = _Pairs(prediction, reference, split, read)
    chosen = PROTOCOLS[protocol] if protocol is not None else pairs.natural_protocol()
    if report is not None and pairs.dataset is None:
        remedy = "leave --report out, or give the dataset as the reference"
        raise BadInput(reference, "no images for a report", "a dataset folder with images/ and labels/", remedy)
    objects = "" if pairs.dataset is None else pairs.dataset.objects_in_words(chosen.task)
    result = evaluate_pairs(chosen, pairs.of(chosen.task), objects=objects)
    if pairs.masks_for_objects and chosen.task == "instances" and not chosen.splits_masks:
        say(
            f"hint: {prediction}: one object an image, as in masks; predict with --instances makes objects of them, "
            "--protocol semantic compares masks"
        )
    if report is not None and pairs.dataset is not None:
        from anyscope.workflows.evaluation_page import write_evaluation_page

        command = f"anyscope evaluate {prediction.name} {reference.name} --protocol {chosen.name}"
        command += f" --split {split}" if split else ""
        write_evaluation_page(Path(report), result, chosen, pairs.dataset, pairs.predicted(), command)
    return result


class _Pairs:
    """Predictions and references by name."""

    def __init__(self, prediction: Path, reference: Path, split: Part | None, read: ReadOptions) -> None:
        self._read = read
        self.dataset = open_dataset(reference, read) if (reference / "images").is_dir() else None
        if split is not None and self.dataset is None:
            raise BadInput(reference, "not a dataset folder", "one with images/ and labels/", "--split needs a dataset")
        if self.dataset is not None:
            self._regions = {region.stem: region for region in self.dataset.labelled(split)}
            names = list(self._regions)
        else:
            self._references = label_files(reference)
            names = list(self._references)
        self._predictions = label_files(prediction)
        single = prediction.is_file() or prediction.suffix == ".zarr"
        if single and len(names) == 1:
            self._predictions = {names[0]: prediction}
        missing = sorted(set(names) - set(self._predictions))
        if missing:
            some = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            raise BadInput(prediction, f"no prediction for {len(missing)} of {len(names)} references ({some})",
                           "a file with the stem of each reference")  # fmt: skip
        self._names = names
        self._most_predicted = self._most_wanted = 0

    @property
    def masks_for_objects(self) -> bool:
        """Whether no prediction read so far has more than one object, though some references have several.

        Of large images, which are read piece by piece, nothing is known.
        """
        return self._most_predicted == 1 < self._most_wanted

    def natural_protocol(self) -> EvaluationProtocol:
        """What the labels are scored as when nothing was asked for."""
        if self.dataset is not None:
            task: Task = "instances" if self.dataset.kind == "instances" else "semantic"
            return default_protocol(task, self.dataset.classes, self.dataset.description.objects)
        largest = max(int(self._labels(open_labels(path, self._read)).max()) for path in self._references.values())
        return default_protocol("instances" if largest > 1 else "semantic")

    def of(self, task: Task) -> Iterator[Pair]:
        """Pairs, read one at a time."""
        for name in self._names:
            predicted = open_labels(self._predictions[name], self._read)
            if self.dataset is not None and self._regions[name].roi.size > PIECEWISE_VOXELS:
                region = self._regions[name]
                if task == "instances" and region.kind == "mask":
                    found = f"a mask of {region.roi.size} voxels, whose objects cannot be counted piece by piece"
                    raise BadInput(region.labels.path, found, "labels of instances", "or --protocol semantic")
                pieces = _pieces(region, predicted, task)
                files = region.labels.path, predicted.path
                yield Pair(name, *pieces[:2], region.voxel_size_nm, None, pieces[2], *files)
                continue
            valid = None
            if self.dataset is not None:
                region = self._regions[name]
                reference, valid = region.read_reference(task)
                labels = _cut(predicted, region.roi, region.labels.shape)
                size, file = region.voxel_size_nm, region.labels.path
            else:
                image = open_labels(self._references[name], self._read)
                size, file = image.voxel_size_nm, image.path
                binary = task == "semantic" and not self._classes
                reference, labels = self._labels(image, binary), self._labels(predicted, binary)
            if reference.shape != labels.shape:
                raise BadInput(predicted.path, f"shape {labels.shape} (z, y, x)", f"{reference.shape} as its reference")
            if task == "semantic" and not self._classes and isinstance(labels, np.ndarray):
                reference, labels = (reference > 0).astype(np.uint8), (labels > 0).astype(np.uint8)
            if task == "instances" and isinstance(labels, np.ndarray) and isinstance(reference, np.ndarray):
                self._most_predicted = max(self._most_predicted, _objects(labels, valid))
                self._most_wanted = max(self._most_wanted, _objects(reference, valid))
            yield Pair(name, reference, labels, size, None, valid, file, predicted.path)

    def _labels(self, image: Image, binary: bool = False) -> Any:
        """All of a small label image; a large one is read when it is counted, as a mask where ``binary``."""
        if image.shape[1] * image.shape[2] * image.shape[3] <= PIECEWISE_VOXELS:
            return image.read()[0]

        def read(box: Roi) -> Labels:
            labels: Labels = image.read(box)[0]
            return (labels > 0).astype(np.uint8) if binary else labels

        return ChunkedLabels(image.shape[1:], np.dtype(np.uint8) if binary else image.dtype, read)

    def predicted(self) -> list[PredictedRegion]:
        """The regions of the dataset with their predictions."""
        return [PredictedRegion.of(self._regions[name], self._predictions[name], self._read) for name in self._names]

    @property
    def _classes(self) -> bool:
        return self.dataset is not None and self.dataset.kind == "classes"


def _objects(labels: Labels, valid: NDArray[np.bool_] | None) -> int:
    """How many objects there are: 0, 1, or 2 for more."""
    found = labels[labels != 0] if valid is None else labels[(labels != 0) & valid]
    return 0 if not found.size else 1 if (found == found[0]).all() else 2


def _pieces(region: LabelledRegion, predicted: Image, task: Task) -> tuple[Any, Any, Any]:
    """Reference, prediction and what is scored (None for all) of a large region, read when they are counted."""
    whole, start = predicted.shape == region.labels.shape, region.roi.start
    if not whole and predicted.shape[1:] != region.roi.shape:
        raise BadInput(predicted.path, f"shape {predicted.shape[1:]} (z, y, x)", f"{region.roi.shape} as its reference")
    classes = region.kind == "classes"

    def reference(box: Roi) -> tuple[Labels, NDArray[np.bool_]]:
        return replace(region, roi=box.shift(start)).read_reference(task)

    def prediction(box: Roi) -> Labels:
        labels: Labels = predicted.read(box.shift(start) if whole else box)[0]
        labels = np.where(reference(box)[1], labels, 0) if region.ignore else labels
        return (labels > 0).astype(np.uint8) if task == "semantic" and not classes else labels

    binary = np.dtype(np.uint8)
    kinds = (binary, binary) if task == "semantic" and not classes else (region.labels.dtype, predicted.dtype)
    shape = region.roi.shape
    valid = ChunkedLabels(shape, np.dtype(bool), lambda box: reference(box)[1]) if region.ignore else None
    wanted = ChunkedLabels(shape, kinds[0], lambda box: reference(box)[0])
    return wanted, ChunkedLabels(shape, kinds[1], prediction), valid


def _cut(predicted: Image, roi: Roi, whole: tuple[int, int, int, int]) -> Labels:
    labels: Labels = predicted.read(roi if predicted.shape == whole else None)[0]
    return labels


def label_files(path: Path) -> dict[str, Path]:
    """The label images of a folder by stem, or the one file.

    Raises:
        BadInput: There are none.
    """
    if path.is_dir() and path.suffix != ".zarr":
        found = list_images(path)
        if not found:
            raise BadInput(path, "there are no label images in it", "at least one")
        return found
    if not path.exists():
        raise BadInput(path, "no such file or folder", "label images")
    return {stem_of(path): path}
