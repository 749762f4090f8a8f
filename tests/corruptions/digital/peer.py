"""The package imagecorruptions, made to run with today's libraries: an independent ImageNet-C to compare with.

Its release of 2020 imports ``pkg_resources``, which setuptools has dropped (only ``frost`` uses it), and calls
``skimage.filters.gaussian`` with ``multichannel``, which is ``channel_axis`` now. Both are put right here; its own code
runs unchanged.
"""

from __future__ import annotations

import functools
import sys
import types
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from skimage.filters import gaussian

COMMON = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "speckle_noise",
    "gaussian_blur",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "contrast",
    "brightness",
    "jpeg_compression",
    "pixelate",
    "elastic_transform",
)
"""What both have: all of imagecorruptions but the weather, ``spatter`` and ``saturate``."""
Grey = NDArray[np.uint8]


def _gaussian(image: NDArray[np.float64], *args: object, multichannel: bool = False, **options: object) -> object:
    return gaussian(image, *args, channel_axis=-1 if multichannel else None, **options)


@functools.cache
def load_peer() -> Callable[..., Grey]:
    """``corrupt`` of imagecorruptions. ImportError where it is not installed."""
    stand_in = types.ModuleType("pkg_resources")
    stand_in.resource_filename = lambda module, name: name  # type: ignore[attr-defined]
    installed = sys.modules.setdefault("pkg_resources", stand_in)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # names of libraries that have moved
            import imagecorruptions.corruptions
    finally:
        if installed is stand_in:
            del sys.modules["pkg_resources"]
    imagecorruptions.corruptions.gaussian = _gaussian
    return imagecorruptions.corrupt


def peer_corrupt(image: Grey, severity: int, name: str, seed: int) -> NDArray[np.float32]:
    """A grey image [H, W] as imagecorruptions corrupts it, in 0..1. Numbers are cut down to whole grey levels there, so
    half a level is given back."""
    state = np.random.get_state()  # noqa: NPY002 - it draws from the global state
    np.random.seed(seed)  # noqa: NPY002
    try:
        result = load_peer()(image, severity=severity, corruption_name=name)[..., 0]
    finally:
        np.random.set_state(state)  # noqa: NPY002
    return ((result + 0.5) / 255).clip(0, 1).astype(np.float32)
