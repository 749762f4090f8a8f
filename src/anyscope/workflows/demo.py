"""``anyscope demo``: the whole flow on synthetic data, in a few minutes on two cores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from anyscope.metrics.evaluation import Evaluation
from anyscope.running.atomic import refuse_existing, remove
from anyscope.running.progress import say
from anyscope.training.settings import train_settings
from anyscope.workflows.data import data_synth
from anyscope.workflows.evaluate import evaluate
from anyscope.workflows.predict import predict
from anyscope.workflows.stress import StressResult, stress
from anyscope.workflows.train import train

_IMAGES = 40
_SHAPE = (256, 256)
_SUITE = "defocus_fluorescence,photon_loss,background,contrast"
_CROP_PX = 160


@dataclass(frozen=True)
class DemoResult:
    """Where the demo's results are, how robust the network is, and its score on images that training never saw."""

    out: Path
    report: Path
    stress: StressResult
    evaluation: Evaluation


def demo(out: Path | str = "demo", *, seed: int = 0, force: bool = False) -> DemoResult:
    """Synthesise nuclei, train a small U-Net on them, stress it, predict unseen images, evaluate, report.

    Args:
        out: The folder to make, with ``data``, ``run``, ``stress`` and ``predictions``.
        seed: Seed of everything.
        force: Replace a folder that is there.
    """
    out = Path(out)
    if force:
        remove(out)
    refuse_existing(out)
    say("1. data: synthetic nuclei with exact truth")
    data = data_synth(out / "data", specimen="nuclei", count=_IMAGES, shape=_SHAPE, seed=seed)
    say("2. train: a small U-Net, the best epoch chosen on validation images")
    settings = train_settings("fast", epochs=8, steps_per_epoch=16, patch_px=128, batch=8, seed=seed)
    trained = train(data, out / "run", settings=settings)
    say("3. stress: the same images with less light, out of focus, with noise, under attack")
    stressed = stress(
        [out / "run"], data, out / "stress", suite=_SUITE, attacks=["pgd"], epsilons=(2, 8), attack_steps=5,
        crop_px=_CROP_PX, seed=seed,
    )  # fmt: skip
    say("4. predict: the test images, one row in a table for each nucleus")
    predicted = predict(out / "run", data, out / "predictions", instances=True, split="test", table=out / "objects.csv")
    say("5. evaluate")
    evaluation = evaluate(predicted.out, data, protocol="semantic", split="test")
    return DemoResult(out, trained.report, stressed, evaluation)
