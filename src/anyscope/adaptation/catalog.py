"""The steps of adaptations by name."""

from __future__ import annotations

from anyscope.adaptation.step import Step
from anyscope.adaptation.style.steps import CycleGAN, Style
from anyscope.adaptation.supervised import Supervised
from anyscope.registry import Registry

STEPS: Registry[type[Step]] = Registry("adaptation method")
for _entry in (Supervised, Style, CycleGAN):
    STEPS.add(_entry.name, _entry)
