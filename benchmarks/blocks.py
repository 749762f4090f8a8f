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

import torch

import anyscope
from benchmarks._networks import SPEC
from benchmarks.inference import Inside
from benchmarks.volumes import fitted_network


def main(arguments: Sequence[str] = ()) -> None:
    """Print one line."""
    slices = int(arguments[0]) if arguments else 40
    inside = Inside()
    with tempfile.TemporaryDirectory(prefix="blocks-") as name:
        folder = Path(name)
        anyscope.data_volume(folder / "data", shape=(slices, 1024, 1024), seed=0)
        network = fitted_network(folder, {"model": SPEC.model, "arguments": dict(SPEC.arguments)})
        image = folder / "data" / "images" / "volume.ome.zarr"
        inside.watch_all()
        begun = time.perf_counter()
        anyscope.predict(
            network, image, folder / "labels.ome.zarr", table=folder / "t.parquet", engine="torch", device="cpu"
        )
        total = time.perf_counter() - begun
    over = total / inside.seconds - 1
    print(f"{slices} x 1024 x 1024, {torch.get_num_threads()} thread(s): {total:.1f} s")
    print(f"  of which {inside.seconds:.1f} s inside the network: {over:+.1%}")


if __name__ == "__main__":
    main(sys.argv[1:])
