"""The verbs adapt and cross."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from anyscope.cli.options import (
    Axes,
    Channel,
    Device,
    Force,
    Json,
    Out,
    Range,
    Resume,
    Set,
    Task,
    print_json,
    read_options,
)
from anyscope.options import parse_overrides

app = typer.Typer()


class TargetPart(StrEnum):
    train = "train"
    val = "val"
    test = "test"
    all = "all"


Profile = Annotated[str, typer.Option(help="fast (minutes on 2 cores), best, or paper.")]


@app.command()
def adapt(
    source: Annotated[Path, typer.Option(help="Dataset folder with labels.", show_default=False)],
    target: Annotated[
        Path,
        typer.Option(help="Dataset folder, folder of images, or image; labels are never opened.", show_default=False),
    ],
    out: Out,
    method: Annotated[
        str | None, typer.Option(help="none, or steps such as rescale+fixmatch; proposed if left out.")
    ] = None,
    profile: Profile = "fast",
    model: Annotated[str | None, typer.Option(help="A name of 'anyscope models'.")] = None,
    task: Annotated[Task, typer.Option(help="Masks and classes, or objects.")] = Task.semantic,
    init: Annotated[Path | None, typer.Option(help="A run on the source to start from.")] = None,
    target_part: Annotated[
        TargetPart | None, typer.Option(help="Target images to learn from; train where there is a split, else all.")
    ] = None,
    target_labels: Annotated[
        Path | None, typer.Option(help="Dataset folder with a few labelled target images, for comparison.")
    ] = None,
    changes: Set = None,
    device: Device = "auto",
    axes: Axes = None,
    source_voxel_size: Annotated[str | None, typer.Option(help="Voxel size of the source in nm.")] = None,
    target_voxel_size: Annotated[str | None, typer.Option(help="Voxel size of the target in nm.")] = None,
    channel: Channel = None,
    value_range: Range = None,
    resume: Resume = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Make a network for unlabelled images of another microscope.

    Without --method both domains are looked at and a method is proposed; the network is refined if a gap shows once
    the source is learned.
    """
    from anyscope.workflows.adapt import adapt as run_adapt
    from anyscope.workflows.tables import adaptation_table

    given: dict[str, Any] = parse_overrides(changes or [])
    training = {"task": task.value} | ({} if model is None else {"model": model})
    training |= {} if value_range is None else {"intensity": value_range}
    given["train"] = {**training, **given.get("train", {})}
    result = run_adapt(
        source, target, out, method=method, profile=profile, given=given, init=init,
        target_part=None if target_part is None else target_part.value, target_labels=target_labels, device=device,
        source_read=read_options(axes, source_voxel_size, channel),
        target_read=read_options(axes, target_voxel_size, channel), resume=resume, force=force,
    )  # fmt: skip
    if as_json:
        print_json(result.to_json())
        return
    print(adaptation_table(result.document))
    print(f"segmenter: {result.run / 'segmenter'}\nreport: {result.report}")


@app.command()
def cross(
    data: Annotated[
        list[Path], typer.Option("--data", help="Dataset folder with labels. Two or more.", show_default=False)
    ],
    methods: Annotated[str, typer.Option(help="Methods with commas between, such as histogram,rescale+histogram.")],
    out: Out,
    seeds: Annotated[int, typer.Option(min=1, help="So many seeds.")] = 1,
    profile: Profile = "fast",
    transductive: Annotated[
        bool, typer.Option("--transductive", help="Learn from all target images, the scored ones too.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the candidates of every cell.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many cells now.")] = None,
    changes: Set = None,
    device: Device = "auto",
    jobs: Annotated[int, typer.Option(min=1, help="Cells at the same time.")] = 1,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler.")] = None,
    resume: Resume = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Adapt from every dataset to every other by every method.

    Every candidate is scored on labels of the target, beside training without and with these labels.
    """
    from anyscope.workflows.cross import cross as run_cross
    from anyscope.workflows.tables import crossing_table

    names = [name.strip() for name in methods.split(",") if name.strip()]
    result = run_cross(
        data, out, methods=names, seeds=seeds, profile=profile, given=parse_overrides(changes or []),
        transductive=transductive, keep=keep, limit=limit, device=device, jobs=jobs, scheduler=scheduler,
        resume=resume, force=force,
    )  # fmt: skip
    if as_json:
        print_json({"out": result.out, "report": result.report, "cells": result.cells, **result.summary.to_json()})
    else:
        print(crossing_table(result))
        print(f"scores: {result.out / 'scores.csv'}\nrecovery: {result.out / 'recovery.csv'}\nreport: {result.report}")
