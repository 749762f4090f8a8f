"""The verb cross on two small datasets."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

import anyscope
from anyscope.crossings.plan import CEILING, KEY
from anyscope.errors import BadInput, Incomplete
from anyscope.running.ledger import Ledger

from ..adaptation.conftest import write_discs
from .test_adapt import SPLIT, TRAIN

KEYS = "ledger.sqlite"
GIVEN = {"train": TRAIN, "candidates": 2, "rescale": {"steps_per_octave": 1, "octaves_unknown": 1.0}}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("cross")
    folders = [write_discs(root / "light", count=5), write_discs(root / "dark", count=5, level=(30, 90), seed=1)]
    for folder in folders:
        (folder / "dataset.yaml").write_text(SPLIT)
    return folders


@pytest.fixture(scope="module")
def crossed(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("crossed") / "out"
    return anyscope.cross(data, out, methods=["rescale"], given=GIVEN)


def cells(out):
    with Ledger(out / "ledger.sqlite", KEY) as ledger:
        return {cell.key: cell for cell in ledger.cells()}


def test_floor_ceiling_and_methods_are_all_there(crossed):
    found = cells(crossed.out)
    assert set(found) == {
        ("light", "light", CEILING, "0"),
        ("dark", "dark", CEILING, "0"),
        *((source, target, method, "0") for source, target in (("light", "dark"), ("dark", "light"))
          for method in ("none", "rescale")),
    }  # fmt: skip
    for cell in found.values():
        assert len(cell.result["pooled"]) == len(cell.result["per_slice"]) == len(cell.result["epochs"]) == 2
        assert set(cell.result["choices"]) >= {"source-validation", "last", "solidity", "combined"}
    assert {one.rule for one in crossed.summary.scores} >= {"combined", "oracle"}


def test_methods_that_begin_with_plain_training_share_it(crossed):
    assert sorted(path.name for path in (crossed.out / "trained").iterdir()) == ["dark-s0", "light-s0"]
    found = cells(crossed.out)
    # the floor's candidates are those of the training on the source: its own test part scores differently
    assert (
        found["light", "dark", "none", "0"].result["epochs"] == found["light", "light", CEILING, "0"].result["epochs"]
    )
    assert not list((crossed.out / "cells").glob("*/*/candidates"))


def test_tables_hold_what_the_summary_says(crossed):
    with open(crossed.out / "recovery.csv", encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == len(crossed.summary.recoveries)
    assert {row["method"] for row in rows} == {"none", "rescale"}


def test_a_crossing_goes_on_in_pieces_and_with_more_methods(crossed, data, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(Incomplete, match="0 of 6 cells failed, 3 are left"):
        anyscope.cross(data, out, methods=["rescale"], given=GIVEN, limit=3)
    pieces = anyscope.cross(data, out, methods=["rescale"], given=GIVEN, resume=True)
    assert pieces.summary == crossed.summary
    before = cells(out)
    more = anyscope.cross(data, out, methods=["rescale", "histogram"], given=GIVEN, resume=True)
    assert more.cells == 8
    after = cells(out)
    assert {key: after[key] for key in before} == before
    fewer = anyscope.cross(data, out, methods=["rescale"], given=GIVEN, resume=True)
    assert fewer.cells == 6  # all done, and the tables keep what is there
    assert {row.method for row in fewer.summary.recoveries} == {"none", "histogram", "rescale"}
    with pytest.raises(BadInput, match="train.epochs"):
        anyscope.cross(data, out, methods=["rescale"], given={**GIVEN, "train": {**TRAIN, "epochs": 3}}, resume=True)


def test_a_cell_that_fails_does_not_stop_the_others(data, tmp_path):
    given = {"candidates": 2, "train": {**TRAIN, "model": "icnet", "arguments": {}, "patch_px": 64}}
    with pytest.raises(Incomplete, match=r"2 of 6 cells failed.*y-net") as caught:
        anyscope.cross(data, tmp_path / "out", methods=["y-net"], given=given)
    assert "icnet" in str(caught.value)
    assert sum(cell.result is not None for cell in cells(tmp_path / "out").values()) == 4


def test_folders_of_one_name_are_refused(data, tmp_path):
    with pytest.raises(BadInput, match="two datasets of the same name"):
        anyscope.cross([data[0], data[0]], tmp_path / "out", methods=["rescale"])


def test_a_killed_crossing_ends_as_one_that_was_not(crossed, data, tmp_path):
    """Killed hard once the first cell is in the ledger, resumed on the command line."""
    changes = [f"--set=train.{name}={json.dumps(value)}" for name, value in TRAIN.items()]
    changes += ["--set=candidates=2", *(f"--set=rescale.{name}={value}" for name, value in GIVEN["rescale"].items())]
    out = tmp_path / "out"
    command = [
        sys.executable, "-m", "anyscope.cli", "cross", *(f"--data={folder}" for folder in data), "--methods=rescale",
        f"--out={out}", *changes,
    ]  # fmt: skip
    # as many threads as the run without a break had: sums of floats depend on it
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline and not ((out / KEYS).is_file() and cells(out)):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < len(cells(out)) < len(cells(crossed.out))
    subprocess.run([*command, "--resume"], check=True, env=environment, capture_output=True)
    whole, parts = cells(crossed.out), cells(out)
    assert whole.keys() == parts.keys()
    for key, cell in whole.items():
        for name in ("pooled", "per_slice", "choices", "zoom"):
            assert parts[key].result[name] == cell.result[name], (key, name)
