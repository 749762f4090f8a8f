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
from anyscope.datasets.loose import is_dataset, open_unlabelled

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
    "is_dataset",
    "open_dataset",
    "open_unlabelled",
]
