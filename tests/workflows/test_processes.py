"""Several processes train one network: as one process does, with one run folder between them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from accelerate import Accelerator
from safetensors.numpy import load_file
from tests.workflows.conftest import tiny

import anyscope
from anyscope.cli import main
from anyscope.errors import BadInput
from anyscope.running.run_folder import RunFolder

SETTINGS = [
    *("model=unet_simple", 'arguments={"filters": [4, 8], "norm": "group"}', 'losses={"mask": "bce"}'),
    *("patch_px=32", "batch=4", "epochs=3", "steps_per_epoch=4", "learning_rate=0.02", "validation_planes=4"),
]
OPTIONS = ["--device", "cpu", *(f"--set={each}" for each in SETTINGS)]
"""Without batch statistics, and with a loss that is a mean over pixels: both of one process and of several alike."""


def together(*arguments: object, count: int = 2) -> list[str]:
    return [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)),
        *("-m", "anyscope.cli", *map(str, arguments)),
    ]


def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "scratch").mkdir(exist_ok=True)
    return {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path / "scratch")}


def call(command: list[str], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    own = environment(tmp_path)
    return subprocess.run(command, env=own, capture_output=True, text=True, check=False, timeout=200)


def same_runs(one: Path, other: Path) -> None:
    records = [RunFolder.of(path).records() for path in (one, other)]
    assert len(records[0]) == len(records[1]) == 3
    for first, second in zip(*records, strict=True):
        assert first.keys() == second.keys()
        for name in first.keys() - {"seconds"}:
            assert second[name] == pytest.approx(first[name], rel=2e-3, abs=2e-4, nan_ok=True), name
    weights = [load_file(path / "segmenter" / "weights.safetensors") for path in (one, other)]
    for name, values in weights[0].items():
        np.testing.assert_allclose(weights[1][name], values, atol=2e-3, err_msg=name)


def test_two_processes_train_as_one_even_when_killed(blobs, tmp_path):
    assert main(["train", "--data", str(blobs), "--out", str(tmp_path / "one"), *OPTIONS]) == 0
    command = together("train", "--data", blobs, "--out", tmp_path / "two", *OPTIONS)
    started = subprocess.Popen(
        command, env=environment(tmp_path), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    for _ in range(600):
        if (tmp_path / "two" / "checkpoints" / "last.safetensors").exists() or started.poll() is not None:
            break
        time.sleep(0.1)
    os.killpg(started.pid, signal.SIGKILL)
    started.communicate()
    done = call([*command, "--resume"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("segmenter:") + done.stderr.count("segmenter:") == 1  # one of them speaks
    same_runs(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "two" / "report.html").is_file()


@pytest.mark.slow
def test_two_processes_adapt_as_one(blobs, tmp_path):
    """The training on source labels is shared; refinements are repeated by every process, and end alike."""
    options = ["--source", blobs, "--target", blobs, "--method", "histogram+mean-teacher", "--device", "cpu"]
    options += [f"--set=train.{each}" for each in SETTINGS]
    options += ["--set=mean-teacher.epochs=2", "--set=mean-teacher.steps_per_epoch=3"]
    assert main(["adapt", *map(str, options), "--out", str(tmp_path / "one")]) == 0
    command = together("adapt", *options, "--out", tmp_path / "two")
    done = call(command, tmp_path)
    assert done.returncode == 0, done.stderr
    for step in ("2-supervised", "3-mean-teacher"):
        curves = [
            [record["train_loss"] for record in RunFolder(tmp_path / run / "steps" / step).records()]
            for run in ("one", "two")
        ]
        assert curves[1] == pytest.approx(curves[0], rel=5e-3)
    assert not list((tmp_path / "scratch").glob("anyscope-process-*"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["report", "run"], "anyscope: report: 2 processes were started together"),
        ([], "anyscope: anyscope: 2 processes were started together"),
        (["train", "--data", "{blobs}", "--out", "{out}", "--model", "unet_simple,icnet"], "for 2 model(s)"),
    ],
)
def test_what_processes_cannot_share_is_refused(arguments, said, blobs, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    filled = [each.format(blobs=blobs, out=tmp_path / "out") for each in arguments]
    assert main(filled) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert shown.count("\n") == 1


def test_a_batch_divides_among_processes(blobs, tmp_path, monkeypatch):
    monkeypatch.setattr(Accelerator, "num_processes", 3)
    with pytest.raises(BadInput, match="batch: 4 for 3 processes; expected a multiple of their number"):
        anyscope.train(blobs, tmp_path / "out", settings=tiny(), device="cpu")
