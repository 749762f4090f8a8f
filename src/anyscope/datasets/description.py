"""``dataset.yaml``: what a dataset folder says about itself, read strictly."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from anyscope.errors import BadInput
from anyscope.geometry import VoxelSize
from anyscope.running.documents import explain, read_mapping

LabelKind = Literal["mask", "instances", "classes"]
Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")


class DatasetDescription(BaseModel):
    """The contents of ``dataset.yaml``; every key may be left out.

    Args:
        voxel_size_nm: Voxel size (z, y, x) or (y, x) in nm; stands above what the image files say.
        labels: ``mask`` (everything above 0 is foreground), ``instances`` (ids, 0 is background) or ``classes``
            (class numbers). Without it: labels of 0 and 1 alone are a mask, anything else is instances.
        objects: ``2d`` where ids count per slice, ``3d`` where an object keeps its id from slice to slice.
        classes: Names of the classes, or their number, background included; only for ``labels: classes``.
        ignore: Label values that are neither trained on nor scored.
        split: Regions of each stem in ``train``, ``val`` and ``test``, in NumPy notation; a list of stems where whole
            images are meant.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    voxel_size_nm: tuple[float, ...] | None = None
    labels: LabelKind | None = None
    objects: Literal["2d", "3d"] | None = None
    classes: tuple[str, ...] | int | None = None
    ignore: tuple[int, ...] = ()
    split: dict[Part, dict[str, str]] | None = Field(default=None)

    @field_validator("voxel_size_nm")
    @classmethod
    def _sizes(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None:
            try:
                VoxelSize.of(value)
            except BadInput as error:
                raise ValueError(f"found {error.found}, expected {error.expected}") from None
        return value

    @field_validator("split", mode="before")
    @classmethod
    def _whole_images(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        whole = {part: dict.fromkeys(map(str, stems), "") for part, stems in value.items() if isinstance(stems, list)}
        named = {
            part: {str(stem): region or "" for stem, region in regions.items()}
            for part, regions in value.items()
            if isinstance(regions, dict)
        }
        return {part: whole.get(part, named.get(part, regions)) for part, regions in value.items()}

    @property
    def class_count(self) -> int | None:
        """Number of classes, background included, where it is declared."""
        if self.classes is None:
            return None
        return self.classes if isinstance(self.classes, int) else len(self.classes)


def read_description(folder: Path) -> DatasetDescription:
    """Read ``folder/dataset.yaml``; an absent file is an empty description."""
    path = folder / "dataset.yaml"
    if not path.exists():
        return DatasetDescription()
    content = read_mapping(path, "a mapping such as 'labels: instances'")
    try:
        return DatasetDescription.model_validate(content)
    except ValidationError as error:
        key, problem = explain(error)
        known = ", ".join(DatasetDescription.model_fields)
        raise BadInput(path, f"key {key!r}: {problem}", remedy=f"known keys: {known}") from None
