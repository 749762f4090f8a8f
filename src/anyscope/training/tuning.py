"""The decoder's thresholds, tuned on the source's validation images and kept in the spec."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anyscope.contracts import Labels
from anyscope.inference import InferenceSettings
from anyscope.instances import default_decoder, split_maps, tune
from anyscope.models import Segmenter
from anyscope.models.spec import DecoderSpec
from anyscope.training.validation import Validation


def tuned_decoder(segmenter: Segmenter, validation: Validation, inference: InferenceSettings) -> DecoderSpec:
    """The decoder of the segmenter's task with the parameters that score best on the validation images."""
    spec = segmenter.spec
    protocol = validation.protocol

    def score(references: Sequence[Labels], predictions: Sequence[Labels]) -> float:
        counts = [
            protocol.measure(reference, np.where(image.valid, prediction, 0))
            for reference, prediction, image in zip(references, predictions, validation.images, strict=True)
        ]
        return protocol.scores(protocol.pool(counts))[validation.selection]

    start = default_decoder(spec.task, spec.heads)
    maps = [split_maps(values, spec.heads, spec.classes) for values in validation.maps(segmenter, inference)]
    best = tune(start, maps, [image.reference for image in validation.images], score)
    return DecoderSpec(name=best.name, parameters=vars(best))
