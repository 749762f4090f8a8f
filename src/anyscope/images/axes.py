"""From stored axes to (c, z, y, x): what each stored axis means, and the question to answer where nothing says so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anyscope.errors import BadInput, Subject
from anyscope.geometry import Roi
from anyscope.images.stored import Array, Box, Stored

FEW = 4
"""An axis without a meaning of at most this length could be channels as well as slices: the user is asked."""

_MEANT = "zyxcs"


@dataclass(frozen=True)
class Layout:
    """The meaning of each stored axis.

    Args:
        letters: One letter of ``zyxcs`` for each stored axis, ``-`` for an axis of length 1 that is dropped.
        lengths: Lengths of the stored axes.
        notes: What was inferred.
    """

    letters: str
    lengths: tuple[int, ...]
    notes: tuple[str, ...] = ()

    @property
    def named(self) -> str:
        """The letters that count, in stored order."""
        return self.letters.replace("-", "")

    @property
    def colours(self) -> int:
        """Length of the colour axis; 0 where there is none."""
        return self._length("s", 0)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape (c, z, y, x), with colours as channels."""
        channels = self._length("c", 1) * self._length("s", 1)
        return channels, self._length("z", 1), self._length("y", 1), self._length("x", 1)

    def planes_at_once(self, chunk: tuple[int, ...] | None) -> int:
        """How many slices are decoded together in a file of such chunks."""
        at = self.letters.find("z")
        return min(chunk[at], self.lengths[at]) if chunk is not None and at >= 0 else 1

    def box(self, region: Roi, channels: slice) -> Box:
        """The stored box of a region (z, y, x) and a range of channels."""
        z, y, x = region.slices
        meant = {"z": z, "y": y, "x": x, "c": channels, "s": channels, "-": slice(0, 1)}
        return tuple(meant[letter] for letter in self.letters)

    def arrange(self, stored: Array) -> Array:
        """Bring a box as it was read into the order (c, z, y, x)."""
        dropped = tuple(axis for axis, letter in enumerate(self.letters) if letter == "-")
        array = stored.squeeze(dropped)
        named = self.named.replace("s", "c")
        order = [named.index(letter) for letter in "czyx" if letter in named]
        array = array.transpose(order)
        for axis, letter in enumerate("czyx"):
            if letter not in named:
                array = np.expand_dims(array, axis)
        return array

    def _length(self, letter: str, missing: int) -> int:
        at = self.letters.find(letter)
        return self.lengths[at] if at >= 0 else missing


def lay_out(stored: Stored, subject: Subject, axes: str | None = None, labels: bool = False) -> Layout:
    """Decide what each stored axis means.

    Args:
        stored: The image as the reader found it.
        subject: The file, for messages.
        axes: The user's word, which counts more than the file's.
        labels: Label images have no channels, so an axis without a meaning is z.

    Raises:
        BadInput: Where the meaning is ambiguous; the message is the question to answer.
    """
    notes: tuple[str, ...] = ()
    if axes is not None:
        letters, notes = _fit(axes, stored, subject), (f"axes {axes} as given",)
    elif stored.axes is not None:
        letters = stored.axes.lower()
    else:
        letters, notes = _unnamed(stored.shape, subject), ("the file does not name its axes",)
    letters, more = _settle(letters, stored, subject, labels)
    layout = Layout(letters, stored.shape, notes + more)
    if len(set(layout.named)) != len(layout.named) or "y" not in letters or "x" not in letters:
        raise BadInput(subject, f"axes {letters!r} for shape {stored.shape}", "y and x, each axis once", "give --axes")
    if layout._length("c", 1) > 1 and layout.colours > 1:
        raise BadInput(subject, f"has channels and colours (shape {stored.shape})", "one of the two", "split it first")
    return layout


def _fit(axes: str, stored: Stored, subject: Subject) -> str:
    """Spread the user's letters over the stored axes, skipping axes of length 1 where there are fewer letters."""
    surplus = len(stored.shape) - len(axes)
    letters, left = "", axes
    for position, length in enumerate(stored.shape):
        fits_rest = len(stored.shape) - position == len(left)
        if surplus > 0 and length == 1 and not fits_rest:
            letters, surplus = letters + "-", surplus - 1
        else:
            letters, left = letters + left[:1], left[1:]
    if left or len(letters) != len(stored.shape):
        found = f"--axes {axes} for {len(stored.shape)} stored axes of shape {stored.shape}"
        raise BadInput(subject, found, "one letter for each stored axis longer than 1")
    return letters


def _unnamed(shape: tuple[int, ...], subject: Subject) -> str:
    """Letters for a shape without names: y and x come last; ``?`` is an axis whose meaning is open."""
    if len(shape) < 2:
        raise BadInput(subject, f"shape {shape}", "at least two axes (y, x)", "this is not an image")
    if len(shape) > 2 and shape[-1] <= FEW < shape[-2]:
        question = f"are the last {shape[-1]} values of shape {shape} colours, channels, or x?"
        slices = "z" if len(shape) > 3 else ""
        remedy = f"give --axes {slices}yxs (colours), --axes {slices}yxc (channels) or --axes zyx"
        raise BadInput(subject, question, remedy=remedy)
    return "?" * (len(shape) - 2) + "yx"


def _settle(letters: str, stored: Stored, subject: Subject, labels: bool) -> tuple[str, tuple[str, ...]]:
    """Drop what has length 1, refuse time, and give an axis without a meaning one, or ask."""
    settled = list(letters)
    for at, (letter, length) in enumerate(zip(letters, stored.shape, strict=True)):
        if letter not in _MEANT and length == 1:
            settled[at] = "-"
        if letter == "t" and length > 1:
            as_slices = "".join(settled).replace("z", "").replace("t", "z").replace("-", "")
            remedy = f"to read the frames as slices of a stack give --axes {as_slices}"
            if "z" in letters:
                remedy = "split it into one file for each time point"
            raise BadInput(subject, f"has a time axis of length {length} (shape {stored.shape})", "no time", remedy)
    open_axes = [at for at, letter in enumerate(settled) if letter not in _MEANT + "-"]
    if not open_axes:
        return "".join(settled), ()
    at, length = open_axes[0], stored.shape[open_axes[0]]
    rest = "".join(settled).replace("-", "")
    if len(open_axes) > 1 or "z" in settled:
        remedy = "give --axes with one letter for each axis: z, y, x, c (channels), s (colours)"
        raise BadInput(subject, f"what do the axes of shape {stored.shape} mean?", remedy=remedy)
    has_channels = any(letter in "cs" and n > 1 for letter, n in zip(settled, stored.shape, strict=True))
    if length <= FEW and not labels and not has_channels:
        channels, slices = (rest.replace(settled[at], letter) for letter in "cz")
        question = f"is the axis of length {length} of shape {stored.shape} channels or slices?"
        raise BadInput(subject, question, remedy=f"give --axes {channels} or --axes {slices}")
    settled[at] = "z"
    return "".join(settled), (f"the axis of length {length} is taken as z",)
