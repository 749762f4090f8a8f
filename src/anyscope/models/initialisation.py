"""Start a segmenter from other weights, and say of every tensor what became of it."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from anyscope.errors import BadInput, explain_os_errors
from anyscope.models.nets.low_rank import has_adapters, merge_adapters
from anyscope.models.segmenter import Segmenter, statistics_for_channels
from anyscope.models.storage import load_segmenter, read_safetensors
from anyscope.models.zoo import MODELS

_NESTS = ("state_dict", "model_state_dict", "model", "net")
_PREFIXES = ("module.", "_orig_mod.", "net.", "model.")
_TORCH_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".tar")


@dataclass(frozen=True)
class InitialisationReport:
    """What became of every tensor. Keys of the segmenter, except in ``unexpected``.

    Args:
        path: Where the weights were read.
        loaded: Tensors that were taken over.
        missing: Tensors of the segmenter that the file does not have; they keep their values.
        unexpected: Tensors of the file that the segmenter does not have, by the file's keys.
        other_shape: Tensors of both, of another shape in the file; they keep their values. (key, shape in the file,
            shape in the segmenter).
    """

    path: Path
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    other_shape: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]

    def to_document(self) -> dict[str, Any]:
        """The report as plain data for JSON."""
        return {
            "file": self.path.name,
            "loaded": list(self.loaded),
            "missing": list(self.missing),
            "unexpected": list(self.unexpected),
            "other_shape": [
                {"tensor": key, "in_file": list(there), "here": list(here)} for key, there, here in self.other_shape
            ],
        }

    def describe(self) -> list[str]:
        """The report as lines: a summary, then every tensor that was not taken over."""
        total = len(self.loaded) + len(self.missing) + len(self.other_shape)
        lines = [
            f"{self.path}: {len(self.loaded)} of {total} tensors loaded, {len(self.missing)} missing,"
            f" {len(self.unexpected)} unexpected, {len(self.other_shape)} of other shape"
        ]
        lines += [f"  missing, kept as it was: {key}" for key in self.missing]
        lines += [
            f"  other shape, kept as it was: {key} is {there} in the file, {here} here"
            for key, there, here in self.other_shape
        ]
        lines += [f"  unexpected, not used: {key}" for key in self.unexpected]
        return lines


def initialise(segmenter: Segmenter, path: str | PathLike[str]) -> InitialisationReport:
    """Take over the weights at ``path`` as far as they fit.

    Files in the format of another project that the model knows (SAM, SAM 2, MobileSAM) are translated: their encoder
    must fit wholly, and images are normalised from then on as they were for those weights.

    Low-rank adapters are merged into the weights beside them where the segmenter has none.

    Keys of other files are compared without the prefixes that wrappers add (``module.``, ``_orig_mod.``, ``net.``,
    ``model.``). The segmenter's spec then says where its weights come from. The normalisation of the
    inputs is among the tensors of a segmenter; a plain state_dict has none.

    Args:
        segmenter: Changed in place, all or nothing.
        path: Folder of a run or of a segmenter, a .safetensors file, or a torch checkpoint (read with weights_only);
            there the state_dict may lie under ``state_dict``, ``model_state_dict``, ``model`` or ``net``.

    Raises:
        BadInput: The file cannot be read, or no tensor fits.
    """
    path = Path(path)
    found, history = _read(path)
    translated = None if path.is_dir() else _translate(segmenter, found, path)
    if translated is not None:
        return translated
    own = segmenter.state_dict()
    if has_adapters(found) and not has_adapters(own):
        found = merge_adapters(found)
    by_bare_key = {_bare(key): key for key in own}
    taken: dict[str, torch.Tensor] = {}
    unexpected, other_shape = [], []
    for key, tensor in found.items():
        name = by_bare_key.get(_bare(key))
        if name is None or name in taken:
            unexpected.append(key)
        elif tensor.shape != own[name].shape:
            other_shape.append((name, tuple(tensor.shape), tuple(own[name].shape)))
        else:
            taken[name] = tensor
    seen = {*taken, *(name for name, _, _ in other_shape)}
    if not any(name.startswith("net.") and tensor.ndim > 1 for name, tensor in taken.items()):
        examples = ", ".join(list(found)[:3])
        raise BadInput(
            path,
            f"none of its {len(found)} tensors fits model {segmenter.spec.model!r} (it has {examples} ...)",
            f"keys and shapes such as {_example(segmenter)}",
            "choose weights of the same model and arguments",
        )
    segmenter.load_state_dict(taken, strict=False)
    origin = f"{len(taken)} of {len(own)} tensors from {path.name}{history}, before that {segmenter.spec.weights}"
    segmenter.spec = segmenter.spec.model_copy(update={"weights": origin})
    missing = tuple(name for name in own if name not in seen)
    return InitialisationReport(path, tuple(taken), missing, tuple(unexpected), tuple(other_shape))


def _translate(segmenter: Segmenter, found: Mapping[str, torch.Tensor], path: Path) -> InitialisationReport | None:
    """Take over a file in the format of another project; None where it is none that the model knows."""
    spec, foreign = segmenter.spec, MODELS[segmenter.spec.model].foreign
    adopted = None if foreign is None else foreign.adopt(segmenter.net, spec.channels, found, path)
    if foreign is None or adopted is None:
        return None
    own = segmenter.state_dict()
    taken = {f"net.{name}": tensor for name, tensor in adopted.tensors.items()}
    for name, values in (("mean", adopted.mean), ("std", adopted.std)):
        taken[name] = torch.tensor(statistics_for_channels(values, spec)).view_as(own[name])
    segmenter.load_state_dict(taken, strict=False)
    with explain_os_errors(path), path.open("rb") as handle:
        known = foreign.known.get(hashlib.file_digest(handle, "sha256").hexdigest())
    # a file in the right format can hold anything; only the published ones are called by the name of their project
    origin = (
        f"{known}, {path.name}" if known else f"{path.name}, in the format of {adopted.form} but not published there"
    )
    origin = f"{origin}: {len(taken)} of {len(own)} tensors; before that {spec.weights}"
    segmenter.spec = spec.model_copy(update={"weights": origin})
    missing = tuple(name for name in own if name not in taken)
    return InitialisationReport(path, tuple(taken), missing, adopted.unused, ())


def _example(segmenter: Segmenter) -> str:
    key, parameter = next(iter(segmenter.net.named_parameters()))
    return f"{key} {tuple(parameter.shape)}"


def _bare(key: str) -> str:
    """The key without the prefixes of wrappers."""
    for prefix in _PREFIXES:
        if key.startswith(prefix):
            return _bare(key.removeprefix(prefix))
    return key


def _read(path: Path) -> tuple[dict[str, torch.Tensor], str]:
    """The tensors at a path, and what they were pre-trained on in brackets, where that is all they were."""
    if path.is_dir():
        source = load_segmenter(path, pretrained=True)
        return dict(source.state_dict()), "" if source.spec.pretext is None else f" ({source.spec.weights})"
    return _read_file(path), ""


def _read_file(path: Path) -> dict[str, torch.Tensor]:
    if not path.exists():
        raise BadInput(path, "does not exist", "a run, a segmenter, a .safetensors file or a torch checkpoint")
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    if path.suffix not in _TORCH_SUFFIXES:
        known = ", ".join((".safetensors", *_TORCH_SUFFIXES))
        raise BadInput(path, f"has the suffix {path.suffix!r}", f"a folder, or a file with one of {known}")
    return _state_dict(_unpickle_weights(path), path)


def _unpickle_weights(path: Path) -> object:
    try:
        with explain_os_errors(path), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about the pickle protocol of files that are refused anyway
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, KeyError, EOFError, UnicodeDecodeError) as error:
        if "Unsupported global" in str(error) or "Unsupported class" in str(error):
            remedy = "save its state_dict alone: torch.save(model.state_dict(), ...)"
            raise BadInput(path, "holds Python objects that are not run here", "tensors only", remedy) from None
        raise BadInput(path, "cannot be read as a torch checkpoint", "an undamaged file") from None


def _state_dict(content: object, path: Path) -> dict[str, torch.Tensor]:
    """The first mapping in a checkpoint that holds tensors."""
    if isinstance(content, Mapping):
        for nested in (content, *(content[name] for name in _NESTS if name in content)):
            if isinstance(nested, Mapping):
                tensors = {str(key): value for key, value in nested.items() if isinstance(value, torch.Tensor)}
                if tensors:
                    return tensors
        found = f"holds {', '.join(str(key) for key in list(content)[:5]) or 'nothing'}"
    else:
        found = f"holds {type(content).__name__}"
    raise BadInput(path, found, f"a state_dict, plain or under {', '.join(_NESTS)}")
