"""Thresholds chosen on validation data."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from anyscope.errors import BadInput
from anyscope.instances import Threshold, Watershed, tune

from .objects import cells, perfect_maps


def dice(references, predictions):
    """Pooled Dice of masks."""
    both = sum(np.count_nonzero((r > 0) & (p > 0)) for r, p in zip(references, predictions, strict=True))
    return 2 * both / sum(np.count_nonzero(a) for a in (*references, *predictions))


def closeness_of_counts(references, predictions):
    """0 where all images have as many objects as their references."""
    return -float(sum(abs(int(r.max()) - int(p.max())) for r, p in zip(references, predictions, strict=True)))


def test_a_shifted_probability_is_corrected():
    references = [cells((64, 64), 8, seed)[None] for seed in range(2)]
    maps = [{"mask": np.where(reference > 0, 0.35, 0.1).astype(np.float32)} for reference in references]
    tuned = tune(Threshold(), maps, references, dice)
    assert dice(references, [Threshold()(each) for each in maps]) == 0
    assert dice(references, [tuned(each) for each in maps]) == 1
    assert tuned.threshold in (0.2, 0.3)


def test_tuning_never_makes_it_worse_and_keeps_ties():
    references = [cells((96, 96), 20, 5)[None]]
    noise = np.random.default_rng(1).normal(0, 0.25, references[0].shape)
    maps = [perfect_maps(references[0], ("mask", "distance"))]
    assert tune(Watershed(), maps, references, lambda _r, _p: 1.0) == Watershed()
    maps[0]["distance"] = np.clip(maps[0]["distance"] + noise, -1, 1).astype(np.float32)
    before = closeness_of_counts(references, [Watershed()(maps[0])])
    tuned = tune(Watershed(), maps, references, closeness_of_counts)
    assert closeness_of_counts(references, [tuned(maps[0])]) > before


def test_the_search_can_be_narrowed():
    references = [np.ones((1, 4, 4), np.uint8)]
    maps = [{"mask": np.full((1, 4, 4), 0.4, np.float32)}]
    assert tune(Threshold(), maps, references, dice, search={"threshold": [0.39]}).threshold == 0.39


def test_maps_and_references_must_be_pairs():
    with pytest.raises(BadInput, match="1 images and 0 references"):
        tune(Threshold(), [{"mask": np.zeros((1, 2, 2), np.float32)}], [], dice)


def test_parameters_can_be_set_together():
    """Alone neither helps: merging needs a size, and removing at that size is worse."""

    @dataclass(frozen=True)
    class Two:
        search: ClassVar = {"one,other": ((0, 0), (0, 1), (1, 1)), "one": (0, 1), "other": (0, 1)}
        one: int = 0
        other: int = 0

        def __call__(self, _):
            return np.array([2 if (self.one, self.other) == (1, 1) else self.one + self.other])

    def score(_, predictions):
        return {0: 1, 1: 0, 2: 2}[int(predictions[0][0])]

    alone = {name: values for name, values in Two.search.items() if "," not in name}
    assert tune(Two(), [None], [None], score, search=alone) == Two()
    assert tune(Two(), [None], [None], score) == Two(1, 1)
