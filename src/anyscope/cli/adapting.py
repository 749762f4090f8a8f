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
    target: Annotated[Path, typer.Option(help="Dataset folder; labels in it are never opened.", show_default=False)],
    out: Out,
    method: Annotated[
        str | None, typer.Option(help="none, or steps such as rescale+histogram+mean-teacher; proposed if left out.")
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

    Without --method both domains are looked at and a method is proposed and carried out.
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
