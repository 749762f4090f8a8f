"""``anyscope doctor``: what is installed, where networks can run, and what is missing, one line each."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

_NEEDED = (
    "torch", "torchvision", "timm", "segmentation-models-pytorch", "accelerate", "numpy", "scipy", "numba",
    "scikit-image", "tifffile", "imagecodecs", "h5py", "mrcfile", "zarr", "yaozarrs", "pyarrow",
)  # fmt: skip
_EXTRAS = {
    "distributed": ("dask", "runs assays and volumes on a cluster"),
    "onnx": ("onnx", "writes networks as ONNX"),
    "onnxruntime": ("onnx", "runs ONNX networks, and ours faster on a CPU"),
    "openvino": ("openvino", "runs networks faster on a CPU"),
}
_OPTIONAL = {"chromium": "shows reports; any browser will do (the tests of the rendered page need it)"}
_COMFORTABLE_MEMORY_GIB = 8
_COMFORTABLE_DISK_GIB = 5


@dataclass(frozen=True)
class Check:
    """One line: how it stands, what was looked at, what was found, and what to do about it."""

    verdict: Literal["good", "note", "bad"]
    subject: str
    found: str
    remedy: str = ""


def doctor() -> list[Check]:
    """Look at the installation. Nothing is fetched and nothing is changed."""
    return [*_python(), *_packages(), *_extras(), *_devices(), *_resources(), *_programs()]


def _python() -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("good", "python", f"{version}, anyscope {metadata.version('anyscope')}")


def _packages() -> Iterator[Check]:
    for package in _NEEDED:
        try:
            yield Check("good", package, metadata.version(package))
        except metadata.PackageNotFoundError:
            yield Check("bad", package, "not installed", f"pip install {package}")


def _extras() -> Iterator[Check]:
    for package, (extra, use) in _EXTRAS.items():
        try:
            yield Check("good", package, metadata.version(package))
        except metadata.PackageNotFoundError:
            yield Check("note", package, f"not installed: {use}", f"pip install 'anyscope[{extra}]'")


def _devices() -> Iterator[Check]:
    if find_spec("torch") is None:
        return
    import torch

    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(number)
            yield Check("good", f"cuda:{number}", f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB")
    else:
        yield Check("note", "cuda", "no GPU: networks run on the CPU", "small networks and --profile fast suit it")
    yield Check("good", "cpu", f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads")


def _resources() -> Iterator[Check]:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    memory = pages * size / 2**30
    small = memory < _COMFORTABLE_MEMORY_GIB
    yield Check(
        "note" if small else "good", "memory", f"{memory:.0f} GiB", "take smaller tiles and batches" if small else ""
    )
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    full = free < _COMFORTABLE_DISK_GIB
    yield Check("note" if full else "good", "disk here", f"{free:.0f} GiB free", "free some space" if full else "")


def _programs() -> Iterator[Check]:
    for program, use in _OPTIONAL.items():
        path = shutil.which(program)
        yield Check("good", program, path) if path else Check("note", program, "not found", use)
