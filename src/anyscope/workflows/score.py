"""Predict a part of a labelled dataset and score it: the test of a training run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from anyscope.datasets import Dataset, Part
from anyscope.images import output_suffix, write_labels
from anyscope.inference import InferenceSettings, segment
from anyscope.metrics import EvaluationProtocol
from anyscope.metrics.evaluation import Pair, evaluate_pairs
from anyscope.models import Segmenter
from anyscope.running.atomic import write_text
from anyscope.running.progress import progress


def score_part(
    segmenter: Segmenter,
    dataset: Dataset,
    part: Part,
    folder: Path,
    inference: InferenceSettings,
    protocol: EvaluationProtocol,
) -> dict[str, Any]:
    """Predict every region of a part into ``folder/predictions`` and write ``folder/evaluation.json``.

    Returns:
        The evaluation as plain data.
    """
    spec = segmenter.spec
    regions = dataset.labelled(part)

    def pairs() -> Iterator[Pair]:
        with progress(f"score {part}", len(regions), "images") as shown:
            for region in regions:
                prediction = segment(segmenter, region.read_unit(spec.intensity), region.pixel_size_nm, inference)
                path = folder / "predictions" / (region.stem + output_suffix(region.image))
                write_labels(path, prediction.labels, region.voxel_size_nm)
                reference, valid = region.read_reference(spec.task)
                voxel = region.voxel_size_nm
                yield Pair(region.stem, reference, prediction.labels, voxel, prediction.probability, valid)
                shown.advance()

    document = evaluate_pairs(protocol, pairs(), objects=dataset.objects_in_words(protocol.task)).to_json()
    document |= {"data": str(dataset.root.resolve()), "part": part}
    write_text(folder / "evaluation.json", json.dumps(document, indent=2) + "\n")
    return document
