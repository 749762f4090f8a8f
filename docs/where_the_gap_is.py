"""How much of the gap between two microscopes is scale, how much is threshold, and how much has to be learned.

``python docs/where_the_gap_is.py CROSSING`` takes the networks that a crossing trained on each source, the last of
their candidates, and scores them on the test images of every target at seven scales and all thresholds, by the target's
labels: what a perfect search of two numbers would reach without any training. Then what the mean of their answers at
3, 5 or all of the scales around the nominal one reaches, above .5 as ever. Foreground IoU, pooled over all pixels.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
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

STEPS = range(-3, 4)
"""Scales, in thirds of an octave."""
ALONE = {f"{2 ** (step / 3):.2f}": (step,) for step in STEPS}
MEANS = {f"mean of {2 * reach + 1}": tuple(range(-reach, reach + 1)) for reach in (1, 2, 3)}
LEVELS = 1000

Scores = NDArray[np.float64]


def by_threshold(segmenter: Segmenter, test: LabelledImages) -> Mapping[str, Scores]:
    """Foreground IoU above each of the thresholds 0, 1 / 1000 ... 1, at each scale and for means over scales."""
    groups = ALONE | MEANS
    counts = {name: np.zeros((2, LEVELS + 1)) for name in groups}
    spec = segmenter.spec
    for region in test:
        image = region.read_unit(spec.intensity)
        answers = {}
        for step in STEPS:
            with segmenter.seeing(spec.with_input(zoom=2 ** (step / 3) * spec.input.zoom).input):
                answers[step] = decodable(segmenter, image, region.pixel_size_nm, InferenceSettings()).probability
        reference, valid = region.read_reference("semantic")
        for name, steps in groups.items():
            level = (np.mean([answers[step] for step in steps], axis=0) * LEVELS).astype(int).clip(0, LEVELS)
            for place, mask in enumerate(((reference > 0) & valid, (reference == 0) & valid)):
                counts[name][place] += np.bincount(level[mask], minlength=LEVELS + 1)
    return {name: _iou(count) for name, count in counts.items()}


def _iou(counts: Scores) -> Scores:
    hits, false = counts[:, ::-1].cumsum(1)[:, ::-1]
    scores: Scores = hits / (counts[0].sum() + false)
    return scores


def main(crossing: Path) -> None:
    """Print a row for every pair."""
    data = {name: Path(path) for name, path in read_mapping(crossing / "settings.yaml", "a crossing")["data"].items()}
    print("source -> target        as it is   threshold      scale       both" + "".join(f"{n:>12}" for n in MEANS))
    for source, target in permutations(data, 2):
        labelled = open_dataset(data[source])
        domains = read_domains(labelled, open_dataset(data[target], labels=False), "train")
        segmenter, _ = begin(labelled, domains, adapt_settings())
        candidates = crossing / "trained" / f"{source}-s0" / "1-supervised" / "candidates"
        take(segmenter, max(candidates.glob("*.safetensors")))
        found = by_threshold(segmenter, open_dataset(data[target]).labelled("test"))
        middle = {name: scores[LEVELS // 2] for name, scores in found.items()}
        scale = max(ALONE, key=lambda name: middle[name])
        both = max(ALONE, key=lambda name: found[name].max())
        print(
            f"{source + ' -> ' + target:<20}{middle['1.00']:>12.3f}{found['1.00'].max():>12.3f}{middle[scale]:>11.3f}"
            f"{found[both].max():>11.3f}" + "".join(f"{middle[name]:>12.3f}" for name in MEANS),
            f"  at x {both} above {found[both].argmax() / LEVELS:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
