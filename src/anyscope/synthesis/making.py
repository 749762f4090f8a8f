"""Synthetic images like those of a dataset: a new scene, painted, and taken by a camera with control over its noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from anyscope.errors import BadInput
from anyscope.microscope import MicroscopeSettings
from anyscope.microscope.synthesis import SyntheticImage, expose_signal
from anyscope.seeding import generator
from anyscope.synthesis.painting import Painter
from anyscope.synthesis.scenes import Scene, draw_scene

_ATTEMPTS = 20
_LEAST_CONTRAST = 0.2
"""Painted objects must exceed the background by so much of their own brightness for an SNR to mean something."""


def painted_images(
    painter: Painter,
    scenes: Sequence[Scene],
    settings: MicroscopeSettings,
    *,
    count: int,
    shape: tuple[int, int],
    seed: int,
) -> Iterator[tuple[str, SyntheticImage]]:
    """Stems and images; image ``n`` does not depend on ``count``.

    Args:
        painter: Makes the light.
        scenes: After which new ones are drawn.
        settings: Camera and SNR. Optics and illumination are the painter's, who has learned them.
        count: Number of images.
        shape: Pixels (y, x) of each.
        seed: Seed of the dataset.

    Raises:
        BadInput: The camera bins pixels, or what is painted is no brighter than its background.
    """
    if settings.camera.binning != 1:
        raise BadInput("camera.binning", f"{settings.camera.binning}", "1", "painted images have image pixels already")
    for index in range(count):
        yield f"painted-{index:04d}", _one(painter, scenes, settings, shape, seed, index)


def _one(
    painter: Painter,
    scenes: Sequence[Scene],
    settings: MicroscopeSettings,
    shape: tuple[int, int],
    seed: int,
    index: int,
) -> SyntheticImage:
    for attempt in range(_ATTEMPTS):
        drawn = draw_scene(scenes, shape, generator(seed, "scene", index, attempt))
        light = painter.paint(drawn, generator(seed, "paint", index, attempt))
        inside = drawn.labels > 0
        bright, dark = (float(light[each].mean(dtype=np.float64)) for each in (inside, ~inside))
        if bright - dark > _LEAST_CONTRAST * bright:
            break
    else:
        raise BadInput("painter", "paints objects no brighter than their background", remedy="let it learn longer")
    relative = np.asarray(light / bright, np.float32)
    made = expose_signal(relative, drawn.labels, settings, generator(seed, "noise", index))
    record: dict[str, Any] = {**_record(painter, drawn, seed, index, attempt), **made.record}
    del record["pixel_size_nm"]  # that of the microscope, which is not the painter's
    return SyntheticImage(made.image, made.labels, made.signal, record)


def _record(painter: Painter, drawn: Scene, seed: int, index: int, attempt: int) -> dict[str, Any]:
    return {
        "version": 1,
        "painter": painter.describe(),
        "background": round(drawn.background, 4),
        "brightness": [round(float(level), 4) for level in drawn.levels],
        "seed": seed,
        "index": index,
        "attempt": attempt,
    }
