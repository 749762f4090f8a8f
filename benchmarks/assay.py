"""What the assay costs beside the forward passes it consists of: ``python -m benchmarks assay``.

Synthetic nuclei of 512 x 512 pixels, one network of two million parameters, clean images and every corruption at
severity 3, a run for each family. The time of the whole runner in this process (reading, corrupting, predicting,
decoding, matching objects, writing the ledger) is compared with the time inside the network alone, of the same run. The
goal is at most 15 % more.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch

from anyscope.assay.measure import workshop
from anyscope.assay.run import open_ledger, run_assay
from anyscope.assay.subjects import NetworkSubject
from anyscope.corruptions import CORRUPTIONS
from anyscope.datasets.synthetic import synthetic_images, write_synthetic
from anyscope.microscope import MICROSCOPES
from anyscope.models import SegmenterSpec, build_segmenter, save_segmenter
from anyscope.running.engines import ThisProcess
from anyscope.workflows.stress import plan_assay
from benchmarks.inference import Inside

SIDE = 512
IMAGES = 4


def main() -> None:
    """Print the overhead of clean images and of each family."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        settings = MICROSCOPES["reference"].settings("nuclei")
        images = synthetic_images("nuclei", settings, count=6 * IMAGES, shape=(SIDE, SIDE), seed=0)
        write_synthetic(root / "data", images, settings.image_pixel_size_nm)
        spec = SegmenterSpec(model="unet_small", task="semantic")
        save_segmenter(build_segmenter(spec, seed=0), root / "network")
        print(f"unet_small, {SIDE} x {SIDE}, {IMAGES} images, {torch.get_num_threads()} threads")
        families: dict[str, list[str]] = {"clean": ["clean"]}
        for name, kind in CORRUPTIONS.items():
            families.setdefault(kind.family, []).append(f"{name}@3")
        for family, conditions in families.items():
            whole, inside = _measure(root, family, tuple(conditions))
            seconds = f"{whole:.1f} s, {inside:.1f} s inside the network"
            print(f"{family:<16}{whole / inside - 1:+8.1%}  ({len(conditions)} conditions, {seconds})", flush=True)


def _measure(root: Path, family: str, conditions: tuple[str, ...]) -> tuple[float, float]:
    """Seconds of one run of the assay for these conditions alone, and of them inside the network."""
    plan = plan_assay([root / "network"], root / "data", suite="none", images=IMAGES, baseline=False, device="cpu")
    plan = plan.model_copy(update={"conditions": conditions})
    shop = workshop(plan)
    subject = shop.subject("network")
    assert isinstance(subject, NetworkSubject)
    inside = Inside()
    inside.watch(subject.segmenter)
    best: tuple[float, float] | None = None
    for attempt in range(3):  # the first reads the images and makes tables
        ledger = root / f"{family}-{attempt}"
        ledger.mkdir()
        inside.seconds = 0.0
        started = time.perf_counter()
        with open_ledger(ledger) as cells:
            run_assay(plan, cells, ThisProcess())
            assert len(cells.done()) == IMAGES * len(conditions)
        found = time.perf_counter() - started, inside.seconds
        if attempt and (best is None or found[0] / found[1] < best[0] / best[1]):
            best = found
    assert best is not None
    return best
