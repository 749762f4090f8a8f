"""Learned synthesis: label images become microscopy images like those of a dataset, with exact truth."""

from anyscope.synthesis.learning import learn_painter, read_pairs
from anyscope.synthesis.making import painted_images
from anyscope.synthesis.painting import LearnedPainter, Painter, PhysicalPainter, fit_physics
from anyscope.synthesis.realism import Realism, compare_sets
from anyscope.synthesis.scenes import Scene, draw_scene
from anyscope.synthesis.settings import PainterSettings
from anyscope.synthesis.store import StoredPainter, load_painter, save_painter

__all__ = [
    "LearnedPainter",
    "Painter",
    "PainterSettings",
    "PhysicalPainter",
    "Realism",
    "Scene",
    "StoredPainter",
    "compare_sets",
    "draw_scene",
    "fit_physics",
    "learn_painter",
    "load_painter",
    "painted_images",
    "read_pairs",
    "save_painter",
]
