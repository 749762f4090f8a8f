"""The page of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from anyscope.datasets import Dataset
from anyscope.metrics import EvaluationProtocol
from anyscope.metrics.evaluation import Evaluation
from anyscope.reports.run_report import EvaluationReport, evaluation_report
from anyscope.running.atomic import write_text
from anyscope.workflows.predicted_regions import PredictedRegion
from anyscope.workflows.run_pictures import show_images


def write_evaluation_page(
    path: Path,
    evaluation: Evaluation,
    protocol: EvaluationProtocol,
    dataset: Dataset,
    predicted: Sequence[PredictedRegion],
    command: str,
) -> None:
    """Write the scores and pictures of an evaluation into one HTML file.

    Args:
        path: The file.
        evaluation: The scores.
        protocol: How they were made.
        dataset: Where the references are from.
        predicted: What was scored.
        command: What to type to get the same again.
    """
    shown = show_images(dataset, predicted, protocol)
    page = evaluation_report(
        EvaluationReport(
            title=f"Evaluation on {dataset.root.resolve().name}",
            evaluation=evaluation.to_json(),
            task=protocol.task,
            samples=shown.samples,
            ranking=shown.ranking,
            stacks=shown.stacks,
            findings=shown.findings,
            primary_score=protocol.headline,
            higher_is_better=protocol.headline not in protocol.errors,
            notes=shown.notes,
            commands=(command,),
        )
    )
    write_text(path, page)
