"""Memory and time of a volume against its size: ``python -m benchmarks.volumes [MIB ...]``.

For each size: ``data synth --volume`` writes a volume with known objects, the smallest U-Net, trained for seconds,
predicts objects block by block, and ``evaluate`` scores them, each in processes of its own. The memory is the largest
sum over the process tree, sampled four times a second: of PSS, in which pages that processes share count once, and of
RSS, in which they count in each. Sizes are in MiB of the image; 64 and 128 by default.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

STEPS = 120
SCORES = ("accuracy_50", "accuracy_75", "reference_objects", "predicted_objects")


@dataclass
class Peak:
    """What a command took."""

    seconds: float
    pss: int
    rss: int
    output: str


def tree(root: int) -> list[int]:
    """A process and all that descend from it."""
    found, waiting = [], [root]
    while waiting:
        process = waiting.pop()
        found.append(process)
        try:
            for task in Path(f"/proc/{process}/task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


def memory(process: int) -> tuple[int, int]:
    """PSS and RSS in bytes."""
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0, 0
    pss, rss = (re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE) for name in ("Pss", "Rss"))
    return (int(pss[1]) * 1024 if pss else 0), (int(rss[1]) * 1024 if rss else 0)


def run(*arguments: object) -> Peak:
    """A command of anyscope, watched."""
    command = [sys.executable, "-m", "anyscope.cli", *map(str, arguments)]
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, text=True)
        pss = rss = 0
        while process.poll() is None:
            sums = [sum(each) for each in zip(*map(memory, tree(process.pid)), strict=True)]
            pss, rss = max(pss, sums[0]), max(rss, sums[1])
            time.sleep(0.25)
        said.seek(0)
        output = said.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}\n{output}")
    return Peak(time.perf_counter() - started, pss, rss, output)


def shape_of(mib: int) -> tuple[int, int, int]:
    """A volume of about so many MiB: slices of 1024 x 1024 and larger, more of them for more."""
    side = 1024 if mib <= 1024 else 2048
    side = side if mib >= 64 else 512
    return max(40, round(mib * 2**20 / side**2)), side, side


def report(name: str, peak: Peak, mib: float) -> None:
    """One line."""
    print(
        f"  {name:10s} {peak.seconds:7.1f} s {peak.seconds / mib:6.3f} s/MiB"
        f"   PSS {peak.pss / 2**20:6.0f} MiB   RSS {peak.rss / 2**20:6.0f} MiB",
        flush=True,
    )


SMALLEST = {"model": "unet_simple", "arguments": {"filters": (4, 4)}}


def fitted_network(folder: Path, network: Mapping[str, object] = SMALLEST) -> Path:
    """A network, by default the smallest U-Net, trained for seconds on one slice of a volume of the same kind."""
    import numpy as np
    import torch

    from anyscope.geometry import Roi
    from anyscope.microscope.lattice import Lattice
    from anyscope.models import SegmenterSpec, build_segmenter, save_segmenter

    region = Roi((20, 0, 0), (21, 240, 240))
    lattice = Lattice(1, (80, 240, 240))
    truth = lattice.labels(region)
    image = torch.from_numpy(lattice.image(region, truth)[None].astype(np.float32) / 255)
    decoder = {"name": "components", "parameters": {"dimensions": 3, "min_size_px": 64}}
    spec = {**network, "task": "instances", "heads": ("mask",), "decoder": decoder, "intensity": {"kind": "dtype"}}
    segmenter = build_segmenter(SegmenterSpec.model_validate(spec), seed=2).eval()
    optimiser = torch.optim.Adam(segmenter.parameters(), 0.02)
    target = torch.from_numpy((truth > 0)[None].astype(np.float32))
    for _ in range(STEPS):
        optimiser.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(segmenter(image), target).backward()
        optimiser.step()
    save_segmenter(segmenter, folder / "run")
    return folder / "run"


def main(arguments: Sequence[str] = ()) -> None:
    """Measure all sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mib", nargs="*", type=int, help="sizes in MiB")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--memory", default="1500MiB", help="of each worker")
    parser.add_argument("--folder", type=Path, help="where volumes are written; removed afterwards")
    parser.add_argument("--run", type=Path, help="a network that is there already")
    given = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="volumes-", dir=given.folder))
    try:
        network = given.run or fitted_network(folder)
        for mib in given.mib or [64, 128]:
            shape = shape_of(mib)
            size = shape[0] * shape[1] * shape[2] / 2**20
            print(f"{size:.0f} MiB: {' x '.join(map(str, shape))}, {given.jobs} jobs of {given.memory}", flush=True)
            data, out = folder / "volume", folder / "labels.ome.zarr"
            volume = ",".join(map(str, shape))
            report("synthesise", run("data", "synth", "--out", data, "--volume", volume, "--force"), size)
            image, truth = data / "images" / "volume.ome.zarr", data / "labels" / "volume.ome.zarr"
            options = ["--jobs", given.jobs, "--memory", given.memory, "--device", "cpu", "--force"]
            done = run("predict", network, image, "--out", out, *options)
            report("predict", done, size)
            print("   ", next(line for line in done.output.splitlines() if line.startswith("plan:")))
            for line in done.output.splitlines():
                if re.match(r"(predict|match|write): .* in ", line):
                    print("   ", line)
            scored = run("evaluate", out, truth, "--protocol", "instances", "--json")
            report("evaluate", scored, size)
            scores = json.loads(scored.output[scored.output.index("{") :])["scores"]
            print("   ", ", ".join(f"{name} {scores[name]:.4f}" for name in SCORES))
            shutil.rmtree(data)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    main(sys.argv[1:])
