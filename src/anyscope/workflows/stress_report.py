"""The page of an assay: its data are gathered from the folder; models and images are read again for the pictures."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from anyscope.assay.conditions import CONTROL, SEA_NAMES, WORST, Condition, suite
from anyscope.assay.findings import find
from anyscope.assay.gains import robust_gains
from anyscope.assay.perturbations import learned_records
from anyscope.assay.plan import AssayPlan
from anyscope.assay.run import open_ledger
from anyscope.assay.scores import AssayScores
from anyscope.corruptions import CORRUPTIONS
from anyscope.reports.assay_report import AssayPictures, AssayReport, assay_report
from anyscope.reports.assay_tables import ATTACK_FAMILIES
from anyscope.running.atomic import write_text
from anyscope.running.ledger import Cell
from anyscope.running.run_folder import RunFolder
from anyscope.workflows.stress import assay_scores, plan_of
from anyscope.workflows.stress_pictures import assay_pictures
from anyscope.workflows.subjects import offers

_LISTED = 12


def stress_report(folder: Path) -> Path:
    """Write ``report.html`` into the folder of an assay and return its path.

    Where models or images are gone, the page is written without pictures and says so.

    Raises:
        BadInput: The folder is not that of an assay.
        Incomplete: Every cell failed.
    """
    run = RunFolder.of(folder)
    plan = plan_of(run)
    finished = run.document("finished.json")
    reference = finished.get("reference")
    scores, objects = assay_scores(plan, folder, reference if isinstance(reference, str) else None)
    with open_ledger(folder) as ledger:
        cells = list(ledger.cells())
    notes = [] if finished else ["The assay is not finished: continue it with the same command and --resume."]
    if any(Condition.parse(key).kind == "attack" for key in plan.conditions):
        limited = [ref for ref in plan.subjects if ref.foreign not in (None, "gradients")]
        notes += [f"{ref.name} {offers(ref)}." for ref in limited]
    page = assay_report(
        AssayReport(
            title=_title(plan),
            scores=scores,
            objects=objects,
            findings=find(scores),
            failures=[Cell(cell.key, None, _short(cell.failure, plan)) for cell in cells if cell.failure is not None],
            pictures=_pictures(plan, scores, cells),
            attack_steps=plan.attack_steps,
            learned=learned_records(folder, plan),
            gains=robust_gains(plan, scores),
            settings=_settings(plan, scores),
            environment=run.document("environment.json"),
            notes=notes,
            commands=commands(plan, folder.resolve().name, scores.reference),
        )
    )
    path = folder / "report.html"
    write_text(path, page)
    return path


def _title(plan: AssayPlan) -> str:
    networks = [ref.name for ref in plan.subjects if ref.path is not None]
    data = _folder(plan.data[0].path)
    return (
        f"How {networks[0]} holds on {data}" if len(networks) == 1 else f"How {len(networks)} networks hold on {data}"
    )


def _pictures(plan: AssayPlan, scores: AssayScores, cells: Sequence[Cell]) -> AssayPictures:
    try:
        return assay_pictures(plan, scores, {cell.key: cell.result for cell in cells})
    except Exception as error:  # runs and images may be gone or changed in any way; the numbers stand without them
        reason = _short(" ".join(str(error).split()) or type(error).__name__, plan)
        return AssayPictures(notes=(f"There are no pictures: {reason}",))


def _settings(plan: AssayPlan, scores: AssayScores) -> dict[str, object]:
    """The plan as a reader asks for it, folders by their names."""
    main = plan.data[0]
    facts: dict[str, object] = {
        "models": [ref.name for ref in plan.subjects],
        "reference of CD": scores.reference,
        "data": _folder(main.path),
        "part": main.part or "all",
        "images": f"{len(main.images)}: {_listed(main.images, _LISTED)}",
        "corruptions": suite_of(plan),
        "attacks": scores.names(*ATTACK_FAMILIES[:-1]),
    }
    if scores.names(*ATTACK_FAMILIES):
        facts["steps of attacks"] = plan.attack_steps or "the default of each"
    for other in plan.data[1:]:
        facts[f"other data {other.name}"] = f"{_folder(other.path)}, {len(other.images)} images"
    facts["conditions"] = len(plan.conditions)
    facts["crop"] = "whole images" if plan.crop_px is None else f"the middle {plan.crop_px} working pixels"
    if plan.planes is not None:
        facts["planes"] = f"the middle {plan.planes}"
    facts |= {"seed": plan.seed, "device": plan.device}
    return facts


def commands(plan: AssayPlan, out: str, reference: str) -> tuple[str, ...]:
    """What to type to get the same assay and its page, with folders by their names.

    Args:
        plan: The assay.
        out: Name of its folder.
        reference: The model that CD is relative to.
    """
    main = plan.data[0]
    runs = [_folder(ref.path) for ref in plan.subjects if ref.path is not None]
    words = ["anyscope", "stress", *runs, "--data", _folder(main.path), "--out", out, "--suite", suite_of(plan)]
    conditions = [Condition.parse(key) for key in plan.conditions]
    whole_sea = any(condition.name == "sea" for condition in conditions)
    automatic = (CONTROL, WORST, *(SEA_NAMES if whole_sea else ()))
    attacks = [condition for condition in conditions if condition.kind == "attack" and condition.name not in automatic]
    if attacks:
        words += ["--attacks", ",".join(dict.fromkeys(_asked(condition, plan) for condition in attacks))]
        words += ["--epsilons", ",".join(dict.fromkeys(f"{condition.level:g}" for condition in attacks))]
    if plan.attack_steps is not None:
        words += ["--attack-steps", str(plan.attack_steps)]
    for other in plan.data[1:]:
        words += ["--shift", _folder(other.path)]
    parts = {ref.part for ref in plan.data}
    if len(parts) == 1 and main.part is not None:
        words += ["--split", main.part]
    words += ["--images", str(max(len(ref.images) for ref in plan.data))]
    for option, value in (("--crop", plan.crop_px), ("--planes", plan.planes), ("--axes", main.axes)):
        words += [] if value is None else [option, str(value)]
    if main.voxel_size_nm is not None:
        words += ["--voxel-size", ",".join(f"{size:g}" for size in main.voxel_size_nm)]
    words += [] if main.channel is None else ["--channel", str(main.channel)]
    words += [] if any(ref.path is None for ref in plan.subjects) else ["--no-baseline"]
    words += ["--trust"] if any(ref.trust for ref in plan.subjects) else []
    words += [] if reference == plan.subjects[0].name else ["--reference", reference]
    words += ["--seed", str(plan.seed)]
    return shlex.join(words), shlex.join(["anyscope", "report", out])


def _asked(condition: Condition, plan: AssayPlan) -> str:
    """What ``--attacks`` is given for an attack; steps that ``--attack-steps`` says are left out."""
    asked = replace(condition, steps=None) if condition.steps == plan.attack_steps else condition
    return replace(asked, of="").series


def suite_of(plan: AssayPlan) -> str:
    """The shortest ``--suite`` that gives the corruptions of a plan: suites, then corruptions, then conditions."""
    conditions = [Condition.parse(key) for key in plan.conditions]
    wanted = {condition: None for condition in conditions if condition.kind == "corruption"}
    families = dict.fromkeys(kind.family for kind in map(CORRUPTIONS.__getitem__, CORRUPTIONS))
    for name in ("none", "quick", "full"):
        if wanted.keys() == set(suite(name)):
            return name
    found: list[str] = []
    for family in families:
        if wanted.keys() >= set(suite(family)):
            found.append(family)
            wanted = {condition: None for condition in wanted if condition not in set(suite(family))}
    by_name: dict[str, list[Condition]] = {}
    for condition in wanted:
        by_name.setdefault(condition.name, []).append(condition)
    for name, group in by_name.items():
        found += [name] if len(group) == 5 else [condition.key for condition in group]
    return ",".join(found)


def _folder(path: str | None) -> str:
    """The name of a folder; that of the run where it is the segmenter of one."""
    if path is None:
        return ""
    return Path(path).parent.name if Path(path).name == "segmenter" else Path(path).name


def _listed(names: Sequence[str], most: int) -> str:
    listed = ", ".join(names[:most])
    return listed if len(names) <= most else f"{listed} and {len(names) - most} more"


def _short(text: str | None, plan: AssayPlan) -> str:
    """A message without the places of folders: a page is passed on."""
    text = text or ""
    for path in [ref.path for ref in plan.subjects if ref.path is not None] + [ref.path for ref in plan.data]:
        text = text.replace(path, _folder(path))
    return text
