"""Verbs that work: demo, pretrain, train, predict, merge, evaluate, export, report."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from anyscope.cli.options import (
    Axes,
    Channel,
    Cluster,
    Device,
    Force,
    Jobs,
    Json,
    Out,
    Range,
    Resume,
    Scheduler,
    Seed,
    Set,
    Split,
    Task,
    Trust,
    Turns,
    Voxel,
    part_of,
    print_json,
    read_options,
)
from anyscope.errors import BadInput
from anyscope.options import parse_overrides

app = typer.Typer()


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="The folder to make.")] = Path("demo"),
    seed: Seed = 0,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """The whole flow on synthetic data, in a few minutes."""
    from anyscope.workflows.demo import demo as run_demo
    from anyscope.workflows.tables import evaluation_table, stress_json, stress_table

    result = run_demo(out, seed=seed, force=force)
    parts = {"first": result.evaluation, "second_before": result.before, "second_after": result.after}
    if as_json:
        evaluations = {name: one.to_json() for name, one in parts.items()}
        stressed = {"stress": stress_json(result.stress), "stress_second": stress_json(result.second)}
        print_json({"out": result.out, "reports": result.reports, "evaluations": evaluations, **stressed})
        return
    print(evaluation_table(result.evaluation.to_json()))
    print(f"\n{stress_table(result.stress)}\n\nthe second microscope:\n{stress_table(result.second)}\n")
    before, after = (one.to_json()["scores"]["foreground_iou"] for one in (result.before, result.after))
    print(
        f"foreground IoU on the second microscope: {before:.3f} as it was, {after:.3f} adapted without a label of it\n"
    )
    for page in result.reports:
        print(f"report: {page}")


@app.command()
def pretrain(
    data: Annotated[
        list[Path],
        typer.Option(
            "--data",
            help="A dataset folder, a folder of images, an image. Repeatable. No labels are opened.",
            show_default=False,
        ),
    ],
    out: Out,
    model: Annotated[str | None, typer.Option(help="A name of 'anyscope models'.")] = None,
    pretext: Annotated[str, typer.Option(help="masked: fill in hidden pieces; crappify: repair noise.")] = "masked",
    profile: Annotated[str, typer.Option(help="fast, standard or best.")] = "fast",
    init: Annotated[Path | None, typer.Option(help="A run, or a file of weights, to start from.")] = None,
    changes: Set = None,
    device: Device = "auto",
    axes: Axes = None,
    voxel_size: Voxel = None,
    channel: Channel = None,
    value_range: Range = None,
    resume: Resume = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Let a network learn from images without labels, for train --init.

    Of datasets it sees the training images alone, unless --set images=all.
    """
    from anyscope.training.pretraining import pretrain_settings
    from anyscope.workflows.pretrain import pretrain as run_pretrain

    given: dict[str, Any] = {"pretext": pretext, **parse_overrides(changes or [])}
    given |= {} if model is None else {"model": model}
    given |= {} if value_range is None else {"intensity": value_range}
    settings, read = pretrain_settings(profile, **given), read_options(axes, voxel_size, channel)
    result = run_pretrain(data, out, settings=settings, init=init, device=device, read=read, resume=resume, force=force)
    if as_json:
        print_json(asdict(result))
        return
    print(f"error of held-out patches: {result.repaired_error:.4f} repaired, {result.spoiled_error:.4f} spoiled")
    print(f"weights, for train --init: {result.run}\nreport: {result.report}")


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
    robust: Annotated[
        str | None, typer.Option(help="Robust training: corruptions, noise, adversarial or fast-adversarial.")
    ] = None,
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

    Several datasets, models or seeds make a grid of runs. A network that was trained before (--init) can keep its
    encoder: --set tune=frozen, decoder-first or lora; --set layer_decay=0.75 lets it learn more slowly.
    """
    from anyscope.options import split_models
    from anyscope.training.settings import train_settings
    from anyscope.workflows.tables import evaluation_table, grid_table
    from anyscope.workflows.train import train as run_train

    given: dict[str, Any] = {"task": task.value, **parse_overrides(changes or [])}
    given |= {} if robust is None else {"robust": robust}
    names = split_models(model)
    given |= {"model": names[0].partition(":")[0]} if names else {}
    given |= {} if value_range is None else {"intensity": value_range}
    settings, read = train_settings(profile, **given), read_options(axes, voxel_size, channel)
    if len(data) > 1 or len(names) > 1 or seeds > 1 or ":" in "".join(names):
        from anyscope.workflows.grid import train_grid

        if init is not None:
            raise BadInput("--init", "given for a grid of runs", "one dataset, one model and one seed")
        grid = train_grid(
            data, out, models=names or [settings.model], seeds=seeds, settings=settings, device=device, jobs=jobs,
            scheduler=scheduler, read=read, resume=resume, force=force,
        )  # fmt: skip
        if as_json:
            print_json({"out": grid.out, "runs": grid.rows})
        else:
            print(grid_table(grid.rows))
            print(f"runs: {grid.out / 'runs.csv'}")
        return
    result = run_train(data[0], out, settings=settings, init=init, device=device, read=read, resume=resume, force=force)
    if as_json:
        print_json(asdict(result))
        return
    if result.test is not None:
        print(evaluation_table(result.test))
    print(f"segmenter: {result.run / 'segmenter'}\nreport: {result.report}")


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="A run, a segmenter, or another model.", show_default=False)],
    source: Annotated[Path, typer.Argument(help="An image, a folder of images, a dataset.", show_default=False)],
    out: Out,
    instances: Annotated[bool, typer.Option("--instances", help="Objects, also from a network of masks.")] = False,
    decoder: Annotated[str | None, typer.Option(help="Another decoder than the one that was best.")] = None,
    link: Annotated[str | None, typer.Option(help="How slices become volumes: a linker, volume, or none.")] = None,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Also the foreground probability.")] = False,
    table: Annotated[Path | None, typer.Option(help="One row for each object: .csv or .parquet.")] = None,
    split: Split = None,
    tile: Annotated[int | None, typer.Option(min=16, help="Edge of a tile in working pixels.")] = None,
    tta: Annotated[Turns, typer.Option(help="Test-time augmentation.")] = Turns.none,
    memory: Annotated[
        str | None, typer.Option(help="Memory for the network, such as 4GiB; for OME-Zarr of each worker in all.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="torch, onnxruntime or openvino; the fastest where not given.")
    ] = None,
    jobs: Jobs = 1,
    scheduler: Scheduler = None,
    cluster: Cluster = None,
    shard: Annotated[str | None, typer.Option(help="K/N: only this part of the blocks; then 'merge'.")] = None,
    trust: Trust = False,
    device: Device = "auto",
    axes: Axes = None,
    voxel_size: Voxel = None,
    channel: Channel = None,
    value_range: Range = None,
    resume: Resume = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Segment an image, a stack, a folder or a dataset.

    An image that goes to --out NAME.ome.zarr is done block by block, in bounded memory, by one process or many.
    """
    from anyscope.inference import InferenceSettings
    from anyscope.options import parse_memory
    from anyscope.workflows.predict import predict as run_predict
    from anyscope.workflows.predict_volume import Workers

    inference = InferenceSettings(tile=tile, augmentation=tta.value, memory_bytes=parse_memory(memory))
    result = run_predict(
        run, source, out, instances=instances, decoder=decoder, linker=link, probabilities=probabilities, table=table,
        split=part_of(split), inference=inference, engine=engine, device=device, trust=trust,
        read=read_options(axes, voxel_size, channel), value_range=value_range,
        workers=Workers(jobs, scheduler, cluster, shard), resume=resume, force=force,
    )  # fmt: skip
    if as_json:
        print_json(asdict(result))
    else:
        print(f"predictions: {result.out}" + (f"\ntable: {result.table}" if result.table else ""))


@app.command()
def merge(
    out: Annotated[Path, typer.Argument(help="The --out of 'predict --shard'.", show_default=False)],
    table: Annotated[Path | None, typer.Option(help="One row for each object: .csv or .parquet.")] = None,
    jobs: Jobs = 1,
    scheduler: Scheduler = None,
    cluster: Cluster = None,
    resume: Resume = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Join the shards of a prediction."""
    from anyscope.workflows.predict_volume import Workers
    from anyscope.workflows.predict_volume import merge as run_merge

    run_merge(out, table=table, workers=Workers(jobs, scheduler, cluster), resume=resume, force=force)
    if as_json:
        print_json({"out": out, "table": table})
    else:
        print(f"predictions: {out}" + (f"\ntable: {table}" if table else ""))


@app.command()
def evaluate(
    prediction: Annotated[Path, typer.Argument(help="A label image, or a folder of them.", show_default=False)],
    reference: Annotated[Path, typer.Argument(help="The same of the reference, or a dataset.", show_default=False)],
    protocol: Annotated[str | None, typer.Option(help="A named protocol, such as semantic or instances.")] = None,
    split: Split = None,
    axes: Axes = None,
    voxel_size: Voxel = None,
    report: Annotated[Path | None, typer.Option(help="Write a page with pictures to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Score label images against references."""
    from anyscope.workflows.evaluate import evaluate as run_evaluate
    from anyscope.workflows.tables import evaluation_table

    read = read_options(axes, voxel_size, None)
    result = run_evaluate(
        prediction, reference, protocol=protocol, split=part_of(split), read=read, report=report
    ).to_json()
    if report is not None:
        print(f"report: {report}", file=sys.stderr)
    if as_json:
        print_json(result)
    else:
        print(evaluation_table(result))


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run, or the folder of a segmenter.", show_default=False)],
    out: Out,
    to: Annotated[str, typer.Option("--to", help="onnx, torchscript or openvino.")] = "onnx",
    size: Annotated[
        int | None, typer.Option(min=16, help="The only height and width it shall take, where it must have one.")
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write a segmenter for another runtime, with a description of how it is fed."""
    from anyscope.workflows.export import export as run_export

    result = run_export(run, to, out, size=size, force=force)
    if as_json:
        print_json(asdict(result))
    else:
        print(f"network: {result.network}\ndescription: {result.description}")


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="The folder of a run.", show_default=False)], as_json: Json = False
) -> None:
    """Write the self-contained page of a run."""
    from anyscope.workflows.report import report as write_report

    page = write_report(folder)
    if as_json:
        print_json({"report": page})
    else:
        print(f"report: {page}")
