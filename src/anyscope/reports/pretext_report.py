"""The report of a pre-training: what the network makes of images that were spoiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from anyscope.errors import BadInput
from anyscope.reports.alarms import training_alarms
from anyscope.reports.blocks import Alarm, Block, Commands, Facts, KeyNumbers, Plots, Strips, alarms_of
from anyscope.reports.figures import learning_curves
from anyscope.reports.numbers import number
from anyscope.reports.page import Page, Section
from anyscope.reports.tiles import Strip, Tile, jpeg_uri, unit_to_grey
from anyscope.running.atomic import atomic_file

Planes = NDArray[np.floating]
_VIEWS = ("Image", "Spoiled", "Repaired")


@dataclass(frozen=True, eq=False)
class PretextPictures:
    """Held-out patches.

    Args:
        images, spoiled, repaired: (n, y, x) in 0..1: as they were, as the network was shown them, what it made of them.
        errors: Of each the mean absolute difference from the image, spoiled and repaired.
    """

    images: Planes
    spoiled: Planes
    repaired: Planes
    errors: tuple[tuple[float, float], ...]

    def save(self, path: Path) -> None:
        """Write them into one compressed file of arrays, whole or not at all."""
        planes = {name: unit_to_grey(getattr(self, name)) for name in ("images", "spoiled", "repaired")}
        with atomic_file(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, errors=np.array(self.errors), **planes)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> PretextPictures:
        """What :meth:`save` wrote.

        Raises:
            BadInput: It is no such file.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
                images, spoiled, repaired = (found[name] / 255 for name in ("images", "spoiled", "repaired"))
                errors = tuple((float(before), float(after)) for before, after in found["errors"])
        except (OSError, KeyError, ValueError, EOFError, BadZipFile) as error:
            raise BadInput(path, f"cannot be read: {error}", "pictures that 'anyscope pretrain' kept") from None
        return cls(images, spoiled, repaired, errors)


@dataclass(frozen=True)
class PretextReport:
    """What the report of a pre-training shows.

    Args:
        title: Heading of the page.
        pretext: What it learned, in a sentence without its full stop.
        metrics: Records of metrics.jsonl, one per epoch.
        spoiled_error, repaired_error: Mean absolute difference of held-out patches from the images, where they were
            to be repaired; None before the end.
        pictures: Some of these patches.
        facts: What a reader asks first.
        settings: The settings of the run, nested as in its settings.yaml.
        environment: Versions, device and the like.
        notes: Alarms, or plain sentences shown as notes.
        commands: What to type to get the same again, and what to do next.
    """

    title: str
    pretext: str
    metrics: Sequence[Mapping[str, Any]]
    spoiled_error: float | None = None
    repaired_error: float | None = None
    pictures: PretextPictures | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    environment: Mapping[str, object] = field(default_factory=dict)
    notes: Sequence[Alarm | str] = ()
    commands: Sequence[str] = ()


def pretext_page(report: PretextReport) -> Page:
    """The report of a pre-training as a page, to which sections can be added."""
    top: list[Block] = [*training_alarms(report.metrics), *alarms_of(report.notes)]
    lead = f"The pretext: {report.pretext}."
    before, after = report.spoiled_error, report.repaired_error
    if before is not None and after is not None:
        lead += f" Held-out patches differ from the images by {number(before)} of the grey range where they were"
        lead += f" spoiled, and by {number(after)} after they were repaired."
        entries = ((number(after), "error when repaired", ""), (number(before), "error when spoiled", ""))
        top.insert(0, KeyNumbers(entries))
        if after >= before:
            text = "It repairs nothing: its weights are hardly a better start than random ones. Train longer."
            top.append(Alarm("nothing learned", text, "danger"))
    sections = []
    if report.pictures is not None:
        sections.append(Section("Pictures", (_strips(report.pictures),), "Patches that were held out from learning."))
    if report.metrics:
        sections.append(Section("Training", (Plots(learning_curves(report.metrics)),)))
    facts = [Facts.of("In short", report.facts), Facts.of("All settings", report.settings, collapsed=True)]
    facts.append(Facts.of("Environment", report.environment, collapsed=True))
    sections.append(Section("What was run", tuple(facts)))
    if report.commands:
        sections.append(Section("How to go on", (Commands(tuple(report.commands)),)))
    footer = "Written by anyscope. This page is one file and needs no network."
    return Page(report.title, lead, tuple(sections), tuple(top), footer)


def _strips(pictures: PretextPictures) -> Strips:
    """The images, what the network was shown, and what it made of it, one above the other."""
    rows = []
    notes = {
        "Image": "As they were. Select a picture to enlarge it.",
        "Spoiled": "What the network was shown; the number is the mean absolute difference from the image.",
        "Repaired": "What it made of them, in the same order.",
    }
    for place, (name, planes) in enumerate(
        zip(_VIEWS, (pictures.images, pictures.spoiled, pictures.repaired), strict=True)
    ):
        tiles = []
        for patch, plane in enumerate(planes):
            grey = unit_to_grey(plane)
            corner = "" if place == 0 else number(pictures.errors[patch][place - 1])
            alt = f"Patch {patch + 1}: {name.lower()}"
            tiles.append(Tile(jpeg_uri(grey), grey.shape[1], grey.shape[0], f"{patch + 1}", alt, corner))
        rows.append(Strip(name, notes[name], tuple(tiles)))
    return Strips("", tuple(rows))
