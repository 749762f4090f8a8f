"""A small synthetic run, and the pages made of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from anyscope.geometry import VoxelSize
from anyscope.metrics import contingency
from anyscope.metrics.object_errors import object_errors
from anyscope.reports.blocks import Alarm
from anyscope.reports.error_crops import error_crop
from anyscope.reports.object_findings import Compared, kind_totals, total_numbers, worst_errors
from anyscope.reports.object_section import ObjectFindings
from anyscope.reports.run_report import RunReport, run_report
from anyscope.reports.samples import Sample
from anyscope.reports.selection import choose
from anyscope.reports.stacks import Stack, StackItem, stack_item

HOSTILE = "</title><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


def blobs(rng: np.random.Generator, shape: tuple[int, int], count: int) -> NDArray[np.int32]:
    """Discs at random places, later ones over earlier ones."""
    labels = np.zeros(shape, np.int32)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    for name in range(1, count + 1):
        y, x, radius = rng.integers(0, shape[0]), rng.integers(0, shape[1]), rng.integers(5, 11)
        labels[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = name
    return labels


def evaluation_of(scores: dict[str, float | None]) -> dict[str, Any]:
    """An evaluation document with two scores, in the form of ``Evaluation.to_json``."""
    values = [value for value in scores.values() if value is not None]
    mean = float(np.mean(values))
    return {
        "protocol": "instances",
        "conventions": {"threshold": "IoU above 0.5", "ignored": "none"},
        "n": len(scores),
        "n_empty": len(scores) - len(values),
        "scores": {"foreground_iou": mean + 0.01, "voi_split": 1.3},
        "mean": {"foreground_iou": mean, "voi_split": 1.2},
        "intervals": {"foreground_iou": [mean - 0.05, mean + 0.05], "voi_split": None},
        "per_image": [
            {"image": name, "scores": {"foreground_iou": value, "voi_split": None if value is None else 2 - value}}
            for name, value in scores.items()
        ],
    }


def stack(rng: np.random.Generator) -> StackItem:
    """Five planes of blobs that move."""
    first = blobs(rng, (48, 60), 12)
    reference = np.stack([np.roll(first, z, 1) for z in range(5)])
    prediction = np.where(reference == 2, 1, reference)
    image = rng.normal(size=reference.shape) + (reference > 0)
    errors = object_errors(contingency(reference, prediction))
    return stack_item(Stack(HOSTILE, image, reference, prediction, (0, 1, 2, 3, 4), 5, (errors,)), "instances")


def findings(samples: list[Sample]) -> ObjectFindings:
    """Errors of the samples, the worst of each kind."""
    compared = [Compared.of(sample.name, None, sample.reference, sample.prediction) for sample in samples]
    listed = worst_errors(compared, per_kind=1)
    crops = [
        error_crop(error, compared[error.place].errors, one.image, one.reference, one.prediction, one.name)
        for error in listed
        for one in [samples[error.place]]
    ]
    return ObjectFindings(total_numbers(compared), kind_totals(compared), tuple(crops))


@pytest.fixture(scope="session")
def run() -> RunReport:
    """A synthetic run of twelve images, one of them with a hostile name, one of them empty."""
    rng = np.random.default_rng(7)
    scores: dict[str, float | None] = {f"image-{number:02d}": 0.5 + 0.03 * number for number in range(11)}
    scores[HOSTILE] = 0.2
    scores["empty"] = None
    samples = []
    for choice in choose(scores):
        reference = blobs(rng, (96, 120), 22)
        prediction = np.roll(np.where(reference == 3, 0, reference), 2, axis=1)
        image = 0.1 + 0.6 * (reference > 0) + rng.normal(0, 0.08, reference.shape)
        samples.append(Sample(choice.name, image, reference, prediction, choice.score, VoxelSize(None, 100, 100)))
    metrics = [
        {
            "epoch": epoch,
            "step": 50 * epoch,
            "train_loss": math.exp(-epoch / 5) + 0.1,
            "val_loss": math.exp(-epoch / 4) + 0.15,
            "val_foreground_iou": 0.9 - math.exp(-epoch / 6),
            "learning_rate": 1e-3 * math.sin(math.pi * epoch / 20),
        }
        for epoch in range(1, 20)
    ]
    return RunReport(
        title=f"unet on blobs {HOSTILE}",
        settings={"model": {"name": "unet", "arguments": {"width": 16}}, HOSTILE: HOSTILE, "a" * 90: "b" * 200},
        environment={"anyscope": "0.1.0", "device": "cpu"},
        metrics=metrics,
        evaluation=evaluation_of(scores),
        task="instances",
        samples=samples,
        stacks=[stack(rng)],
        findings=findings(samples),
        best_epoch=14,
        facts={"Dataset": HOSTILE, "Seed": 0},
        notes=[Alarm(HOSTILE, HOSTILE, "danger"), HOSTILE],
        commands=[f"anyscope train --data '{HOSTILE}' --out runs/{'x' * 120}"],
    )


@pytest.fixture(scope="session")
def html(run: RunReport) -> str:
    """The page of that run."""
    return run_report(run)
