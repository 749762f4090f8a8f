"""The runner on real files: cells, failures, resuming, engines."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml

import anyscope
from anyscope.assay.conditions import Condition
from anyscope.assay.degrade import corrupt
from anyscope.assay.measure import Workshop
from anyscope.assay.run import open_ledger, run_assay
from anyscope.assay.tally import tally
from anyscope.errors import BadInput, EnvironmentFault, GateFailed, Incomplete
from anyscope.metrics import default_protocol
from anyscope.running.engines import DaskScheduler, LocalProcesses, ThisProcess
from anyscope.workflows.stress import dry_run, plan_assay, plan_of
from tests.assay.conftest import save_tiny

SUITE = "photon_loss@2,gaussian_noise@3,elastic_transform@3,hole@2"


def plan_for(networks, data, **changes):
    given = {"suite": SUITE, "attacks": ["fgsm"], "epsilons": [8], "images": 2, "device": "cpu", "batch": 2}
    return plan_assay(networks, data, **{**given, **changes})


def cells_of(folder):
    with open_ledger(folder) as ledger:
        return list(ledger.cells())


def run_in(folder, plan, engine=None):
    folder.mkdir(exist_ok=True)
    with open_ledger(folder) as ledger:
        failed = run_assay(plan, ledger, engine or ThisProcess())
    return cells_of(folder), failed


@pytest.fixture(scope="module")
def whole(networks, nuclei, tmp_path_factory):
    """A plan, and its cells from one uninterrupted run in this process."""
    plan = plan_for(networks, nuclei)
    return plan, run_in(tmp_path_factory.mktemp("whole"), plan)[0]


def test_every_cell_is_filled_once(whole):
    plan, cells = whole
    assert [cell.key for cell in cells] == sorted(plan.cells())
    # two networks and the baseline under clean and four corruptions; attack and control for the networks alone
    assert len(cells) == 2 * (3 * 5 + 2 * 2)
    assert all(cell.failure is None for cell in cells)
    assert set(cells[0].result) == {"mask", "objects"}


def test_a_cell_holds_what_the_protocol_counts(whole):
    """The clean cell of a network, counted again without the assay."""
    plan, cells = whole
    image = plan.data[0].images[0]
    shop = Workshop(plan)
    subject = shop.subject("one")
    read = shop.data("data").image(image, subject.convention)
    with torch.no_grad():
        logits = subject.segmenter(torch.from_numpy(read.unit[:, 0])[None])
    predicted = (logits[0, :1] > 0).numpy().astype(np.uint8)
    expected = default_protocol("semantic").measure((read.labels > 0).astype(np.uint8), predicted)
    stored = next(cell for cell in cells if cell.key == ("one", "clean", image))
    assert stored.result["mask"] == expected.to_json()


def test_batches_and_order_do_not_matter(whole, networks, nuclei, tmp_path):
    _, cells = whole
    one_by_one = plan_for(networks[::-1], nuclei, batch=1)
    assert run_in(tmp_path, one_by_one)[0] == cells


@pytest.mark.parametrize("engine", ["processes", "dask"])
@pytest.mark.filterwarnings("default")  # Dask and its event loop warn of their own affairs
def test_engines_agree(whole, engine, tmp_path):
    plan, cells = whole
    if engine == "processes":
        assert run_in(tmp_path, plan, LocalProcesses(2, threads=torch.get_num_threads()))[0] == cells
        return
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path / "dask")
    ) as cluster:
        workers = [nanny.pid for nanny in cluster.workers.values()]
        engine = _KillingOne(cluster.scheduler_address, workers[0])
        assert run_in(tmp_path / "out", plan, engine)[0] == cells
        assert engine.killed


class _KillingOne(DaskScheduler):
    """Kills a worker when the first result is there."""

    def __init__(self, address: str, pid: int) -> None:
        super().__init__(address)
        object.__setattr__(self, "pid", pid)
        object.__setattr__(self, "killed", False)

    def run(self, function, tasks):
        for pair in super().run(function, tasks):
            if not self.killed:
                os.kill(self.pid, signal.SIGKILL)
                object.__setattr__(self, "killed", True)
            yield pair


def test_what_is_done_is_not_done_again(whole, tmp_path):
    plan, cells = whole
    with open_ledger(tmp_path) as ledger:
        ledger.write(cells[::2])
        assert {key for task in plan.tasks(ledger.done()) for key in task.missing} == {c.key for c in cells[1::2]}
    assert run_in(tmp_path, plan)[0] == cells
    with open_ledger(tmp_path) as ledger:
        assert plan.tasks(ledger.done()) == []


def test_a_model_that_fails_is_reported_and_the_others_go_on(networks, nuclei, tmp_path):
    broken = save_tiny(tmp_path / "broken", 3)
    weights = broken / "segmenter" / "weights.safetensors"
    plan = plan_for([*networks[:1], broken], nuclei, attacks=[])
    weights.write_bytes(weights.read_bytes()[:-8])
    cells, failed = run_in(tmp_path / "out", plan)
    assert {cell.key[0] for cell in failed} == {"broken"}
    assert len(failed) == 5 * 2
    assert "weights.safetensors" in failed[0].failure
    assert sum(cell.failure is None for cell in cells) == 2 * 5 * 2
    with open_ledger(tmp_path / "out") as ledger:
        counted = tally(plan, ledger, "mask")
    assert counted.complete().tolist() == [True, False, True]


class _Wrong(torch.nn.Module):
    """A network whose output does not fit."""

    def forward(self, images):
        if images.shape[-1] == 72:
            raise RuntimeError("no such size")
        return images[:, :, ::2]


def test_a_network_that_raises_is_reported_with_its_words(networks, nuclei, tmp_path, monkeypatch):
    plan = plan_for(networks[:1], nuclei, suite="none", attacks=["fgsm"], baseline=False)
    shop = Workshop(plan)
    monkeypatch.setattr(shop.subject("one").segmenter, "net", _Wrong())
    monkeypatch.setattr("anyscope.assay.measure.workshop", lambda _: shop)
    _, failed = run_in(tmp_path, plan)
    assert len(failed) == 3 * 2
    assert {cell.failure for cell in failed} == {"RuntimeError: no such size"}


def test_corruptions_start_from_the_noise_free_signal(networks, nuclei):
    """photon_loss at severity 2 has SNR 4 exactly, which only an image whose making is known can have."""
    plan = plan_for(networks, nuclei)
    shop = Workshop(plan)
    convention = shop.subject("one").convention
    image = shop.data("data").image(plan.data[0].images[0], convention)
    assert image.making is not None
    shown = corrupt(Condition.parse("photon_loss@2"), [image], convention.intensity, 0)[0]
    assert shown.unit.dtype == np.float32
    inside = shown.labels > 0
    contrast = shown.unit[0][inside].mean() - shown.unit[0][~inside].mean()
    assert contrast / shown.unit[0][~inside].std() < 4.5
    assert 0 <= shown.unit.min() < shown.unit.max() <= 1


def test_a_corruption_that_cannot_be_is_reported_in_its_cells(networks, nuclei, tmp_path):
    """Pixels so small that the image of a point is wider than any kernel."""
    plain = tmp_path / "data"
    shutil.copytree(nuclei, plain, ignore=shutil.ignore_patterns("signal", "records"))
    description = yaml.safe_load((plain / "dataset.yaml").read_text()) | {"voxel_size_nm": [2, 2]}
    (plain / "dataset.yaml").write_text(yaml.safe_dump(description))
    plan = plan_for(networks[:1], plain, suite="defocus_fluorescence@5,contrast@1", attacks=[], images=1)
    cells, failed = run_in(tmp_path / "out", plan)
    assert {cell.key[1] for cell in failed} == {"defocus_fluorescence@5"}
    assert "pixels wide" in failed[0].failure
    assert len(cells) == 2 * 3


def test_labels_follow_geometry_and_destroyed_pixels_do_not_count(networks, nuclei):
    plan = plan_for(networks, nuclei)
    shop = Workshop(plan)
    convention = shop.subject("one").convention
    image = shop.data("data").image(plan.data[0].images[0], convention)
    moved = corrupt(Condition.parse("elastic_transform@5"), [image], convention.intensity, 0)[0]
    assert (moved.labels != image.labels).any()
    assert set(np.unique(moved.labels)) <= {0, *np.unique(image.labels)}
    torn = corrupt(Condition.parse("hole@5"), [image], convention.intensity, 0)[0]
    assert not torn.valid.all()
    assert not torn.labels[~torn.valid].any()
    assert (torn.labels[torn.valid] == image.labels[torn.valid]).all()


def test_stress_from_runs_to_tables(networks, nuclei, tmp_path):
    out = tmp_path / "out"
    gate = tmp_path / "gate.yaml"
    gate.write_text("minimum: {clean: 0.0}\n")
    given = {"suite": SUITE, "attacks": ["pgd"], "epsilons": [2, 8], "attack_steps": 2, "images": 2, "device": "cpu"}
    result = anyscope.stress(networks, nuclei, out, gate=gate, **given)
    assert result.cells == len(cells_of(out))
    assert result.report.is_file()
    assert result.scores.models == ("one", "two", "otsu")
    assert result.objects is not None
    rows = list(csv.DictReader((out / "cells.csv").read_text().splitlines()))
    assert len(rows) == result.cells
    table = pq.read_table(out / "cells.parquet").to_pylist()
    assert [row["mask_foreground_iou"] for row in table] == [float(r["mask_foreground_iou"] or 0) for r in rows]
    pooled = [r for r in rows if r["model"] == "one" and r["condition"] == "clean"]
    tp, fp, fn = (sum(int(r[name]) for r in pooled) for name in ("tp", "fp", "fn"))
    assert result.scores.clean[0] == pytest.approx(tp / (tp + fp + fn))
    scores = {(r["model"], r["measure"]): r for r in csv.DictReader((out / "scores.csv").read_text().splitlines())}
    series = list(csv.DictReader((out / "series.csv").read_text().splitlines()))
    assert {row["series"] for row in series} == set(result.scores.series)
    assert len(series) == 2 * 3 * len(result.scores.series)
    assert float(scores["one", "mask"]["clean"]) == pytest.approx(result.scores.clean[0], abs=1e-6)
    assert plan_of(anyscope.running.run_folder.RunFolder.of(out)).seed == 0
    with pytest.raises(BadInput, match="exists"):
        anyscope.stress(networks, nuclei, out, **given)
    with pytest.raises(BadInput, match="other settings"):
        anyscope.stress(networks, nuclei, out, **{**given, "suite": "contrast@1"}, resume=True)
    gate.write_text("minimum: {clean: 0.99, worst: 0.5}\n")
    with pytest.raises(GateFailed, match="at least 0.99 wanted") as failure:
        anyscope.stress(networks, nuclei, out, gate=gate, **given, resume=True)
    assert isinstance(failure.value.result, type(result))  # what was found is shown all the same
    assert failure.value.result.cells == result.cells
    with pytest.raises(BadInput, match="no such model"):
        anyscope.stress(networks, nuclei, out, reference="three", **given, resume=True)


def test_another_training_at_the_same_place_is_another_model(nuclei, tmp_path):
    given = {"suite": "none", "images": 1, "device": "cpu", "baseline": False}
    before = anyscope.stress([save_tiny(tmp_path / "net", 0)], nuclei, tmp_path / "out", **given)
    shutil.rmtree(tmp_path / "net")
    save_tiny(tmp_path / "net", 5)
    with pytest.raises(BadInput, match="weights"):
        anyscope.stress([tmp_path / "net"], nuclei, tmp_path / "out", **given, resume=True)
    after = anyscope.stress([tmp_path / "net"], nuclei, tmp_path / "out2", **given)
    assert after.scores.clean[0] != before.scores.clean[0]


def test_other_data_and_names(networks, nuclei, tmp_path):
    other = tmp_path / nuclei.name
    shutil.copytree(nuclei, other)
    result = anyscope.stress(
        [networks[0], networks[0]], nuclei, tmp_path / "out", suite="contrast@3", shifts=[other], images=2, device="cpu"
    )
    assert result.scores.models == ("one", "one-2", "otsu")
    assert list(result.scores.shifts) == ["data"]
    np.testing.assert_allclose(result.scores.shifted, result.scores.clean)


def test_failed_cells_make_the_run_incomplete(networks, nuclei, tmp_path):
    broken = save_tiny(tmp_path / "broken", 3)
    spec = broken / "segmenter" / "segmenter.yaml"
    spec.write_text(spec.read_text().replace("unet_simple", "unet_sample"))
    given = {"suite": "contrast@3", "images": 1, "device": "cpu"}
    with pytest.raises(Incomplete, match=r"2 of 6 cells failed: broken clean.*unet_sample"):
        anyscope.stress([networks[0], broken], nuclei, tmp_path / "out", **given)
    assert (tmp_path / "out" / "report.html").is_file()
    spec.write_text(spec.read_text().replace("unet_sample", "unet_simple"))
    again = anyscope.stress([networks[0], broken], nuclei, tmp_path / "out", **given, resume=True)
    assert again.scores.tally.complete().all()


def test_a_dry_run_counts_and_estimates(networks, nuclei):
    found = dry_run(plan_for(networks, nuclei))
    assert found.cells == 38
    assert found.tasks == 7
    assert found.seconds > 0


def test_wrong_use(networks, nuclei, tmp_path, monkeypatch):
    with pytest.raises(BadInput, match="corruption|suite"):
        plan_for(networks, nuclei, suite="blurr")
    with pytest.raises(BadInput, match="attack"):
        plan_for(networks, nuclei, attacks=["pgdd"])
    with pytest.raises(BadInput, match="no models"):
        plan_for([], nuclei, baseline=False)
    with pytest.raises(BadInput):
        plan_for([tmp_path], nuclei)
    monkeypatch.setattr("anyscope.running.engines._CONNECT", "1s")
    with pytest.raises(EnvironmentFault, match="cannot be reached"):
        anyscope.stress(
            networks, nuclei, tmp_path / "o", suite="none", images=1, device="cpu", scheduler="tcp://127.0.0.1:1"
        )


@pytest.mark.slow
def test_twenty_kills_change_nothing(networks, nuclei, tmp_path):
    """kill -9 at random moments, then resume, until it is finished: the ledger of a run that was never killed."""
    command = [
        *(sys.executable, "-m", "anyscope.cli", "stress", *map(str, networks), "--data", str(nuclei)),
        *("--suite", "digital,photon_loss", "--attacks", "pgd", "--epsilons", "2,8", "--device", "cpu", "--batch", "1"),
    ]
    subprocess.run([*command, "--out", str(tmp_path / "whole")], check=True, capture_output=True)
    moments, kills = random.Random(0), 0
    while kills < 20:
        process = subprocess.Popen(
            [*command, "--out", str(tmp_path / "killed"), "--resume"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(moments.uniform(1.0, 9.0))
        if process.poll() is not None:
            shutil.rmtree(tmp_path / "killed")  # finished before its time: begin again
            continue
        process.kill()
        process.wait()
        kills += 1
    subprocess.run([*command, "--out", str(tmp_path / "killed"), "--resume"], check=True, capture_output=True)
    assert cells_of(tmp_path / "killed") == cells_of(tmp_path / "whole")


def test_settings_hold_the_whole_plan(networks, nuclei, tmp_path):
    plan = plan_for(networks, nuclei)
    document = yaml.safe_load(yaml.safe_dump(json.loads(json.dumps(plan.model_dump(mode="json")))))
    assert type(plan).model_validate(document) == plan
    assert Path(plan.subjects[0].path).is_absolute()
