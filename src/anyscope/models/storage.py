"""A segmenter as a folder: ``segmenter.yaml`` beside ``weights.safetensors``. Nothing in it can run code."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from anyscope.errors import BadInput, explain_os_errors
from anyscope.models.segmenter import Segmenter, build_segmenter
from anyscope.models.spec import SegmenterSpec
from anyscope.running.atomic import atomic_folder
from anyscope.running.documents import dump_document, read_document

SPEC_FILE, WEIGHTS_FILE = "segmenter.yaml", "weights.safetensors"
RUN_SUBFOLDER = "segmenter"
_HASH = "weights_sha256"


def save_segmenter(segmenter: Segmenter, folder: str | PathLike[str], *, replace: bool = False) -> None:
    """Save a segmenter as a folder, whole or not at all.

    Args:
        segmenter: The segmenter, on any device.
        folder: The folder to make.
        replace: Put it in the place of an existing folder.
    """
    state = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in segmenter.state_dict().items()}
    with atomic_folder(folder, replace=replace) as temporary:
        weights = temporary / WEIGHTS_FILE
        save_file(state, weights, metadata={"format": "pt"})
        document = {**segmenter.spec.to_document(), _HASH: _sha256(weights)}
        (temporary / SPEC_FILE).write_text(dump_document(document), encoding="utf-8")


def weights_hash(path: str | PathLike[str]) -> str | None:
    """The SHA-256 of a segmenter's weights as its spec states it; None where it states none.

    Raises:
        BadInput: There is no spec, or it is no mapping.
    """
    document = read_document(find_segmenter(path) / SPEC_FILE, "a spec written by anyscope")
    claimed = document.get(_HASH) if isinstance(document, dict) else None
    return claimed if isinstance(claimed, str) else None


def read_spec(path: str | PathLike[str], *, pretrained: bool = False) -> SegmenterSpec:
    """The spec of a segmenter; its weights are not looked at.

    Args:
        path: Its folder, or the folder of a run that holds one in ``segmenter/``.
        pretrained: Also that of a network that has only been pre-trained.

    Raises:
        BadInput: There is none, it does not fit, or it has only been pre-trained.
    """
    file = find_segmenter(path) / SPEC_FILE
    document = read_document(file, "a spec written by anyscope")
    if isinstance(document, dict):
        document.pop(_HASH, None)
    spec = SegmenterSpec.from_document(document, file)
    if not pretrained:
        _refuse_pretrained(spec, path)
    return spec


def _refuse_pretrained(spec: SegmenterSpec, path: str | PathLike[str]) -> None:
    if spec.pretext is not None:
        raise BadInput(
            path,
            f"was only pre-trained ({spec.pretext}), it has learned from no labels yet",
            "a segmenter",
            "train it first: anyscope train --init",
        )


def load_segmenter(
    path: str | PathLike[str], device: str | torch.device = "cpu", *, pretrained: bool = False
) -> Segmenter:
    """Load a segmenter, in evaluation mode.

    Args:
        path: Its folder, or the folder of a run that holds one in ``segmenter/``.
        device: Where to put it.
        pretrained: Also load a network that has only been pre-trained, which segments nothing.

    Raises:
        BadInput: Files are missing, damaged, changed after they were written, of a newer version, or do not fit; or it
            has only been pre-trained.
    """
    folder = find_segmenter(path)
    document = read_document(folder / SPEC_FILE, "a spec written by anyscope")
    weights = folder / WEIGHTS_FILE
    if not weights.is_file():
        raise BadInput(folder, f"holds no {WEIGHTS_FILE}", "a folder that was written by anyscope train")
    claimed = document.pop(_HASH, None) if isinstance(document, dict) else None
    spec = SegmenterSpec.from_document(document, folder / SPEC_FILE)
    if not pretrained:
        _refuse_pretrained(spec, path)
    if not isinstance(claimed, str):
        raise BadInput(folder / SPEC_FILE, f"key {_HASH!r} is missing", f"the SHA-256 of {WEIGHTS_FILE}")
    with explain_os_errors(weights):
        found = _sha256(weights)
    if found != claimed:
        raise BadInput(
            weights,
            f"was changed after it was written (SHA-256 {found[:12]}...)",
            f"{claimed[:12]}... as in {SPEC_FILE}",
            "copy the folder again",
        )
    state = read_safetensors(weights)
    segmenter = build_segmenter(spec, seed=0)
    segmenter.spec = spec
    _check_fit(state, segmenter.state_dict(), weights)
    segmenter.load_state_dict(state)
    return segmenter.to(device).eval()


def find_segmenter(path: str | PathLike[str]) -> Path:
    """The folder of a segmenter at ``path``: itself, or ``segmenter/`` in the folder of a run."""
    path = Path(path)
    for folder in (path, path / RUN_SUBFOLDER):
        if (folder / SPEC_FILE).is_file():
            return folder
    expected = f"the folder of a segmenter or of a run, with {SPEC_FILE}"
    if not path.exists():
        raise BadInput(path, "does not exist", expected)
    raise BadInput(path, f"{SPEC_FILE} is missing" if path.is_dir() else "is a file, not a folder", expected)


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a .safetensors file; a file that is none is a :class:`~anyscope.errors.BadInput`."""
    try:
        with explain_os_errors(path):
            return load_file(path)
    except SafetensorError as error:
        raise BadInput(path, f"cannot be read as safetensors ({error})", "an undamaged file") from None


def _check_fit(found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], subject: Path) -> None:
    problems: list[str] = [f"tensor {key!r} is missing" for key in wanted if key not in found]
    problems += [f"tensor {key!r} is unexpected" for key in found if key not in wanted]
    for key in wanted.keys() & found.keys():
        here, there = found[key], wanted[key]
        if here.shape != there.shape or here.dtype != there.dtype:
            problems.append(f"tensor {key!r} is {_describe(here)}, not {_describe(there)}")
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise BadInput(subject, f"{problems[0]}{more}", f"the tensors of the model in {SPEC_FILE}")


def _describe(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {'x'.join(str(length) for length in tensor.shape) or 'scalar'}"


def _sha256(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
