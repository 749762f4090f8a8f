"""Unsupervised domain adaptation: labels of a source, images of a target, methods by name, selection without labels."""

from anyscope.adaptation.catalog import STEPS
from anyscope.adaptation.selection import RULES
from anyscope.adaptation.step import Stage, Step
from anyscope.adaptation.styles import Style
from anyscope.adaptation.work import Work

__all__ = ["RULES", "STEPS", "Stage", "Step", "Style", "Work"]
