"""What a model says of an image, looked at before it is believed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Labels
from anyscope.errors import BadInput, Subject
from anyscope.external.description import ForeignFile

_LARGEST_ID = 2**31 - 1


def checked_labels(
    answer: NDArray[Any], shape: tuple[int, int, int], description: ForeignFile, subject: Subject
) -> Labels:
    """The labels (z, y, x) that an answer holds.

    Integers and booleans are masks, classes or ids. Floats are probabilities of the foreground in 0..1, of which the
    description's threshold makes a mask; they are no objects.

    Args:
        answer: What the model gave; axes of length one may be missing or too many.
        shape: Of the image, (z, y, x).
        description: What the model is said to be.
        subject: The file or function, for messages.

    Raises:
        BadInput: Another shape or type, negative or too many ids, classes that there are not, or values that are not
            finite.
    """
    if not isinstance(answer, np.ndarray) or answer.dtype.kind not in "biuf":
        kind = answer.dtype if isinstance(answer, np.ndarray) else type(answer).__name__
        raise BadInput(subject, f"the answer is {kind}", "an array of labels or probabilities")
    found = answer.shape
    if _squeezed(found) != _squeezed(shape):
        raise BadInput(subject, f"an answer of shape {found}", f"{shape} (z, y, x), as the image")
    answer = answer.reshape(shape)
    if answer.dtype.kind == "f":
        return _of_probabilities(answer, description, subject)
    if answer.dtype.kind == "b":
        return answer.astype(np.uint8)
    low, high = int(answer.min()), int(answer.max())
    if low < 0 or high > _LARGEST_ID:
        raise BadInput(subject, f"labels from {low} to {high}", f"0 (background) to {_LARGEST_ID}")
    if description.task == "semantic":
        if description.classes == 2:
            return (answer > 0).astype(np.uint8)
        if high >= description.classes:
            raise BadInput(subject, f"the class {high}", f"0 to {description.classes - 1}")
    return answer.astype(np.int32)


def _of_probabilities(answer: NDArray[Any], description: ForeignFile, subject: Subject) -> Labels:
    if description.task == "instances" or description.classes > 2:
        what = "ids of objects" if description.task == "instances" else "numbers of classes"
        raise BadInput(subject, f"the answer is {answer.dtype}", f"integers, {what}")
    if not (answer.min() >= 0 and answer.max() <= 1):  # NaN is neither
        raise BadInput(subject, f"values from {answer.min():g} to {answer.max():g}", "probabilities in 0..1")
    return (answer > description.threshold).astype(np.uint8)


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(length for length in shape if length != 1)
