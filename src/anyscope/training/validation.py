"""Source validation: the loss on fixed patches and the score on whole images, as prediction will see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from anyscope.contracts import Labels, Unit
from anyscope.datasets.folder import LabelledImages
from anyscope.inference import InferenceSettings, predict_maps
from anyscope.instances import Decoder, Maps, default_decoder, split_maps, tune
from anyscope.metrics import EvaluationProtocol, default_protocol
from anyscope.models import Segmenter, SegmenterSpec
from anyscope.models.spec import DecoderSpec
from anyscope.training.batches import Batch
from anyscope.training.objective import Objective
from anyscope.training.settings import TrainSettings

_QUICK_SEARCH = {"watershed": {"seed_distance": (0.2, 0.5, 0.75), "threshold": (0.5, 0.6)}}
"""What is tried after every epoch, by decoder."""


@dataclass(frozen=True)
class ValidationImage:
    """A validation image in memory: the image (c, z, y, x) in 0..1, its reference and the voxels that count."""

    name: str
    image: Unit
    reference: Labels
    valid: NDArray[np.bool_]
    pixel_size_nm: float | None


@dataclass(frozen=True)
class Validation:
    """Validation images with how they are scored."""

    images: tuple[ValidationImage, ...]
    spec: SegmenterSpec

    @classmethod
    def read(cls, part: LabelledImages, spec: SegmenterSpec, settings: TrainSettings) -> Validation:
        """Read at most ``validation_planes`` planes: evenly chosen images, the middle of stacks that are too deep."""
        regions, most = list(part), settings.validation_planes
        if len(regions) > most:
            regions = [regions[int(i)] for i in np.linspace(0, len(regions) - 1, most)]
        share = max(1, most // len(regions))
        images = []
        for region in regions:
            depth = region.roi.shape[0]
            first = max(0, depth - share) // 2
            cut = region.planes(first, first + min(depth, share))
            reference, valid = cut.read_reference(settings.task)
            unit = cut.read_unit(settings.intensity)
            images.append(ValidationImage(region.stem, unit, reference, valid, region.pixel_size_nm))
        return cls(tuple(images), spec)

    @property
    def selection(self) -> str:
        """Name of the score that the best epoch is chosen by."""
        return self.protocol.headline

    @property
    def protocol(self) -> EvaluationProtocol:
        """How the images are scored."""
        return default_protocol(self.spec.task, self.spec.classes)

    def loss(self, segmenter: torch.nn.Module, batches: Sequence[Batch], objective: Objective) -> float:
        """Mean loss over fixed batches."""
        segmenter.eval()
        with torch.inference_mode():
            return float(np.mean([float(objective(segmenter, batch)) for batch in batches]))

    def maps(self, segmenter: Segmenter, inference: InferenceSettings) -> list[NDArray[np.float32]]:
        """The maps (K, z, y, x) of each image."""
        segmenter.eval()
        return [predict_maps(segmenter, image.image, image.pixel_size_nm, inference) for image in self.images]

    def scores(self, segmenter: Segmenter, inference: InferenceSettings) -> dict[str, float]:
        """Scores, pooled over the images, with the best decoder of a quick search: maps are judged, not thresholds."""
        maps = self._split(self.maps(segmenter, inference))
        start = default_decoder(self.spec.task, self.spec.heads)
        decoder = self._tuned(start, maps, _QUICK_SEARCH.get(start.name, {}), rounds=1)
        return self._scores(self._references(), [decoder(each) for each in maps])

    def tuned_decoder(self, segmenter: Segmenter, inference: InferenceSettings) -> DecoderSpec:
        """The decoder of the task with the parameters that score best, found by the decoder's own search."""
        maps = self._split(self.maps(segmenter, inference))
        best = self._tuned(default_decoder(self.spec.task, self.spec.heads), maps, None, rounds=2)
        return DecoderSpec(name=best.name, parameters=vars(best))

    def _tuned(
        self, start: Decoder, maps: Sequence[Maps], search: Mapping[str, Sequence[float]] | None, rounds: int
    ) -> Decoder:
        def score(references: Sequence[Labels], predictions: Sequence[Labels]) -> float:
            return self._scores(references, predictions)[self.selection]

        return tune(start, maps, self._references(), score, search=search, rounds=rounds)

    def _split(self, maps: Sequence[NDArray[np.float32]]) -> list[Maps]:
        return [split_maps(values, self.spec.layout) for values in maps]

    def _references(self) -> list[Labels]:
        return [image.reference for image in self.images]

    def _scores(self, references: Sequence[Labels], predictions: Sequence[Labels]) -> dict[str, float]:
        counts = [
            self.protocol.measure(reference, np.where(image.valid, prediction, 0))
            for reference, prediction, image in zip(references, predictions, self.images, strict=True)
        ]
        return self.protocol.scores(self.protocol.pool(counts))
