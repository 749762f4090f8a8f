"""What a prediction in blocks costs beside its forward passes: ``python -m benchmarks.blocks [SLICES]``.

A U-Net with two million parameters, trained for seconds, predicts objects of a synthetic volume of SLICES x 1024 x 1024
into OME-Zarr, in this process and block by block; the wall time of the call is compared with what it spent inside the
network. Everything else counts as overhead: reading, grey levels, decoding, joining, the table, writing, the pyramid.
The goal is at most 15 %.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn.modules import module

import anyscope
from anyscope.models import Segmenter
from benchmarks._networks import SPEC
from benchmarks.volumes import fitted_network


def main(arguments: Sequence[str] = ()) -> None:
    """Print one line."""
    slices = int(arguments[0]) if arguments else 40
    spent, started = [0.0], [0.0]

    def before(network: torch.nn.Module, _: Any) -> None:
        if isinstance(network, Segmenter):
            started[0] = time.perf_counter()

    def after(network: torch.nn.Module, _: Any, __: Any) -> None:
        if isinstance(network, Segmenter):
            spent[0] += time.perf_counter() - started[0]

    with tempfile.TemporaryDirectory(prefix="blocks-") as name:
        folder = Path(name)
        anyscope.data_volume(folder / "data", shape=(slices, 1024, 1024), seed=0)
        network = fitted_network(folder, {"model": SPEC.model, "arguments": dict(SPEC.arguments)})
        image = folder / "data" / "images" / "volume.ome.zarr"
        module.register_module_forward_pre_hook(before)
        module.register_module_forward_hook(after)
        begun = time.perf_counter()
        anyscope.predict(
            network, image, folder / "labels.ome.zarr", table=folder / "t.parquet", engine="torch", device="cpu"
        )
        total = time.perf_counter() - begun
    over = total / spent[0] - 1
    print(f"{slices} x 1024 x 1024, {torch.get_num_threads()} thread(s): {total:.1f} s")
    print(f"  of which {spent[0]:.1f} s inside the network: {over:+.1%}")


if __name__ == "__main__":
    main(sys.argv[1:])
