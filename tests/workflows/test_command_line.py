"""The command line as a stranger types it: exit codes, one line for each error, nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from tests.workflows.conftest import TINY

from anyscope import cli
from anyscope.errors import EnvironmentFault
from anyscope.images import write_image
from anyscope.models import load_segmenter

COMMANDS = sorted(
    [(command.name or command.callback.__name__,) for command in cli.app.registered_commands]
    + [("data", command.name) for command in cli.data_app.registered_commands]
)


def call(capsys, *arguments):
    """Exit code, stdout and stderr of a command in this process."""
    code = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def flags(**changes):
    """The tiny settings as --set arguments."""
    pairs = {**TINY, **changes}
    return [word for key, value in pairs.items() for word in ("--set", f"{key}={json.dumps(value)}")]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_verb_has_help(command, capsys):
    code, out, _ = call(capsys, *command, "--help")
    assert code == 0
    assert "Usage" in out
    for line in out.splitlines():
        assert len(line) <= 120


@pytest.mark.parametrize("typed", [[], ["data"]])
def test_what_is_typed_without_a_verb_gets_help(typed, capsys):
    help_page = call(capsys, *typed, "--help")
    assert help_page[0] == 0
    assert call(capsys, *typed) == help_page


def test_the_version(capsys):
    assert call(capsys, "--version") == (0, f"anyscope {version('anyscope')}\n", "")


def test_the_verbs_are_those_of_the_design():
    assert sorted(command[-1] for command in COMMANDS) == sorted(
        [
            "demo",
            "doctor",
            "models",
            "conditions",
            "methods",
            "list",
            "get",
            "check",
            "synth",
            "strata",
            "compare",
            "pretrain",
            "train",
            "stress",
            "adapt",
            "cross",
            "predict",
            "merge",
            "evaluate",
            "export",
            "report",
        ]
    )


def test_help_comes_in_a_blink():
    heavy = ("torch", "numpy", "pydantic")
    code = (
        f"import sys; from anyscope import cli; cli.main(['--help']); print([m for m in {heavy} if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip().endswith("[]")


def test_the_flow(capsys, tmp_path):
    code, out, _ = call(capsys, "data", "synth", "--out", tmp_path / "data", "--count", 12, "--size", "64,64",
                        "--seed", 1)  # fmt: skip
    assert (code, out) == (0, f"dataset: {tmp_path / 'data'}\n")
    code, out, _ = call(capsys, "data", "check", tmp_path / "data")
    assert code == 0
    assert "✓ duplicates" in out
    code, out, err = call(capsys, "train", "--data", tmp_path / "data", "--out", tmp_path / "run", *flags())
    assert code == 0
    assert "foreground_iou" in out
    assert "labels: instances are made a mask" in err
    code, out, _ = call(capsys, "predict", tmp_path / "run", tmp_path / "data", "--out", tmp_path / "p",
                        "--split", "test", "--instances", "--table", tmp_path / "t.csv")  # fmt: skip
    assert code == 0
    code, out, _ = call(capsys, "evaluate", tmp_path / "p", tmp_path / "data", "--split", "test", "--json")
    document = json.loads(out)
    assert code == 0
    assert {"protocol", "conventions", "n", "scores", "per_image"} <= set(document)
    assert set(document["per_image"][0]) == {"image", "scores"}
    code, out, _ = call(capsys, "report", tmp_path / "run")
    assert (code, out) == (0, f"report: {tmp_path / 'run' / 'report.html'}\n")


@pytest.mark.parametrize("verb", [["doctor"], ["models", "unet_simple"]])
def test_json_is_one_document_on_stdout(capsys, verb):
    code, out, _ = call(capsys, *verb, "--json")
    assert code == 0
    assert isinstance(json.loads(out), list)


BAD = {
    "no such verb": (["trian"], 2),
    "no such option": (["doctor", "--loud"], 2),
    "missing data": (["train", "--data", "nothing", "--out", "run"], 2),
    "missing run": (["predict", "nothing", "image.tif", "--out", "p.tif"], 2),
    "unknown model": (["models", "unett"], 2),
    "unknown setting": (["train", "--data", "d", "--out", "r", "--set", "epocs=3"], 2),
    "setting without value": (["train", "--data", "d", "--out", "r", "--set", "epochs"], 2),
    "unknown profile": (["train", "--data", "d", "--out", "r", "--profile", "bestest"], 2),
    "bad voxel size": (["data", "check", "d", "--voxel-size", "4,x"], 2),
    "bad channel": (["data", "check", "d", "--channel", "green"], 2),
    "bad size": (["data", "synth", "--out", "d", "--size", "64"], 2),
    "unknown setting of the camera": (["data", "synth", "--out", "d", "--set", "camera.bit=8"], 2),
    "bad memory": (["predict", "r", "i.tif", "--out", "p.tif", "--memory", "much"], 2),
    "no report": (["report", "nothing"], 2),
    "missing prediction": (["evaluate", "nothing", "nothing"], 2),
    "no gpu": (["train", "--data", "blobs", "--out", "r", "--device", "cuda"], 4),
}


@pytest.mark.parametrize("name", BAD)
def test_wrong_use_is_one_line(capsys, tmp_path, monkeypatch, blobs, name):
    if name == "no gpu" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "blobs").symlink_to(blobs)
    arguments, expected = BAD[name]
    code, out, err = call(capsys, *arguments)
    assert code == expected
    assert out == ""
    assert err.startswith("anyscope: ")
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["blobs"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--set", "camera.bit=8"], "did you mean 'camera.bits'?"),
        (["--set", "camera.bits=many"], "setting 'camera.bits': "),
        (["--size", "64"], "such as 512,512"),
        (["--volume", "64,64"], "three whole numbers as z,y,x"),
    ],
)
def test_what_to_write_instead(capsys, tmp_path, arguments, expected):
    assert expected in call(capsys, "data", "synth", "--out", tmp_path / "d", *arguments)[2]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--out", "p.tif"], "p.tif: the name of one image"),
        (["--out", "p.ome.zarr"], "p.ome.zarr: the name of one image"),
        (["--out", "p", "--engine", "turbo"], "engine 'turbo': no such name"),
        (["--out", "p", "--split", "all"], "'--split': 'all' is not one of"),
    ],
)
def test_a_folder_is_not_predicted_so(capsys, monkeypatch, run, blobs, tmp_path, arguments, expected):
    monkeypatch.chdir(tmp_path)
    code, out, err = call(capsys, "predict", run, blobs, *arguments)
    assert (code, out) == (2, "")
    assert expected in err
    assert not list(tmp_path.iterdir())


def tampered(run: Path, tmp_path: Path, change):
    copy = shutil.copytree(run / "segmenter", tmp_path / "model")
    change(copy)
    return copy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: (m / "weights.safetensors").write_bytes(b"x" * 100), "was changed after it was written"),
        (lambda m: (m / "weights.safetensors").unlink(), "weights.safetensors"),
        (lambda m: (m / "segmenter.yaml").write_text("version: 99\n"), "newer anyscope"),
        (lambda m: (m / "segmenter.yaml").write_text("[1"), "YAML"),
        (lambda m: (m / "segmenter.yaml").unlink(), "segmenter.yaml is missing"),
    ],
)
def test_tampered_models_are_refused(capsys, run, blobs, tmp_path, change, message):
    model = tampered(run, tmp_path, change)
    code, _, err = call(capsys, "predict", model, blobs / "images" / "i0.tif", "--out", tmp_path / "p.tif")
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "p.tif").exists()


@pytest.mark.parametrize(
    ("name", "content"), [("a.png", b"just text"), ("a.tif", b"II*\x00"), ("a.tif", b""), ("a.czi", b"ZISRAWFILE")]
)
def test_files_that_are_no_images(capsys, run, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    code, _, err = call(capsys, "predict", run, tmp_path / name, "--out", tmp_path / "p.tif")
    assert code == 2
    assert err.count("\n") <= 2
    assert name in err
    assert not (tmp_path / "p.tif").exists()


def test_an_existing_output_is_kept_unless_forced(capsys, run, blobs, tmp_path):
    (tmp_path / "p.tif").write_text("mine")
    arguments = ["predict", run, blobs / "images" / "i0.tif", "--out", tmp_path / "p.tif"]
    code, _, err = call(capsys, *arguments)
    assert code == 2
    assert "--force" in err
    assert (tmp_path / "p.tif").read_text() == "mine"
    assert call(capsys, *arguments, "--force")[0] == 0


@pytest.mark.skipif(os.geteuid() != 0 and not os.access("/dev/full", os.W_OK), reason="there is no /dev/full")
def test_a_full_disk_is_exit_code_4(capsys, run, blobs, tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = call(capsys, "predict", run, blobs / "images" / "i0.tif", "--out", tmp_path / "p.tif")
    assert code == EnvironmentFault.exit_code
    assert "the disk is full" in err
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_exit_code_4(capsys, run, blobs, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = call(capsys, "predict", run, blobs / "images" / "i0.tif", "--out", tmp_path / "file" / "p.tif")
    assert code == EnvironmentFault.exit_code
    assert str(tmp_path / "file") in err


def test_an_incomplete_prediction_is_exit_code_3(capsys, run, tmp_path):
    for name, channels in (("a", 1), ("b", 2)):
        image = np.random.default_rng(0).integers(0, 255, (channels, 1, 32, 32)).astype(np.uint8)
        write_image(tmp_path / "images" / f"{name}.tif", image)
    code, _, err = call(capsys, "predict", run, tmp_path / "images", "--out", tmp_path / "p")
    assert code == 3
    assert "b.tif" in err.splitlines()[-1]


def test_ctrl_c_is_exit_code_130(capsys, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.app, "registered_commands", [typer.models.CommandInfo("wait", callback=interrupted)])
    assert call(capsys, "wait")[0] == 130


def start(blobs: Path, out: Path, *more: str) -> subprocess.Popen:
    """A training of 20 short epochs in a process of its own, long enough to be interrupted in its midst."""
    arguments = ["train", "--data", blobs, "--out", out, "--device", "cpu", *flags(epochs=20, steps_per_epoch=3), *more]
    command = [sys.executable, "-m", "anyscope.cli", *map(str, arguments)]
    # Shells start what runs in the background with Ctrl-C ignored, and it would inherit that.
    heeds = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heeds)


def wait_for_epochs(out: Path, count: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    records = out / "metrics.jsonl"
    while not records.exists() or records.read_text().count("\n") < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_killed_and_interrupted_trainings_end_with_the_same_weights(blobs, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    _, err = (process := start(blobs, whole)).communicate(timeout=200)
    assert process.returncode == 0, err
    process = start(blobs, broken)
    wait_for_epochs(broken, 2, process)
    process.kill()
    process.communicate()
    assert not (broken / "segmenter").exists()
    process = start(blobs, broken, "--resume")
    wait_for_epochs(broken, 5, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "--resume" in err.splitlines()[-1]
    assert "Traceback" not in err
    _, err = (process := start(blobs, broken, "--resume")).communicate(timeout=200)
    assert process.returncode == 0, err
    a, b = (load_segmenter(run).state_dict() for run in (whole, broken))
    assert all(torch.equal(a[key], b[key]) for key in a)
    lines = [(run / "metrics.jsonl").read_text().splitlines() for run in (whole, broken)]
    for one, other in zip(*lines, strict=True):
        one, other = json.loads(one), json.loads(other)
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
    assert not [path.name for path in broken.rglob("*.part*")]
