"""How much of the gap between two microscopes is scale, how much is threshold, and how much has to be learned.

``python docs/where_the_gap_is.py CROSSING`` takes the networks that a crossing trained on each source, the last of
their candidates, and scores them on the test images of every target at seven scales and all thresholds, by the target's
labels: what a perfect search of two numbers would reach without any training. Foreground IoU, pooled over all pixels.
"""

from __future__ import annotations

import sys
from itertools import permutations
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from anyscope.adaptation.begin import begin, read_domains
from anyscope.adaptation.runner import take
from anyscope.adaptation.settings import adapt_settings
from anyscope.datasets import LabelledImages, open_dataset
from anyscope.inference import InferenceSettings, decodable
from anyscope.models import Segmenter
from anyscope.running.documents import read_mapping

ZOOMS = [2 ** (step / 3) for step in range(-3, 4)]
LEVELS = 1000


def by_threshold(segmenter: Segmenter, zoom: float, test: LabelledImages) -> NDArray[np.float64]:
    """Foreground IoU above each of the thresholds 0, 1 / 1000 ... 1."""
    counts = np.zeros((2, LEVELS + 1))
    spec = segmenter.spec
    nearer = spec.with_input(zoom=zoom * spec.input.zoom).input
    for region in test:
        with segmenter.seeing(nearer):
            found = decodable(segmenter, region.read_unit(spec.intensity), region.pixel_size_nm, InferenceSettings())
        reference, valid = region.read_reference("semantic")
        level = (found.probability * LEVELS).astype(int).clip(0, LEVELS)
        for place, mask in enumerate(((reference > 0) & valid, (reference == 0) & valid)):
            counts[place] += np.bincount(level[mask], minlength=LEVELS + 1)
    hits, false = counts[:, ::-1].cumsum(1)[:, ::-1]
    scores: NDArray[np.float64] = hits / (counts[0].sum() + false)
    return scores


def main(crossing: Path) -> None:
    """Print a row for every pair."""
    data = {name: Path(path) for name, path in read_mapping(crossing / "settings.yaml", "a crossing")["data"].items()}
    print("source -> target        as it is   threshold      scale       both")
    for source, target in permutations(data, 2):
        labelled = open_dataset(data[source])
        domains = read_domains(labelled, open_dataset(data[target], labels=False), "train")
        segmenter, _ = begin(labelled, domains, adapt_settings())
        candidates = crossing / "trained" / f"{source}-s0" / "1-supervised" / "candidates"
        take(segmenter, max(candidates.glob("*.safetensors")))
        test = open_dataset(data[target]).labelled("test")
        found = {zoom: by_threshold(segmenter, zoom, test) for zoom in ZOOMS}
        middle = {zoom: scores[LEVELS // 2] for zoom, scores in found.items()}
        scale, both = max(middle, key=lambda z: middle[z]), max(found, key=lambda z: found[z].max())
        print(
            f"{source + ' -> ' + target:<20}{middle[1.0]:>12.3f}{found[1.0].max():>12.3f}{middle[scale]:>11.3f}"
            f"{found[both].max():>11.3f}   at x {both:.2f} above {found[both].argmax() / LEVELS:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
