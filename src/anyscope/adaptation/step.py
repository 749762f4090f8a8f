"""The contract of a step of an adaptation.

A method is a chain of steps such as ``rescale+histogram+mean-teacher``. Every step has its stage, and stages are
carried out in their order, however the chain was typed:

* ``appearance``: how source images are made to look like the target's, or the other way round
* ``pretraining``: learning from images alone, before any label
* ``training``: learning from source labels; plain supervised training where a chain names nothing else
* ``polarity``: whether bright and dark have changed places in the target
* ``scale``: at which scale the network sees the target
* ``refinement``: going on with images of the target

Steps of training and refinement learn, and leave candidates; they never choose among them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from anyscope.adaptation.work import Work
from anyscope.models import SegmenterSpec

Stage = Literal["appearance", "pretraining", "training", "polarity", "scale", "refinement"]
STAGES: tuple[Stage, ...] = ("appearance", "pretraining", "training", "polarity", "scale", "refinement")
LEARNING: frozenset[Stage] = frozenset({"training", "refinement"})
"""Stages whose steps leave candidates."""
FOR_GAPS: frozenset[Stage] = frozenset({"refinement"})
"""Stages whose steps can be left out where no gap shows: they move weights that have learned from labels."""


class Step(BaseModel, ABC):
    """One step of a chain. The fields of a subclass are its parameters; what it does must follow from these alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    stage: ClassVar[Stage]
    summary: ClassVar[str]
    """What it does, in one line."""
    source: ClassVar[str]
    """Where it was published; "ours" where it was not."""
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Parameters that differ from the defaults, by profile; the defaults are the profile ``fast``."""
    training: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Settings of the supervised training that the step wants, by profile; what the user sets stands above them."""

    def check(self, spec: SegmenterSpec) -> None:
        """Refuse a network that lacks what the step needs.

        Raises:
            BadInput: One line that says what is missing and which networks have it.
        """

    @abstractmethod
    def run(self, work: Work) -> Work:
        """Carry the step out.

        Args:
            work: All that is known; ``work.folder`` is the step's own.

        Returns:
            What is known afterwards. A learning step returns ``work`` as it is and leaves candidates by ``work.keep``.
        """
