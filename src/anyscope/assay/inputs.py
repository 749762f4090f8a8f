"""Images as the models see them: at working pixels, in 0..1, with their reference and what is known of their making."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyscope.assay.plan import AssayPlan, DataRef
from anyscope.assay.subjects import Convention
from anyscope.contracts import Labels, Unit
from anyscope.datasets import Dataset, open_dataset
from anyscope.datasets.folder import LabelledRegion
from anyscope.errors import BadInput
from anyscope.images import ReadOptions, list_images, open_image, to_unit
from anyscope.images.resampling import resample_image, resample_labels, resampling_for

_BUDGET_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class Making:
    """How a synthetic image was made.

    Args:
        signal: Noise-free photons (c, z, y, x) of the image's own pixels.
        microscope: Settings of the microscope, as plain data of the record.
    """

    signal: NDArray[np.float32]
    microscope: dict[str, Any]


@dataclass(frozen=True, eq=False)
class AssayImage:
    """One image of the assay.

    Args:
        name: Its stem.
        unit: (c, z, y, x) float32 in 0..1.
        labels: Reference (z, y, x): class numbers, or ids of objects.
        valid: Voxels that count.
        value_range: Grey levels that became 0 and 1.
        pixel_size_nm: Size of its pixels as they are here; None where unknown.
        making: How it was made, where that is known and its pixels are its own.
    """

    name: str
    unit: Unit
    labels: Labels
    valid: NDArray[np.bool_]
    value_range: tuple[float, float]
    pixel_size_nm: float | None
    making: Making | None

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        signal = 0 if self.making is None else self.making.signal.nbytes
        return self.unit.nbytes + self.labels.nbytes + self.valid.nbytes + signal


class AssayData:
    """The images of one dataset of a plan, read when they are asked for and kept within a budget of memory."""

    def __init__(self, plan: AssayPlan, ref: DataRef) -> None:
        size = None if ref.voxel_size_nm is None else tuple(ref.voxel_size_nm)
        self._dataset: Dataset = open_dataset(ref.path, ReadOptions(ref.axes, size, ref.channel))
        self._regions = {region.stem: region for region in self._dataset.labelled(ref.part)}
        missing = [stem for stem in ref.images if stem not in self._regions]
        if missing:
            raise BadInput(ref.path, f"no image {missing[0]!r}", "the images that the assay was planned with")
        self._plan = plan
        self._kept: OrderedDict[tuple[Convention, str], AssayImage] = OrderedDict()
        self._held = 0

    @property
    def has_objects(self) -> bool:
        """Whether the labels tell objects apart."""
        return self._dataset.kind == "instances"

    def image(self, name: str, convention: Convention) -> AssayImage:
        """The image called ``name`` as models of that convention see it."""
        key = (convention, name)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        image = self._read(self._regions[name], convention)
        self._kept[key] = image
        self._held += image.nbytes
        while self._held > _BUDGET_BYTES and len(self._kept) > 1:
            self._held -= self._kept.popitem(last=False)[1].nbytes
        return image

    def _read(self, region: LabelledRegion, convention: Convention) -> AssayImage:
        depth = region.roi.shape[0]
        planes = min(depth, self._plan.planes or depth)
        first = (depth - planes) // 2
        # The range is that of the whole region, whatever part of it is used.
        value_range = convention.intensity.range_of(region.image, region.roi)
        cut = region.planes(first, first + planes)
        unit = to_unit(cut.image.read(cut.roi), value_range)
        labels, valid = cut.read_reference("instances" if self.has_objects else "semantic")
        own = labels.shape[1:]
        resampling = resampling_for(region.pixel_size_nm, convention.pixel_size_nm, convention.zoom)
        working = resampling.working_shape((own[0], own[1]))
        making = _making(self._dataset.root, cut) if working == own else None
        window = (slice(None), *_middle(working, self._plan.crop_px))
        unit = np.stack([resample_image(unit[:, z], working) for z in range(planes)], axis=1)
        return AssayImage(
            name=region.stem,
            unit=np.ascontiguousarray(unit[:, *window]),
            labels=np.ascontiguousarray(resample_labels(labels, working)[window]),
            valid=np.ascontiguousarray(resample_labels(valid, working)[window]),
            value_range=value_range,
            pixel_size_nm=None if region.pixel_size_nm is None else region.pixel_size_nm / resampling.scale,
            making=None if making is None else Making(making.signal[:, *window], making.microscope),
        )


def _middle(shape: tuple[int, int], crop_px: int | None) -> tuple[slice, slice]:
    cuts = []
    for length in shape:
        kept = min(length, crop_px or length)
        first = (length - kept) // 2
        cuts.append(slice(first, first + kept))
    return cuts[0], cuts[1]


def _making(root: Path, region: LabelledRegion) -> Making | None:
    """What ``data synth`` wrote beside the image; None for other data, or where it does not fit."""
    record = root / "records" / f"{region.stem}.json"
    if not record.is_file() or not (root / "signal").is_dir():
        return None
    path = list_images(root / "signal").get(region.stem)
    try:
        microscope = json.loads(record.read_text(encoding="utf-8"))["microscope"]
    except (ValueError, KeyError, TypeError):
        raise BadInput(
            record, "is no record of a synthetic image", "a record written by 'anyscope data synth'"
        ) from None
    if path is None:
        return None
    signal = open_image(path)
    if signal.shape[1:] != region.image.shape[1:]:
        raise BadInput(path, f"shape {signal.shape[1:]}", f"{region.image.shape[1:]} as its image")
    return Making(signal.read(region.roi).astype(np.float32), microscope)
