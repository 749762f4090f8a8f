"""The page of an adaptation, gathered from the folder of its run. Neither images nor networks are needed any more."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anyscope.adaptation.settings import GENERAL, adapt_settings
from anyscope.adaptation.style.examination import pictures_file
from anyscope.errors import AnyscopeError, BadInput
from anyscope.reports.adaptation_report import AdaptationReport, Pairs, adaptation_report
from anyscope.reports.adaptation_steps import StepView, read_steps
from anyscope.reports.scenes import AdaptationPictures
from anyscope.running.atomic import write_text
from anyscope.running.run_folder import RunFolder, flatten
from anyscope.workflows.adapt_pictures import PICTURES

_DOCUMENT = "adaptation.json"
_FOLDERS = ("source", "target", "target_labels", "init")


def adapt_report(folder: Path) -> Path:
    """Write ``report.html`` into the folder of an adaptation and return its path.

    Raises:
        BadInput: The adaptation has not ended.
    """
    run = RunFolder.of(folder)
    settings = run.settings()
    path = folder / _DOCUMENT
    if not path.is_file():
        raise BadInput(folder, "an adaptation that has not ended", "adaptation.json in it", "continue with --resume")
    document = run.document(_DOCUMENT)
    steps = folder / "steps"
    metrics = {step["folder"]: RunFolder(steps / step["folder"]).records() for step in document["steps"]}
    views = read_steps(document, metrics)
    kept, notes = _pictures(folder)
    if settings["target_part"] in ("test", "all"):
        notes.append(
            f"The network learned from target images of the part '{settings['target_part']}': scores on these would be "
            "scores on images it has seen (transductive)."
        )
    page = adaptation_report(
        AdaptationReport(
            title=_title(document),
            document=document,
            steps=views,
            task=settings["train"]["task"],
            pictures=kept,
            translations=_translations(steps, views),
            few=settings.get("target_labels") is not None,
            settings=_settings(settings),
            environment=run.document("environment.json"),
            notes=notes,
            commands=commands(folder.resolve().name, settings),
        )
    )
    report = folder / "report.html"
    write_text(report, page)
    return report


def _title(document: Mapping[str, Any]) -> str:
    pair = f"From {document['source']} to {document['target']}"
    done = [name for name in document["method"].split("+") if name not in document["left_out"]]
    return f"{pair} by {'+'.join(done)}" if done else f"{pair}, as it was"


def _pictures(folder: Path) -> tuple[AdaptationPictures, list[str]]:
    """What the run has kept; where it is gone or damaged, the page says so and goes without."""
    path = folder / PICTURES
    if not path.is_file():
        return AdaptationPictures(), [f"There are no pictures of the target: {PICTURES} is gone."]
    try:
        return AdaptationPictures.load(path), []
    except AnyscopeError as error:
        return AdaptationPictures(), [f"There are no pictures of the target: {str(error).replace(str(path), PICTURES)}"]


def _translations(folder: Path, steps: Sequence[StepView]) -> dict[str, Pairs]:
    """Pictures of the translation that was taken, of each step that translates."""
    found = {}
    for step in steps:
        if step.examination is None or step.choice is None:
            continue
        path = pictures_file(folder / step.folder, step.choice.epoch)
        if path.is_file():
            with np.load(path, allow_pickle=False) as arrays:
                found[step.name] = arrays["before"], arrays["after"]
    return found


def _settings(settings: Mapping[str, Any]) -> dict[str, object]:
    """The settings with folders by their names: a page is passed on."""
    plain = {key: value for key, value in settings.items() if value is not None and key != "read"}
    plain |= {key: Path(plain[key]).name for key in _FOLDERS if key in plain}
    for name, read in zip(("source", "target"), settings["read"], strict=True):
        given = {key: value for key, value in (read or {}).items() if value is not None}
        plain |= {f"{name}_read": given} if given else {}
    return plain


def commands(out: str, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """What to type to get the same run and its page, and to use it, with folders by their names.

    Args:
        out: Name of the folder of the run.
        settings: What its settings.yaml holds.
    """
    method = "+".join(settings["method"]) or "none"
    words = ["anyscope", "adapt", *_option("--source", settings["source"]), *_option("--target", settings["target"])]
    words += ["--out", out, "--method", method, "--profile", settings["profile"]]
    words += _option("--init", settings["init"]) + _option("--target-labels", settings["target_labels"])
    if settings["target_part"] is not None:
        words += ["--target-part", settings["target_part"]]
    source, target = ({} if read is None else read for read in settings["read"])
    for option, read, key in (
        ("--axes", source, "axes"), ("--channel", source, "channel"),
        ("--source-voxel-size", source, "voxel_size_nm"), ("--target-voxel-size", target, "voxel_size_nm"),
    ):  # fmt: skip
        value = read.get(key)
        if value is not None:
            words += [option, ",".join(f"{size:g}" for size in value) if key == "voxel_size_nm" else str(value)]
    for pair in changes(settings):
        words += ["--set", pair]
    name = Path(settings["target"]).name
    return shlex.join(words), shlex.join(["anyscope", "predict", out, name, "--out", "predictions"])


def _option(name: str, path: str | None) -> list[str]:
    return [] if path is None else [name, Path(path).name]


def changes(settings: Mapping[str, Any]) -> list[str]:
    """The ``--set`` pairs that give these settings from their method and profile; what ``--init`` decides is left out.

    Args:
        settings: What settings.yaml of an adaptation holds.
    """
    method = "+".join(settings["method"]) or "none"
    plain = flatten(adapt_settings(method, settings["profile"]).model_dump(mode="json"))
    own = flatten({key: settings[key] for key in ("train", *GENERAL)})
    decided = ("train.model", "train.task", "train.heads", "train.arguments", "train.intensity", "train.pixel_size_nm",
               "train.zoom", "train.neighbours")  # fmt: skip
    pairs = {key: value for key, value in own.items() if plain.get(key) != value}
    if settings["init"] is not None:
        pairs = {key: value for key, value in pairs.items() if not key.startswith(decided)}
    pairs |= flatten(settings["steps"])
    return [f"{key}={_yaml(value)}" for key, value in pairs.items()]


def _yaml(value: object) -> str:
    """A value as ``--set`` reads it: JSON is YAML; text stands without quotes where that is the same."""
    import yaml

    return (
        value
        if isinstance(value, str) and value.isidentifier() and yaml.safe_load(value) == value
        else json.dumps(value)
    )
