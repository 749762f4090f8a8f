"""A dataset is a folder: ``images/``, ``labels/`` with the same stems, and an optional ``dataset.yaml``.

:class:`LabelledImages` reads images and labels. :class:`UnlabelledImages` is what methods see of a target domain: it
holds the paths of images alone and has no way to open labels, so that a leak cannot be written by accident.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Generic, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Labels, Task, Unit
from anyscope.datasets.description import DatasetDescription, LabelKind, Part, read_description
from anyscope.datasets.split import Shape, Split, check_parts, declared_split, default_split
from anyscope.errors import BadInput
from anyscope.geometry import Roi, VoxelSize
from anyscope.images import Image, Intensity, ReadOptions, list_images, load_unit, open_image, open_labels
from anyscope.images.components import components


@dataclass(frozen=True)
class ImageRegion:
    """An image, or a box of one, without labels.

    Args:
        stem: Name of the image.
        image: The image, not read yet.
        roi: The box in voxels (z, y, x).
        voxel_size_nm: From ``dataset.yaml`` or else from the file; None where unknown.
    """

    stem: str
    image: Image
    roi: Roi
    voxel_size_nm: VoxelSize | None

    @property
    def pixel_size_nm(self) -> float | None:
        """Pixel size within the plane in nm, None where unknown."""
        return None if self.voxel_size_nm is None else self.voxel_size_nm.in_plane

    def planes(self, first: int, last: int) -> Self:
        """The same region, only its planes ``first`` to ``last`` (exclusive), counted within it."""
        start, stop = self.roi.start, self.roi.stop
        return replace(self, roi=Roi((start[0] + first, *start[1:]), (start[0] + last, *stop[1:])))

    def read_unit(self, intensity: Intensity) -> Unit:
        """The pixels (c, z, y, x) as float32 in 0..1, with the value range taken from this region alone."""
        return load_unit(self.image, intensity, self.roi)


@dataclass(frozen=True)
class LabelledRegion(ImageRegion):
    """An image region together with its reference labels."""

    labels: Image
    kind: LabelKind
    ignore: tuple[int, ...] = ()
    classes: int = 2
    objects: Literal["2d", "3d"] | None = None

    def read_labels(self) -> Labels:
        """The reference (z, y, x) as it is stored, signed or unsigned integers."""
        labels: Labels = self.labels.read(self.roi)[0]
        return labels.astype(np.uint8) if labels.dtype == bool else labels

    def read_reference(self, task: Task) -> tuple[Labels, NDArray[np.bool_]]:
        """The reference as the task wants it, and the mask (z, y, x) of voxels that count.

        ``semantic`` makes a mask of mask and instance labels and keeps class numbers. ``instances`` keeps ids; the
        objects of a mask are its connected components, see :func:`objects_of_mask`.
        """
        labels = self.read_labels()
        valid = ~np.isin(labels, self.ignore) if self.ignore else np.ones(labels.shape, dtype=bool)
        labels = np.where(valid, labels, 0) if self.ignore else labels
        if labels.size and labels.min() < 0:
            raise BadInput(self.labels.path, f"a label of {labels.min()}", "ids or classes of 0 and above")
        if self.kind == "classes":
            if labels.size and labels.max() >= self.classes:
                raise BadInput(
                    self.labels.path,
                    f"the label value {labels.max()}",
                    f"classes 0 to {self.classes - 1}",
                    "declare its class or list it under 'ignore' in dataset.yaml",
                )
            return labels, valid
        if task == "semantic":
            return (labels > 0).astype(np.uint8), valid
        return objects_of_mask(labels > 0, self.objects) if self.kind == "mask" else labels, valid


def objects_of_mask(mask: NDArray[np.bool_], objects: Literal["2d", "3d"] | None) -> Labels:
    """The objects of a mask (z, y, x): pixels that touch, corners included, are one.

    Args:
        mask: The mask.
        objects: ``2d`` takes every slice for itself; otherwise objects are those of the volume.
    """
    return components(mask, 2, 2) if objects == "2d" or len(mask) == 1 else components(mask, 3, 3)


RegionT = TypeVar("RegionT", bound=ImageRegion)


@dataclass(frozen=True)
class _Regions(Generic[RegionT]):
    regions: tuple[RegionT, ...]

    def __len__(self) -> int:
        return len(self.regions)

    def __iter__(self) -> Iterator[RegionT]:
        return iter(self.regions)

    def __getitem__(self, index: int) -> RegionT:
        return self.regions[index]

    @property
    def channels(self) -> int:
        """Number of channels, the same in every image."""
        counts = {region.image.shape[0]: region for region in self.regions}
        if len(counts) > 1:
            one, other = list(counts.values())[:2]
            raise BadInput(
                other.image.path,
                f"{other.image.shape[0]} channels where {one.image.path.name} has {one.image.shape[0]}",
                "the same channels in every image",
                "choose one with --channel",
            )
        return next(iter(counts))


@dataclass(frozen=True)
class UnlabelledImages(_Regions[ImageRegion]):
    """Images of a domain whose labels must not be used: it has no access to any."""


@dataclass(frozen=True)
class LabelledImages(_Regions[LabelledRegion]):
    """Images with their reference labels."""

    def without_labels(self) -> UnlabelledImages:
        """The same images, the labels forgotten."""
        return UnlabelledImages(
            tuple(ImageRegion(region.stem, region.image, region.roi, region.voxel_size_nm) for region in self.regions)
        )


@dataclass(frozen=True)
class Dataset:
    """An opened dataset folder. Only metadata has been read. Made by :func:`open_dataset`."""

    root: Path
    description: DatasetDescription
    images: dict[str, Image]
    labels: dict[str, Image] | None

    @cached_property
    def _split(self) -> tuple[Split, str]:
        shapes: dict[str, Shape] = {stem: image.shape[1:] for stem, image in self.images.items()}
        if self.description.split is not None:
            return declared_split(self.description.split, shapes, self.root / "dataset.yaml")
        return default_split(shapes)

    @property
    def split(self) -> Split:
        """Regions by part and stem."""
        return self._split[0]

    @property
    def split_rule(self) -> str:
        """The rule behind the split, in words."""
        return self._split[1]

    def objects_in_words(self, task: Task) -> str:
        """How labels are made objects for a task; empty where they are objects, or are not to be."""
        if task != "instances" or self.kind != "mask":
            return ""
        slices = self.description.objects == "2d"
        how = "8-connected components of each slice" if slices else "26-connected components (8 in 2D)"
        return f"{how} of the mask, so that what touches is one"

    def voxel_size_nm(self, stem: str) -> VoxelSize | None:
        """Voxel size of an image: from ``dataset.yaml``, else from the file, else None."""
        if self.description.voxel_size_nm is not None:
            return VoxelSize.of(self.description.voxel_size_nm)
        return self.images[stem].voxel_size_nm

    @cached_property
    def kind(self) -> LabelKind:
        """What the labels are; where the description does not say, 0 and 1 alone are a mask, more are instances."""
        if self.description.labels is not None:
            return self.description.labels
        return "instances" if any(self._largest(stem) > 1 for stem in self._with_labels()) else "mask"

    @cached_property
    def classes(self) -> int:
        """Number of classes, background included; 2 for masks and instances."""
        if self.kind != "classes":
            return 2
        declared = self.description.class_count
        return declared if declared is not None else max(2, max(self._largest(s) for s in self._with_labels()) + 1)

    def _largest(self, stem: str) -> int:
        labels = self._with_labels()[stem]
        largest = 0
        for z in range(labels.shape[1]):
            plane = labels.read(Roi((z, 0, 0), (z + 1, *labels.shape[2:])))
            kept = plane[~np.isin(plane, self.description.ignore)]
            largest = max(largest, int(kept.max(initial=0)))
        return largest

    def _with_labels(self) -> dict[str, Image]:
        if self.labels is None:
            raise BadInput(
                self.root / "labels",
                "no such folder",
                "label images with the stems of images/",
                "this step needs labels",
            )
        return self.labels

    def regions(self, part: Part | None) -> dict[str, Roi]:
        """The boxes of a part by stem; whole images for None."""
        if part is None:
            return {stem: Roi.whole(image.shape[1:]) for stem, image in self.images.items()}
        check_parts(self.split, [part], self.root)
        return self.split[part]

    def labelled(self, part: Part | None) -> LabelledImages:
        """The images of a part with their labels; all images, whole, for None."""
        labels = self._with_labels()
        return LabelledImages(
            tuple(
                LabelledRegion(
                    stem, self.images[stem], roi, self.voxel_size_nm(stem),
                    labels[stem], self.kind, self.description.ignore, self.classes,
                    self.description.objects,
                )
                for stem, roi in self.regions(part).items()
            )
        )  # fmt: skip

    def unlabelled(self, part: Part | None) -> UnlabelledImages:
        """The images of a part without any access to labels; all images, whole, for None."""
        return UnlabelledImages(
            tuple(
                ImageRegion(stem, self.images[stem], roi, self.voxel_size_nm(stem))
                for stem, roi in self.regions(part).items()
            )
        )


def open_dataset(root: Path | str, options: ReadOptions | None = None, *, labels: bool = True) -> Dataset:
    """Open a dataset folder and check that images and labels pair up in name and shape.

    Args:
        root: The folder, with ``images/`` and maybe ``labels/`` and ``dataset.yaml``.
        options: How to read the images where the files leave it open; a voxel size stands above ``dataset.yaml``.
        labels: Whether ``labels/`` is looked at where it is there.

    Raises:
        BadInput: Missing or empty folder, pairs that do not match, files that cannot be read.
    """
    root = Path(root)
    options = options or ReadOptions()
    if not root.is_dir():
        found = "is a file" if root.exists() else "no such folder"
        raise BadInput(root, found, "a dataset folder with images/ and maybe labels/")
    if not (root / "images").is_dir():
        raise BadInput(root, "there is no folder images/ in it", "a dataset folder with images/ and maybe labels/")
    description = read_description(root)
    if options.voxel_size_nm is not None:
        description = description.model_copy(update={"voxel_size_nm": options.voxel_size_nm})
    paths = list_images(root / "images")
    if not paths:
        raise BadInput(root / "images", "there are no images in it", "at least one image")
    images = {stem: open_image(path, options) for stem, path in paths.items()}
    if not labels or not (root / "labels").is_dir():
        return Dataset(root, description, images, None)
    label_paths = list_images(root / "labels")
    _check_stems(root, list(paths), list(label_paths))
    label_axes = options.axes.replace("c", "") if options.axes else None
    label_options = replace(options, axes=label_axes, channel=None)
    references = {stem: open_labels(label_paths[stem], label_options) for stem in paths}
    for stem, image in images.items():
        if image.shape[1:] != references[stem].shape[1:]:
            raise BadInput(
                references[stem].path,
                f"shape {references[stem].shape[1:]} (z, y, x)",
                f"{image.shape[1:]} as its image {image.path.name}",
            )
    return Dataset(root, description, images, references)


def _check_stems(root: Path, images: Sequence[str], labels: Sequence[str]) -> None:
    for folder, missing, there in (
        ("labels", sorted(set(images) - set(labels)), "images"),
        ("images", sorted(set(labels) - set(images)), "labels"),
    ):
        if missing:
            some = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            raise BadInput(
                root / folder,
                f"no file for {len(missing)} of the files in {there}/ ({some})",
                "a file with the same stem in both",
            )
