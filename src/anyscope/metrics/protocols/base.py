"""What an evaluation protocol is: counts from one image, counts of many pooled, scores from counts."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Task
from anyscope.errors import BadInput
from anyscope.metrics.contingency import AnyLabels, Contingency

Numbers = NDArray[Any]
Spacing = tuple[float | None, ...] | None
Probability = NDArray[np.floating] | None


@dataclass(frozen=True, eq=False)
class Counts:
    """What an image, or several, contribute to the scores of a protocol. Plain numbers that a ledger can store.

    Args:
        sums: Arrays (int64 or float64) that are added when counts are pooled.
        rows: Arrays (n, columns) that are joined when counts are pooled.
        images: Number of images.
        empty: How many of them have no objects in the reference and none in the prediction.
    """

    sums: dict[str, Numbers]
    rows: dict[str, Numbers] = field(default_factory=dict)
    images: int = 1
    empty: int = 0

    def to_json(self) -> dict[str, Any]:
        """As plain lists and numbers; rows are stored column by column, so that none is not shapeless."""
        return {
            "sums": {name: array.tolist() for name, array in self.sums.items()},
            "rows": {name: array.T.tolist() for name, array in self.rows.items()},
            "images": self.images,
            "empty": self.empty,
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Counts:
        """The inverse of :meth:`to_json`."""
        sums = {name: np.asarray(values) for name, values in document["sums"].items()}
        rows = {name: np.asarray(values).T for name, values in document["rows"].items()}
        return cls(sums, rows, int(document["images"]), int(document["empty"]))


class Volumes(NamedTuple):
    """One checked image: arrays of one shape (z, y, x), the size of a voxel and the foreground probability if known.

    ``valid`` says which pixels are scored; both labels are 0 elsewhere. None for all.
    """

    reference: AnyLabels
    prediction: AnyLabels
    voxel_size_nm: Spacing = None
    probability: Probability = None
    valid: AnyLabels | None = None

    def slices(self) -> Iterator[Volumes]:
        """The same image slice by slice, each with z = 1."""
        for z in range(self.reference.shape[0]):
            plane = slice(z, z + 1)
            probability = None if self.probability is None else self.probability[plane]
            valid = None if self.valid is None else self.valid[plane]
            yield Volumes(self.reference[plane], self.prediction[plane], self.voxel_size_nm, probability, valid)


@dataclass(frozen=True)
class EvaluationProtocol(ABC):
    """A named way to score predictions. Another ignore set or parameter is ``dataclasses.replace(protocol, ...)``.

    Args:
        ignore: Reference labels whose pixels are not scored.
    """

    name: ClassVar[str]
    task: ClassVar[Task]
    summary: ClassVar[str]
    source: ClassVar[str]
    headline: ClassVar[str]
    """The score to rank by."""
    errors: ClassVar[frozenset[str]] = frozenset()
    """The scores of which less is better."""
    steady: ClassVar[bool] = True
    """Whether the headline of a few images tells two trainings apart. Not where one large object that is split or
    merged decides it: then the validation loss has the first say in which epoch is kept."""
    by_slice: ClassVar[bool] = False
    """Whether ids count within a slice."""
    splits_masks: ClassVar[bool] = False
    """Whether a prediction that is a mask is taken for its components."""
    in_slices: ClassVar[str] = ""
    """Name of the protocol that asks the same of every slice for itself; empty where this one does."""

    ignore: tuple[int, ...] = ()

    @property
    @abstractmethod
    def conventions(self) -> dict[str, str]:
        """How the numbers were made: ignored labels, log base, 2D or 3D, threshold, treatment of predicted 0."""

    @abstractmethod
    def _measure(self, volumes: Volumes) -> Counts:
        """Counts of one image."""

    @abstractmethod
    def _scores(self, counts: Counts) -> dict[str, float]:
        """Scores of counts that are not of empty images alone."""

    def measure(
        self,
        reference: AnyLabels,
        prediction: AnyLabels,
        voxel_size_nm: Spacing = None,
        probability: Probability = None,
        valid: AnyLabels | None = None,
    ) -> Counts:
        """Count what one image contributes.

        Args:
            reference: Labels (z, y, x) or (y, x), bool or integers of at least 0.
            prediction: Labels of the same shape.
            voxel_size_nm: Size of a voxel (z, y, x) or (y, x); z may be None. For protocols that measure distances.
            probability: Foreground probability of the same shape in 0..1. For protocols that rank objects by it.
            valid: Bool of the same shape, the pixels that are scored: what the labels are elsewhere does not matter.
                Those that are read piece by piece are 0 there already.

        Raises:
            BadInput: Shapes differ, labels are not integers of at least 0, or probabilities are not in 0..1.
        """
        for name, labels in (("reference labels", reference), ("predicted labels", prediction)):
            if labels.dtype.kind not in "biu":
                remedy = "convert them on purpose first"
                raise BadInput(name, f"values of type {labels.dtype}", "integers (label ids)", remedy)
        if reference.shape != prediction.shape:
            found = f"shape {prediction.shape}"
            raise BadInput("predicted labels", found, f"that of the reference, {reference.shape}")
        if reference.ndim not in (2, 3):
            raise BadInput("reference labels", f"shape {reference.shape}", "the axes (z, y, x) or (y, x)")
        if not reference.size:
            raise BadInput("reference labels", f"no pixels: shape {reference.shape}", "at least one")
        if valid is not None:
            if valid.shape != reference.shape:
                found = f"shape {valid.shape}"
                raise BadInput("pixels that are scored", found, f"that of the labels, {reference.shape}")
            reference, prediction = _within(reference, valid), _within(prediction, valid)
        checked = None if probability is None else checked_probability(probability, reference.shape)
        weights = None if checked is None else _volume(checked)
        scored = None if valid is None else _volume(valid)
        return self._measure(Volumes(_volume(reference), _volume(prediction), voxel_size_nm, weights, scored))

    def conventions_of(self, counts: Counts) -> dict[str, str]:  # noqa: ARG002 - for those that override it
        """The conventions, as far as they depend on what was measured in those of these counts."""
        return self.conventions

    def pool(self, counts: Sequence[Counts]) -> Counts:
        """Add the counts of several images, of which there must be at least one."""
        if not counts:
            raise ValueError("there are no counts to pool")
        sums = {name: np.sum([one.sums[name] for one in counts], axis=0) for name in counts[0].sums}
        rows = {name: np.concatenate([one.rows[name] for one in counts]) for name in counts[0].rows}
        return Counts(sums, rows, sum(one.images for one in counts), sum(one.empty for one in counts))

    def pool_slices(self, counts: Sequence[Counts]) -> Counts:
        """The counts of the slices of one image as those of one image, empty where all of them are."""
        pooled = self.pool(counts)
        return Counts(pooled.sums, pooled.rows, images=1, empty=int(pooled.empty == pooled.images))

    def scores(self, counts: Counts) -> dict[str, float]:
        """Scores by name. Undefined ones are NaN, and so are all where no image has an object on either side."""
        scores = self._scores(counts)
        if counts.empty == counts.images:
            return dict.fromkeys(scores, float("nan"))
        return scores

    def rating(self, scores: Mapping[str, float]) -> float:
        """The headline score so that more is better, the worst possible where it is undefined."""
        value = scores[self.headline]
        if value != value:
            return -math.inf
        return -value if self.headline in self.errors else value

    def _ignored(self, always: str = "") -> str:
        listed = [always] * bool(always) + [f"reference labels {list(self.ignore)}"] * bool(self.ignore)
        return ", ".join(listed) or "none"


def is_empty(table: Contingency) -> bool:
    """Whether all counted pixels are background, in the reference and in the prediction."""
    return not (table.reference_ids[-1:].any() or table.prediction_ids[-1:].any())


def checked_probability(probability: NDArray[np.floating], shape: tuple[int, ...]) -> NDArray[np.floating]:
    """The array itself, after a check of its type, shape and range."""
    array = np.asarray(probability)
    if array.dtype.kind != "f":
        raise BadInput("probability", f"values of type {array.dtype}", "floating-point values in 0..1")
    if array.shape != shape:
        raise BadInput("probability", f"shape {array.shape}", f"that of the labels, {shape}")
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    if not (low >= 0 and high <= 1):
        remedy = "logits need a sigmoid first, NaN must be replaced"
        raise BadInput("probability", f"values from {low:g} to {high:g}", "values in 0..1", remedy)
    return array


def _within(labels: Any, valid: AnyLabels) -> Any:
    return np.where(valid, labels, 0) if isinstance(labels, np.ndarray) else labels


def _volume(array: Any) -> Any:
    return array[np.newaxis] if array.ndim == 2 else array
