"""Which engine a prediction uses: the one asked for, the one of the run that is resumed, or the fastest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from anyscope.datasets.folder import ImageRegion
from anyscope.errors import BadInput
from anyscope.images.resampling import resampling_for
from anyscope.inference import InferenceSettings
from anyscope.inference.engines import (
    ENGINES,
    EngineNetwork,
    build_engine,
    fastest,
    installed_engines,
    measure_engines,
)
from anyscope.models import Segmenter
from anyscope.running.atomic import write_text
from anyscope.running.progress import say

WORTH_S = 60.0
"""What takes torch less is not worth bringing the network to another engine and measuring."""
_LARGEST_PX = 512
_RECORD = "engine.json"


def with_engine(
    segmenter: Segmenter,
    asked: str | None,
    regions: Sequence[ImageRegion],
    inference: InferenceSettings,
    folder: Path | None = None,
    worth_s: float = WORTH_S,
) -> Segmenter | EngineNetwork:
    """The segmenter with the engine that predicts.

    Args:
        segmenter: On the device where it works.
        asked: A name of :data:`~anyscope.inference.engines.ENGINES`; None for the fastest.
        regions: What is to be predicted.
        inference: How.
        folder: The folder of the run: the engine is recorded in it, and taken from it where it stands there.
        worth_s: Measure only where torch would take longer.

    Raises:
        BadInput: No such engine, a GPU, or a network that cannot be brought to the engine.
        EnvironmentFault: The engine is not installed.
    """
    record = None if folder is None else folder / _RECORD
    recorded = _recorded(record) if record is not None and record.is_file() else None
    name, seconds = choose_engine(segmenter, asked, recorded, regions, inference, worth_s)
    if record is not None and recorded is None and inference.device == "cpu":
        write_text(record, json.dumps({"engine": name, "seconds": seconds}) + "\n")
    return build_engine(segmenter, name)


def choose_engine(
    segmenter: Segmenter,
    asked: str | None,
    recorded: str | None,
    regions: Sequence[ImageRegion],
    inference: InferenceSettings,
    worth_s: float = WORTH_S,
) -> tuple[str, dict[str, float]]:
    """The name of the engine, and the seconds of a tile by engine where they were measured.

    Args:
        segmenter: On the device where it works.
        asked: A name, or None for the fastest.
        recorded: The one with which the work began, where it goes on.
        regions: What is to be predicted.
        inference: How.
        worth_s: Measure only where torch would take longer.

    Raises:
        BadInput: Another one than that of the beginning, or a GPU.
    """
    if recorded is not None and asked not in (None, recorded):
        raise BadInput(f"--engine {asked}", f"given where the run began with {recorded}", recorded, "leave it out")
    name = asked or recorded
    if inference.device != "cpu":
        if name not in (None, "torch"):
            raise BadInput(f"--engine {name}", f"asked for on {inference.device}", "torch, or --device cpu")
        return "torch", {}
    seconds: dict[str, float] = {}
    if name is None:
        name, seconds = _choose(segmenter, regions, worth_s)
    times = ", ".join(f"{other} {time:.3f} s" for other, time in seconds.items())
    say(f"engine: {name}" + (f" ({times} a tile)" if times else ""))
    return name, seconds


def _choose(segmenter: Segmenter, regions: Sequence[ImageRegion], worth_s: float) -> tuple[str, dict[str, float]]:
    others = [name for name in installed_engines() if name != "torch"]
    if not others or not regions:
        return "torch", {}
    largest = max(regions, key=lambda region: region.roi.size)
    spec, own = segmenter.spec, largest.roi.shape[1:]
    working = resampling_for(largest.pixel_size_nm, spec.pixel_size_nm, spec.input.zoom).working_shape(own)
    height, width = (min(length, _LARGEST_PX) for length in working)
    alone = measure_engines(segmenter, (height, width), ["torch"])["torch"]
    scale = working[0] * working[1] / (own[0] * own[1])
    pixels = scale * sum(region.roi.size for region in regions)
    if alone * pixels / (height * width) < worth_s:
        return "torch", {}
    seconds = measure_engines(segmenter, (height, width), ["torch", *others])
    return fastest(seconds), seconds


def _recorded(record: Path) -> str:
    document = json.loads(record.read_text(encoding="utf-8"))
    name = document.get("engine") if isinstance(document, dict) else None
    if name not in ENGINES:
        raise BadInput(record, "names no engine", f"one of {', '.join(ENGINES)}", "give --engine")
    return str(name)
