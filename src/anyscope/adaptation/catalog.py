"""The steps of adaptations by name."""

from __future__ import annotations

from anyscope.adaptation.fda import Fourier
from anyscope.adaptation.histogram import Histogram
from anyscope.adaptation.refinement.batch_statistics import AdaBN, Tent
from anyscope.adaptation.refinement.consistency import FixMatch, UniMatch
from anyscope.adaptation.refinement.mean_teacher import MeanTeacher
from anyscope.adaptation.step import Step
from anyscope.adaptation.supervised import Supervised
from anyscope.registry import Registry

STEPS: Registry[type[Step]] = Registry("adaptation method")
for _entry in (Histogram, Fourier, Supervised, MeanTeacher, FixMatch, UniMatch, AdaBN, Tent):
    STEPS.add(_entry.name, _entry)
