"""One result, whoever does the blocks and however often they are interrupted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import anyscope
from anyscope.errors import BadInput, EnvironmentFault, Incomplete, Interrupted, explain_os_errors
from anyscope.images import read_labels, write_image
from anyscope.running.ledger import Ledger
from anyscope.volumes import blocks as block_module
from anyscope.volumes.plan import VolumePlan
from anyscope.volumes.run import workspace_of
from anyscope.workflows.predict_volume import BlockSettings, Workers
from tests.volumes.conftest import digest

CUT = BlockSettings(core=(6, 48, 48))


def predict(run, source, out, **given):
    return anyscope.predict(run, source, out, device="cpu", **({"blocks": CUT} | given))


@pytest.fixture(scope="module")
def expected(tmp_path_factory, tiny_run, noisy):
    """The bytes of a run that nothing disturbed."""
    out = tmp_path_factory.mktemp("expected") / "labels.ome.zarr"
    predict(tiny_run, noisy, out)
    assert read_labels(out).max() > 3
    return digest(out)


def test_the_output_equals_the_present_way_and_holds_nothing_of_the_run(tmp_path, tiny_run, noisy, expected):
    anyscope.predict(tiny_run, noisy, tmp_path / "whole.tif", device="cpu")
    out = tmp_path / "elsewhere.ome.zarr"
    predict(tiny_run, noisy, out, blocks=BlockSettings(core=(12, 90, 40)))
    np.testing.assert_array_equal(read_labels(out), read_labels(tmp_path / "whole.tif"))
    assert digest(out) == expected  # of another place, and of blocks of another size
    assert not (workspace_of(out) / "blocks").exists()
    summary = json.loads((workspace_of(out) / "finished.json").read_text())
    assert summary["blocks"] == 2
    assert summary["objects"] == read_labels(out).max()


def test_processes_shards_and_here_give_the_same_bytes(tmp_path, tiny_run, noisy, expected):
    out = tmp_path / "shards.ome.zarr"
    for number in (2, 1, 3):
        predict(tiny_run, noisy, out, workers=Workers(shard=f"{number}/3"))
        if number != 3:
            with pytest.raises(BadInput, match="never run"):
                anyscope.merge(out)
    anyscope.merge(out)
    assert digest(out) == expected
    out = tmp_path / "processes.ome.zarr"
    predict(tiny_run, noisy, out, workers=Workers(jobs=2, threads=1))
    assert digest(out) == expected


def test_a_killed_run_goes_on_where_it_was(tmp_path, tiny_run, noisy, expected, monkeypatch):
    out, done = tmp_path / "labels.ome.zarr", []
    real = block_module._Worker.do

    def dying(worker, task):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(task.number)
        return real(worker, task)

    monkeypatch.setattr(block_module._Worker, "do", dying)
    with pytest.raises(Interrupted, match="--resume"):
        predict(tiny_run, noisy, out)
    assert not out.exists()
    with pytest.raises(BadInput, match="exists already"):
        predict(tiny_run, noisy, out)
    with pytest.raises(BadInput, match="other settings"):
        predict(tiny_run, noisy, out, resume=True, blocks=BlockSettings(core=(6, 48, 90)))
    again = []
    monkeypatch.setattr(
        block_module._Worker, "do", lambda worker, task: again.append(task.number) or real(worker, task)
    )
    predict(tiny_run, noisy, out, resume=True)
    assert digest(out) == expected
    assert set(done).isdisjoint(again)
    again.clear()
    predict(tiny_run, noisy, out, resume=True)
    assert again == []
    with pytest.raises(BadInput, match="exists already"):
        predict(tiny_run, noisy, out)
    predict(tiny_run, noisy, out, force=True)
    assert digest(out) == expected


def test_a_full_disk_ends_the_run_and_resume_goes_on(tmp_path, tiny_run, noisy, expected, monkeypatch):
    import errno

    out, real, count = tmp_path / "labels.ome.zarr", block_module.BlockStore.write, [0]

    def full(store, *arguments):
        count[0] += 1
        if count[0] == 3:
            with explain_os_errors(store.folder):
                raise OSError(errno.ENOSPC, "No space left on device")
        real(store, *arguments)

    monkeypatch.setattr(block_module.BlockStore, "write", full)
    with pytest.raises(EnvironmentFault, match="disk is full"):
        predict(tiny_run, noisy, out)
    predict(tiny_run, noisy, out, resume=True)
    assert digest(out) == expected


def test_an_unreadable_chunk_is_reported_and_the_rest_complete(tmp_path, tiny_run, noisy, monkeypatch, capsys):
    monkeypatch.setattr(block_module, "_PAUSE_S", 0.0)
    source, out = tmp_path / "damaged.ome.zarr", tmp_path / "labels.ome.zarr"
    _chunked(noisy, source)
    chunk = source / "0" / "c" / "1" / "0" / "0"
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[: len(whole) // 2])
    slabs = BlockSettings(core=(3, 90, 70))  # the first one sees nothing of the damage
    with pytest.raises(Incomplete, match=r"3 of 4 blocks could not be read.*block 1:.*--resume") as caught:
        predict(tiny_run, source, out, blocks=slabs)
    assert "the range of grey levels is that of the rest" in capsys.readouterr().err
    assert caught.value.exit_code == 3
    labels = read_labels(out)
    assert labels[:3].any()
    assert not labels[3:].any()
    assert (workspace_of(out) / "incomplete.json").is_file()
    chunk.write_bytes(whole)
    predict(tiny_run, source, out, resume=True, blocks=slabs)
    assert not (workspace_of(out) / "incomplete.json").exists()
    low, high = VolumePlan.read(workspace_of(out) / "plan.yaml").value_range
    predict(tiny_run, noisy, tmp_path / "whole.ome.zarr", value_range=f"fixed:{low},{high}")
    assert digest(out) == digest(tmp_path / "whole.ome.zarr")


def _chunked(source: Path, out: Path) -> None:
    """A copy in several chunks."""
    import zarr

    shutil.copytree(source, out)
    voxels = zarr.open_array(str(source / "0"))[...]
    shutil.rmtree(out / "0")
    array = zarr.create_array(str(out / "0"), shape=voxels.shape, dtype=voxels.dtype, chunks=(6, 45, 70))
    array[...] = voxels


def test_lost_block_data_are_made_again(tmp_path, tiny_run, noisy, expected):
    out = tmp_path / "labels.ome.zarr"
    predict(tiny_run, noisy, out, workers=Workers(shard="1/2"))
    part = workspace_of(out)
    victim = next((part / "blocks").rglob("labels")).parent
    shutil.rmtree(victim)
    predict(tiny_run, noisy, out, workers=Workers(shard="1/2"), resume=True)
    predict(tiny_run, noisy, out, workers=Workers(shard="2/2"))
    anyscope.merge(out)
    assert digest(out) == expected


def test_empty_blocks_are_skipped_and_said(tmp_path, tiny_run):
    image = np.full((1, 4, 64, 64), 9, np.uint8)
    image[..., :32] = np.random.default_rng(0).integers(0, 255, (1, 4, 64, 32))
    write_image(tmp_path / "half.ome.zarr", image)
    out = tmp_path / "labels.ome.zarr"
    predict(tiny_run, tmp_path / "half.ome.zarr", out, blocks=BlockSettings(core=(4, 64, 16)))
    with Ledger(workspace_of(out) / "parts" / "1-of-1" / "ledger.sqlite", ("block",)) as ledger:
        assert [cell.result["empty"] for cell in ledger.cells()] == [False, False, False, True]
    assert not read_labels(out)[..., 48:].any()


def test_wrong_use(tmp_path, tiny_run, noisy):
    for shard, match in (("0/4", "K from 1 to N"), ("5/4", "K from 1 to N"), ("two", "K/N")):
        with pytest.raises(BadInput, match=match):
            predict(tiny_run, noisy, tmp_path / "a.ome.zarr", workers=Workers(shard=shard))
    with pytest.raises(BadInput, match="OME-Zarr"):
        predict(tiny_run, noisy, tmp_path / "a.tif", workers=Workers(jobs=2))
    with pytest.raises(BadInput, match=r"--memory.*at least"):
        from anyscope.inference import InferenceSettings

        given = InferenceSettings(memory_bytes=1 << 20)
        predict(tiny_run, noisy, tmp_path / "a.ome.zarr", inference=given, blocks=BlockSettings())
    with pytest.raises(BadInput, match="holds no plan"):
        anyscope.merge(tmp_path / "never.ome.zarr")
    with pytest.raises(EnvironmentFault, match="folder"):
        (tmp_path / "file").touch()
        predict(tiny_run, noisy, tmp_path / "file" / "a.ome.zarr")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
