"""``anyscope demo``: the whole flow on synthetic data, in a few minutes on two cores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from anyscope.metrics.evaluation import Evaluation
from anyscope.running.atomic import refuse_existing, remove
from anyscope.running.progress import say
from anyscope.training.settings import train_settings
from anyscope.workflows.adapt import adapt
from anyscope.workflows.data import data_synth
from anyscope.workflows.evaluate import evaluate
from anyscope.workflows.predict import predict
from anyscope.workflows.stress import StressResult, stress
from anyscope.workflows.train import train

_IMAGES = 40
_SHAPE = (256, 256)
_SUITE = "defocus_fluorescence,photon_loss,background,contrast"
_CROP_PX = 160
_SECOND_SUITE = "photon_loss@2,contrast@2"
_SECOND_IMAGES = 20
_SECOND_MICROSCOPE = {"snr": 2, "optics": {"defocus_um": 5.0}}
"""Of the microscope "shifted": deeper, out of focus, hazy, and with little light."""


@dataclass(frozen=True)
class DemoResult:
    """What the demo ends with.

    Args:
        out: Its folder.
        report: The page of the training.
        stress: How robust the network is on the microscope it was trained for.
        adapted_report: The page of the adaptation to a second microscope.
        second: The network and the adapted one under stress on the second microscope.
        evaluation: Scores of the network on images of the first microscope that training never saw.
        before, after: Scores on test images of the second microscope, of the network and of the adapted one.
    """

    out: Path
    report: Path
    stress: StressResult
    adapted_report: Path
    second: StressResult
    evaluation: Evaluation
    before: Evaluation
    after: Evaluation

    @property
    def reports(self) -> tuple[Path, ...]:
        """All pages."""
        return self.report, self.stress.report, self.adapted_report, self.second.report


def demo(out: Path | str = "demo", *, seed: int = 0, force: bool = False) -> DemoResult:
    """Train on one synthetic microscope, stress, adapt to a second one without its labels, stress again, report.

    Args:
        out: The folder to make, with ``data`` and ``data2`` of the two microscopes, ``run``, ``stress``, ``adapted``,
            ``stress2``, and ``predictions``.
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
    say("4. a second microscope: deeper, out of focus, hazy, dim; its labels are for scores alone")
    second = data_synth(
        out / "data2", specimen="nuclei", microscope="shifted", count=_SECOND_IMAGES, shape=_SHAPE, seed=seed + 1,
        changes=_SECOND_MICROSCOPE,
    )  # fmt: skip
    say("5. adapt: the network to the second microscope, without a label of it")
    adapted = adapt(data, second, out / "adapted", method="rescale+adabn", init=out / "run", given={"seed": seed})
    say("6. stress again: both networks on the second microscope")
    again = stress(
        [out / "run", out / "adapted"], second, out / "stress2", suite=_SECOND_SUITE, crop_px=_CROP_PX, seed=seed
    )
    say("7. predict: the test images of both microscopes, one row in a table for each nucleus")
    evaluations = [
        _predicted(run, images, out / "predictions" / name)
        for name, run, images in (
            ("first", out / "run", data),
            ("second-before", out / "run", second),
            ("second-after", out / "adapted", second),
        )
    ]
    return DemoResult(out, trained.report, stressed, adapted.report, again, *evaluations)


def _predicted(run: Path, data: Path, out: Path) -> Evaluation:
    """Predict the test images and score their masks."""
    table = out.with_name(f"{out.name}.csv")
    predicted = predict(run, data, out, instances=True, split="test", table=table)
    return evaluate(predicted.out, data, protocol="semantic", split="test")
