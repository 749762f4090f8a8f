"""``anyscope export``: a segmenter as a file for other runtimes, with a description that says how to feed it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyscope.errors import BadInput, unknown_name
from anyscope.external import NetworkFile
from anyscope.external.description import parse_description
from anyscope.models import Segmenter, load_segmenter
from anyscope.models.export import FORMATS, TOLERANCE, export_segmenter
from anyscope.models.storage import weights_hash
from anyscope.running.atomic import atomic_folder, refuse_existing
from anyscope.running.documents import dump_document
from anyscope.running.progress import say


@dataclass(frozen=True)
class ExportResult:
    """What was written.

    Args:
        out: The folder.
        network: The file of the network.
        description: ``anyscope-model.yaml`` beside it: how to feed it, and a model that stress and predict take.
        difference: Largest difference from our network, relative to the largest logit, on random images.
    """

    out: Path
    network: Path
    description: Path
    difference: float


def export(run: Path | str, to: str, out: Path | str, *, size: int | None = None, force: bool = False) -> ExportResult:
    """Write a segmenter for another runtime, compare the two, and describe how it is fed.

    Args:
        run: A run, or the folder of a segmenter.
        to: ``onnx``, ``torchscript`` or ``openvino``.
        out: The folder to make: ``model.onnx`` (or ``.pt``, ``.xml`` with ``.bin``) and ``anyscope-model.yaml``.
        size: The only height and width in working pixels that it shall take, for networks that cannot do without.
        force: Replace a folder that is there.

    Raises:
        BadInput: The network cannot be written in this format, or computes something else there.
        EnvironmentFault: The package for the format is not installed.
    """
    if to not in FORMATS:
        raise unknown_name("format", to, FORMATS)
    out = Path(out)
    if not force:
        refuse_existing(out)
    elif out.exists() and not (out / "anyscope-model.yaml").is_file():
        raise BadInput(out, "exists and is no export", remedy="--force only replaces exports; remove it by hand")
    segmenter = load_segmenter(Path(run))
    say(f"segmenter: {segmenter.spec.model}, {segmenter.spec.task}, heads {', '.join(segmenter.spec.heads)}")
    name = f"model{FORMATS[to]}"
    with atomic_folder(out, replace=force) as temporary:
        found = export_segmenter(segmenter, to, temporary / name, size)
        document = sidecar(segmenter, to, temporary / name, size, weights_hash(run))
        parse_description(document, out)  # what is written can be read
        (temporary / "anyscope-model.yaml").write_text(_text(document), encoding="utf-8")
    sizes = ", ".join(f"{batch} x {height} x {width}" for batch, height, width in found.shapes)
    say(f"check: largest difference {found.largest:.2g} of the largest logit (at most {TOLERANCE:g}), on {sizes}")
    return ExportResult(out, out / name, out / "anyscope-model.yaml", found.largest)


def sidecar(segmenter: Segmenter, to: str, path: Path, size: int | None, weights: str | None) -> dict[str, Any]:
    """How the exported network is fed and read, as the document of a foreign model.

    Args:
        segmenter: What was exported.
        to: The format.
        path: The file, whose checksum is taken.
        size: The only height and width it takes.
        weights: SHA-256 of the segmenter's weights, for the reader.
    """
    import hashlib

    spec = segmenter.spec
    field = segmenter.receptive_field()
    document: dict[str, Any] = {
        "anyscope_model": 1,
        "kind": to,
        "path": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "task": spec.task,
        "heads": list(spec.heads),
        "classes": spec.classes,
        "offsets": [list(offset) for offset in spec.offsets],
        "channels": spec.channels,
        "neighbours": spec.neighbours,
        "intensity": str(spec.intensity),
        "value_range": [0.0, 1.0],
        "pixel_size_nm": spec.pixel_size_nm,
        "zoom": spec.input.zoom,
        "output": "logits",
        "activation": "softmax" if spec.classes > 2 else "sigmoid",
        "decoder": None if spec.decoder is None else spec.decoder.model_dump(mode="json"),
        "stride": segmenter.stride,
        "smallest": segmenter.smallest,
        "size": size,
        "receptive_field": field,
        "provenance": {"model": spec.model, "arguments": spec.arguments, "weights_sha256": weights},
    }
    return {key: value for key, value in document.items() if value is not None and value != []}


def _text(document: dict[str, Any]) -> str:
    network = NetworkFile.model_validate(document)
    spec = network.spec
    lines = [
        f"The network takes float32 [batch, {spec.in_channels}, y, x] and gives [batch, {spec.out_channels}, y, x].",
        "Grey levels become 0..1 by 'intensity', once for each image; normalisation is inside.",
        f"Heights and widths are multiples of {network.stride}: extend images at the bottom and on the right by",
        "repeating their last pixels, and cut the output back.",
        "Its logits become values by a sigmoid, the head distance by a tanh, several classes by a softmax.",
        "'anyscope predict' and 'anyscope stress' take this file as a model.",
    ]
    if network.neighbours:
        lines.append(f"The channels are {2 * network.neighbours + 1} neighbouring slices, the middle one is segmented.")
    return "".join(f"# {line}\n" for line in lines) + dump_document(document)
