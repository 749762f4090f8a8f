"""What tiled prediction costs beside the forward passes it consists of: ``python -m benchmarks.inference``.

The zoo's U-Net with two million parameters predicts an image of 1024 x 1024 pixels, untiled and with tiles:

- against bare forwards: ``predict_maps`` beside the forward passes of the very same tiles, in pairs whose order
  alternates, median of the ratios. The goal is at most 10 %. On a shared machine single pairs scatter by 10 % and more.
- outside the network: what one call of ``predict_maps`` spends outside the network, as a part of what it spends inside.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.modules import module

from anyscope.inference import InferenceSettings, estimate_memory, predict_maps
from anyscope.models import Segmenter, build_segmenter
from benchmarks._networks import SPEC

SIDE = 1024


def bare_forwards(segmenter: Segmenter, image: np.ndarray, settings: InferenceSettings) -> Callable[[], None]:
    """The forward passes of the tiles that the settings lead to, and nothing else."""
    plan = estimate_memory(segmenter, image.shape, settings)
    tiles = plan.layout.tiles(plan.working_shape)
    parts = [torch.from_numpy(image[:, 0][None, :, tile.y.read, tile.x.read].copy()) for tile in tiles]

    def run() -> None:
        with torch.inference_mode():
            for part in parts:
                segmenter(part)

    return run


@dataclass
class Inside:
    """Adds up the wall time of the forward passes of a network."""

    seconds: float = 0.0
    _started: float = 0.0

    def watch(self, segmenter: Segmenter) -> None:
        """Measure from now on."""
        segmenter.register_forward_pre_hook(self._before)
        segmenter.register_forward_hook(self._after)

    def watch_all(self) -> None:
        """Measure every segmenter of this process from now on, also those that are loaded later."""
        module.register_module_forward_pre_hook(self._before)
        module.register_module_forward_hook(self._after)

    def _before(self, network: nn.Module, *_: object) -> None:
        if isinstance(network, Segmenter):
            self._started = time.perf_counter()

    def _after(self, network: nn.Module, *_: object) -> None:
        if isinstance(network, Segmenter):
            self.seconds += time.perf_counter() - self._started


def seconds(call: Callable[[], object]) -> float:
    """Wall time of a call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def summary(values: list[float]) -> str:
    """Median and range in per cent."""
    return f"{statistics.median(values):+.1%} ({min(values):+.1%} to {max(values):+.1%})"


def main(repeats: int = 10) -> None:
    """Print two lines for each tiling."""
    segmenter = build_segmenter(SPEC, seed=0).eval()
    inside = Inside()
    inside.watch(segmenter)
    parameters = sum(parameter.numel() for parameter in segmenter.parameters())
    image = np.random.default_rng(0).random((1, 1, SIDE, SIDE), dtype=np.float32)
    print(f"U-Net with {parameters / 1e6:.2f} M parameters, {SIDE} x {SIDE} pixels, {torch.get_num_threads()} threads")
    for tile in (None, 624):
        settings = InferenceSettings(tile=tile, batch=1)
        plan = estimate_memory(segmenter, image.shape, settings)
        bare = bare_forwards(segmenter, image, settings)
        bare()
        ratios, outside = [], []
        for repeat in range(repeats):
            forward = seconds(bare) if repeat % 2 else 0.0
            inside.seconds = 0.0
            total = seconds(lambda chosen=settings: predict_maps(segmenter, image, settings=chosen))
            outside.append(total / inside.seconds - 1)
            ratios.append(total / (forward or seconds(bare)) - 1)
        print(plan.layout.describe(plan.working_shape))
        print(f"    against bare forwards {summary(ratios)}; outside the network {summary(outside)}")


if __name__ == "__main__":
    main()
