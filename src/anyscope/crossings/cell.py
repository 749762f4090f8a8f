"""One cell of a crossing: adapt, then score every candidate on the labels of the target's test part.

Labels of the target come in here, after the adaptation has ended, and go nowhere but into scores.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from anyscope.adaptation.begin import begin, read_domains
from anyscope.adaptation.domains import Domains
from anyscope.adaptation.runner import Adapted, Shared, StepResult, carry_out, take
from anyscope.adaptation.settings import AdaptSettings
from anyscope.crossings.plan import CEILING, CrossCell, CrossPlan
from anyscope.datasets import Dataset, LabelledImages, open_dataset
from anyscope.errors import AnyscopeError
from anyscope.inference import segment
from anyscope.metrics import default_protocol
from anyscope.models import Segmenter
from anyscope.running.devices import choose_device
from anyscope.running.engines import worker_device
from anyscope.running.ledger import Cell

TRAINED, CELLS = "trained", "cells"


def do_cell(plan: CrossPlan, cell: CrossCell) -> Cell:
    """Carry out a cell; what is wrong with it becomes its failure."""
    started = time.monotonic()
    device = choose_device((worker_device() if plan.device == "auto" else None) or plan.device)
    try:
        result = _ceiling(plan, cell, device) if cell.method == CEILING else _crossing(plan, cell, device)
    except AnyscopeError as error:
        if error.exit_code == 130:
            raise
        return Cell(cell.key, failure=str(error))
    return Cell(cell.key, result | {"seconds": round(time.monotonic() - started, 1)})


def _ceiling(plan: CrossPlan, cell: CrossCell, device: str) -> dict[str, Any]:
    """Train on a dataset and score its own test part. The candidates stay: they are every pair's floor."""
    dataset = open_dataset(plan.data[cell.source])
    settings = plan.settings("none", cell.seed)
    # Its own images in the place of a target: what the candidates are judged on is then the dataset itself.
    domains = replace(read_domains(dataset, dataset, "train"), target=dataset.unlabelled("train"))
    adapted = _adapt(dataset, domains, settings, plan.out / TRAINED / cell.folder, device)
    return _scored(adapted, dataset.labelled("test"))


def _crossing(plan: CrossPlan, cell: CrossCell, device: str) -> dict[str, Any]:
    source = open_dataset(plan.data[cell.source])
    target = open_dataset(plan.data[cell.target], labels=False)
    settings = plan.settings(cell.method, cell.seed)
    domains = read_domains(source, target, "all" if plan.part == "all" else "train")
    plain = begin(source, domains, plan.settings("none", cell.seed))[1].train
    trained = plan.out / TRAINED / CrossCell(cell.source, cell.source, CEILING, cell.seed).folder / "1-supervised"
    folder = plan.out / CELLS / cell.folder
    adapted = _adapt(source, domains, settings, folder, device, Shared(plain, trained))
    # From here on labels of the target are read.
    result = _scored(adapted, open_dataset(plan.data[cell.target]).labelled("test"))
    if not plan.keep:
        for step in adapted.steps:
            for name in ("candidates", "checkpoints", "tensorboard"):
                shutil.rmtree(step.folder / name, ignore_errors=True)
    return result


def _adapt(
    source: Dataset,
    domains: Domains,
    settings: AdaptSettings,
    folder: Path,
    device: str,
    shared: Shared | None = None,
) -> Adapted:
    segmenter, settings = begin(source, domains, settings)
    return carry_out(domains, settings, segmenter, folder, device, shared=shared)


def _scored(adapted: Adapted, test: LabelledImages) -> dict[str, Any]:
    """Scores of every candidate of the last step that learned, and what each rule chose."""
    learned = adapted.learned
    assert learned is not None  # every chain of a crossing trains
    scores = [score(adapted.segmenter, path, test) for path in learned.candidates.values()]
    return {
        "step": learned.name,
        "epochs": list(learned.candidates),
        "pooled": [one["pooled"] for one in scores],
        "per_slice": [one["per_slice"] for one in scores],
        "choices": {name: choice.index for name, choice in learned.choices.items()},
        "selection": adapted.rule,
        "gap": None if adapted.gap is None else asdict(adapted.gap),
        "zoom": adapted.segmenter.spec.input.zoom,
        "scale": _scale(adapted.steps),
        "alarms": list(adapted.alarms),
    }


def _scale(steps: Sequence[StepResult]) -> Mapping[str, Any] | None:
    """What the search over scales found."""
    for step in steps:
        if step.stage == "scale":
            return {key: step.findings[key] for key in ("zoom", "nominal", "zooms", "scores")}
    return None


def score(segmenter: Segmenter, weights: Path, test: LabelledImages) -> dict[str, float | None]:
    """Headline score of a candidate on labelled images: pooled over all pixels, and the mean over slices with labels.

    Args:
        segmenter: A segmenter of the candidate's spec; its weights are replaced.
        weights: The candidate.
        test: The images.
    """
    take(segmenter, weights)
    spec = segmenter.spec
    protocol = default_protocol(spec.task, spec.classes, test[0].objects if len(test) else None)
    counts, slices = [], []
    for region in test:
        found = segment(segmenter, region.read_unit(spec.intensity), region.pixel_size_nm)
        reference, valid = region.read_reference(spec.task)
        counts.append(protocol.measure(reference, found.labels, region.voxel_size_nm, valid=valid))
        for z in range(len(reference)):
            plane = slice(z, z + 1)
            one = protocol.measure(reference[plane], found.labels[plane], region.voxel_size_nm, valid=valid[plane])
            value = protocol.scores(one)[protocol.headline]
            if not np.isnan(value):
                slices.append(float(value))
    pooled = float(protocol.scores(protocol.pool(counts))[protocol.headline])
    return {
        "pooled": None if np.isnan(pooled) else pooled,
        "per_slice": float(np.mean(slices)) if slices else None,
    }
