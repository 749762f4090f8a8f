"""The flow from a folder of images to scores, in process."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
import torch
from tests.workflows.conftest import TINY, tiny, write_blobs

import anyscope
from anyscope.datasets import open_dataset
from anyscope.errors import BadInput, Incomplete
from anyscope.images import open_image, read_labels, write_image, write_labels
from anyscope.inference import InferenceSettings
from anyscope.models import load_segmenter
from anyscope.running.run_folder import RunFolder
from anyscope.training.validation import protocol_for


def test_a_run_holds_what_the_design_says(run):
    names = {path.name for path in run.iterdir()}
    assert {"settings.yaml", "environment.json", "metrics.jsonl", "segmenter", "checkpoints", "tensorboard", "test",
            "finished.json", "report.html"} <= names  # fmt: skip
    records = RunFolder.of(run).records()
    assert [record["epoch"] for record in records] == [1, 2, 3, 4, 5, 6]
    assert records[-1]["train_loss"] < records[0]["train_loss"]
    assert any((run / "tensorboard").iterdir())
    spec = load_segmenter(run).spec
    assert spec.provenance["dataset"] == "data"
    assert "random" in spec.weights
    assert not any(str(run.parent) in path.read_text() for path in (run / "segmenter").glob("*.yaml"))


def test_the_network_has_learned(run):
    document = json.loads((run / "test" / "evaluation.json").read_text())
    assert document["part"] == "test"
    assert document["scores"]["foreground_iou"] > 0.8


def test_predict_and_evaluate_give_the_scores_of_the_run(run, blobs, tmp_path):
    predicted = anyscope.predict(run, blobs, tmp_path / "out", split="test", device="cpu")
    document = anyscope.evaluate(predicted.out, blobs, split="test", protocol="semantic").to_json()
    assert document["scores"] == json.loads((run / "test" / "evaluation.json").read_text())["scores"]


def test_a_file_a_folder_and_a_dataset_are_predicted_alike(run, blobs, tmp_path):
    one = anyscope.predict(run, blobs / "images" / "i0.tif", tmp_path / "one.png", probabilities=True, device="cpu")
    folder = anyscope.predict(run, blobs / "images", tmp_path / "folder", probabilities=True, device="cpu")
    whole = anyscope.predict(run, blobs, tmp_path / "dataset", device="cpu")
    assert list(one.labels) == ["i0"]
    assert set(folder.labels) == set(whole.labels) == {f"i{number}" for number in range(12)}
    first = read_labels(tmp_path / "one.png")
    assert np.array_equal(first, read_labels(folder.labels["i0"]))
    assert np.array_equal(first, read_labels(whole.labels["i0"]))
    probability = open_image(tmp_path / "folder" / "probabilities" / "i0.tif").read()
    assert np.array_equal(probability, open_image(tmp_path / "one_probability.tif").read())
    threshold = load_segmenter(run).spec.decoder.parameters["threshold"]
    assert np.array_equal(probability[0] > threshold, first > 0)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_table_has_a_row_for_each_object(run, blobs, tmp_path, suffix):
    out = anyscope.predict(run, blobs, tmp_path / "out", instances=True, table=tmp_path / f"t{suffix}", device="cpu")
    reader = pyarrow.csv.read_csv if suffix == ".csv" else pyarrow.parquet.read_table
    rows = reader(tmp_path / f"t{suffix}")
    found = sum(len(np.unique(read_labels(path))) - 1 for path in out.labels.values())
    assert len(rows) == found > 12
    assert rows.column_names[:2] == ["image", "id"]
    assert not (tmp_path / "out" / ".tables").exists()


def test_prediction_resumes_and_finished_work_is_left_alone(run, blobs, tmp_path):
    out = anyscope.predict(run, blobs, tmp_path / "out", device="cpu")
    (tmp_path / "out" / "finished.json").unlink()
    kept = out.labels["i1"].stat().st_mtime_ns
    out.labels["i0"].unlink()
    anyscope.predict(run, blobs, tmp_path / "out", device="cpu", resume=True)
    assert out.labels["i0"].exists()
    assert out.labels["i1"].stat().st_mtime_ns == kept
    with pytest.raises(BadInput, match="instances was False, is True"):
        anyscope.predict(run, blobs, tmp_path / "out", instances=True, device="cpu", resume=True)


def test_one_bad_image_does_not_stop_the_others(run, tmp_path):
    data = write_blobs(tmp_path / "data", 3)
    write_image(data / "images" / "i1.tif", np.zeros((2, 1, 32, 32), np.uint8))
    with pytest.raises(Incomplete, match=r"1 of 3 images failed.*i1\.tif"):
        anyscope.predict(run, data / "images", tmp_path / "out", device="cpu")
    assert {path.name for path in (tmp_path / "out").glob("*.tif")} == {"i0.tif", "i2.tif"}
    assert not (tmp_path / "out" / "finished.json").exists()


def test_instances_from_three_maps(blobs, tmp_path):
    result = anyscope.train(blobs, tmp_path / "run", settings=tiny(task="instances", epochs=3), device="cpu")
    assert result.test["protocol"] == "instances"
    spec = load_segmenter(tmp_path / "run").spec
    assert spec.heads == ("mask", "boundary", "distance")
    assert spec.decoder.name == "watershed"
    out = anyscope.predict(tmp_path / "run", blobs, tmp_path / "out", split="test", device="cpu")
    again = anyscope.evaluate(out.out, blobs, split="test").to_json()
    assert again["scores"] == result.test["scores"]


def test_several_classes_and_ignored_pixels(tmp_path):
    data = write_blobs(tmp_path / "data", 12)
    for path in (data / "labels").iterdir():
        labels = np.minimum(read_labels(path), 2)
        labels[:, :4] = 9
        write_labels(path, labels)
    (data / "dataset.yaml").write_text("labels: classes\nclasses: [background, one, two]\nignore: [9]\n")
    result = anyscope.train(data, tmp_path / "run", settings=tiny(), device="cpu")
    assert load_segmenter(tmp_path / "run").spec.classes == 3
    assert result.test["protocol"] == "multiclass"
    out = anyscope.predict(tmp_path / "run", data, tmp_path / "out", split="test", device="cpu")
    assert anyscope.evaluate(out.out, data, split="test").to_json()["scores"] == result.test["scores"]


def test_a_stack_with_neighbours_at_a_working_pixel_size(tmp_path):
    data = tmp_path / "data"
    random = np.random.default_rng(0)
    labels = np.zeros((4, 64, 96), np.uint8)
    labels[:, 10:30, 10:40], labels[:, 36:60, 50:90] = 1, 1
    image = (random.normal(60, 10, labels.shape) + 90 * labels).clip(0, 255).astype(np.uint8)
    write_image(data / "images" / "s.tif", image[None])
    write_labels(data / "labels" / "s.tif", labels)
    (data / "dataset.yaml").write_text("voxel_size_nm: [50, 4, 4]\nlabels: mask\n")
    settings = tiny(neighbours=1, pixel_size_nm=8.0, patch_px=16)
    anyscope.train(data, tmp_path / "run", settings=settings, device="cpu")
    segmenter = load_segmenter(tmp_path / "run")
    assert segmenter.spec.in_channels == 3
    out = anyscope.predict(tmp_path / "run", data, tmp_path / "out", split="test", device="cpu")
    assert read_labels(out.labels["s"]).shape == open_dataset(data).labelled("test")[0].roi.shape


def test_one_seed_one_result(blobs, tmp_path):
    for name in ("a", "b"):
        anyscope.train(blobs, tmp_path / name, settings=tiny(), device="cpu")
    a, b = (load_segmenter(tmp_path / name).state_dict() for name in ("a", "b"))
    assert all(torch.equal(a[key], b[key]) for key in a)
    anyscope.train(blobs, tmp_path / "c", settings=tiny(seed=1), device="cpu")
    c = load_segmenter(tmp_path / "c").state_dict()
    assert any(not torch.equal(a[key], c[key]) for key in a)


def test_a_run_starts_from_another(run, blobs, tmp_path):
    settings = tiny(epochs=1, steps_per_epoch=1, learning_rate=1e-9, ema=0)
    result = anyscope.train(blobs, tmp_path / "run", settings=settings, init=run, device="cpu")
    assert result.validation_score > 0.8


def test_finished_work_is_not_done_again(run, blobs, capsys):
    before = (run / "segmenter" / "weights.safetensors").stat().st_mtime_ns
    result = anyscope.train(blobs, run, settings=tiny(epochs=6), device="cpu", resume=True)
    assert "finished already" in capsys.readouterr().err
    assert result.test["scores"]["foreground_iou"] > 0.8
    assert (run / "segmenter" / "weights.safetensors").stat().st_mtime_ns == before


def test_a_report_can_be_made_again_and_says_when_the_images_are_gone(run, blobs, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "report.html").unlink()
    text = anyscope.report(copy).read_text()
    assert "data:image/png;base64" in text
    moved = blobs.rename(blobs.with_name("moved"))
    try:
        assert "The test images are not shown" in anyscope.report(copy).read_text()
    finally:
        moved.rename(blobs)
    with pytest.raises(BadInput, match=r"settings\.yaml"):
        anyscope.report(tmp_path)


def test_files_are_evaluated_without_a_dataset(tmp_path):
    labels = np.zeros((1, 20, 20), np.uint8)
    labels[:, 2:8, 2:8], labels[:, 12:18, 12:18] = 1, 2
    shifted = np.roll(labels, 1, axis=2)
    write_labels(tmp_path / "r" / "a.tif", labels)
    write_labels(tmp_path / "p" / "a.png", shifted)
    evaluation = anyscope.evaluate(tmp_path / "p" / "a.png", tmp_path / "r" / "a.tif")
    assert evaluation.protocol == "instances"
    mask = anyscope.evaluate(tmp_path / "p", tmp_path / "r", protocol="semantic")
    assert mask.scores["foreground_iou"] == pytest.approx(60 / 84)
    write_labels(tmp_path / "r" / "b.tif", labels)
    with pytest.raises(BadInput, match=r"no prediction for 1 of 2 references \(b\)"):
        anyscope.evaluate(tmp_path / "p", tmp_path / "r")
    write_labels(tmp_path / "p" / "b.png", labels[:, :10])
    with pytest.raises(BadInput, match=r"shape \(1, 10, 20\)"):
        anyscope.evaluate(tmp_path / "p", tmp_path / "r")


@pytest.mark.parametrize(("objects", "protocol", "accuracy"), [("2d", "instances_2d", 1), ("3d", "instances", 0)])
def test_a_dataset_says_whether_objects_are_those_of_slices(tmp_path, objects, protocol, accuracy):
    """Every object is found in every slice, under another id in each."""
    labels = np.zeros((6, 20, 20), np.uint8)
    labels[:, 2:8, 2:8], labels[:, 12:18, 12:18] = 1, 2
    write_image(tmp_path / "data" / "images" / "a.tif", labels[None])
    write_labels(tmp_path / "data" / "labels" / "a.tif", labels)
    (tmp_path / "data" / "dataset.yaml").write_text(f"labels: instances\nobjects: {objects}\n")
    by_slice = labels + 2 * np.arange(6, dtype=np.uint8)[:, None, None] * (labels > 0)
    write_labels(tmp_path / "found" / "a.tif", by_slice)
    evaluation = anyscope.evaluate(tmp_path / "found", tmp_path / "data")
    assert evaluation.protocol == protocol
    assert evaluation.scores["accuracy_50"] == accuracy
    settings = tiny(task="instances")
    assert protocol_for(settings, 2, open_dataset(tmp_path / "data").description.objects).name == protocol


def test_data_synth_is_a_dataset_and_the_same_seed_gives_the_same_bytes(tmp_path):
    for name, count in (("a", 2), ("b", 3)):
        anyscope.data_synth(tmp_path / name, count=count, shape=(64, 64), seed=5, changes={"snr": 5})
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert len(files) == 2 * 4 + 1
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)
    record = json.loads((tmp_path / "a" / "records" / "nuclei-0000.json").read_text())
    assert record["snr"]["measured"] == pytest.approx(5, rel=0.02)
    assert open_dataset(tmp_path / "a").kind == "instances"
    assert not [finding for finding in anyscope.data_check(tmp_path / "b") if finding.verdict == "bad"]
    with pytest.raises(BadInput, match="--force"):
        anyscope.data_synth(tmp_path / "a")
    with pytest.raises(BadInput, match="setting 'snr'"):
        anyscope.data_synth(tmp_path / "c", changes={"snr": -1})
    assert not (tmp_path / "c").exists()


def test_the_zoo_and_the_doctor():
    [found] = anyscope.list_models("unet_simple")
    assert found.parameters > 0
    assert {check.verdict for check in anyscope.doctor()} <= {"good", "note"}


def test_unknown_names_list_the_valid_ones(blobs, tmp_path):
    with pytest.raises(BadInput, match="model 'unett'.*did you mean 'unet'"):
        anyscope.train(blobs, tmp_path / "run", settings=tiny(model="unett"), device="cpu")
    with pytest.raises(BadInput, match="specimen 'cells'.*nuclei"):
        anyscope.data_synth(tmp_path / "d", specimen="cells")
    with pytest.raises(BadInput, match="protocol 'iou'.*semantic"):
        anyscope.evaluate(blobs / "labels", blobs, protocol="iou")
    assert not (tmp_path / "run").exists()


def test_labels_without_any_foreground_are_refused(tmp_path):
    data = write_blobs(tmp_path / "data")
    for path in (data / "labels").iterdir():
        write_labels(path, np.zeros_like(read_labels(path)))
    with pytest.raises(BadInput, match="all labels of the training part are background"):
        anyscope.train(data, tmp_path / "run", settings=tiny(), device="cpu")


def test_constant_and_undefined_images_train_and_predict(run, tmp_path):
    data = write_blobs(tmp_path / "data")
    write_image(data / "images" / "i3.tif", np.full((1, 1, 48, 56), 7, np.uint8))
    odd = np.random.default_rng(0).random((1, 1, 48, 56)).astype(np.float32)
    odd[..., :5] = np.nan
    write_image(data / "images" / "i4.tif", odd)
    anyscope.train(data, tmp_path / "run", settings=tiny(), device="cpu")
    out = anyscope.predict(tmp_path / "run", data, tmp_path / "out", device="cpu")
    assert len(out.labels) == 12


def test_settings_of_the_tests_are_those_of_a_user():
    assert set(TINY) <= set(type(tiny()).model_fields)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"decoder": "mutex_watershed"}, "does not fit the heads"),
        ({"heads": "mask,affinities", "dimensions": 3}, "slice.s. to train on"),
        ({"decoder": "watershed", "decoder_arguments": {"wishes": 1}}, "wishes"),
    ],
)
def test_what_cannot_be_learned_or_decoded_is_refused_before_anything_is_written(given, message, blobs, tmp_path):
    with pytest.raises(BadInput, match=message):
        anyscope.train(blobs, tmp_path / "run", settings=tiny(task="instances", **given), device="cpu")
    assert not (tmp_path / "run").exists()


def test_affinities_are_learned_decoded_and_compared(blobs, tmp_path):
    offsets = ((0, -1, 0), (0, 0, -1), (0, -5, 0), (0, 0, -5))
    settings = tiny(
        task="instances", heads="mask,boundary,affinities", offsets=offsets, protocol="instances_2d", epochs=3
    )
    run = anyscope.train(blobs, tmp_path / "run", settings=settings, device="cpu").run
    tuned = json.loads((run / "decoders.json").read_text())
    ratings = [one["scores"]["accuracy_50"] for one in tuned["decoders"]]
    assert {one["decoder"]["name"] for one in tuned["decoders"]} == {
        "mutex_watershed", "agglomeration", "watershed", "peaks", "components",
    }  # fmt: skip
    assert ratings == sorted(ratings, reverse=True)
    assert json.loads((run / "test" / "evaluation.json").read_text())["protocol"] == "instances_2d"
    other = anyscope.predict(run, blobs, tmp_path / "out", split="test", decoder="components", device="cpu")
    assert all(read_labels(path).max() > 0 for path in other.labels.values())
    with pytest.raises(BadInput, match="test-time augmentation"):
        anyscope.predict(run, blobs, tmp_path / "tta", inference=InferenceSettings(augmentation="d4"), device="cpu")
    assert not (tmp_path / "tta").exists()


def test_objects_of_masks_are_learned_and_scored(blobs, tmp_path):
    """A mask makes objects by what touches, in training, tuning and scores alike, and the page of scores says so."""
    data = tmp_path / "masks"
    shutil.copytree(blobs, data)
    for path in (data / "labels").iterdir():
        write_labels(path, (read_labels(path) > 0).astype(np.uint8) * 255)
    (data / "dataset.yaml").write_text("labels: mask\nobjects: 2d\n")
    found = anyscope.train(data, tmp_path / "run", settings=tiny(task="instances", epochs=1), device="cpu").test
    assert found is not None
    assert found["conventions"]["objects of the reference"].startswith("8-connected components of each slice")
    assert found["mean"]["reference_objects"] > 1.5
    again = anyscope.evaluate(tmp_path / "run" / "test" / "predictions", data, protocol="instances_2d", split="test")
    assert again.to_json()["scores"] == pytest.approx(found["scores"])
    assert "objects of the reference" in again.conventions
