"""``anyscope evaluate``: a prediction against a reference, file by file or folder by folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from anyscope.contracts import Labels, Task
from anyscope.datasets import Part, open_dataset
from anyscope.errors import BadInput
from anyscope.geometry import Roi
from anyscope.images import Image, ReadOptions, list_images, open_labels, stem_of
from anyscope.metrics import PROTOCOLS, EvaluationProtocol, default_protocol
from anyscope.metrics.evaluation import Evaluation, Pair, evaluate_pairs
from anyscope.workflows.predicted_regions import PredictedRegion


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
            whose ignored labels are not scored.
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
    result = evaluate_pairs(chosen, pairs.of(chosen.task))
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
        if prediction.is_file() and len(names) == 1:
            self._predictions = {names[0]: prediction}
        missing = sorted(set(names) - set(self._predictions))
        if missing:
            some = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            raise BadInput(prediction, f"no prediction for {len(missing)} of {len(names)} references ({some})",
                           "a file with the stem of each reference")  # fmt: skip
        self._names = names

    def natural_protocol(self) -> EvaluationProtocol:
        """What the labels are scored as when nothing was asked for."""
        if self.dataset is not None:
            task: Task = "instances" if self.dataset.kind == "instances" else "semantic"
            return default_protocol(task, self.dataset.classes, self.dataset.description.objects)
        largest = max(int(open_labels(path, self._read).read().max(initial=0)) for path in self._references.values())
        return default_protocol("instances" if largest > 1 else "semantic")

    def of(self, task: Task) -> Iterator[Pair]:
        """Pairs, read one at a time."""
        for name in self._names:
            predicted = open_labels(self._predictions[name], self._read)
            if self.dataset is not None:
                region = self._regions[name]
                reference, valid = region.read_reference(task)
                labels = np.where(valid, _cut(predicted, region.roi, region.labels.shape), 0)
                size = region.voxel_size_nm
            else:
                image = open_labels(self._references[name], self._read)
                reference, labels, size = image.read()[0], predicted.read()[0], image.voxel_size_nm
            if reference.shape != labels.shape:
                raise BadInput(predicted.path, f"shape {labels.shape} (z, y, x)", f"{reference.shape} as its reference")
            if task == "semantic" and not self._classes:
                reference, labels = (reference > 0).astype(np.uint8), (labels > 0).astype(np.uint8)
            yield Pair(name, reference, labels, size)

    def predicted(self) -> list[PredictedRegion]:
        """The regions of the dataset with their predictions."""
        return [PredictedRegion.of(self._regions[name], self._predictions[name], self._read) for name in self._names]

    @property
    def _classes(self) -> bool:
        return self.dataset is not None and self.dataset.kind == "classes"


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
