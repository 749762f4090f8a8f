"""Decoding a volume with thousands of seeds: the watershed decoder beside scikit-image's route.

The maps of 100 x 512 x 512 voxels with some 6,000 objects: what a network with noisy outputs predicts (mask, boundary
and distance to the boundary in the volume). Both routes get the same arrays and make objects of the volume on one
thread, each in a process of its own. Scores are those against the true objects. Takes some minutes and about 8 GiB.

- ``anyscope``: the decoder ``watershed`` on mask, boundary and distance.
- ``scikit-image``: interior of the mask by the boundary's threshold, its Euclidean distance, the distance's peaks,
  labelled, flooded over the distance within the mask, with a fixed smoothing and spacing of peaks.
- ``scikit-image, our seeds``: the same steps as the decoder's, with scipy's and scikit-image's functions.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks._processes import in_new_process

MODULE = "benchmarks.decoders"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
SHAPE = (100, 512, 512)
OBJECTS = 8000
REPEATS = 2
SMOOTHING_PX = 1.0
SEED_DISTANCE = 0.3
PEAK_SMOOTHING_PX = 1.0
PEAKS_APART_PX = 4
Maps = dict[str, NDArray[np.float32]]
Labels = NDArray[np.integer]


def objects(seed: int = 0) -> NDArray[np.uint32]:
    """Cells of random points, a quarter of them background."""
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(seed)
    tree = cKDTree(rng.random((OBJECTS, 3)) * SHAPE)
    names = np.where(rng.random(OBJECTS) < 0.25, 0, np.arange(1, OBJECTS + 1)).astype(np.uint32)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE[1:]), indexing="ij"), axis=-1)
    labels = np.empty(SHAPE, np.uint32)
    for z in range(SHAPE[0]):
        points = np.concatenate([np.full((*SHAPE[1:], 1), z), grid], axis=-1)
        labels[z] = names[tree.query(points)[1]]
    return labels


def noisy_maps(labels: NDArray[np.uint32], seed: int = 1) -> Maps:
    """Mask, boundary and distance of the volume, blurred and with noise that neighbouring pixels share."""
    import edt
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    distance = edt.edt(labels + 1, black_border=False, parallel=1) - np.float32(0.5)
    foreground = labels > 0

    def disturbed(values: NDArray[Any], low: float) -> NDArray[np.float32]:
        noise = gaussian_filter(rng.standard_normal(SHAPE, np.float32), 1.5) * np.float32(1.5)
        return np.clip(gaussian_filter(values.astype(np.float32), 0.7) + noise, low, 1)

    signed = np.tanh(np.where(foreground, distance, -distance) / np.float32(8))
    return {
        "mask": disturbed(foreground, 0),
        "boundary": disturbed(distance < 1, 0),
        "distance": disturbed(signed, -1),
    }


def ours(maps: Maps) -> Labels:
    """This project."""
    from anyscope.instances import Watershed

    return Watershed(
        dimensions=3, seed_distance=SEED_DISTANCE, smoothing_px=SMOOTHING_PX, min_size_px=64, keep_unseeded=False
    )(maps)


def peaks(maps: Maps) -> Labels:
    """Distance, peaks, labels, flooding."""
    from scipy.ndimage import distance_transform_edt, gaussian_filter
    from skimage.feature import peak_local_max
    from skimage.measure import label
    from skimage.segmentation import watershed

    mask = maps["mask"] > 0.5
    distance = distance_transform_edt(mask & (maps["boundary"] < 0.5)).astype(np.float32)
    distance = gaussian_filter(distance, PEAK_SMOOTHING_PX)
    places = peak_local_max(distance, min_distance=PEAKS_APART_PX, threshold_abs=1.0)
    marked = np.zeros(mask.shape, bool)
    marked[tuple(places.T)] = True
    return watershed(-distance, label(marked), mask=mask)


def same_steps(maps: Maps) -> Labels:
    """The decoder's steps with other libraries."""
    from scipy.ndimage import gaussian_filter
    from skimage.measure import label
    from skimage.morphology import remove_small_objects
    from skimage.segmentation import watershed

    sigma = (0, SMOOTHING_PX, SMOOTHING_PX)
    boundary, distance = (gaussian_filter(maps[head], sigma, mode="nearest") for head in ("boundary", "distance"))
    mask = maps["mask"] > 0.5
    seeds = label(mask & (boundary < 0.5) & (distance > SEED_DISTANCE), connectivity=1)
    return remove_small_objects(watershed(boundary - distance, seeds, mask=mask), max_size=63)


ROUTES: dict[str, Callable[[Maps], Labels]] = {
    "anyscope": ours,
    "scikit-image": peaks,
    "scikit-image, our seeds": same_steps,
}


def scores(reference: Labels, prediction: Labels) -> dict[str, float]:
    """Matched objects, Adapted Rand error and variation of information."""
    from anyscope.metrics import contingency
    from anyscope.metrics.matching import match, match_accuracy, object_pairs
    from anyscope.metrics.partition import adapted_rand, partition_sums, variation_of_information

    table = contingency(reference, prediction)
    sums = partition_sums(table, "segment")
    return {
        "accuracy": float(match_accuracy(match(object_pairs(table), [0.5]))[0]),
        "A-Rand": adapted_rand(sums).error,
        "VOI": variation_of_information(sums).total,
        "objects": int(prediction.max()),
    }


def measure(name: str, folder: str) -> dict[str, Any]:
    """Times and scores of one route, in this process; what a first call loads is not counted."""
    maps = {path.stem: np.load(path) for path in Path(folder).glob("*.npy") if path.stem != "reference"}
    ROUTES[name]({head: np.ascontiguousarray(values[:8, :64, :64]) for head, values in maps.items()})
    seconds, processor, labels = [], [], np.zeros(0, np.uint8)
    for _ in range(REPEATS if name == "anyscope" else 1):
        begin, worked = time.perf_counter(), time.process_time()
        labels = ROUTES[name](maps)
        seconds.append(time.perf_counter() - begin)
        processor.append(time.process_time() - worked)
    found = scores(np.load(Path(folder) / "reference.npy"), labels)
    return {"seconds": min(seconds), "processor": min(processor), **found}


def write_inputs(folder: str) -> int:
    """Write the objects and their maps; returns the number of objects."""
    reference = objects()
    np.save(Path(folder) / "reference.npy", reference)
    for head, values in noisy_maps(reference).items():
        np.save(Path(folder) / f"{head}.npy", values)
    return len(np.unique(reference)) - 1


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        n = in_new_process(MODULE, "inputs", folder, ONE_THREAD)
        print(f"{'x'.join(map(str, SHAPE))}, {n} objects")
        results = {name: in_new_process(MODULE, name, folder, ONE_THREAD) for name in ROUTES}
    columns = ("seconds", "processor", "objects", "accuracy", "A-Rand", "VOI")
    print(f"{'':<26}" + "".join(f"{column:>11}" for column in columns))
    for name, result in results.items():
        print(f"{name:<26}" + "".join(f"{result[column]:>11.4g}" for column in columns))
    for name in list(ROUTES)[1:]:
        wall, processor = (results[name][key] / results["anyscope"][key] for key in ("seconds", "processor"))
        print(f"faster than {name}: {wall:.1f} x, of processor time {processor:.1f} x (goal: 5 x)")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        step, where = sys.argv[1:]
        print(json.dumps(write_inputs(where) if step == "inputs" else measure(step, where)))
    else:
        main()
