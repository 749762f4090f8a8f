"""Colours that stand out from grey images and from each other, for people who see colours differently too."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]

# Okabe and Ito (2008), colour-blind safe, lightened to stand out from grey: one colour for what only the reference has,
# one for what only the prediction has, everywhere in a report.
REFERENCE: Colour = (77, 182, 245)
PREDICTION: Colour = (255, 140, 26)
BOTH: Colour = (255, 255, 255)
CONFUSED: Colour = (226, 120, 190)
SPLIT: Colour = (245, 230, 66)
MERGE: Colour = (235, 90, 185)
INEXACT: Colour = (60, 200, 145)

OBJECTS: tuple[Colour, ...] = (
    (91, 186, 238),
    (238, 168, 38),
    (0, 190, 130),
    (255, 255, 15),
    (224, 106, 164),
    (221, 85, 31),
    (39, 108, 255),
    (198, 255, 243),
)
"""The colours of objects that are used first, at least 14 apart (CIEDE2000), also without red or green cones."""

_GOLDEN = 0.618033988749895


def object_palette(count: int) -> NDArray[np.uint8]:
    """So many different colours (count, 3): those of :data:`OBJECTS` first, then hues spread evenly.

    >>> object_palette(2).tolist()
    [[91, 186, 238], [238, 168, 38]]
    """
    colours = list(OBJECTS[:count])
    step = 0
    while len(colours) < count:
        hue = (0.08 + step * _GOLDEN) % 1
        red, green, blue = colorsys.hsv_to_rgb(hue, (0.45, 0.75, 1.0)[step % 3], (1.0, 0.85)[step % 2])
        colour = round(255 * red), round(255 * green), round(255 * blue)
        if colour not in colours:
            colours.append(colour)
        step += 1
    return np.array(colours, np.uint8).reshape(count, 3)
