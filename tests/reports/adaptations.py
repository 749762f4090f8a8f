"""Documents of adaptations that were made up, so that every number is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from anyscope.adaptation.candidates import Judgement
from anyscope.adaptation.selection import RULES
from anyscope.adaptation.style.hallucination import Examination, Foreground, Structure
from anyscope.adaptation.traits import Traits
from anyscope.reports.scenes import AdaptationPictures, Scene


def traits(share: float = 0.1, solidity: float = 0.9, objects: int = 20, largest: float = 0.02) -> Traits:
    """Traits of predictions in 100,000 pixels."""
    area = 100_000 * share / objects if objects else None
    return Traits(
        planes=1, pixels=100_000, foreground_px=round(100_000 * share), objects=objects, specks=1, mean_area_px=area,
        median_area_px=area, largest_share=largest, solidity=solidity, solidity_per_slice=solidity,
        area_ratio=None if area is None else area / 100_000, entropy_bits=0.1, unsure=0.05,
    )  # fmt: skip


REFERENCE = traits(0.1, 0.92)


def judgement(epoch: int, share: float, *, score: float | None = 0.8, stability: float | None = 0.9) -> Judgement:
    """A candidate that finds a share of foreground in the target."""
    fallen = share > 0.97
    found = traits(share, 0.85 + 0.01 * epoch, 1 if fallen else 20, share if fallen else 0.02)
    source = None if score is None else traits(0.1)
    return Judgement(epoch, score, source, found, None if epoch < 2 else 0.8, stability)


def learning_step(
    judgements: Sequence[Judgement], name: str = "supervised", stage: str = "training", number: int = 1
) -> dict[str, Any]:
    """A step with candidates, judged by all rules."""
    return {
        "name": name,
        "stage": stage,
        "folder": f"{number}-{name}",
        "findings": {},
        "candidates": [each.to_dict() for each in judgements],
        "choices": {rule: choose(judgements, REFERENCE).to_dict() for rule, choose in RULES.items()},
    }


def plain_step(name: str, stage: str, number: int, findings: dict[str, Any] | None = None) -> dict[str, Any]:
    """A step without candidates."""
    return {"name": name, "stage": stage, "folder": f"{number}-{name}", "findings": findings or {}, "candidates": [],
            "choices": {}}  # fmt: skip


def scale_findings(zoom: float = 2.0) -> dict[str, Any]:
    """A search over five zooms around a nominal one of 2."""
    zooms = [2.0, 1.0, 4.0, 2.0 * 2**-0.5, 2.0 * 2**0.5]
    return {
        "zoom": zoom, "nominal": 2.0, "rule": "combined", "zooms": zooms, "scores": [0.5, 0.9, None, 0.6, 0.7],
        "judgements": [judgement(number, 0.1).to_dict() for number in range(5)], "alarms": [],
    }  # fmt: skip


def translation_findings(invented: float = 0.0) -> dict[str, Any]:
    """What was found of a translator after an epoch, with an alarm where more than 1 % was invented."""
    structure = Structure(invented=invented, lost=0.0, agreement=0.9, dark_overlap=0.8, dark_objects=float("inf"))
    foreground = Foreground(before=0.12, after=0.09, source=0.1, on_invented=0.1)
    return Examination(structure, foreground).to_document()


def document(steps: Sequence[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """What adaptation.json holds."""
    look = {"pixel_nm": 5.0, "mean": 0.5, "contrast": 0.2, "noise": 0.02, "detail_px": 2.0, "slope": -2.0, "padding": 0}
    comparison = {
        "source": look, "target": {**look, "pixel_nm": None, "mean": 0.4, "noise": None}, "histogram_distance": 0.1,
        "spectrum_distance": None, "object_px": 22.2, "lines": ["x"], "proposal": "rescale", "reasons": [],
    }  # fmt: skip
    alarms = [
        f"{step['name']}: {text}"
        for step in steps if step["choices"] for text in step["choices"]["combined"]["alarms"]
    ]  # fmt: skip
    return {
        "method": "rescale+histogram", "profile": "fast", "selection": "combined", "model": "unet_small",
        "pixels": "9 nm pixels", "steps": list(steps), "alarms": alarms, "comparison": comparison,
        "differences": ["the target is darker", "the target has noise"], "reference": REFERENCE.to_dict(),
        "source": "vnc", "target": "lucchi", "target_images": 3, "gap": None, "left_out": [], **changes,
    }  # fmt: skip


def scenes(name: str = "slice1", *, before: bool = True, moved: int = 3) -> AdaptationPictures:
    """Two scenes with a square that moves, and grey levels."""
    found = []
    for number in range(2):
        labels = np.zeros((40, 60), np.uint8)
        labels[10:20, 10:30] = 1
        image = np.random.default_rng(number).integers(0, 255, labels.shape).astype(np.uint8)
        after = np.roll(labels, moved, axis=1)
        found.append(Scene(f"{name}, {number}", image, labels if before else None, after, 5.0 if number else None))
    shares = np.full((1, 256), 1 / 256)
    levels = {"source": shares, "target": np.roll(shares, 3, axis=1), "matched": shares}
    return AdaptationPictures(tuple(found), levels, "epoch 3 of supervised" if before else "", "the source")
