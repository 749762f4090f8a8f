"""Options that several verbs share, and what becomes of them."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from anyscope.options import parse_channel, parse_sizes


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
    typer.Option(
        "--set", metavar="KEY=VALUE", help="A setting; nested keys have dots, a wrong key lists them. Repeatable."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="The result as one JSON document on stdout.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an output that is there.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
Trust = Annotated[
    bool, typer.Option("--trust", help="Code that comes with foreign models may run: TorchScript, Python, commands.")
]
Axes = Annotated[str | None, typer.Option("--axes", help="Axes as stored, such as zyx, cyx or yxc.")]
Voxel = Annotated[str | None, typer.Option("--voxel-size", help="Voxel size in nm as z,y,x or y,x.")]
Channel = Annotated[str | None, typer.Option("--channel", help="Channel number from 0, or grey for RGB.")]
Range = Annotated[str | None, typer.Option("--range", help="dtype, percentiles:LOW,HIGH or fixed:LOW,HIGH.")]
Jobs = Annotated[int, typer.Option("--jobs", min=1, help="Processes on this machine.")]
Scheduler = Annotated[str | None, typer.Option("--scheduler", help="Address of a Dask scheduler.")]
Cluster = Annotated[Path | None, typer.Option("--cluster", help="YAML file of a batch system, such as SLURM.")]
Split = Annotated[Part | None, typer.Option("--split", help="Only this part of the dataset's split.")]


def read_options(axes: str | None, voxel: str | None, channel: str | None) -> Any:
    from anyscope.images import ReadOptions

    return ReadOptions(axes, parse_sizes(voxel), parse_channel(channel))


def part_of(split: Part | None) -> Any:
    return None if split is None else split.value


def print_json(document: Any) -> None:
    print(json.dumps(document, indent=2, default=str, allow_nan=False))
