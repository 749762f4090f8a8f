"""Source validation: the loss on fixed patches and the score on whole images, as prediction will see them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from anyscope.contracts import Labels, Unit
from anyscope.datasets.folder import LabelledImages
from anyscope.errors import BadInput
from anyscope.geometry import VoxelSize
from anyscope.images.resampling import resample_labels
from anyscope.inference import Decodable, InferenceSettings, decodable
from anyscope.instances import (
    DECODERS,
    LINKERS,
    Decoder,
    Decoding,
    Linker,
    build_decoder,
    build_linker,
    fitting_decoders,
    tune,
)
from anyscope.metrics import PROTOCOLS, EvaluationProtocol, default_protocol
from anyscope.models import Segmenter, SegmenterSpec
from anyscope.models.spec import DecoderSpec, LinkerSpec
from anyscope.training.batches import Batch
from anyscope.training.objective import Objective
from anyscope.training.settings import TrainSettings

_QUICK_SEARCH = {
    "watershed": {"seed_distance": (0.2, 0.5, 0.75), "threshold": (0.5, 0.6), "smoothing_px": (0.0, 2.0)},
    "peaks": {"dip": (0.05, 0.1, 0.2), "threshold": (0.5, 0.6)},
}
"""What is tried after every epoch, by decoder; of others their first parameters, where none of these fits."""
_LEAST_SHARE = 0.5
"""Of the mask's foreground IoU, that objects have to keep."""
_FAR_BELOW = 1e6
"""By how much those that do not are rated lower than by their foreground IoU alone: below all others."""


@dataclass(frozen=True)
class ValidationImage:
    """A validation image in memory: the image (c, z, y, x) in 0..1, its reference and the voxels that count."""

    name: str
    image: Unit
    reference: Labels
    valid: NDArray[np.bool_]
    pixel_size_nm: float | None


@dataclass(frozen=True)
class TunedDecoder:
    """A decoder with the parameters that scored best.

    Args:
        spec: It and its parameters as plain data, with the linker.
        words: How it makes objects.
        scores: Of the validation images by the protocol, pooled.
        rating: The headline among them so that more is better.
    """

    spec: DecoderSpec
    words: str
    scores: dict[str, float]
    rating: float


@dataclass(frozen=True)
class Validation:
    """Validation images with how they are decoded and scored.

    Args:
        images: The images.
        spec: What the segmenter is.
        protocol: How objects are scored in the end.
        decoders: Decoders to choose from.
        linkers: Linkers to choose from, where decoders make objects of slices and the protocol wants a volume.
        fixed: Names of parameters of decoders that are not to be tuned.
        of_masks: Whether objects of the reference are what touches in a mask.
    """

    images: tuple[ValidationImage, ...]
    spec: SegmenterSpec
    protocol: EvaluationProtocol
    decoders: tuple[Decoder, ...]
    linkers: tuple[str, ...] = ()
    fixed: frozenset[str] = frozenset()
    of_masks: bool = False

    @classmethod
    def read(
        cls, part: LabelledImages, spec: SegmenterSpec, settings: TrainSettings, most: int | None = None
    ) -> Validation:
        """Read at most ``most`` planes, by default ``validation_planes``: evenly chosen images, the middle
        of stacks that are too deep."""
        regions = list(part)
        most = most or settings.validation_planes
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
        return cls(
            tuple(images),
            spec,
            protocol_for(settings, spec.classes, regions[0].objects),
            decoders_for(settings, spec, regions[0].voxel_size_nm),
            linkers_for(settings, regions[0].objects),
            frozenset(settings.decoder_arguments),
            regions[0].kind == "mask",
        )

    @property
    def while_training(self) -> EvaluationProtocol:
        """How epochs are scored: slice by slice where objects are linked in the end only."""
        return PROTOCOLS[self.protocol.in_slices] if self.linkers and self.protocol.in_slices else self.protocol

    @property
    def selection(self) -> str:
        """Name of the score that the best epoch is chosen by."""
        return self.while_training.headline

    def loss(self, segmenter: torch.nn.Module, batches: Sequence[Batch], objective: Objective) -> float:
        """Mean loss over fixed batches."""
        segmenter.eval()
        with torch.inference_mode():
            return float(np.mean([float(objective(segmenter, batch)) for batch in batches]))

    def scores(self, segmenter: Segmenter, inference: InferenceSettings) -> dict[str, float]:
        """Scores, pooled over the images, with the best decoder of a quick search: maps are judged, not thresholds."""
        found = self._decodable(segmenter, inference)
        least = self._least_foreground(found)
        searched = [one for one in self.decoders if one.name in _QUICK_SEARCH] or self.decoders[:1]
        tried = []
        for start in searched:
            best = self._tuned(start, found, self.while_training, least, _QUICK_SEARCH.get(start.name, {}), rounds=1)
            tried.append(self._scores(self.while_training, [each.labels(best) for each in found]))
        return max(tried, key=lambda scores: rating(self.while_training, scores, least))

    def tuned_decoders(self, segmenter: Segmenter, inference: InferenceSettings) -> list[TunedDecoder]:
        """The decoders that fit, or the one wanted, each with the parameters that score best, the best decoder first.

        Where slices are to be linked, a decoder is tuned slice by slice, then each linker on what it finds; the better
        linker stays. Beside that the decoder is tuned in the volume, where it can join slices itself. Of equal
        ones on objects of a mask that with the fewest parameters to tune comes first, components as a rule: they are
        what the reference was made by.
        """
        found = self._decodable(segmenter, inference)
        least = self._least_foreground(found)
        tuned = []
        for start in self.decoders:
            best = self._tuned(start, found, self.while_training, least, rounds=2)
            tuned.append(self._finished(best, found, least))
            if self.linkers and joins_slices(best):
                deep = replace(best, dimensions=3)  # type: ignore[type-var]
                whole = self._tuned(deep, found, self.protocol, least, rounds=1)
                tuned.append(self._scored(whole, [each.labels(whole) for each in found], least))
        return sorted(tuned, key=lambda each: (-each.rating, _tuned_parameters(each.spec) if self.of_masks else 0))

    def _finished(self, decoder: Decoder, found: Sequence[Decodable], least: float) -> TunedDecoder:
        """A tuned decoder with its linker and its scores."""
        labels = [each.labels(decoder) for each in found]
        if not self.linkers:
            return self._scored(decoder, labels, least)
        rate = self._rate(self.protocol, least)
        best = [tune(build_linker(name), labels, self._references(), rate) for name in self.linkers]
        linked = (self._scored(decoder, [linker(each) for each in labels], least, linker) for linker in best)
        return max(linked, key=lambda each: each.rating)

    def _scored(
        self, decoder: Decoder, labels: Sequence[Labels], least: float, linker: Linker | None = None
    ) -> TunedDecoder:
        """What has made these labels, with their scores."""
        scores = self._scores(self.protocol, labels)
        linked = None if linker is None else LinkerSpec(name=linker.name, parameters=vars(linker))
        spec = DecoderSpec(name=decoder.name, parameters=vars(decoder), linker=linked)
        return TunedDecoder(spec, Decoding(decoder, linker).describe(), scores, rating(self.protocol, scores, least))

    def _tuned(
        self,
        start: Decoder,
        found: Sequence[Decodable],
        protocol: EvaluationProtocol,
        least: float,
        search: Mapping[str, Sequence[Any]] | None = None,
        *,
        rounds: int,
    ) -> Decoder:
        values_of = start.search if search is None else search
        grid = {name: values for name, values in values_of.items() if not self.fixed & set(name.split(","))}
        shapes = [each.shape for each in found]

        def rate(references: Sequence[Labels], predictions: Sequence[Labels]) -> float:
            resampled = [resample_labels(one, shape) for one, shape in zip(predictions, shapes, strict=True)]
            return self._rate(protocol, least)(references, resampled)

        return tune(start, [each.maps for each in found], self._references(), rate, search=grid, rounds=rounds)

    def _decodable(self, segmenter: Segmenter, inference: InferenceSettings) -> list[Decodable]:
        segmenter.eval()
        return [decodable(segmenter, each.image, each.pixel_size_nm, inference) for each in self.images]

    def _rate(
        self, protocol: EvaluationProtocol, least: float
    ) -> Callable[[Sequence[Labels], Sequence[Labels]], float]:
        return lambda _, predictions: rating(protocol, self._scores(protocol, predictions), least)

    def _least_foreground(self, found: Sequence[Decodable]) -> float:
        """The foreground IoU below which objects are no longer what the network has found: half that of its mask."""
        common = either = 0
        for each, image in zip(found, self.images, strict=True):
            mask = (each.probability > 0.5) & image.valid
            reference = (image.reference > 0) & image.valid
            common += int((mask & reference).sum())
            either += int((mask | reference).sum())
        return _LEAST_SHARE * common / either if either else 0.0

    def _references(self) -> list[Labels]:
        return [image.reference for image in self.images]

    def _scores(self, protocol: EvaluationProtocol, predictions: Sequence[Labels]) -> dict[str, float]:
        counts = [
            protocol.measure(image.reference, prediction, valid=image.valid)
            for prediction, image in zip(predictions, self.images, strict=True)
        ]
        return protocol.scores(protocol.pool(counts))


def rating(protocol: EvaluationProtocol, scores: Mapping[str, float], least: float) -> float:
    """The rating of the protocol, and less than any of those that keep enough of the foreground where objects do not.

    Where few objects are counted, two that match by chance with all others dropped may score higher than all that the
    network has found.

    Args:
        protocol: How objects are scored.
        scores: Its scores.
        least: The foreground IoU that is wanted.
    """
    kept = scores.get("foreground_iou", math.nan)
    return kept - _FAR_BELOW if kept < least else protocol.rating(scores)


def _tuned_parameters(spec: DecoderSpec) -> int:
    """How many parameters of a decoder and its linker are searched."""
    linker = () if spec.linker is None else LINKERS[spec.linker.name].search
    return len(DECODERS[spec.name].search) + len(linker)


def joins_slices(decoder: Decoder) -> bool:
    """Whether a decoder finds objects of a volume in maps of slices: not by affinities that stay in their slice."""
    offsets = getattr(decoder, "offsets", ())
    return not offsets or any(z for z, _, _ in offsets)


def protocol_for(settings: TrainSettings, classes: int, objects: Literal["2d", "3d"] | None) -> EvaluationProtocol:
    """How a training is judged: as the settings say, or by default for the task and for how objects are labelled."""
    return PROTOCOLS[settings.protocol] if settings.protocol else default_protocol(settings.task, classes, objects)


def linkers_for(settings: TrainSettings, objects: Literal["2d", "3d"] | None) -> tuple[str, ...]:
    """Linkers to choose from: all, where objects are labelled in 3D and decoded in slices, or what the settings say."""
    if settings.linker == "none" or settings.task == "semantic" or settings.dimensions == 3:
        return ()
    if settings.linker == "auto":
        return tuple(LINKERS) if objects == "3d" else ()
    return (settings.linker,)


def decoders_for(settings: TrainSettings, spec: SegmenterSpec, voxel: VoxelSize | None) -> tuple[Decoder, ...]:
    """Decoders to choose from: those that the heads suffice for, or the one in the settings; not yet tuned.

    Args:
        settings: Which decoder is wanted, and its arguments.
        spec: Task and heads.
        voxel: Voxel size of the images, None where unknown.

    Raises:
        BadInput: The heads do not suffice for the decoder wanted, or it has no such parameter.
    """
    anisotropy = 1.0 if voxel is None or voxel.z is None else voxel.z / voxel.in_plane
    fitting = fitting_decoders(spec.task, spec.layout, settings.dimensions, anisotropy)
    wanted = [one for one in fitting if settings.decoder in ("", one.name)]
    if not wanted:
        names = ", ".join(one.name for one in fitting)
        found = f"does not fit the heads {', '.join(spec.heads)}"
        offsets = f" with offsets {list(spec.offsets)} in {settings.dimensions}D" if spec.offsets else ""
        raise BadInput(f"decoder {settings.decoder!r}", found + offsets, names)
    chosen = []
    for one in wanted:
        own = {key: value for key, value in settings.decoder_arguments.items() if settings.decoder or key in vars(one)}
        chosen.append(build_decoder(one.name, vars(one) | own))
    return tuple(chosen)
