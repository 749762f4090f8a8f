"""Every model of the zoo, small enough for tests that run it often."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from anyscope.models import Segmenter, SegmenterSpec, build_segmenter

_SMALL: dict[str, dict[str, Any]] = {
    "unet": {"filters": (8, 12, 16, 20, 24)},
    "unet_3level": {"filters": (8, 12, 16)},
    "fcn8s": {"width": 0.125},
    "segnet": {"width": 0.125},
    "icnet": {"width": 0.25},
    "hrnet": {"encoder": "hrnet_w18_small"},
    "upernet_convnext": {"encoder": "tu-convnext_atto"},
    "sam_unet": {"encoder": "samvit_nano"},
    "sam_unet_base": {"encoder": "samvit_nano", "taps": "published", "position": "drop", "neck": True, "stem": False},
}


def _spec_of(name: str, **changes: Any) -> SegmenterSpec:
    return SegmenterSpec(**{"model": name, "arguments": _SMALL.get(name, {}), "task": "semantic", **changes})


@cache
def _shared(name: str, channels: int = 1) -> Segmenter:
    return build_segmenter(_spec_of(name, channels=channels, classes=3), seed=1)


@pytest.fixture(scope="session")
def spec_of() -> Callable[..., SegmenterSpec]:
    """A function of a model's name; other arguments are fields of the spec."""
    return _spec_of


@pytest.fixture(scope="session")
def shared() -> Callable[..., Segmenter]:
    """A function of a model's name and channels; tests change nothing but its mode and statistics."""
    return _shared
