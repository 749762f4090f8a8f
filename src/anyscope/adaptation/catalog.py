"""The steps of adaptations by name."""

from __future__ import annotations

from anyscope.adaptation.damt import DAMT
from anyscope.adaptation.fda import Fourier
from anyscope.adaptation.histogram import Histogram
from anyscope.adaptation.invert import Invert
from anyscope.adaptation.pretraining import Pretraining
from anyscope.adaptation.refinement.batch_statistics import AdaBN, Tent
from anyscope.adaptation.refinement.consistency import FixMatch, UniMatch
from anyscope.adaptation.refinement.mean_teacher import MeanTeacher
from anyscope.adaptation.rescale import Rescale
from anyscope.adaptation.step import Step
from anyscope.adaptation.style.steps import CUT, CycleGAN
from anyscope.adaptation.supervised import Supervised
from anyscope.adaptation.y_net import YNet
from anyscope.registry import Registry

STEPS: Registry[type[Step]] = Registry("adaptation method")
for _entry in (
    *(Histogram, Fourier, Pretraining, Supervised, YNet, DAMT, Invert, Rescale),
    *(CUT, CycleGAN, AdaBN, Tent, FixMatch, UniMatch, MeanTeacher),
):
    STEPS.add(_entry.name, _entry)
