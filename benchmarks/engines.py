"""How much faster than eager torch other engines compute the same network on the CPU: ``python -m benchmarks engines``.

The zoo's U-Net with two million parameters, one tile of 512 x 512 pixels, the same number of threads for each (one,
and as many as there are cores). Rounds of all engines, one after the other in an order that turns, so that what else
the machine does falls upon all alike; the median over the rounds of torch's time over that of the engine. The goal is
1.3 for the best of them. Beside it the largest difference of a logit, relative to the largest logit.
"""

from __future__ import annotations

import os
import statistics
import time

import torch

from anyscope.inference.engines import build_engine, installed_engines
from anyscope.models import build_segmenter
from benchmarks._networks import SPEC

SIDE = 512


def main(rounds: int = 9) -> None:
    """Print one line for each engine and number of threads."""
    segmenter = build_segmenter(SPEC, seed=0).eval().to(memory_format=torch.channels_last)
    parameters = sum(parameter.numel() for parameter in segmenter.parameters())
    print(f"U-Net with {parameters / 1e6:.2f} M parameters, {SIDE} x {SIDE} pixels")
    image = torch.rand((1, 1, SIDE, SIDE), generator=torch.Generator().manual_seed(0))
    before = torch.get_num_threads()
    for threads in sorted({1, len(os.sched_getaffinity(0))}):
        torch.set_num_threads(threads)
        networks = {name: build_engine(segmenter, name) for name in installed_engines()}
        seconds: dict[str, list[float]] = {name: [] for name in networks}
        with torch.inference_mode():
            expected = segmenter(image)
            differences = {
                name: float((network(image) - expected).abs().max() / expected.abs().max())
                for name, network in networks.items()
            }
            names = list(networks)
            for _ in range(rounds):
                for name in names:
                    started = time.perf_counter()
                    networks[name](image)
                    seconds[name].append(time.perf_counter() - started)
                names = [*names[1:], names[0]]
        for name, times in seconds.items():
            ratios = [torchs / own for torchs, own in zip(seconds["torch"], times, strict=True)]
            print(
                f"{threads} thread(s), {name}: {statistics.median(times):.3f} s, torch over it "
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
                f"best against best {min(seconds['torch']) / min(times):.2f}, difference {differences[name]:.1e}"
            )
    torch.set_num_threads(before)


if __name__ == "__main__":
    main()
