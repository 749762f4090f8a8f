"""The verb stress."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anyscope.cli.options import (
    Axes,
    Channel,
    Data,
    Device,
    Force,
    Json,
    Out,
    Resume,
    Seed,
    Split,
    Trust,
    Voxel,
    part_of,
    print_json,
    read_options,
)
from anyscope.errors import GateFailed, Incomplete

if TYPE_CHECKING:
    from anyscope.workflows.stress import StressResult

app = typer.Typer()


@app.command()
def stress(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Runs, folders of segmenters, or other models: .onnx, .pt, a package, a .yaml.", show_default=False
        ),
    ],
    data: Data,
    out: Out,
    suite: Annotated[
        str, typer.Option(help="quick, fluorescence, electron, digital, full, none; corruptions; NAME@SEVERITY.")
    ] = "quick",
    attacks: Annotated[
        str, typer.Option(help="strong, all, or names such as fgsm,apgd:300; see anyscope conditions.")
    ] = "",
    epsilons: Annotated[
        str, typer.Option(help="Sizes of attacks in grey levels of 255; without it 1,2,4,8,16,32, or 2,8 with strong.")
    ] = "",
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
    trust: Trust = False,
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

    names = [name.strip() for name in attacks.split(",") if name.strip()]
    chosen: dict[str, Any] = {
        "suite": suite, "attacks": names, "epsilons": parse_numbers(epsilons, "--epsilons") if epsilons else None,
        "attack_steps": attack_steps, "shifts": shift or [], "split": part_of(split), "images": images, "crop_px": crop,
        "planes": planes, "baseline": baseline, "seed": seed, "batch": batch, "device": device,
        "read": read_options(axes, voxel_size, channel), "trust": trust,
    }  # fmt: skip
    if dry_run:
        found = assay.dry_run(assay.plan_assay(runs, data, **chosen))
        if as_json:
            print_json(asdict(found))
        else:
            print(assay.describe_estimate(found))
        return
    try:
        result = assay.stress(
            runs, data, out, **chosen, reference=reference, gate=gate, jobs=jobs, scheduler=scheduler,
            resume=resume, force=force,
        )  # fmt: skip
    except (GateFailed, Incomplete) as error:
        if isinstance(error.result, assay.StressResult):
            _show(error.result, as_json)
        raise
    _show(result, as_json)


def _show(result: StressResult, as_json: bool) -> None:
    from anyscope.workflows.tables import stress_json, stress_table

    if as_json:
        print_json(stress_json(result))
    else:
        print(stress_table(result))
        print(f"cells: {result.out / 'cells.csv'}\nreport: {result.report}")
