"""Corruptions of ImageNet-C on a grey image of 512 x 512, beside the package imagecorruptions.

Both run in this process on one thread, severities 1, 3 and 5: the best of some runs each, summed. A call of ours takes
and returns float32 in 0..1 on the CPU; one of imagecorruptions takes and returns the same image as uint8, which it
copies to three channels first. A value above 1 means that ours is that many times faster.
"""

from __future__ import annotations

import platform
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np

SIDE = 512
BATCH = 8
SEVERITIES = (1, 3, 5)
REPEATS = 7
LONGEST_SECONDS = 1.0
"""Slower calls than these are measured once."""


def best_seconds(call: Callable[[], object]) -> float:
    """The least time that a call takes."""
    seconds: list[float] = []
    while len(seconds) < REPEATS and sum(seconds) < LONGEST_SECONDS:
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def main() -> None:
    """Print the table."""
    import torch
    from tests.corruptions.digital.natural import natural_image
    from tests.corruptions.digital.peer import COMMON, load_peer

    from anyscope.corruptions import CORRUPTIONS
    from anyscope.running.memory import keep_freed_memory

    keep_freed_memory()  # as in all of anyscope's work on the CPU; both sides gain
    warnings.simplefilter("ignore")  # of imagecorruptions
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    image = natural_image(SIDE)
    theirs = (image * 255).round().astype(np.uint8)
    one = torch.from_numpy(image)[None, None, None]
    eight = one.expand(BATCH, -1, -1, -1, -1).contiguous()
    corrupt = load_peer()
    print(f"{SIDE} x {SIDE} grey, one thread, {platform.processor() or platform.machine()}, ms for an image")
    print(f"{'':<20}{'theirs':>10}{'ours':>9}{'in 8':>9}{'ratio':>9}{'in 8':>9}")
    ratios: list[tuple[float, float]] = []
    for name in COMMON:
        kinds = [CORRUPTIONS[name].at(severity) for severity in SEVERITIES]
        for kind in kinds:
            kind(one, [0])  # tables and plans that are made once
        single = sum(best_seconds(lambda kind=kind: kind(one, [0])) for kind in kinds)
        batched = sum(best_seconds(lambda kind=kind: kind(eight, range(BATCH))) for kind in kinds) / BATCH
        peer = sum(best_seconds(lambda level=level, name=name: corrupt(theirs, level, name)) for level in SEVERITIES)
        ratios.append((peer / single, peer / batched))
        times = [1000 * seconds / len(SEVERITIES) for seconds in (peer, single, batched)]
        print(
            f"{name:<20}{times[0]:>10.2f}{times[1]:>9.2f}{times[2]:>9.2f}{ratios[-1][0]:>8.1f}x{ratios[-1][1]:>8.1f}x"
        )
    medians = [statistics.median(column) for column in zip(*ratios, strict=True)]
    print(f"median ratio: {medians[0]:.1f} x, in a batch of {BATCH} {medians[1]:.1f} x (goal: 10 x)")
    least = [min(column) for column in zip(*ratios, strict=True)]
    reached = sum(ratio >= 10 for ratio, _ in ratios)
    print(f"{reached} of {len(ratios)} reach it with one image; least {least[0]:.1f} x, in a batch {least[1]:.1f} x")
    torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
