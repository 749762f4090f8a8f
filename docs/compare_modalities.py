"""Does the synthetic ranking hold on real modalities?

Usage: ``python docs/compare_modalities.py ASSAY GRID [GRID ...]``. ASSAY is the folder of an assay on synthetic images;
every GRID one of trainings of the same models on real images of one modality (``anyscope train --model A,B,...``).
Models are matched by name. For each modality: the IoU of every model on its own test images, and the rank correlation
with the mean score under synthetic corruptions and with the clean one; intervals over resampled models and images.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from anyscope.assay.run import open_ledger
from anyscope.assay.scores import AssayScores
from anyscope.assay.statistics import rank_correlation, resamples
from anyscope.assay.tally import tally
from anyscope.running.run_folder import RunFolder
from anyscope.seeding import generator
from anyscope.workflows.stress import plan_of


def synthetic_scores(folder: Path) -> AssayScores:
    """The mask scores of an assay."""
    plan = plan_of(RunFolder.of(folder))
    with open_ledger(folder) as ledger:
        counted = tally(plan, ledger, "mask")
    assert counted is not None
    return AssayScores(counted, {}, plan.subjects[0].name, plan.seed)


def modality(folder: Path) -> dict[str, np.ndarray]:
    """IoU of each test image by model; an image without any object is left out."""
    found = {}
    for run in sorted(path.parent for path in folder.glob("*/finished.json")):
        settings = RunFolder.of(run).settings()
        evaluation = json.loads((run / "test" / "evaluation.json").read_text(encoding="utf-8"))
        values = [row["scores"]["foreground_iou"] for row in evaluation["per_image"]]
        found[settings["model"]] = np.array([np.nan if value is None else value for value in values])
    return found


def main(arguments: list[str] | None = None) -> None:
    """Print the table and the correlations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("assay", type=Path)
    parser.add_argument("grids", type=Path, nargs="+")
    given = parser.parse_args(arguments)
    scores = synthetic_scores(given.assay)
    for grid in given.grids:
        real = modality(grid)
        models = [model for model in scores.models if model in real]
        images = len(next(iter(real.values())))
        print(f"{grid.name}: {images} test images")
        means = {model: float(np.nanmean(real[model])) for model in models}
        for model in sorted(models, key=lambda name: -means[name]):
            place = scores.models.index(model)
            print(f"    {model:<18}{means[model]:.3f}   synthetic: clean {scores.clean[place]:.3f},"
                  f" corrupted {scores.corrupted[place]:.3f}")  # fmt: skip
        places = [scores.models.index(model) for model in models]
        rng = generator(0, "modalities", grid.name)
        samples = resamples(images, rng, len(scores.draws))
        drawn = np.stack([np.nanmean(real[model][samples], axis=1) for model in models], axis=1)
        own = np.array([means[model] for model in models])
        for what, values, draws in (
            ("corrupted", scores.corrupted, scores.mean_over(scores.names("corruption"), scores.draws)),
            ("clean", scores.clean, scores.draws[:, :, scores.conditions.index(scores.conditions[0])]),
        ):
            found = rank_correlation(values[places], own, (draws[:, places], drawn), rng)
            print(f"    with the synthetic {what} score: {found.describe()}")


if __name__ == "__main__":
    main()
