"""``anyscope stress``: how models degrade, which to trust, and whether one passes a gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from anyscope.assay.conditions import CLEAN, STRONG_IMAGES, UNIVERSAL, Condition, attack_conditions, suites
from anyscope.assay.estimate import Estimate, estimate
from anyscope.assay.findings import Findings, find
from anyscope.assay.gains import Gain, robust_gains
from anyscope.assay.gate import check_gate, read_gate
from anyscope.assay.plan import BASELINE, LEARNING, MAIN, AssayPlan, DataRef, SubjectRef
from anyscope.assay.run import open_ledger, run_assay
from anyscope.assay.scores import AssayScores
from anyscope.assay.subjects import NetworkSubject
from anyscope.assay.tables import write_gains, write_tables
from anyscope.assay.tally import shift_tallies, tally
from anyscope.datasets import Dataset, Part, open_dataset
from anyscope.errors import AnyscopeError, BadInput, GateFailed, Incomplete
from anyscope.images import Intensity, ReadOptions
from anyscope.running.devices import choose_device
from anyscope.running.engines import Engine, choose_engine
from anyscope.running.progress import duration, say
from anyscope.running.run_folder import RunFolder
from anyscope.workflows.report import report
from anyscope.workflows.subjects import free_name, offers, subjects_of

LEARNING_IMAGES = 16
"""Most images that universal perturbations are learned on."""


@dataclass(frozen=True)
class StressResult:
    """Where an assay is, and what it found.

    Args:
        out: Its folder, with ledger.sqlite, cells.csv, cells.parquet, scores.csv and report.html.
        report: The page.
        cells: Number of cells.
        scores: Scores of the masks (or classes).
        objects: Scores of the objects, where labels tell them apart.
        findings: The recommendation in words.
        gains: What robust training gained and cost, where the same network was also trained without.
    """

    out: Path
    report: Path
    cells: int
    scores: AssayScores
    objects: AssayScores | None
    findings: Findings
    gains: tuple[Gain, ...] = ()


def stress(
    runs: Sequence[Path | str],
    data: Path | str,
    out: Path | str,
    *,
    suite: str = "quick",
    attacks: Sequence[str] = (),
    epsilons: Sequence[float] | None = None,
    attack_steps: int | None = None,
    shifts: Sequence[Path | str] = (),
    split: Part | None = None,
    images: int | None = None,
    crop_px: int | None = None,
    planes: int | None = None,
    baseline: bool = True,
    reference: str | None = None,
    gate: Path | str | None = None,
    seed: int = 0,
    batch: int = 8,
    device: str = "auto",
    jobs: int = 1,
    scheduler: str | None = None,
    read: ReadOptions | None = None,
    trust: bool = False,
    resume: bool = False,
    force: bool = False,
) -> StressResult:
    """Show models images that become worse in controlled ways, and say which model to trust.

    Args:
        runs: Runs or segmenter folders, and other projects' models, as :mod:`anyscope.external` opens them.
        data: A dataset folder with labels. What ``data synth`` wrote beside the images is used: corruptions of
            fluorescence then start from the noise-free signal.
        out: The folder to make; a stopped assay continues in it with ``resume``.
        suite: Suites, corruptions and conditions, separated by commas; see :func:`anyscope.assay.conditions.suites`.
        attacks: Names of attacks, such as ``pgd``, ``pgd-l2`` and ``apgd:300``; ``transfer``, ``universal``, ``all``,
            or ``strong``; see :func:`anyscope.assay.conditions.attack_conditions`.
        epsilons: Sizes of attacks in grey levels of 255; 1 to 32, or 2 and 8 with ``strong``.
        attack_steps: Steps of iterated attacks that do not say theirs; None for the default of each.
        shifts: Other dataset folders on which the models are scored as they are: degradation that is observed.
        split: Part of each dataset's split; by default ``test`` where there is one, else everything.
        images: Most images of each dataset, evenly chosen; None for all, or 16 with ``strong``.
        crop_px: Largest height and width in working pixels; the middle of larger images is used.
        planes: Most planes of a stack; the middle of deeper ones is used.
        baseline: Whether Otsu's threshold is among the models.
        reference: Name of the model that CD, rCD and mCE are relative to; the first by default.
        gate: A file of minimal scores; see :mod:`anyscope.assay.gate`.
        seed: Seed of everything random.
        batch: Images in a task.
        device: ``auto``, ``cpu`` or ``cuda``.
        jobs: Processes on this machine.
        scheduler: Address of a Dask scheduler, whose workers see the same paths.
        read: How to read images where the files leave it open.
        trust: Whether code that comes with other projects' models may run: TorchScript, Python, commands.
        resume: Continue an assay that was stopped.
        force: Replace an assay that is there.

    Raises:
        BadInput: Models, data or conditions that do not fit or do not exist.
        Incomplete: Some cells failed; the others are done and reported.
        GateFailed: A score is below the gate.
    """
    out = Path(out)
    plan = plan_assay(
        runs, data, suite=suite, attacks=attacks, epsilons=epsilons, attack_steps=attack_steps, shifts=shifts,
        split=split, images=images, crop_px=crop_px, planes=planes, baseline=baseline, seed=seed, batch=batch,
        device=device, read=read, trust=trust,
    )  # fmt: skip
    names = [ref.name for ref in plan.subjects]
    if reference is not None and reference not in names:
        raise BadInput(f"--reference {reference!r}", "no such model", f"one of {', '.join(names)}")
    wanted = None if gate is None else read_gate(Path(gate))
    engine = _engine(jobs, scheduler, device)
    folder = RunFolder.start(out, settings_of(plan), resume=resume, force=force)
    _describe(plan, engine)
    with folder.explain_interrupt(), open_ledger(out) as ledger:
        failed = run_assay(plan, ledger, engine)
        cells = len(list(plan.cells()))
        scores, objects = assay_scores(plan, out, reference)
        write_tables(ledger, out, [one for one in (scores, objects) if one is not None])
    gains = robust_gains(plan, scores)
    write_gains(out, gains)
    folder.finish({"cells": cells, "failed": len(failed), "reference": scores.reference})
    result = StressResult(out, report(out), cells, scores, objects, find(scores), gains)
    if failed:
        listed = "; ".join(f"{' '.join(cell.key)}: {cell.failure}" for cell in failed[:3])
        more = "" if len(failed) <= 3 else f"; and {len(failed) - 3} more, listed in report.html"
        failure = f"{len(failed)} of {cells} cells failed: {listed}{more}"
        incomplete = Incomplete(out, failure, remedy="--resume tries again")
        incomplete.result = result
        raise incomplete
    if wanted is not None:
        chosen = scores if wanted.measure == "mask" else objects
        if chosen is None:
            raise BadInput(Path(str(gate)), "measures objects", "mask: the labels of the data tell no objects apart")
        missed = [check for check in check_gate(wanted, chosen, Path(str(gate))) if not check.passed]
        if missed:
            below = GateFailed(Path(str(gate)), "; ".join(check.describe() for check in missed))
            below.result = result
            raise below
        say(f"gate: {gate}: passed")
    return result


def plan_assay(
    runs: Sequence[Path | str],
    data: Path | str,
    *,
    suite: str = "quick",
    attacks: Sequence[str] = (),
    epsilons: Sequence[float] | None = None,
    attack_steps: int | None = None,
    shifts: Sequence[Path | str] = (),
    split: Part | None = None,
    images: int | None = None,
    crop_px: int | None = None,
    planes: int | None = None,
    baseline: bool = True,
    seed: int = 0,
    batch: int = 8,
    device: str = "auto",
    read: ReadOptions | None = None,
    trust: bool = False,
) -> AssayPlan:
    """What :func:`stress` would do, after looking at models and data. Arguments as there."""
    if images is None and any(name.split(":")[0] in ("strong", "strong-l2") for name in attacks):
        images = STRONG_IMAGES
        say(f"strong attacks: at most {images} images; --images takes more")
    subjects = subjects_of(runs, trust=trust)
    first = subjects[0].sees if subjects else ""
    attacked = attack_conditions(attacks, epsilons, attack_steps, [ref.name for ref in subjects if ref.has_gradient])
    conditions = [CLEAN, *suites(suite), *attacked]
    if not subjects and not baseline:
        raise BadInput("stress", "no models", "at least one run")
    opened = open_dataset(data, read)
    if opened.classes > 2 and baseline:
        say(f"baseline: left out, since the data have {opened.classes} classes")
    elif baseline:
        subjects.append(SubjectRef(name=BASELINE, path=None, sees=first))
    main = _data_ref(MAIN, opened, split, images, read)
    others: list[DataRef] = []
    for path in shifts:
        other = open_dataset(path, read)
        name = free_name(Path(path).resolve().name, [ref.name for ref in others])
        others.append(_data_ref(name, other, split, images, read))
    conditions += [Condition("shift", ref.name) for ref in others]
    return AssayPlan(
        subjects=tuple(subjects),
        data=(main, *others),
        conditions=tuple(dict.fromkeys(condition.key for condition in conditions)),
        attack_steps=attack_steps,
        crop_px=crop_px,
        planes=planes,
        bright_objects=_bright(opened),
        seed=seed,
        batch=batch,
        device=device,
        learning=_learning(opened, main) if any(one.name == UNIVERSAL for one in conditions) else None,
    )


def _learning(dataset: Dataset, scored: DataRef) -> DataRef:
    """Images of the parts that are not scored, evenly chosen, for universal perturbations.

    Raises:
        BadInput: There are none.
    """
    parts: tuple[Part, ...] = ("train", "val")
    for part in parts:
        if scored.part is None or part == scored.part or not dataset.split[part]:
            continue
        stems = list(dataset.regions(part))
        count = min(LEARNING_IMAGES, len(stems))
        chosen = tuple(stems[number * len(stems) // count] for number in range(count))
        return scored.model_copy(update={"name": LEARNING, "part": part, "images": chosen})
    raise BadInput(
        "--attacks universal", f"all images of {scored.path} are scored", "other images to learn the perturbation on",
        "score one part of a split: --split test",
    )  # fmt: skip


def dry_run(plan: AssayPlan) -> Estimate:
    """Count the cells of a plan and estimate its time, by showing each model one image."""
    choose_device(plan.device)
    return estimate(plan)


def assay_scores(plan: AssayPlan, out: Path, reference: str | None) -> tuple[AssayScores, AssayScores | None]:
    """The scores of masks and, where they were taken, of objects, from the ledger of an assay."""
    chosen = reference or plan.subjects[0].name
    found: dict[str, AssayScores] = {}
    with open_ledger(out) as ledger:
        measures: tuple[Literal["mask", "objects"], ...] = ("mask", "objects")
        for measure in measures:
            counted = tally(plan, ledger, measure)
            if counted is not None:
                found[measure] = AssayScores(counted, shift_tallies(plan, ledger, measure), chosen, plan.seed)
        failures = ledger.failures()
    if "mask" not in found:
        why = failures[0].failure if failures else "nothing was measured"
        raise Incomplete(out, f"every cell failed: {why}")
    return found["mask"], found.get("objects")


def settings_of(plan: AssayPlan) -> dict[str, object]:
    """A plan as the settings of its run folder."""
    return {"verb": "stress", **plan.model_dump(mode="json")}


def plan_of(run: RunFolder) -> AssayPlan:
    """The plan of an assay's folder."""
    settings = {key: value for key, value in run.settings().items() if key != "verb"}
    return AssayPlan.model_validate(settings)


def _data_ref(name: str, dataset: Dataset, split: Part | None, images: int | None, read: ReadOptions | None) -> DataRef:
    read = read or ReadOptions()
    part = split or ("test" if dataset.split["test"] else None)
    stems = list(dataset.regions(part))
    if images is not None and images < len(stems):
        stems = [stems[number * len(stems) // images] for number in range(images)]
    dataset.labelled(part)
    return DataRef(
        name=name,
        path=str(dataset.root.resolve()),
        part=part,
        images=tuple(stems),
        axes=read.axes,
        voxel_size_nm=read.voxel_size_nm,
        channel=read.channel,
    )


def _bright(dataset: Dataset) -> bool:
    """Whether objects are brighter than the rest, by the labels of the first training (or else any) images."""
    regions = list(dataset.labelled("train" if dataset.split["train"] else None))[:5]
    brighter = 0
    for region in regions:
        plane = region.planes(0, 1)
        unit, (labels, valid) = plane.read_unit(Intensity())[0], plane.read_reference("semantic")
        inside, outside = (labels > 0) & valid, (labels == 0) & valid
        if inside.any() and outside.any():
            brighter += 1 if unit[inside].mean() >= unit[outside].mean() else -1
    return brighter >= 0


def _engine(jobs: int, scheduler: str | None, device: str) -> Engine:
    devices = [choose_device(device)]
    if devices == ["cuda"]:
        import torch

        devices = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return choose_engine(jobs, scheduler, devices)


def _describe(plan: AssayPlan, engine: Engine) -> None:
    say(f"models: {', '.join(ref.name for ref in plan.subjects)}")
    for data in plan.data:
        part = "all images" if data.part is None else f"part {data.part}"
        say(f"{data.name}: {data.path}: {part}, {len(data.images)} image(s)")
    for ref in plan.subjects:
        if ref.path is not None:
            try:
                foreign, trust = ref.foreign is not None, ref.trust is True
                convention = NetworkSubject.load(ref.name, ref.path, "cpu", foreign=foreign, trust=trust).convention
            except AnyscopeError:
                continue  # it is reported in its cells
            say(f"degradation acts on images of {convention.pixels} in 0..1, {convention.intensity}")
            break
    for ref in plan.subjects:
        if ref.foreign not in (None, "gradients"):
            say(f"{ref.name}: {offers(ref)}")
    say(f"plan: {len(list(plan.cells()))} cells ({len(plan.conditions)} conditions) on {engine.describe()}")


def describe_estimate(found: Estimate) -> str:
    """One line for the user."""
    return f"{found.cells} cells in {found.tasks} tasks, about {duration(found.seconds)} in one process"
