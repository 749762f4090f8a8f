"""``anyscope data synth --like`` and ``data compare``: synthetic images after real ones, and how alike they look."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from anyscope.datasets import LabelledImages, open_dataset, open_unlabelled
from anyscope.datasets.synthetic import write_synthetic
from anyscope.errors import BadInput
from anyscope.images import Intensity, ReadOptions
from anyscope.microscope import MICROSCOPES
from anyscope.running.atomic import refuse_existing
from anyscope.running.devices import choose_device
from anyscope.running.documents import build_entry
from anyscope.running.progress import progress, say
from anyscope.running.run_folder import RunFolder
from anyscope.seeding import generator
from anyscope.synthesis.settings import PainterSettings
from anyscope.workflows.data import changed_settings

if TYPE_CHECKING:
    from anyscope.synthesis import Painter, Realism, Scene, StoredPainter

By = Literal["learned", "physics"]
_MOST_COMPARED = 200


def data_like(
    like: Path | str,
    out: Path | str,
    *,
    by: By = "learned",
    painter: Path | str | None = None,
    microscope: str = "reference",
    count: int = 20,
    shape: tuple[int, int] = (512, 512),
    seed: int = 0,
    changes: dict[str, Any] | None = None,
    device: str = "auto",
    read: ReadOptions | None = None,
    force: bool = False,
) -> Path:
    """Make synthetic images like those of a labelled dataset, with exact truth and exact SNR.

    Only the training part is looked at. Shapes, sizes, density and brightness of the objects are those of its images;
    their light is painted by a network that has learned it there, or by blur and texture alone.

    Args:
        like: A dataset folder with labels, or a painter that was learned before.
        out: The dataset folder to make.
        by: ``learned`` or ``physics``.
        painter: Where the learned painter is kept; it is used where it is there, and an interrupted training goes on.
            Without it beside the output, as ``OUT-painter``.
        microscope: Whose camera takes the images.
        count: Number of images.
        shape: Pixels (y, x) of each.
        seed: Seed of the images.
        changes: Changed settings of the microscope, such as ``{"snr": 4}``, and under ``painter`` those of its
            training, see :class:`anyscope.synthesis.PainterSettings`.
        device: ``auto``, ``cpu`` or ``cuda``.
        read: How to read images where the files leave it open.
        force: Replace a folder that is there; never a painter.

    Raises:
        BadInput: The dataset has no objects, several channels, or settings do not fit.
    """
    like, out = Path(like), Path(out)
    changes = dict(changes or {})
    given = changes.pop("painter", {})
    if not isinstance(given, dict):
        raise BadInput("setting 'painter'", f"{given!r}", "one of its settings, such as painter.epochs=10")
    learning = build_entry(PainterSettings, given, "the painter", "setting")
    settings = changed_settings(MICROSCOPES[microscope].settings("nuclei"), changes)
    if count < 1:
        raise BadInput("count", f"{count}", "at least one image")
    if not force:
        refuse_existing(out)
    painted_by, scenes, pixel_size_nm = _painter_for(
        like, by, Path(painter) if painter is not None else out.with_name(f"{out.name}-painter"), learning,
        choose_device(device), read,
    )  # fmt: skip
    from anyscope.synthesis import painted_images

    images = painted_images(painted_by, scenes, settings, count=count, shape=shape, seed=seed)
    with progress("synthesise", count, "images") as shown:
        write_synthetic(out, images, pixel_size_nm, force=force, done=shown.advance)
    open_dataset(out)
    return out


def data_compare(
    folder: Path | str, reference: Path | str, *, read: ReadOptions | None = None, seed: int = 0
) -> Realism:
    """How far images are from reference images in spectra, grey levels and filter statistics.

    Args:
        folder, reference: Dataset folders, or folders of images; all their images, or an even choice of 200 slices.
        read: How to read images where the files leave it open.
        seed: Of that choice.
    """
    from anyscope.synthesis import compare_sets

    sets = []
    for root in (Path(folder), Path(reference)):
        images = open_unlabelled(root, read).unlabelled(None)
        planes = [(region, z) for region in images for z in range(region.roi.shape[0])]
        chosen = sorted(generator(seed, "compare").permutation(len(planes))[:_MOST_COMPARED].tolist())
        units = [planes[place][0].planes(planes[place][1], planes[place][1] + 1) for place in chosen]
        sets.append([unit.read_unit(Intensity()).mean(axis=0)[0] for unit in units])
    return compare_sets(sets[0], sets[1], generator(seed, "crops"))


def _painter_for(
    like: Path, by: By, kept: Path, learning: PainterSettings, device: str, read: ReadOptions | None
) -> tuple[Painter, tuple[Scene, ...], float | None]:
    from anyscope.synthesis import fit_physics, load_painter
    from anyscope.synthesis.store import find_painter

    if find_painter(like) is not None:
        if by == "physics":
            raise BadInput(like, "is a learned painter", "a dataset folder", "leave --by out")
        return _parts(load_painter(like, device))
    dataset = open_dataset(like, read)
    images = dataset.labelled("train")
    sizes = {region.pixel_size_nm for region in images}
    pixel_size_nm = sizes.pop() if len(sizes) == 1 else None
    if by == "physics":
        pairs = _pairs(images, learning)
        painter = fit_physics(pairs, generator(learning.seed, "physics"))
        say(f"painter: {painter.describe()}")
        return painter, tuple(scene for scene, _ in pairs), pixel_size_nm
    return _parts(_learned(like, images, kept, learning, device, pixel_size_nm))


def _parts(stored: StoredPainter) -> tuple[Painter, tuple[Scene, ...], float | None]:
    return stored.painter, stored.scenes, stored.pixel_size_nm


def _pairs(images: LabelledImages, learning: PainterSettings) -> list[Any]:
    from anyscope.synthesis import read_pairs

    slices = sum(region.roi.shape[0] for region in images)
    with progress("clean", min(slices, learning.scenes), "slices") as shown:
        return read_pairs(images, Intensity(), most=learning.scenes, seed=learning.seed, advance=shown.advance)


def _learned(
    like: Path, images: LabelledImages, kept: Path, learning: PainterSettings, device: str, pixel_size_nm: float | None
) -> StoredPainter:
    """The painter that is kept, or one that learns now and is kept."""
    from anyscope.synthesis import learn_painter, load_painter, save_painter

    asked = {"verb": "data synth", "like": str(like.resolve()), "painter": learning.model_dump(mode="json")}
    run = RunFolder.start(kept, asked, resume=True, force=False)
    if not run.finished:
        say(f"painter: learns from {like.name}, {len(images)} images, on {device}; it is kept in {kept}")
        with run.explain_interrupt():
            pairs = _pairs(images, learning)
            network = learn_painter(pairs, learning, run, device)
        if not (kept / "painter").exists():
            scenes = tuple(scene for scene, _ in pairs)
            save_painter(
                kept / "painter", network, scenes, learning, dataset=like.resolve().name, pixel_size_nm=pixel_size_nm
            )
        run.finish({"scenes": len(pairs), "steps": learning.epochs * learning.steps_per_epoch})
    return load_painter(kept, device)
