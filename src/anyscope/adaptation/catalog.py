"""The steps of adaptations by name."""

from __future__ import annotations

from anyscope.adaptation.damt import DAMT
from anyscope.adaptation.pretraining import Pretraining
from anyscope.adaptation.step import Step
from anyscope.adaptation.supervised import Supervised
from anyscope.adaptation.y_net import YNet
from anyscope.registry import Registry

STEPS: Registry[type[Step]] = Registry("adaptation method")
for _entry in (Pretraining, Supervised, YNet, DAMT):
    STEPS.add(_entry.name, _entry)
