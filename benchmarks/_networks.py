"""The network that several benchmarks time: a U-Net of 2M parameters with the heads of objects."""

from __future__ import annotations

from anyscope.models import SegmenterSpec

SPEC = SegmenterSpec(
    model="unet",
    arguments={"filters": (16, 32, 64, 128, 256)},
    task="instances",
    heads=("mask", "boundary", "distance"),
)
