"""Verbs that look: doctor, models, conditions, data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from anyscope.cli.options import (
    Axes,
    Channel,
    Device,
    Force,
    Json,
    Out,
    Resume,
    Seed,
    Set,
    Voxel,
    print_json,
    read_options,
)
from anyscope.errors import BadInput, EnvironmentFault
from anyscope.options import parse_overrides, parse_sizes

app = typer.Typer()


class Painting(StrEnum):
    """Who paints images like others."""

    learned = "learned"
    physics = "physics"


data_app = typer.Typer(help="Get published datasets, look at dataset folders, make synthetic ones.")


@app.command()
def doctor(as_json: Json = False) -> None:
    """What is installed, where networks can run, what to mend."""
    from anyscope.workflows.doctor import doctor as examine
    from anyscope.workflows.tables import ticks

    checks = examine()
    if as_json:
        print_json([asdict(check) for check in checks])
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
        print_json([asdict(model) for model in found])
    else:
        print(models_table(found, whole=name is not None))


@app.command()
def conditions(
    name: Annotated[str | None, typer.Argument(help="One of them, with its parameters.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """The corruptions and attacks of 'stress'."""
    from anyscope.workflows.conditions import list_conditions
    from anyscope.workflows.tables import conditions_table

    found = list_conditions(name)
    if as_json:
        print_json([asdict(condition) for condition in found])
    else:
        print(conditions_table(found, whole=name is not None))


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(help="One of them, with its parameters.")] = None, as_json: Json = False
) -> None:
    """List steps of adaptation, rules of selection, decoders, linkers, pretexts and protocols."""
    from anyscope.workflows.methods import list_methods
    from anyscope.workflows.tables import methods_table

    found = list_methods(name)
    if as_json:
        print_json([asdict(method) for method in found])
    else:
        print(methods_table(found, whole=name is not None))


@data_app.command("list")
def data_list(
    name: Annotated[str | None, typer.Argument(help="One dataset, with everything known.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """The published datasets that 'data get' knows."""
    from anyscope.workflows.catalog import data_list as known
    from anyscope.workflows.catalog import datasets_table

    found = known(name)
    if as_json:
        print_json([asdict(dataset) for dataset in found])
    else:
        print(datasets_table(found, whole=name is not None))


@data_app.command("get")
def data_get(
    name: Annotated[str, typer.Argument(help="A name of 'anyscope data list'.", show_default=False)],
    out: Out,
    source: Annotated[
        Path | None, typer.Option("--from", help="A folder or archive that you have, instead of fetching.")
    ] = None,
    mirror: Annotated[str | None, typer.Option(help="Address of another folder with the same files.")] = None,
    resume: Resume = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Fetch a published dataset and make it a dataset folder.

    Its licence and what to cite are shown and kept in DIR/README.txt.
    """
    from anyscope.workflows.catalog import data_get as run_get

    made = run_get(name, out, source=source, mirror=mirror, resume=resume, force=force)
    if as_json:
        print_json(asdict(made))
        return
    parts = ", ".join(f"{count} {part}" for part, count in made.parts.items())
    print(f"dataset: {made.out} ({parts})\nlicence: {made.licence}")
    print(f"cite: {made.citation} https://doi.org/{made.doi}")


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

    findings = check(folder, read=read_options(axes, voxel_size, channel))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        print(ticks([(f.verdict, f.subject, f.text) for f in findings]))
    bad = sum(finding.verdict == "bad" for finding in findings)
    if bad:
        raise BadInput(folder, f"{bad} of {len(findings)} checks failed", remedy="see the crosses above")


@data_app.command("synth")
def data_synth(
    out: Out,
    specimen: Annotated[str | None, typer.Option(help="nuclei (default), mitochondria or er.")] = None,
    like: Annotated[
        Path | None, typer.Option(help="Instead of a specimen: images like those of this labelled dataset.")
    ] = None,
    by: Annotated[
        Painting | None, typer.Option(help="With --like: a network paints (default), or blur and texture.")
    ] = None,
    painter: Annotated[
        Path | None, typer.Option(help="With --like: where the network is kept, and found again. Default OUT-painter.")
    ] = None,
    volume: Annotated[
        str | None, typer.Option(help="Instead of images one volume of z,y,x voxels as OME-Zarr, of any size.")
    ] = None,
    microscope: Annotated[
        str | None, typer.Option(help="A named microscope, such as reference (default) or shifted.")
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Number of images; 20 by default.")] = None,
    size: Annotated[str | None, typer.Option(help="Pixels of each image as y,x; 512,512 by default.")] = None,
    seed: Seed = 0,
    changes: Set = None,
    device: Device = "auto",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Make synthetic fluorescence images with exact truth.

    Beside images and labels: the noise-free signal and the record of each image. With --like shapes, density and
    brightness of objects are those of real images: --set snr=4 for the camera, --set painter.epochs=30 for the network.
    """
    from anyscope.workflows import data

    images = {"--microscope": microscope, "--count": count, "--size": size, "--set": changes}
    learned = {"--like": like, "--by": by, "--painter": painter}
    if volume is not None:
        _refuse({"--specimen": specimen, **learned, **images}, "with --volume", "--seed alone")
        made = data.data_volume(out, _volume(volume), seed=seed, force=force)
    elif like is None:
        _refuse({"--by": by, "--painter": painter}, "without --like", "a labelled dataset that images should be like")
        made = data.data_synth(
            out, specimen=specimen or "nuclei", microscope=microscope or "reference", count=count or 20,
            shape=_shape(size), seed=seed, changes=parse_overrides(changes or []), force=force,
        )  # fmt: skip
    else:
        from anyscope.workflows.synthesis import data_like

        _refuse({"--specimen": specimen}, "with --like", "one of the two")
        made = data_like(
            like, out, by="learned" if by is None else by.value, painter=painter, device=device,
            microscope=microscope or "reference", count=count or 20, shape=_shape(size), seed=seed,
            changes=parse_overrides(changes or []), force=force,
        )  # fmt: skip
    if as_json:
        print_json({"dataset": made})
    else:
        print(f"dataset: {made}")


def _refuse(options: Mapping[str, object], where: str, expected: str) -> None:
    """Refuse options that would do nothing."""
    for name, value in options.items():
        if value is not None:
            raise BadInput(name, f"given {where}", expected)


def _shape(size: str | None) -> tuple[int, int]:
    sizes = parse_sizes(size or "512,512", "--size", "512,512")
    if sizes is None or len(sizes) != 2 or any(length != int(length) for length in sizes):
        raise BadInput("--size", repr(size), "two whole numbers as y,x")
    return int(sizes[0]), int(sizes[1])


def _volume(text: str) -> tuple[int, int, int]:
    sizes = parse_sizes(text, "--volume", "256,512,512")
    if sizes is None or len(sizes) != 3 or any(length != int(length) for length in sizes):
        raise BadInput("--volume", repr(text), "three whole numbers as z,y,x")
    return int(sizes[0]), int(sizes[1]), int(sizes[2])


@data_app.command("compare")
def data_compare(
    folder: Annotated[Path, typer.Argument(help="A dataset folder.", show_default=False)],
    reference: Annotated[Path, typer.Argument(help="The dataset it should look like.", show_default=False)],
    axes: Axes = None,
    channel: Channel = None,
    as_json: Json = False,
) -> None:
    """How far images look from reference images: spectra, grey levels, statistics of filters."""
    from anyscope.workflows.synthesis import data_compare as compare

    found = compare(folder, reference, read=read_options(axes, None, channel))
    if as_json:
        print_json(found.to_dict())
        return
    spectrum = "unknown" if found.spectrum is None else f"{found.spectrum:.3f} decades of power apart"
    print(f"spectra: {spectrum}\ngrey levels: {found.levels:.3f} apart (0 alike, 1 black against white)")
    print(f"filter statistics: Frechet distance {found.features:.2f}; two halves of the reference: {found.chance:.2f}")
    print(f"crops: {found.crops[0]} against {found.crops[1]}")


@data_app.command("strata")
def data_strata(
    folder: Annotated[Path, typer.Argument(help="The dataset folder.", show_default=False)],
    out: Out,
    by: Annotated[str, typer.Option(help="shape, snr, or a CSV file with the columns stem and group.")] = "shape",
    parts: Annotated[int, typer.Option(min=2, help="Number of strata by SNR.")] = 3,
    axes: Axes = None,
    voxel_size: Voxel = None,
    channel: Channel = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Divide a dataset by how its images were acquired.

    Each stratum becomes a dataset: train on one, test on the others.
    """
    from anyscope.workflows.data import data_strata as divide

    found = divide(folder, out, by=by, parts=parts, read=read_options(axes, voxel_size, channel), force=force)
    if as_json:
        print_json({name: str(path) for name, path in found.items()})
    else:
        print("\n".join(f"{name}: {path}" for name, path in found.items()))
