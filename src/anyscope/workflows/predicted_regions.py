"""Regions of a dataset with their predictions, plane by plane."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Labels, Task
from anyscope.datasets.folder import LabelledRegion
from anyscope.geometry import Roi
from anyscope.images import Image, ReadOptions, open_labels
from anyscope.metrics import EvaluationProtocol


@dataclass(frozen=True)
class PredictedRegion:
    """A region of a dataset and a prediction of it, or of the whole image that it is from."""

    region: LabelledRegion
    prediction: Image

    @classmethod
    def of(cls, region: LabelledRegion, path: Path, options: ReadOptions) -> PredictedRegion:
        """Open the prediction of a region; nothing but metadata is read."""
        return cls(region, open_labels(path, options))

    @property
    def depth(self) -> int:
        """Number of planes."""
        return self.region.roi.shape[0]

    def name(self, z: int) -> str:
        """Of a plane."""
        return f"{self.region.stem}[{z}]" if self.depth > 1 else self.region.stem

    def image(self, z: int) -> NDArray[np.float32]:
        """A plane (y, x), the mean of its channels."""
        cut = self.region.planes(z, z + 1)
        mean: NDArray[np.float32] = cut.image.read(cut.roi)[:, 0].astype(np.float32).mean(axis=0)
        return mean

    def labels(self, task: Task, first: int = 0, last: int | None = None) -> tuple[Labels, Labels]:
        """Reference and prediction (z, y, x) of planes ``first`` to ``last`` (exclusive), 0 where nothing is scored."""
        reference, predicted, valid = self._read(task, first, last)
        return reference, np.where(valid, predicted, 0)

    def scores(self, protocol: EvaluationProtocol, first: int = 0, last: int | None = None) -> dict[str, float]:
        """Scores of planes ``first`` to ``last`` (exclusive)."""
        reference, predicted, valid = self._read(protocol.task, first, last)
        return protocol.scores(protocol.measure(reference, predicted, valid=valid))

    def _read(self, task: Task, first: int, last: int | None) -> tuple[Labels, Labels, NDArray[np.bool_]]:
        cut = self.region.planes(first, self.depth if last is None else last)
        whole = self.prediction.shape[1:] == self.region.labels.shape[1:]
        start = cut.roi.start if whole else (first, 0, 0)
        stop = tuple(a + b for a, b in zip(start, cut.roi.shape, strict=True))
        predicted: Labels = self.prediction.read(Roi(start, (stop[0], stop[1], stop[2])))[0]
        reference, valid = cut.read_reference(task)
        if task == "semantic" and self.region.kind != "classes":
            predicted = (predicted > 0).astype(np.uint8)
        return reference, predicted, valid
