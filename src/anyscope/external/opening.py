"""From a path or an entry point to a model: what it is, whether it may run, and the adapter for its kind."""

from __future__ import annotations

import hashlib
import json
import math
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import nn

from anyscope.errors import BadInput, explain_os_errors
from anyscope.external.bioimage import Package, check_sha256, find_package, read_package, within
from anyscope.external.commands import CommandModel
from anyscope.external.description import (
    ENTRY,
    FILE,
    CommandFile,
    ForeignFile,
    FunctionFile,
    NetworkFile,
    parse_description,
)
from anyscope.external.functions import FunctionModel, import_entry, source_of
from anyscope.external.networks import ForeignNetwork
from anyscope.external.processing import chained
from anyscope.models.runtimes import OnnxRuntime, OpenVinoRuntime
from anyscope.running.documents import read_document

ForeignModel = ForeignNetwork | FunctionModel | CommandModel
"""What adapters make: networks, which give maps, and models that give labels (z, y, x) of images (c, z, y, x)."""

_SUFFIXES = {".onnx": "onnx", ".pt": "torchscript", ".pth": "torchscript", ".xml": "openvino"}
_DESCRIPTIONS = (".yaml", ".yml")
_STRIDE = 32
"""What heights and widths are made multiples of where nothing is said: enough for nearly all networks."""
_PROBE = 64


def is_foreign(path: str | PathLike[str]) -> bool:
    """Whether ``path`` names a foreign model by its form: a description, a network's file, a package, an entry.

    Folders of our own runs and segmenters are none.
    """
    place = Path(path)
    if place.is_dir():
        return (place / FILE).is_file() or find_package(place) is not None
    if ENTRY.match(str(path)) and not place.exists():
        return True
    return place.suffix in (*_SUFFIXES, *_DESCRIPTIONS)


def read_foreign(path: str | PathLike[str]) -> tuple[ForeignFile, Path]:
    """The description of a foreign model and the folder that its paths are relative to; nothing is run.

    A file of a network is described by the ``.yaml`` of its name beside it, or by the folder's, where that names it.

    Raises:
        BadInput: There is none, or it does not say what is needed.
    """
    place = Path(path)
    if ENTRY.match(str(path)) and not place.exists():
        return _described({"kind": "python", "path": str(path)}, str(path)), Path.cwd()
    if not place.exists():
        raise BadInput(place, "does not exist", "a run, or another project's model")
    if place.is_dir() and (place / FILE).is_file():
        return _from_document(place / FILE), place
    if place.is_dir():
        return _described({"kind": "bioimage", "path": "."}, place), place
    if place.suffix in _DESCRIPTIONS:
        return _from_document(place), place.parent
    beside = _beside(place)
    if beside is not None:
        return beside, place.parent
    if place.suffix not in _SUFFIXES:
        raise BadInput(
            place, "is no model that is known", f"{FILE}, {', '.join(_SUFFIXES)}, a package or an entry point"
        )
    plain = {"kind": _SUFFIXES[place.suffix], "path": place.name, "stride": _STRIDE}
    return _described(plain, place), place.parent


def open_foreign(
    path: str | PathLike[str], *, trust: bool = False, device: str = "cpu", threads: int = 0
) -> ForeignModel:
    """Open a foreign model.

    Args:
        path: ``anyscope-model.yaml``, the folder that holds one, a package of the BioImage Model Zoo, a file of a
            network (``.onnx``, ``.pt``, ``.xml``) or an entry point ``package.module:name``.
        trust: Whether code that it brings along may run: TorchScript, Python, commands. ONNX is data.
        device: Where a torch network works; the others compute on the CPU.
        threads: Of other runtimes; as many as torch has where 0.

    Raises:
        BadInput: It is missing, damaged, changed, ambiguous, not trusted, or does not fit its description.
        EnvironmentFault: The package that runs it is not installed.
    """
    description, folder = read_foreign(path)
    threads = threads or torch.get_num_threads()
    if isinstance(description, CommandFile):
        _require_trust(trust, path, "a command is a program that would be run")
        return CommandModel(description, folder)
    if isinstance(description, FunctionFile):
        _require_trust(trust, path, "a Python entry point is code that would be run")
        if not _names_module(description.path, folder):
            return FunctionModel(description, folder)
        plain = {"kind": "module", "path": description.path, "stride": _STRIDE}
        description = _described({**description.model_dump(exclude={"kind", "path", "axes"}), **plain}, str(path))
    assert isinstance(description, NetworkFile)
    if description.kind == "bioimage":
        return _packaged(description, folder, trust=trust, device=device, threads=threads)
    network = _network(description, folder, path, trust=trust, device=device, threads=threads)
    return _settled(network, given=description.model_fields_set, subject=path).to(device)


def identity(path: str | PathLike[str]) -> str:
    """SHA-256 over the description of a foreign model and the file it names: another file is another model."""
    description, folder = read_foreign(path)
    found = hashlib.sha256(json.dumps(description.model_dump(mode="json"), sort_keys=True).encode())
    files: list[Path] = []
    if isinstance(description, NetworkFile) and description.kind == "bioimage":
        package = read_package(_inside(folder, description.path), prefer="onnx")
        files = [one for one in (find_package(package.folder), package.weights) if one is not None]
    elif isinstance(description, NetworkFile) and description.kind != "module":
        files = [within(folder, description.path, folder)]
        files += [one for one in [files[0].with_suffix(".bin")] if description.kind == "openvino" and one.is_file()]
    entry = getattr(description, "path", "")
    if ENTRY.match(entry) and (source := source_of(entry, folder)) is not None:
        files = [source]
    for file in files:
        with explain_os_errors(file), open(file, "rb") as handle:
            found.update(hashlib.file_digest(handle, "sha256").digest())
    return found.hexdigest()


def _beside(file: Path) -> ForeignFile | None:
    """The description of a network's file that lies beside it, under its name or as the folder's."""
    for path in (file.with_suffix(".yaml"), file.with_suffix(".yml"), file.parent / FILE):
        document = _document(path) if path.is_file() else None
        if isinstance(document, dict) and "anyscope_model" in document and document.get("path") == file.name:
            return parse_description(document, path)
    return None


def _document(path: Path) -> object:
    return read_document(path, "the description of a model")


def _from_document(path: Path) -> ForeignFile:
    return parse_description(_document(path), path)


def _described(document: dict[str, Any], subject: str | Path) -> ForeignFile:
    return parse_description(document, subject)


def _require_trust(trust: bool, path: str | PathLike[str], why: str) -> None:
    if not trust:
        raise BadInput(str(path), why, "models that are data alone", "give --trust if you trust where it comes from")


def _names_module(entry: str, folder: Path) -> bool:
    return isinstance(import_entry(entry, folder), nn.Module)


def _network(
    description: NetworkFile, folder: Path, path: str | PathLike[str], *, trust: bool, device: str, threads: int
) -> ForeignNetwork:
    if description.kind == "module":
        _require_trust(trust, path, "a Python entry point is code that would be run")
        module = import_entry(description.path, folder)
        module = module if isinstance(module, nn.Module) or not callable(module) else module()
        if not isinstance(module, nn.Module):
            raise BadInput(
                description.path, f"is a {type(module).__name__}", "a torch module, or a function that makes one"
            )
        return ForeignNetwork(description, module)
    file = within(folder, description.path, Path(path))
    if description.sha256 is not None:
        check_sha256(file, description.sha256, Path(FILE))
    return ForeignNetwork(
        description, *_body(description.kind, file, path, trust=trust, device=device, threads=threads)
    )


def _body(
    kind: str, file: Path, path: str | PathLike[str], *, trust: bool, device: str, threads: int
) -> tuple[nn.Module | OnnxRuntime | OpenVinoRuntime]:
    if kind == "onnx":
        return (OnnxRuntime(file, threads),)
    if kind == "openvino":
        return (OpenVinoRuntime(file, threads),)
    _require_trust(trust, path, "TorchScript holds code, which loading and using it runs")
    return (_torchscript(file, device),)


def _torchscript(file: Path, device: str) -> nn.Module:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces the end of TorchScript at every use
        try:
            module: nn.Module = torch.jit.load(str(file), map_location=device)  # type: ignore[no-untyped-call]
        except (RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
            raise BadInput(
                file, f"cannot be loaded as TorchScript ({reason})", "a file written by torch.jit.save",
                "a pickled module or state_dict is not opened: script it, or export it to ONNX",
            ) from None  # fmt: skip
    return module


def _settled(network: ForeignNetwork, *, given: set[str], subject: str | PathLike[str]) -> ForeignNetwork:
    """The network with what its description left open, found by showing it an image.

    Raises:
        BadInput: What is open cannot be found out.
    """
    description = network.description
    shape: tuple[int | None, ...] = getattr(network.runtime, "shape", ())
    sides = [side for side in shape[2:] if side is not None]
    if description.size is None and len(sides) == 2:
        if sides[0] != sides[1]:
            raise BadInput(str(subject), f"takes images of {sides[0]} x {sides[1]} only", "equal height and width")
        network.description = description = description.model_copy(update={"size": sides[0]})
        network.tile = sides[0]
    if len(shape) == 4 and shape[1] is not None and shape[1] != network.spec.in_channels:
        raise BadInput(
            str(subject), f"takes {shape[1]} channels", f"{network.spec.in_channels}, as described",
            f"say channels or neighbours in {FILE}",
        )  # fmt: skip
    if "output" not in given and not _gives_logits(network):
        raise BadInput(
            str(subject), "its output lies in 0..1, so it may be probabilities or logits", "one that is told apart",
            f"say 'output: probabilities' or 'output: logits' in {FILE}",
        )  # fmt: skip
    return network


def _gives_logits(network: ForeignNetwork) -> bool:
    """Whether any of a few images gets values that no probability has."""
    side = network.description.size or max(_PROBE, network.description.smallest)
    ramp = torch.linspace(0, 1, side * side).view(1, 1, side, side).expand(1, network.spec.in_channels, side, side)
    noise = torch.rand(ramp.shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        for image in (torch.zeros_like(ramp), torch.ones_like(ramp), ramp, noise):
            try:
                found = network._checked(network._run(network._prepared(image)), image)
            except BadInput:
                raise
            except Exception as error:  # whatever a network raises is reported as its own
                text = " ".join(str(error).split())[:200]
                raise BadInput(network._subject, f"fails on an image of {side} x {side} pixels ({text})") from None
            if bool((found < 0).any()) or bool((found > 1).any()):
                return True
    return False


def _inside(folder: Path, name: str) -> Path:
    found = (folder / name).resolve()
    if not found.is_relative_to(folder.resolve()) or not found.is_dir():
        raise BadInput(folder, f"there is no folder {name!r} in it", "the folder of a package")
    return found


def _packaged(given: NetworkFile, folder: Path, *, trust: bool, device: str, threads: int) -> ForeignNetwork:
    """A package of the BioImage Model Zoo; TorchScript, through which gradients flow, only where it is trusted."""
    package = read_package(_inside(folder, given.path), prefer="torchscript" if trust else "onnx")
    after = list(package.after)
    stated = _stated(package)
    if after and after[-1].threshold is not None:
        # a network that is cut at a threshold has no gradient: the threshold is the decoder's instead
        level = after.pop().threshold or 0.0
        activated = package.activated or any(step.probabilities for step in after)
        stated["threshold"] = level if activated else 1 / (1 + math.exp(-level))
        stated["output"] = "probabilities" if activated else "logits"
    elif package.activated or any(step.probabilities for step in after):
        stated["output"] = "probabilities"
    said = {key: getattr(given, key) for key in given.model_fields_set}
    description = NetworkFile.model_validate({**stated, **said})
    body = _body(package.kind, package.weights, package.folder, trust=trust, device=device, threads=threads)[0]
    steps = [*package.before, *after]
    network = ForeignNetwork(
        description, body, chained(package.before), chained(after), whole_image=any(step.whole_image for step in steps)
    )
    return _settled(network, given=description.model_fields_set, subject=package.folder).to(device)


def _stated(package: Package) -> dict[str, Any]:
    stated: dict[str, Any] = {
        "kind": "bioimage",
        "path": ".",
        "name": package.name,
        "channels": package.channels,
        "stride": package.stride,
        "smallest": package.smallest,
        "size": package.size,
        "pixel_size_nm": package.pixel_size_nm,
    }
    if package.heads is not None:
        stated["heads"] = package.heads
    elif tuple(name.lower() for name in package.names) in (("background", "foreground"), ("background", "nucleus")):
        stated["activation"] = "softmax"
    return stated
