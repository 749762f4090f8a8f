"""Folders of images and labels, splits that cannot leak, patches."""

from anyscope.datasets.description import PARTS, DatasetDescription, LabelKind, Part
from anyscope.datasets.folder import (
    Dataset,
    ImageRegion,
    LabelledImages,
    LabelledRegion,
    UnlabelledImages,
    open_dataset,
)

__all__ = [
    "PARTS",
    "Dataset",
    "DatasetDescription",
    "ImageRegion",
    "LabelKind",
    "LabelledImages",
    "LabelledRegion",
    "Part",
    "UnlabelledImages",
    "open_dataset",
]
