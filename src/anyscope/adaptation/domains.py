"""What an adaptation knows: a labelled source, and a target of which it sees images alone."""

from __future__ import annotations

from dataclasses import dataclass

from anyscope.datasets import LabelledImages, UnlabelledImages


@dataclass(frozen=True)
class Domains:
    """Source and target.

    Args:
        source: The training part of the source.
        validation: The validation part of the source; None where there is none.
        target: Images of the target; the type has no way to labels.
        few: Labelled images of the target, where a handful was given on purpose; None otherwise.
    """

    source: LabelledImages
    validation: LabelledImages | None
    target: UnlabelledImages
    few: LabelledImages | None = None
