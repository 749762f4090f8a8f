"""Models under test: networks, and a classical baseline that is always among them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from anyscope.contracts import Labels, Unit
from anyscope.errors import BadInput
from anyscope.external import ForeignModel, ForeignNetwork, LabelsAsLogits, open_foreign
from anyscope.images import Intensity
from anyscope.images.resampling import pixels_in_words
from anyscope.inference import InferenceSettings, decoder_of, predict_maps
from anyscope.instances import Components, Decoding, split_maps
from anyscope.models import Segmenter, load_segmenter


class Convention(NamedTuple):
    """What a model is shown: models that agree in it share images."""

    intensity: Intensity
    pixel_size_nm: float | None
    zoom: float = 1.0

    @property
    def pixels(self) -> str:
        """The working pixels in words."""
        return pixels_in_words(self.pixel_size_nm, self.zoom)


class Verdict(NamedTuple):
    """What a model says of an image: the mask or classes, and the objects, both (z, y, x)."""

    mask: Labels
    objects: Labels


class Subject(Protocol):
    """A model under test."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def convention(self) -> Convention:
        """What it is shown."""

    @property
    def classes(self) -> int:
        """Number of classes of its mask, background included."""

    def judge(self, images: list[Unit]) -> list[Verdict]:
        """Segment images (c, z, y, x) of one shape."""


@dataclass(frozen=True)
class NetworkSubject:
    """A segmenter, or another project's network.

    Args:
        name: Its name.
        segmenter: In evaluation mode, on the device where it works; it is shown images at working pixels, so that its
            spec has no zoom.
        convention: What it is shown.
    """

    name: str
    segmenter: Segmenter | ForeignNetwork | LabelsAsLogits
    convention: Convention

    @classmethod
    def load(cls, name: str, path: str, device: str, *, foreign: bool = False, trust: bool = False) -> NetworkSubject:
        """From the folder of a run or of a segmenter, or from another project's model.

        Args:
            name: Its name.
            path: Where it is.
            device: Where it works.
            foreign: Whether it is another project's.
            trust: Whether code that comes with it may run.
        """
        if foreign:
            return cls.of_foreign(name, open_foreign(path, trust=trust, device=device))
        segmenter = load_segmenter(Path(path), device)
        return cls.of(name, segmenter.to(memory_format=torch.channels_last))  # as in training

    @classmethod
    def of_foreign(cls, name: str, model: ForeignModel) -> NetworkSubject:
        """From another project's model."""
        if isinstance(model, ForeignNetwork):
            return cls.of(name, model)
        return LabelSubject.of(name, LabelsAsLogits(model.spec, model))

    @classmethod
    def of(cls, name: str, segmenter: Segmenter | ForeignNetwork | LabelsAsLogits) -> NetworkSubject:
        """From a segmenter, whose zoom moves to the convention."""
        spec = segmenter.spec
        convention = Convention(spec.intensity, spec.pixel_size_nm, spec.input.zoom)
        segmenter.spec = spec.with_input(zoom=1.0)
        return cls(name, segmenter, convention)

    @property
    def classes(self) -> int:
        """See :class:`Subject`."""
        return self.segmenter.spec.classes

    @property
    def has_gradient(self) -> bool:
        """Whether gradients flow through it."""
        return isinstance(self.segmenter, Segmenter) or self.segmenter.differentiable

    @cached_property
    def _decoder(self) -> Decoding:
        return decoder_of(self.segmenter.spec)

    def judge(self, images: list[Unit]) -> list[Verdict]:
        """See :class:`Subject`. The images are at working pixels already."""
        spec = self.segmenter.spec
        tile = self.segmenter.tile if isinstance(self.segmenter, ForeignNetwork) else None
        settings = InferenceSettings(batch=max(1, len(images)), tile=tile)
        if spec.neighbours:
            found = [predict_maps(self.segmenter, image, None, settings) for image in images]
        else:
            # planes of a stack do not know each other: several images are one stack
            maps = predict_maps(self.segmenter, np.concatenate(images, axis=1), None, settings)
            found = np.split(maps, len(images), axis=1)
        return [self._decode(maps) for maps in found]

    def _decode(self, maps: NDArray[np.float32]) -> Verdict:
        spec = self.segmenter.spec
        labels = self._decoder(split_maps(maps, spec.layout))
        if spec.task == "instances":
            return Verdict((labels > 0).astype(np.uint8), labels)
        return Verdict(labels, objects_of(labels > 0))


class LabelSubject(NetworkSubject):
    """Another project's model that gives labels and no maps. Attacks that need no gradient see it as a network."""

    def judge(self, images: list[Unit]) -> list[Verdict]:
        """See :class:`Subject`."""
        segmenter = self.segmenter
        assert isinstance(segmenter, LabelsAsLogits)
        return [self._verdict(segmenter.answer(image)) for image in images]

    def _verdict(self, labels: Labels) -> Verdict:
        if self.segmenter.spec.task == "instances":
            return Verdict((labels > 0).astype(np.uint8), labels)
        return Verdict(labels, objects_of(labels > 0))


def objects_of(mask: NDArray[np.bool_]) -> Labels:
    """The connected components of a mask (z, y, x), slice by slice, without specks."""
    return Components()({"mask": mask.astype(np.float32)})


@dataclass(frozen=True)
class OtsuSubject:
    """Otsu's threshold of the smoothed plane, holes filled; objects by a watershed on the distance to the rim.

    Otsu, IEEE Trans. SMC 9:62 (1979). It has no parameters that are trained: what a network must beat.

    Args:
        name: Its name.
        convention: What it is shown.
        bright: Whether objects are brighter than their surroundings.
        sigma_px: Smoothing before the threshold.
        apart_px: Least distance between the middles of two objects.
    """

    name: str
    convention: Convention
    bright: bool = True
    sigma_px: float = 1.0
    apart_px: int = 5
    classes: int = 2

    def judge(self, images: list[Unit]) -> list[Verdict]:
        """See :class:`Subject`."""
        return [self._judge(image.mean(axis=0)) for image in images]

    def _judge(self, image: NDArray[np.float32]) -> Verdict:
        planes = [self._plane(plane) for plane in image]
        objects, first = np.zeros(image.shape, np.int32), 0
        for z, (_, found) in enumerate(planes):
            objects[z] = np.where(found > 0, found + first, 0)
            first = max(first, int(objects[z].max()))
        return Verdict(np.stack([mask for mask, _ in planes]).astype(np.uint8), objects)

    def _plane(self, plane: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
        from skimage.feature import peak_local_max
        from skimage.filters import threshold_otsu
        from skimage.segmentation import watershed

        smooth = ndimage.gaussian_filter(plane if self.bright else 1 - plane, self.sigma_px)
        if smooth.min() == smooth.max():
            return np.zeros(plane.shape, bool), np.zeros(plane.shape, np.int32)
        mask = ndimage.binary_fill_holes(smooth > threshold_otsu(smooth))  # type: ignore[no-untyped-call]
        depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), 1.0)
        seeds = np.zeros(plane.shape, np.int32)
        peaks = peak_local_max(depth, min_distance=self.apart_px, labels=mask.astype(np.int32))  # type: ignore[no-untyped-call]
        seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
        return mask, watershed(-depth, seeds, mask=mask)  # type: ignore[no-untyped-call]


def checked(verdicts: list[Verdict], images: list[Unit]) -> list[Verdict]:
    """The verdicts, after a check that there is one of the right shape for each image."""
    shapes = [verdict.mask.shape for verdict in verdicts]
    expected = [image.shape[1:] for image in images]
    if shapes != expected:
        raise BadInput("prediction", f"shapes {shapes}", f"{expected}")
    return verdicts
