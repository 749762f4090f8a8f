"""The page of a pre-training, gathered from the folder of its run. Neither images nor networks are needed any more."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from anyscope.errors import BadInput
from anyscope.models.storage import read_spec
from anyscope.reports.pretext_report import PretextPictures, PretextReport, pretext_page
from anyscope.running.atomic import write_text
from anyscope.running.run_folder import RunFolder
from anyscope.training.pretext import PRETEXTS

PICTURES = "pictures.npz"


def pretrain_report(folder: Path) -> Path:
    """Write ``report.html`` into the folder of a pre-training and return its path.

    Raises:
        BadInput: The pre-training has not ended.
    """
    run = RunFolder.of(folder)
    if not (folder / "segmenter").is_dir():
        raise BadInput(folder, "a pre-training that has not ended", "segmenter/ in it", "continue with --resume")
    settings, records = run.settings(), run.records()
    finished = run.document("finished.json")
    pictures, notes = _pictures(folder)
    if settings["images"] == "all":
        notes.append("Of datasets the network saw all images: scores on these would be of images it has seen.")
    names = ", ".join(Path(path).name for path in settings["data"])
    facts: dict[str, object] = {"data": names, "model": settings["model"], "pretext": settings["pretext"]}
    facts |= {"seed": settings["seed"], "weights": read_spec(folder, pretrained=True).weights}
    if records:
        facts |= {"steps": records[-1]["step"], "training time": f"{records[-1]['seconds'] / 60:.1f} min"}
    page = pretext_page(
        PretextReport(
            title=f"{settings['model']} pre-trained on {names}",
            pretext=PRETEXTS[settings["pretext"]].summary,
            metrics=records,
            spoiled_error=finished.get("spoiled_error"),
            repaired_error=finished.get("repaired_error"),
            pictures=pictures,
            facts=facts,
            settings={key: value for key, value in settings.items() if value is not None},
            environment=run.document("environment.json"),
            notes=notes,
            commands=_commands(folder, settings),
        )
    )
    path = folder / "report.html"
    write_text(path, page.html())
    return path


def _pictures(folder: Path) -> tuple[PretextPictures | None, list[str]]:
    path = folder / PICTURES
    if not path.is_file():
        return None, [f"There are no pictures: {PICTURES} is not there."]
    try:
        return PretextPictures.load(path), []
    except BadInput as error:
        return None, [f"There are no pictures: {str(error).replace(str(path), PICTURES)}"]


def _commands(folder: Path, settings: dict[str, Any]) -> tuple[str, ...]:
    name = folder.resolve().name
    data = " ".join(f"--data {shlex.quote(Path(path).name)}" for path in settings["data"])
    own = f"--model {settings['model']} --pretext {settings['pretext']} --set seed={settings['seed']}"
    return (
        f"anyscope train --data LABELLED --model {settings['model']} --init {shlex.quote(name)} --out trained",
        f"anyscope pretrain {data} {own} --out {shlex.quote(name)}   # all settings: {name}/settings.yaml",
    )
