"""Adapted Rand, VOI and TP/(TP+FP+FN) at ten thresholds: one contingency pass beside scikit-image and StarDist.

100 x 1024 x 1024 uint32 labels with 3,000 objects on either side. Every measurement runs in a process of its own, which
reads the same two files and reports its time, its processor time (which a busy machine disturbs less) and its peak
memory above the inputs: the best of three runs and more, for at least ten seconds. Takes minutes and about 8 GiB.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks._processes import in_new_process

MODULE = "benchmarks.metrics"
SHAPE = (100, 1024, 1024)
OBJECTS = 3000
REPEATS = 3
LEAST_SECONDS = 10.0
IOU_THRESHOLDS = tuple(0.5 + 0.05 * step + 1e-6 for step in range(10))
"""Just above .50:.05:.95, because StarDist also matches at an IoU equal to the threshold and this project does not."""
Labels = NDArray[np.uint32]
Scores = dict[str, float | list[float]]


def voronoi(seed: int, shape: tuple[int, int, int] = SHAPE, objects: int = OBJECTS) -> Labels:
    """Cells of random points with wavy rims, in steps of two pixels."""
    from scipy.ndimage import gaussian_filter
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(seed)
    tree = cKDTree(rng.random((objects, 3)) * shape)
    waves = [20 * gaussian_filter(rng.standard_normal(shape[1:]), 8) * 8 for _ in range(2)]
    y, x = np.mgrid[: shape[1] : 2, : shape[2] : 2]
    waves = [wave[::2, ::2] for wave in waves]
    labels = np.empty(shape, np.uint32)
    for z in range(shape[0]):
        points = np.stack([np.full(y.shape, z), y + waves[0], x + waves[1]], axis=-1)
        labels[z] = np.kron(tree.query(points)[1] + 1, np.ones((2, 2), np.uint32))
    return labels


def damaged(labels: Labels, seed: int) -> Labels:
    """The labels shifted by a few pixels, a tenth of them merged into others, and renumbered."""
    rng = np.random.default_rng(seed)
    names = rng.permutation(int(labels.max()) + 1).astype(np.uint32)
    merged = rng.integers(1, names.size, names.size // 10)
    names[merged] = names[rng.integers(1, names.size, merged.size)]
    return names[np.roll(labels, (0, 3, 2), (0, 1, 2))]


def ours(reference: Labels, prediction: Labels) -> Scores:
    """This project."""
    from anyscope.metrics import contingency
    from anyscope.metrics.matching import match, match_accuracy, object_pairs
    from anyscope.metrics.partition import adapted_rand, partition_sums, variation_of_information

    table = contingency(reference, prediction)
    sums = partition_sums(table, "segment")
    everywhere = variation_of_information(partition_sums(table, "segment", reference_zero=True))
    return {
        "adapted_rand": adapted_rand(sums, self_pairs=False).error,
        "voi": [everywhere.split, everywhere.merge],
        "accuracy": match_accuracy(match(object_pairs(table), IOU_THRESHOLDS)).tolist(),
    }


def peers(reference: Labels, prediction: Labels) -> Scores:
    """scikit-image and StarDist."""
    from skimage.metrics import adapted_rand_error, variation_of_information
    from stardist.matching import matching

    clock = [time.perf_counter()]
    rand = adapted_rand_error(reference, prediction, ignore_labels=(0,))[0]
    clock.append(time.perf_counter())
    voi = variation_of_information(reference, prediction)
    clock.append(time.perf_counter())
    matched = matching(reference, prediction, thresh=IOU_THRESHOLDS)
    clock.append(time.perf_counter())
    accuracy = [each.accuracy for each in matched]
    return {"adapted_rand": rand, "voi": voi.tolist(), "accuracy": accuracy, "parts": np.diff(clock).tolist()}


def plain_pass(reference: Labels, prediction: Labels) -> Scores:
    """Reading both arrays once (NumPy's maximum), the least that any score needs."""
    return {"highest": float(max(reference.max(), prediction.max()))}


MEASURED: dict[str, Callable[[Labels, Labels], Scores]] = {"anyscope": ours, "peers": peers, "plain pass": plain_pass}


def peak_bytes() -> int:
    """Largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(name: str, folder: str) -> dict[str, object]:
    """Time and peak memory of one entry, in this process; the first call, which compiles or imports, apart."""
    small = np.arange(4 * 512**2, dtype=np.uint32).reshape(4, 512, 512) // 700 % 5
    begin = time.perf_counter()
    MEASURED[name](small, small)
    MEASURED[name](small * 100_000, small)  # too large for a dense table: the sparse path
    first = time.perf_counter() - begin
    reference, prediction = (np.load(Path(folder) / f"{side}.npy") for side in ("reference", "prediction"))
    before, seconds, processor, scores = peak_bytes(), [], [], {}
    while len(seconds) < REPEATS or sum(seconds) < LEAST_SECONDS:
        begin, worked = time.perf_counter(), time.process_time()
        scores = MEASURED[name](reference, prediction)
        seconds.append(time.perf_counter() - begin)
        processor.append(time.process_time() - worked)
    return {
        "first": first,
        "seconds": min(seconds),
        "processor": min(processor),
        "bytes": peak_bytes() - before,
        "scores": scores,
    }


def write_inputs(folder: str) -> int:
    """Write both label volumes; returns the number of objects of the reference."""
    reference = voronoi(0)
    np.save(Path(folder) / "reference.npy", reference)
    np.save(Path(folder) / "prediction.npy", damaged(reference, 1))
    return len(np.unique(reference))


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        objects = in_new_process(MODULE, "inputs", folder)
        print(f"{'x'.join(map(str, SHAPE))} uint32, {objects} objects, {os.cpu_count()} processors")
        results = {name: in_new_process(MODULE, name, folder) for name in MEASURED}
    print(f"{'':<12}{'seconds':>9}{'of processor':>15}{'above inputs':>15}{'first call':>13}")
    for name, result in results.items():
        print(
            f"{name:<12}{result['seconds']:>9.3f}{result['processor']:>15.3f}"
            f"{result['bytes'] / 2**20:>11.1f} MiB{result['first']:>11.2f} s"
        )
    parts = results["peers"]["scores"]["parts"]
    named = zip(("adapted_rand_error", "variation_of_information", "matching"), parts, strict=True)
    print("peers: " + ", ".join(f"{part} {seconds:.2f} s" for part, seconds in named))
    mine, theirs = results["anyscope"]["scores"], results["peers"]["scores"]
    apart = max(np.abs(np.subtract(mine[score], theirs[score])).max() for score in mine)
    print(f"largest difference of a score: {apart:.1e}")
    wall, processor = (results["peers"][key] / results["anyscope"][key] for key in ("seconds", "processor"))
    print(f"ratio: {wall:.1f} x, of processor time {processor:.1f} x (goal: 20 x, 512 MiB)")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        step, where = sys.argv[1:]
        print(json.dumps(write_inputs(where) if step == "inputs" else measure(step, where)))
    else:
        main()
