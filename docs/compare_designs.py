"""What kinds of degradation and what designs of networks have to do with each other.

``python docs/compare_designs.py`` reads the tables of the assays in ``docs/tables`` and prints Spearman rank
correlations over the networks that reach three quarters of the best clean score: between what is left of the clean
score under different mechanisms of corruption; with the resolution at which a network decodes; and with the rank that
its kind has on natural images.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from anyscope.corruptions.mechanisms import mechanism_of

TABLES = Path(__file__).parent / "tables"
DECODES_AT = {
    "unet_small": 1, "unet_simple": 1, "attention_unet": 1, "segnet": 1,
    "hrnet": 4, "deeplabv3plus": 4, "segformer": 4,
    "icnet": 8, "fcn8s": 8, "pspnet": 8, "deeplabv3": 16, "segmenter": 16,
}  # fmt: skip
"""Pixels of the image, along one side, for each of the finest map that the decoder works on before it is enlarged."""
NATURAL = {
    "segnet": 57.0, "fcn8s": 65.3, "icnet": 69.5, "pspnet": 78.4,
    "deeplabv3": 81.3, "hrnet": 81.6, "deeplabv3plus": 82.1, "segformer": 84.0,
}  # fmt: skip
"""Mean IoU on Cityscapes' test images, of the large variants: Badrinarayanan 2017 as listed by Zhao 2018 (ICNet), Long
2015 as listed by Cordts 2016, Zhao 2018, Zhao 2017, Chen 2017, Wang 2020, Chen 2018, Xie 2021."""


def read(name: str) -> list[dict[str, str]]:
    """The mask rows of a table."""
    with open(TABLES / name, newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["measure"] == "mask"]


def say(name: str, one: list[float], other: list[float]) -> None:
    """Print a correlation."""
    found = spearmanr(one, other)
    print(f"    {name:<48}{found.statistic:+.2f}  p {found.pvalue:.3f}")


def compare(assay: str) -> None:
    """Print what the tables of one assay tell."""
    scores = {row["model"]: row for row in read(f"assay-{assay}-scores.csv")}
    best = max(float(row["clean"]) for row in scores.values())
    models = [name for name, row in scores.items() if name != "otsu" and float(row["clean"]) >= 0.75 * best]
    kept: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in read(f"assay-{assay}-series.csv"):
        if row["model"] in models and row["family"] != "control":
            kind = "attack" if row["family"] == "attack" else str(mechanism_of(row["series"]))
            kept[kind][row["model"]].append(float(row["mean_over_clean"]))
    print(f"{assay}: {len(models)} networks")
    for one, other in combinations(kept, 2):
        say(f"{one} - {other}", *([float(np.mean(kept[kind][name])) for name in models] for kind in (one, other)))
    values = {
        key: [float(scores[name][key]) for name in models] for key in ("clean", "corrupted", "corrupted_over_clean")
    }
    for key, found in values.items():
        say(f"coarseness of decoding - {key}", [float(DECODES_AT[name]) for name in models], found)
    known = [index for index, name in enumerate(models) if name in NATURAL]
    for key, found in values.items():
        say(f"natural images ({len(known)}) - {key}", [NATURAL[models[i]] for i in known], [found[i] for i in known])


def compare_families(assay: str) -> None:
    """Print how what is left under one family of corruptions goes with that under another."""
    kept: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in read(f"assay-{assay}-series.csv"):
        if "otsu" not in row["model"]:
            kept[row["family"]][row["model"]].append(float(row["mean_over_clean"]))
    for one, other in combinations(kept, 2):
        models = sorted(kept[one])
        print(f"{assay}: {len(models)} networks")
        say(f"{one} - {other}", *([float(np.mean(kept[kind][name])) for name in models] for kind in (one, other)))


if __name__ == "__main__":
    for name in ("nuclei", "mitochondria", "er"):
        compare(name)
    compare_families("real")
