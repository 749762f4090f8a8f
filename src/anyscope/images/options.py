"""What the user may say about a file where its metadata is missing or wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from anyscope.errors import BadInput

AXES = "zyxcst"
"""Letters of stored axes: z, y, x, c (channels), s (colour samples: RGB or RGBA), t (time, of length 1 only)."""


@dataclass(frozen=True)
class ReadOptions:
    """Overrides for what readers infer.

    Args:
        axes: One letter for each stored axis, such as ``"zyx"``, ``"cyx"`` or ``"yxs"``; None to infer them. Axes of
            length 1 may be left out.
        voxel_size_nm: (z, y, x) or (y, x) in nm; None to take it from the file.
        channel: Which channel to read: its number, ``"grey"`` for the luminance of a colour image, None for all (and
            for the luminance of a colour image).

    >>> ReadOptions(axes="zyx").axes
    'zyx'
    """

    axes: str | None = None
    voxel_size_nm: tuple[float, ...] | None = None
    channel: int | Literal["grey"] | None = None

    def __post_init__(self) -> None:
        if self.axes is not None:
            axes = self.axes.lower()
            known = all(letter in AXES for letter in axes) and len(set(axes)) == len(axes)
            if not known or "y" not in axes or "x" not in axes:
                expected = (
                    "each stored axis once, from z, y, x, c (channels), s (colours), t (time); y and x are needed"
                )
                raise BadInput("axes", f"{self.axes!r}", expected, 'for example "zyx" or "cyx"')
            object.__setattr__(self, "axes", axes)
        if self.channel is not None and self.channel != "grey":
            number = isinstance(self.channel, int) and not isinstance(self.channel, bool)
            if not number or self.channel < 0:
                raise BadInput("channel", f"{self.channel!r}", 'a channel number from 0, or "grey"')
