"""A tiny network of ours, exported; a program that segments; data."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

import anyscope
from tests.assay.conftest import networks, nuclei, save_tiny

__all__ = ["networks", "nuclei"]

PROGRAM = """
import sys
import numpy as np
import tifffile

image = tifffile.imread(sys.argv[1])
if image.flat[0] % 2:
    sys.exit("Traceback of something\\nthe first pixel is odd\\n")
tifffile.imwrite(sys.argv[2], (image > int(sys.argv[3])).astype(np.uint8))
"""


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> dict[str, Path]:
    """Exports of a tiny network by format, and the network itself as ``ours``."""
    root = tmp_path_factory.mktemp("exported")
    found = {"ours": save_tiny(root / "ours", 0)}
    for to in ("onnx", "torchscript", "openvino"):
        found[to] = anyscope.export(found["ours"], to, root / to).out
    return found


@pytest.fixture(scope="session")
def program(tmp_path_factory) -> Path:
    """The description of a program that fails on images whose first pixel is odd."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "tool.py").write_text(PROGRAM)
    return describe(folder, kind="command", command=f"{sys.executable} tool.py {{input}} {{output}} 128")


def describe(folder: Path, **document: object) -> Path:
    """Write a description into a folder."""
    path = folder / "anyscope-model.yaml"
    path.write_text(yaml.safe_dump(document))
    return path
