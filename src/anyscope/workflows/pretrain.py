"""``anyscope pretrain``: from images without labels to a network that training can start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from anyscope.datasets import ImageRegion, UnlabelledImages, is_dataset, open_unlabelled
from anyscope.datasets.holding_out import hold_out
from anyscope.images import ReadOptions
from anyscope.models import Segmenter, SegmenterSpec, build_segmenter, initialise, save_segmenter
from anyscope.reports.pretext_report import PretextPictures
from anyscope.running import processes
from anyscope.running.devices import choose_device
from anyscope.running.progress import say
from anyscope.running.run_folder import RunFolder
from anyscope.seeding import derive_seed
from anyscope.training.memory import training_bytes
from anyscope.training.pretraining import (
    PretrainSettings,
    Repair,
    fit_pretext,
    held_batches,
    pretrain_settings,
    repair,
)
from anyscope.workflows.pretrain_report import PICTURES, pretrain_report

_SHOWN = 6
"""Most patches of which pictures are kept."""


@dataclass(frozen=True)
class PretrainResult:
    """Where the run is, and how well it repairs.

    Args:
        run: The run folder; ``train --init`` starts from it.
        spoiled_error: Mean absolute difference (0..1) of held-out patches from what was made of them, over the pixels
            that were to be repaired.
        repaired_error: The same after they were repaired.
        report: The report page.
    """

    run: Path
    spoiled_error: float
    repaired_error: float
    report: Path


def pretrain(
    data: Path | str | Sequence[Path | str],
    out: Path | str,
    *,
    settings: PretrainSettings | None = None,
    init: Path | str | None = None,
    device: str = "auto",
    read: ReadOptions | None = None,
    resume: bool = False,
    force: bool = False,
) -> PretrainResult:
    """Let a network learn to repair images; no label is opened, whether there are some or not.

    Args:
        data: One or several of: a dataset folder, a folder of images, an image or stack. Of dataset folders the network
            sees the part ``train`` of the split, and is judged on ``val``; the part ``test`` is left alone unless
            ``settings.images`` is ``all``. Of others a share is held out.
        out: The run folder to make.
        settings: What to do; by default the profile ``fast``.
        init: A run, a segmenter folder or a file of weights to start from; every key that fits or not is reported.
        device: ``auto``, ``cpu`` or ``cuda``.
        read: How to read images where the files leave it open.
        resume: Continue a run that was stopped.
        force: Replace a run that is there.

    Raises:
        BadInput: The images or the settings do not fit.
        EnvironmentFault: The run folder cannot be written.
    """
    paths = [Path(data)] if isinstance(data, str | Path) else [Path(one) for one in data]
    out, settings, read = Path(out), settings or pretrain_settings(), read or ReadOptions()
    sources = [_open(path, settings, read) for path in paths]
    images = UnlabelledImages(tuple(region for source in sources for region in source.images))
    held = UnlabelledImages(tuple(region for source in sources for region in source.held))
    spec = settings.spec(UnlabelledImages(images.regions + held.regions).channels)
    plain = {
        "verb": "pretrain",
        "data": [str(path.resolve()) for path in paths],
        "init": None if init is None else str(Path(init).resolve()),
        "read": {"axes": read.axes, "voxel_size_nm": read.voxel_size_nm, "channel": read.channel},
        **settings.model_dump(mode="json"),
    }
    chosen = choose_device(device)
    processes.join(chosen)
    network = build_segmenter(spec, settings.seed, settings.weights)
    if init is not None:
        for line in initialise(network, Path(init)).describe():
            say(line)
    run = RunFolder.start(out, plain, resume=resume, force=force)
    if run.finished:
        say(f"{out}: finished already, nothing to do")
        return _result(run)
    _describe(sources, settings, network, chosen)
    with run.explain_interrupt():
        fit_pretext(network, images, held, settings, run, cpu=chosen == "cpu")
        repaired = repair(network, held_batches(held, settings), settings, chosen)
        network.to("cpu")
        network.spec = network.spec.model_copy(update=_origin(sources, settings, network))
        save_segmenter(network, run.path / "segmenter", replace=True)
        _pictures(repaired, network.spec).save(run.path / PICTURES)
        run.finish({f"{name}_error": mean(repaired.errors(name)) for name in ("spoiled", "repaired")})
        pretrain_report(run.path)
    return _result(run)


@dataclass(frozen=True)
class _Source:
    """One of the folders or files: images to learn from, those that are held out, and how they were divided."""

    path: Path
    images: UnlabelledImages
    held: UnlabelledImages
    rule: str

    @property
    def name(self) -> str:
        return self.path.resolve().name


def _open(path: Path, settings: PretrainSettings, read: ReadOptions) -> _Source:
    share, seed = settings.held_out, derive_seed(settings.seed, path.name)
    # the split of a dataset follows from its images and their names: labels/ is not even looked for
    dataset = open_unlabelled(path, read)
    if not is_dataset(path):
        return _Source(path, *hold_out(dataset.unlabelled(None), share, seed), f"{share:.0%} held out")
    if settings.images == "all":
        rule = f"all images, those for tests too; {share:.0%} held out"
        return _Source(path, *hold_out(dataset.unlabelled(None), share, seed), rule)
    images, rule = dataset.unlabelled("train"), f"the part train (split {dataset.split_rule}), labels are not opened"
    if dataset.split["val"]:
        return _Source(path, images, dataset.unlabelled("val"), f"{rule}; val held out")
    return _Source(path, *hold_out(images, share, seed), f"{rule}; {share:.0%} of it held out")


def _describe(sources: Sequence[_Source], settings: PretrainSettings, network: Segmenter, device: str) -> None:
    """Say what was understood, before anything takes long."""
    spec = network.spec
    for source in sources:
        first: ImageRegion = source.images[0]
        say(f"data: {source.path}: {len(source.images)} image(s); the first: {first.image.describe()}")
        say(f"  {source.rule}")
    unknown = sum(region.pixel_size_nm is None for source in sources for region in source.images)
    if spec.pixel_size_nm is not None and unknown:
        say(f"warning: the pixel size of {unknown} image(s) is unknown; they are used at their native pixels")
    say(f"model: {spec.model}, {spec.in_channels} channel(s), {spec.pixels}, {spec.intensity}")
    pretext = settings.make()
    say(f"pretext: {pretext.name}: {pretext.summary}; {pretext}")
    say(
        f"plan: {settings.epochs} epochs of {settings.steps_per_epoch} steps of {settings.batch} patches of"
        f" {settings.patch_px} pixels, on {device}"
    )
    needed = training_bytes(network, settings)
    say(f"memory: about {needed / 2**30:.1f} GiB for a training step; the time left is shown from the first steps on")


def _origin(sources: Sequence[_Source], settings: PretrainSettings, network: Segmenter) -> dict[str, object]:
    """Where the weights come from, for the spec: names and numbers, no paths."""
    names = " and ".join(dict.fromkeys(source.name for source in sources))
    steps = settings.epochs * settings.steps_per_epoch
    learned = f"{settings.model}, pre-trained on {names} ({settings.pretext}, {steps} steps)"
    provenance = {
        "pretext": settings.pretext,
        "datasets": [source.name for source in sources],
        "images": sum(len(source.images) for source in sources),
        "part": settings.images,
        "steps": steps,
        "seed": settings.seed,
    }
    return {"weights": f"{learned}, before that {network.spec.weights}", "provenance": provenance}


def _pictures(repaired: Repair, spec: SegmenterSpec) -> PretextPictures:
    """A few patches, evenly chosen, as the slice in the middle shows them."""
    count = len(repaired.images)
    shown = sorted({round(place * (count - 1) / max(1, _SHOWN - 1)) for place in range(_SHOWN)})
    own = slice(spec.neighbours * spec.channels, (spec.neighbours + 1) * spec.channels)
    image, spoiled, mended = (
        values[shown][:, own].mean(dim=1).numpy() for values in (repaired.images, repaired.spoiled, repaired.repaired)
    )
    errors = [(repaired.errors("spoiled")[place], repaired.errors("repaired")[place]) for place in shown]
    return PretextPictures(image, spoiled, mended, tuple(errors))


def _result(run: RunFolder) -> PretrainResult:
    """What a finished run reached, read from its folder."""
    finished = run.document("finished.json")
    return PretrainResult(run.path, finished["spoiled_error"], finished["repaired_error"], run.path / "report.html")
