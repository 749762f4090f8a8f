"""``anyscope predict``: masks, classes or instances for a file, a folder or a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from anyscope.contracts import Prediction
from anyscope.datasets import Part, is_dataset, open_unlabelled
from anyscope.datasets.folder import ImageRegion
from anyscope.errors import BadInput, Incomplete, unknown_name
from anyscope.external import LabelsAsLogits, identity, is_foreign
from anyscope.images import (
    Intensity,
    ReadOptions,
    is_image,
    output_suffix,
    stem_of,
    write_image,
    write_labels,
)
from anyscope.inference import (
    InferenceSettings,
    Network,
    check_augmentation,
    decoder_of,
    estimate_memory,
    making_objects,
    object_table,
    with_decoder,
    write_table,
)
from anyscope.inference.engines import ENGINES
from anyscope.models import Segmenter
from anyscope.running.atomic import refuse_existing, remove
from anyscope.running.devices import choose_device
from anyscope.running.progress import progress, say
from anyscope.running.run_folder import RunFolder
from anyscope.workflows.engine import with_engine
from anyscope.workflows.predict_volume import BlockSettings, Workers, is_volume_output, predict_volume
from anyscope.workflows.predictors import AnyModel, open_model, predict_image, refuse_for_labels, tiled_for

if TYPE_CHECKING:
    import pyarrow as pa

_PARTS = ".tables"


@dataclass(frozen=True)
class PredictResult:
    """Where the predictions are.

    Args:
        out: The file or folder.
        labels: The label image of each input, by stem.
        table: The table of objects, None where none was asked for.
    """

    out: Path
    labels: dict[str, Path]
    table: Path | None


def predict(
    run: Path | str,
    source: Path | str,
    out: Path | str,
    *,
    instances: bool = False,
    decoder: str | None = None,
    linker: str | None = None,
    probabilities: bool = False,
    table: Path | str | None = None,
    split: Part | None = None,
    inference: InferenceSettings | None = None,
    engine: str | None = None,
    device: str = "auto",
    read: ReadOptions | None = None,
    value_range: str | None = None,
    trust: bool = False,
    workers: Workers | None = None,
    blocks: BlockSettings | None = None,
    resume: bool = False,
    force: bool = False,
) -> PredictResult:
    """Segment images with a trained segmenter, or with another project's model.

    Args:
        run: A run, the folder of a segmenter, or a foreign model as :mod:`anyscope.external` opens it.
        source: An image file or stack, a folder of images, or a dataset folder.
        out: For one image a file, whose suffix gives the format, or a folder; for several a folder. The label images
            keep the stems of their inputs, and their formats where these are lossless.
        instances: Make objects of a mask by connected components, where the segmenter has no instances of its own.
        decoder: Another decoder than the best one: with the parameters that training tuned for it.
        linker: How objects of slices become objects of a volume: a linker, ``volume`` to decode the
            volume at once, or ``none``.
        probabilities: Also write the foreground probability, into ``OUT/probabilities`` or beside the one file.
        table: Also write one row for each object, as .csv or .parquet.
        split: Only this part of a dataset's split; the outputs then cover just these regions.
        inference: Tiles, test-time augmentation and memory; see :class:`anyscope.inference.InferenceSettings`. For an
            OME-Zarr the memory is what each worker may use in all.
        engine: Who computes on the CPU: ``torch``, ``onnxruntime`` or ``openvino``. None for the fastest of those that
            are installed, by a short measurement where the work is long; it is recorded, and kept by ``resume``.
        device: ``auto``, ``cpu`` or ``cuda``.
        read: How to read images where the files leave it open.
        value_range: Another intensity convention than the one stored with the segmenter, such as ``fixed:0,4095``.
        trust: Whether code that comes with a foreign model may run: TorchScript, Python, commands.
        workers: Who does the blocks of an image that is written as OME-Zarr.
        blocks: How such an image is cut into blocks.
        resume: Leave out what an interrupted run has finished.
        force: Replace outputs that are there.

    Raises:
        BadInput: The input cannot be read or does not fit the segmenter.
        Incomplete: Some of several images failed; they are listed, the others are done.
    """
    import torch

    source, out = Path(source), Path(out)
    table = None if table is None else Path(table)
    segmenter = open_model(run, trust=trust)
    refuse_for_labels(
        segmenter, inference or InferenceSettings(), decoder=decoder, link=linker, probabilities=probabilities
    )
    if value_range is not None:
        segmenter.spec = segmenter.spec.model_copy(update={"intensity": Intensity.parse(value_range)})
    if instances and segmenter.spec.task == "semantic":
        segmenter.spec = making_objects(segmenter.spec)
    segmenter.spec = with_decoder(segmenter.spec, decoder, linker)
    inference = tiled_for(segmenter, inference or InferenceSettings())
    inference = inference.model_copy(update={"device": choose_device(device)})
    check_augmentation(segmenter.spec, inference)
    segmenter.to(inference.device)
    if engine is not None and engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    if isinstance(segmenter, Segmenter):
        segmenter.to(memory_format=torch.channels_last)  # as in training
    elif engine is not None:
        raise BadInput(f"--engine {engine}", "given for a foreign model", "a run of ours", "it brings its own engine")
    if table is not None and table.suffix not in (".csv", ".parquet"):
        raise BadInput(table, f"suffix {table.suffix!r}", ".csv or .parquet")
    if table is not None and not (force or resume):
        refuse_existing(table)
    if is_image(source) and is_volume_output(out):
        if not isinstance(segmenter, Segmenter):
            raise BadInput(out, "block by block with a foreign model", "a run of ours", "write a TIFF instead")
        _say_model(segmenter, inference)
        predict_volume(
            segmenter, Path(run), source, out, inference=inference, engine=engine, read=read or ReadOptions(),
            probabilities=probabilities, table=table, workers=workers, blocks=blocks, resume=resume, force=force,
        )  # fmt: skip
        return PredictResult(out, {stem_of(source): out}, table)
    if workers is not None and workers.asked:
        found, expected = "of several images, or not OME-Zarr", "one image and --out NAME.ome.zarr"
        raise BadInput("--jobs, --scheduler, --cluster, --shard", f"given for an output {found}", expected)
    regions = _regions(source, split, read or ReadOptions())
    if is_image(out) and not is_image(source):
        raise BadInput(out, "the name of one image for what is found in a folder", "the name of a folder")
    _describe(segmenter, regions, inference)
    work = _Work(segmenter, inference, probabilities, table is not None)
    if is_image(source) and is_image(out):
        if isinstance(segmenter, Segmenter):
            work = replace(work, segmenter=with_engine(segmenter, engine, regions, inference))
        rows = work.one(regions[0], out, force)
        labels = {regions[0].stem: out}
    else:
        asked = {
            "verb": "predict",
            "run": str(Path(run).resolve()),
            "source": str(source.resolve()),
            "split": split,
            "instances": instances,
            "decoder": None if segmenter.spec.decoder is None else segmenter.spec.decoder.model_dump(mode="json"),
            "intensity": str(segmenter.spec.intensity),
            "probabilities": probabilities,
            "table": table is not None,
            "inference": inference.model_dump(mode="json"),
        }
        if is_foreign(run):
            asked |= {"run": str(Path(run).resolve()) if Path(run).exists() else str(run), "weights": identity(run)}
        folder = RunFolder.start(out, asked, resume=resume, force=force)
        if isinstance(segmenter, Segmenter):
            work = replace(work, segmenter=with_engine(segmenter, engine, regions, inference, out))
        with folder.explain_interrupt():
            labels, rows = work.many(regions, folder)
    if table is not None:
        write_table(table, rows)
        remove(out / _PARTS)
    return PredictResult(out, labels, table)


def _regions(source: Path, split: Part | None, read: ReadOptions) -> tuple[ImageRegion, ...]:
    if split is not None and not is_dataset(source):
        raise BadInput(source, "not a dataset folder", "one with images/", "--split needs a dataset")
    return open_unlabelled(source, read).unlabelled(split).regions


def _say_model(model: AnyModel, inference: InferenceSettings) -> None:
    spec = model.spec
    say(f"segmenter: {spec.model}, {spec.task}, heads {', '.join(spec.heads)}, {spec.pixels}, {inference.device}")
    if not isinstance(model, LabelsAsLogits):
        say(f"labels: {decoder_of(spec).describe()}")


def _describe(segmenter: AnyModel, regions: Sequence[ImageRegion], inference: InferenceSettings) -> None:
    spec = segmenter.spec
    _say_model(segmenter, inference)
    for region in regions[:3]:
        say(f"image: {region.image.path.name}: {region.image.describe()}")
        for note in region.image.notes:
            say(f"  {note}")
    if len(regions) > 3:
        say(f"... and {len(regions) - 3} more")
    if spec.pixel_size_nm is not None and any(region.voxel_size_nm is None for region in regions):
        say(
            f"warning: the pixel size of some images is unknown; they are segmented at their native pixels, "
            f"the network was trained at {spec.pixel_size_nm:g} nm (--voxel-size states it)"
        )
    if isinstance(segmenter, LabelsAsLogits):
        return
    largest = max(regions, key=lambda region: region.roi.size)
    shape = (largest.image.shape[0], *largest.roi.shape)
    estimate = estimate_memory(segmenter, shape, inference, largest.pixel_size_nm)
    say(f"memory for the largest image: {estimate.describe()}")


@dataclass(frozen=True)
class _Work:
    """What is done with each image."""

    segmenter: Network | LabelsAsLogits
    inference: InferenceSettings
    probabilities: bool
    tables: bool

    def one(self, region: ImageRegion, out: Path, force: bool) -> pa.Table | None:
        """One image into one file."""
        beside = out.with_name(f"{stem_of(out)}_probability.tif")
        if not force:
            refuse_existing(out)
            if self.probabilities:
                refuse_existing(beside)
        prediction = self._segment(region)
        if self.probabilities:
            self._write_probability(beside, prediction, region)
        write_labels(out, prediction.labels, region.voxel_size_nm)
        return self._table(prediction, region)

    def many(self, regions: Sequence[ImageRegion], folder: RunFolder) -> tuple[dict[str, Path], pa.Table | None]:
        """Several images into a folder; an image counts as done when its label image is there, which comes last."""
        out, failed = folder.path, []
        labels = {region.stem: out / (region.stem + output_suffix(region.image)) for region in regions}
        waiting = [region for region in regions if not labels[region.stem].exists()]
        with progress("predict", len(regions), "images", len(regions) - len(waiting)) as shown:
            for region in waiting:
                try:
                    prediction = self._segment(region)
                except BadInput as error:
                    failed.append(str(error))
                    say(f"failed: {error}")
                else:
                    if self.probabilities:
                        self._write_probability(out / "probabilities" / f"{region.stem}.tif", prediction, region)
                    if self.tables:
                        write_table(out / _PARTS / f"{region.stem}.parquet", self._table(prediction, region))
                    write_labels(labels[region.stem], prediction.labels, region.voxel_size_nm)
                shown.advance(note=region.stem)
        if failed:
            raise Incomplete(
                out, f"{len(failed)} of {len(regions)} images failed, the others are done: {'; '.join(failed)}"
            )
        folder.finish({"images": len(regions)})
        return labels, self._joined(out, regions)

    def _segment(self, region: ImageRegion) -> Prediction:
        unit = region.read_unit(self.segmenter.spec.intensity)
        try:
            prediction = predict_image(self.segmenter, unit, region.pixel_size_nm, self.inference)
        except BadInput as error:
            raise BadInput(region.image.path, error.found, error.expected, error.remedy) from None
        for note in prediction.notes:
            say(f"{region.stem}: {note}")
        return prediction

    def _write_probability(self, path: Path, prediction: Prediction, region: ImageRegion) -> None:
        if prediction.probability is not None:
            write_image(path, prediction.probability[None], region.voxel_size_nm)

    def _table(self, prediction: Prediction, region: ImageRegion) -> pa.Table | None:
        if not self.tables:
            return None
        import pyarrow as pa

        rows = object_table(prediction.labels, prediction.probability, region.voxel_size_nm)
        return rows.add_column(0, "image", pa.array([region.stem] * len(rows), pa.string()))

    def _joined(self, out: Path, regions: Sequence[ImageRegion]) -> pa.Table | None:
        if not self.tables:
            return None
        import pyarrow as pa
        import pyarrow.parquet as pq

        return pa.concat_tables([pq.read_table(out / _PARTS / f"{region.stem}.parquet") for region in regions])
