"""What tiled prediction costs beside the forward passes it consists of: ``python -m benchmarks.inference``.

The network of the zoo's U-Net with two million parameters predicts an image of 1024 x 1024 pixels, untiled and with
tiles; the bare forward passes of the very same tiles are timed in turn with it, and the medians are compared. The goal
is an overhead of at most 10 %.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from anyscope.inference import InferenceSettings, estimate_memory, predict_maps
from anyscope.models import Segmenter, SegmenterSpec, build_segmenter

SIDE = 1024
SPEC = SegmenterSpec(
    model="unet",
    arguments={"filters": (16, 32, 64, 128, 256)},
    task="instances",
    heads=("mask", "boundary", "distance"),
)


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


def seconds(call: Callable[[], object]) -> float:
    """Wall time of a call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def main() -> None:
    """Print one line for each tiling."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    segmenter = build_segmenter(SPEC, seed=0).eval()
    parameters = sum(parameter.numel() for parameter in segmenter.parameters())
    image = np.random.default_rng(0).random((1, 1, SIDE, SIDE), dtype=np.float32)
    print(f"U-Net with {parameters / 1e6:.2f} M parameters, {SIDE} x {SIDE} pixels, {given.threads} threads")
    for tile in (None, 624, 480):
        settings = InferenceSettings(tile=tile, batch=1)
        plan = estimate_memory(segmenter, image.shape, settings)
        bare = bare_forwards(segmenter, image, settings)
        bare()
        pairs = [
            (seconds(bare), seconds(lambda chosen=settings: predict_maps(segmenter, image, settings=chosen)))
            for _ in range(given.repeats)
        ]
        forward, predicted = (statistics.median(times) for times in zip(*pairs, strict=True))
        ratio = statistics.median(second / first for first, second in pairs) - 1
        print(plan.layout.describe(plan.working_shape))
        print(f"    forward {forward:.2f} s, predict_maps {predicted:.2f} s, overhead {ratio:+.1%}")


if __name__ == "__main__":
    main()
