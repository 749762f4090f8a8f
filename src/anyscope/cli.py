"""The command line: parse, call, print. What the verbs do is in :mod:`anyscope.workflows`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from anyscope.errors import AnyscopeError, BadInput, EnvironmentFault, Interrupted
from anyscope.options import parse_channel, parse_overrides, parse_sizes

app = typer.Typer(
    help="Segmentation that holds on any microscope: train, stress, predict, evaluate, report.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Look at dataset folders, and make synthetic ones.", no_args_is_help=True)
app.add_typer(data_app, name="data")

_UsageError: type[Exception] = typer.BadParameter.__mro__[2]
"""The base of typer's own errors, which typer does not export by name."""


class Task(StrEnum):
    semantic = "semantic"
    instances = "instances"


class Part(StrEnum):
    train = "train"
    val = "val"
    test = "test"


class Turns(StrEnum):
    none = "none"
    flips = "flips"
    d4 = "d4"


Out = Annotated[Path, typer.Option("--out", help="Where the result goes.", show_default=False)]
Data = Annotated[
    Path, typer.Option("--data", help="Dataset folder: images/, labels/, dataset.yaml.", show_default=False)
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting as key=value; nested keys have dots. Repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="The result as one JSON document on stdout.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an output that is there.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
Axes = Annotated[str | None, typer.Option("--axes", help="Axes as stored, such as zyx, cyx or yxc.")]
Voxel = Annotated[str | None, typer.Option("--voxel-size", help="Voxel size in nm as z,y,x or y,x.")]
Channel = Annotated[str | None, typer.Option("--channel", help="Channel number from 0, or grey for RGB.")]
Range = Annotated[str | None, typer.Option("--range", help="dtype, percentiles:LOW,HIGH or fixed:LOW,HIGH.")]
Split = Annotated[Part | None, typer.Option("--split", help="Only this part of the dataset's split.")]


def _read(axes: str | None, voxel: str | None, channel: str | None) -> Any:
    from anyscope.images import ReadOptions

    return ReadOptions(axes, parse_sizes(voxel), parse_channel(channel))


def _part(split: Part | None) -> Any:
    return None if split is None else split.value


def _print_json(document: Any) -> None:
    print(json.dumps(document, indent=2, default=str, allow_nan=False))


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="The folder to make.")] = Path("demo"),
    seed: Seed = 0,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """The whole flow on synthetic data, in a few minutes."""
    from anyscope.workflows.demo import demo as run_demo
    from anyscope.workflows.tables import evaluation_table

    result = run_demo(out, seed=seed, force=force)
    if as_json:
        _print_json({"out": result.out, "report": result.report, "evaluation": result.evaluation.to_json()})
        return
    print(evaluation_table(result.evaluation.to_json()))
    print(f"report: {result.report}")


@app.command()
def doctor(as_json: Json = False) -> None:
    """What is installed, where networks can run, what to mend."""
    from anyscope.workflows.doctor import doctor as examine
    from anyscope.workflows.tables import ticks

    checks = examine()
    if as_json:
        _print_json([asdict(check) for check in checks])
    else:
        print(ticks([(c.verdict, c.subject, f"{c.found}; {c.remedy}" if c.remedy else c.found) for c in checks]))
    if any(check.verdict == "bad" for check in checks):
        raise typer.Exit(EnvironmentFault.exit_code)


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(help="One model, with its arguments.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """The networks: parameters, FLOPs, source, licence."""
    from anyscope.workflows.tables import models_table
    from anyscope.workflows.zoo import list_models

    found = list_models(name)
    if as_json:
        _print_json([asdict(model) for model in found])
    else:
        print(models_table(found, whole=name is not None))


@data_app.command("check")
def data_check(
    folder: Annotated[Path, typer.Argument(help="The dataset folder.", show_default=False)],
    axes: Axes = None,
    voxel_size: Voxel = None,
    channel: Channel = None,
    as_json: Json = False,
) -> None:
    """What is in a dataset folder, and what looks wrong."""
    from anyscope.workflows.data import data_check as check
    from anyscope.workflows.tables import ticks

    findings = check(folder, read=_read(axes, voxel_size, channel))
    if as_json:
        _print_json([asdict(finding) for finding in findings])
    else:
        print(ticks([(f.verdict, f.subject, f.text) for f in findings]))
    bad = sum(finding.verdict == "bad" for finding in findings)
    if bad:
        raise BadInput(folder, f"{bad} of {len(findings)} checks failed", remedy="see the crosses above")


@data_app.command("synth")
def data_synth(
    out: Out,
    specimen: Annotated[str, typer.Option(help="nuclei, mitochondria or er.")] = "nuclei",
    microscope: Annotated[str, typer.Option(help="A named microscope, such as reference or shifted.")] = "reference",
    count: Annotated[int, typer.Option(min=1, help="Number of images.")] = 20,
    size: Annotated[str, typer.Option(help="Pixels of each image as y,x.")] = "512,512",
    seed: Seed = 0,
    changes: Set = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Make synthetic fluorescence images with exact truth.

    Beside images and labels: the noise-free signal and the record of each image.
    """
    from anyscope.workflows.data import data_synth as synthesise

    sizes = parse_sizes(size, "--size")
    if sizes is None or len(sizes) != 2 or any(length != int(length) for length in sizes):
        raise BadInput("--size", repr(size), "two whole numbers as y,x")
    shape = int(sizes[0]), int(sizes[1])
    made = synthesise(
        out, specimen=specimen, microscope=microscope, count=count, shape=shape, seed=seed,
        changes=parse_overrides(changes or []), force=force,
    )  # fmt: skip
    if as_json:
        _print_json({"dataset": made})
    else:
        print(f"dataset: {made}")


@app.command()
def train(
    data: Annotated[
        list[Path], typer.Option("--data", help="Dataset folder. Repeatable, for a grid of runs.", show_default=False)
    ],
    out: Out,
    model: Annotated[
        str | None, typer.Option(help="A name of 'anyscope models'; for a grid: several, as NAME,NAME:KEY=VALUE.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="So many runs each, with seeds from --set seed=N on.")] = 1,
    task: Annotated[Task, typer.Option(help="Masks and classes, or objects.")] = Task.semantic,
    profile: Annotated[str, typer.Option(help="fast, standard or best.")] = "fast",
    init: Annotated[Path | None, typer.Option(help="A run, or a file of weights, to start from.")] = None,
    changes: Set = None,
    device: Device = "auto",
    jobs: Annotated[int, typer.Option(min=1, help="Runs of a grid at the same time.")] = 1,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler, for a grid.")] = None,
    axes: Axes = None,
    voxel_size: Voxel = None,
    channel: Channel = None,
    value_range: Range = None,
    resume: Resume = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Train a network, score it on the test images, report.

    Several datasets, models or seeds make a grid of runs.
    """
    from anyscope.options import split_models
    from anyscope.training.settings import train_settings
    from anyscope.workflows.tables import evaluation_table, grid_table
    from anyscope.workflows.train import train as run_train

    given: dict[str, Any] = {"task": task.value, **parse_overrides(changes or [])}
    names = split_models(model)
    given |= {"model": names[0].partition(":")[0]} if names else {}
    given |= {} if value_range is None else {"intensity": value_range}
    settings, read = train_settings(profile, **given), _read(axes, voxel_size, channel)
    if len(data) > 1 or len(names) > 1 or seeds > 1 or ":" in "".join(names):
        from anyscope.workflows.grid import train_grid

        if init is not None:
            raise BadInput("--init", "given for a grid of runs", "one dataset, one model and one seed")
        grid = train_grid(
            data, out, models=names or [settings.model], seeds=seeds, settings=settings, device=device, jobs=jobs,
            scheduler=scheduler, read=read, resume=resume, force=force,
        )  # fmt: skip
        if as_json:
            _print_json({"out": grid.out, "runs": grid.rows})
        else:
            print(grid_table(grid.rows))
            print(f"runs: {grid.out / 'runs.csv'}")
        return
    result = run_train(data[0], out, settings=settings, init=init, device=device, read=read, resume=resume, force=force)
    if as_json:
        _print_json(asdict(result))
        return
    if result.test is not None:
        print(evaluation_table(result.test))
    print(f"segmenter: {result.run / 'segmenter'}\nreport: {result.report}")


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="A run, or the folder of a segmenter.", show_default=False)],
    source: Annotated[Path, typer.Argument(help="An image, a folder of images, a dataset.", show_default=False)],
    out: Out,
    instances: Annotated[bool, typer.Option("--instances", help="Objects, also from a network of masks.")] = False,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Also the foreground probability.")] = False,
    table: Annotated[Path | None, typer.Option(help="One row for each object: .csv or .parquet.")] = None,
    split: Split = None,
    tile: Annotated[int | None, typer.Option(min=16, help="Edge of a tile in working pixels.")] = None,
    tta: Annotated[Turns, typer.Option(help="Test-time augmentation.")] = Turns.none,
    memory: Annotated[str | None, typer.Option(help="Memory for the network, such as 4GiB.")] = None,
    device: Device = "auto",
    axes: Axes = None,
    voxel_size: Voxel = None,
    channel: Channel = None,
    value_range: Range = None,
    resume: Resume = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Segment an image, a stack, a folder or a dataset."""
    from anyscope.inference import InferenceSettings
    from anyscope.options import parse_memory
    from anyscope.workflows.predict import predict as run_predict

    inference = InferenceSettings(tile=tile, augmentation=tta.value, memory_bytes=parse_memory(memory))
    result = run_predict(
        run, source, out, instances=instances, probabilities=probabilities, table=table,
        split=_part(split), inference=inference, device=device,
        read=_read(axes, voxel_size, channel), value_range=value_range, resume=resume, force=force,
    )  # fmt: skip
    if as_json:
        _print_json(asdict(result))
    else:
        print(f"predictions: {result.out}" + (f"\ntable: {result.table}" if result.table else ""))


@app.command()
def evaluate(
    prediction: Annotated[Path, typer.Argument(help="A label image, or a folder of them.", show_default=False)],
    reference: Annotated[Path, typer.Argument(help="The same of the reference, or a dataset.", show_default=False)],
    protocol: Annotated[str | None, typer.Option(help="A named protocol, such as semantic or instances.")] = None,
    split: Split = None,
    axes: Axes = None,
    voxel_size: Voxel = None,
    as_json: Json = False,
) -> None:
    """Score label images against references."""
    from anyscope.workflows.evaluate import evaluate as run_evaluate
    from anyscope.workflows.tables import evaluation_table

    read = _read(axes, voxel_size, None)
    result = run_evaluate(prediction, reference, protocol=protocol, split=_part(split), read=read).to_json()
    if as_json:
        _print_json(result)
    else:
        print(evaluation_table(result))


@app.command()
def stress(
    runs: Annotated[list[Path], typer.Argument(help="Runs, or folders of segmenters.", show_default=False)],
    data: Data,
    out: Out,
    suite: Annotated[
        str, typer.Option(help="quick, fluorescence, electron, digital, full, none; corruptions; NAME@SEVERITY.")
    ] = "quick",
    attacks: Annotated[str, typer.Option(help="all, or names such as fgsm,pgd,pgd-l2.")] = "",
    epsilons: Annotated[str, typer.Option(help="Sizes of attacks in grey levels of 255.")] = "1,2,4,8,16,32",
    attack_steps: Annotated[int | None, typer.Option(min=1, help="Steps of iterated attacks.")] = None,
    shift: Annotated[
        list[Path] | None, typer.Option("--shift", help="Another dataset, scored as it is. Repeatable.")
    ] = None,
    split: Split = None,
    images: Annotated[int | None, typer.Option(min=1, help="Most images, evenly chosen.")] = None,
    crop: Annotated[int | None, typer.Option(min=16, help="Use the middle of images, so many pixels wide.")] = None,
    planes: Annotated[int | None, typer.Option(min=1, help="Use the middle of stacks, so many planes deep.")] = None,
    baseline: Annotated[bool, typer.Option(help="Otsu's threshold among the models.")] = True,
    reference: Annotated[str | None, typer.Option(help="The model that CD and rCD are relative to.")] = None,
    gate: Annotated[Path | None, typer.Option(help="Minimal scores as YAML; exit code 1 below them.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count the cells, estimate the time, stop.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Processes on this machine.")] = 1,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images at once.")] = 8,
    seed: Seed = 0,
    device: Device = "auto",
    axes: Axes = None,
    voxel_size: Voxel = None,
    channel: Channel = None,
    resume: Resume = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Corrupt and attack images; say which model to trust."""
    from anyscope.options import parse_numbers
    from anyscope.workflows import stress as assay
    from anyscope.workflows.tables import stress_json, stress_table

    names = [name.strip() for name in attacks.split(",") if name.strip()]
    chosen: dict[str, Any] = {
        "suite": suite, "attacks": names, "epsilons": parse_numbers(epsilons, "--epsilons"),
        "attack_steps": attack_steps, "shifts": shift or [], "split": _part(split), "images": images, "crop_px": crop,
        "planes": planes, "baseline": baseline, "seed": seed, "batch": batch, "device": device,
        "read": _read(axes, voxel_size, channel),
    }  # fmt: skip
    if dry_run:
        found = assay.dry_run(assay.plan_assay(runs, data, **chosen))
        if as_json:
            _print_json(asdict(found))
        else:
            print(assay.describe_estimate(found))
        return
    result = assay.stress(
        runs, data, out, **chosen, reference=reference, gate=gate, jobs=jobs, scheduler=scheduler,
        resume=resume, force=force,
    )  # fmt: skip
    if as_json:
        _print_json(stress_json(result))
    else:
        print(stress_table(result))
        print(f"cells: {result.out / 'cells.csv'}\nreport: {result.report}")


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="The folder of a run.", show_default=False)], as_json: Json = False
) -> None:
    """Write the self-contained page of a run."""
    from anyscope.workflows.report import report as write_report

    page = write_report(folder)
    if as_json:
        _print_json({"report": page})
    else:
        print(f"report: {page}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; errors are one line on stderr."""
    try:
        code = app(args=arguments, standalone_mode=False)
        sys.stdout.flush()
    except AnyscopeError as error:
        return _fail(str(error), error.exit_code)
    except _UsageError as error:
        return _fail(error.format_message(), BadInput.exit_code)  # type: ignore[attr-defined]
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", Interrupted.exit_code)
    except MemoryError:
        return _fail("not enough memory; take smaller tiles (--tile), a smaller batch or patch, or --memory", 4)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    return code if isinstance(code, int) else 0


def _fail(message: str, code: int) -> int:
    print(f"anyscope: {' '.join(message.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
