"""Foreground and background, or classes: no objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pydantic import ConfigDict

from anyscope.contracts import Labels
from anyscope.instances.decoders.base import CHECKED, DECODERS, Probability
from anyscope.instances.maps import Maps, check_maps
from anyscope.instances.numbering import smallest_dtype


@DECODERS.register("threshold")
@dataclass(frozen=True)
class Threshold:
    """Foreground where the mask exceeds ``threshold``; the most probable class where there are several."""

    name: ClassVar[str] = "threshold"
    search: ClassVar[Mapping[str, Sequence[Any]]] = {"threshold": (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)}
    __pydantic_config__: ClassVar[ConfigDict] = CHECKED

    threshold: Probability = 0.5

    def __call__(self, maps: Maps) -> Labels:
        check_maps(maps)
        mask = maps["mask"]
        if mask.ndim == 4:
            return np.asarray(np.argmax(mask, axis=0), smallest_dtype(mask.shape[0] - 1))
        return (mask > self.threshold).astype(np.uint8)

    def describe(self) -> str:
        return f"mask above {self.threshold:g}"
