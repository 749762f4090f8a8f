"""Every dataset of the catalog: what is said of it, and what becomes of a small fake of its published layout."""

from __future__ import annotations

import re
import shutil
from itertools import combinations, pairwise

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from tests.datasets.catalog.fakes import FAKES, blobs, png, tif, volume

from anyscope.datasets import open_dataset
from anyscope.datasets.catalog import CATALOG
from anyscope.datasets.catalog.dsb2018 import merged, run_lengths
from anyscope.datasets.catalog.splits import quadrants, tail, take_val, three
from anyscope.datasets.check import check_dataset
from anyscope.errors import BadInput
from anyscope.geometry import parse_region
from anyscope.images import list_images, open_image
from anyscope.metrics import PROTOCOLS

NAMES = list(CATALOG)


def test_every_dataset_has_a_fake():
    assert sorted(FAKES) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_is_complete(name):
    entry = CATALOG[name]
    assert entry.name == name
    for text in (entry.title, entry.summary, entry.size, entry.licence, entry.citation, entry.layout, entry.split):
        assert len(text) >= 3
    assert re.fullmatch(r"10\.\d{4,}/\S+", entry.doi)
    assert re.match(r"https?://", entry.homepage)
    assert entry.protocol in PROTOCOLS
    assert PROTOCOLS[entry.protocol].task == ("instances" if entry.labels == "instances" else "semantic")
    assert entry.files
    assert len({file.name for file in entry.files}) == len(entry.files)
    for file in entry.files:
        assert file.url is None or re.match(r"https?://\S+\Z", file.url)
        # What is not encrypted on its way is at least compared with what was published.
        assert file.url is None or file.url.startswith("https://") or file.checksum
        assert file.checksum is None or re.fullmatch(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", file.checksum)
        assert file.download_limit_bytes > 0
        assert file.folder is None or file.name.endswith(".zip")


@pytest.mark.parametrize("name", NAMES)
def test_the_published_layout_becomes_a_dataset(name, tmp_path, capsys):
    expected = FAKES[name](tmp_path / "published")
    CATALOG[name].prepare(tmp_path / "published", tmp_path / "out")
    dataset = open_dataset(tmp_path / "out")
    assert set(dataset.images) == set(expected.images)
    assert dataset.kind == CATALOG[name].labels
    for stem, image in expected.images.items():
        np.testing.assert_array_equal(dataset.images[stem].read()[0], image)
        np.testing.assert_array_equal(dataset.labels[stem].read()[0], expected.labels[stem])
    for parts, stems in expected.parts.items():
        assert {stem for part in parts.split("|") for stem in dataset.split[part]} == stems
    size = CATALOG[name].voxel_size_nm
    for stem in expected.images:
        assert size is None or tuple(dataset.voxel_size_nm(stem)) == pytest.approx(size)
    hidden = tmp_path / "out" / "unlabelled" / "images"
    assert set(list_images(hidden) if hidden.is_dir() else {}) == set(expected.unlabelled)
    for stem, image in expected.unlabelled.items():
        np.testing.assert_array_equal(open_image(list_images(hidden)[stem]).read()[0], image)
    bad = [finding for finding in check_dataset(tmp_path / "out") if finding.verdict == "bad"]
    assert bad == []
    text = (tmp_path / "out" / "README.txt").read_text()
    assert CATALOG[name].licence in text
    assert CATALOG[name].doi in text


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_is_one_line_with_the_layout(name, tmp_path, capsys):
    (tmp_path / "published").mkdir()
    with pytest.raises(BadInput, match="missing") as caught:
        CATALOG[name].prepare(tmp_path / "published", tmp_path / "out")
    assert CATALOG[name].layout in str(caught.value)
    assert "--from" in str(caught.value)


def test_the_split_of_the_vnc_is_the_published_one():
    assert quadrants((1024, 1024)) == ("[:, 288:, :512]", "[:, :256, :512]", "[:, :, 512:]")


def test_kasthuri_scores_nothing_outside_of_the_annotated_region(tmp_path, capsys):
    FAKES["kasthuri++"](tmp_path / "published")
    CATALOG["kasthuri++"].prepare(tmp_path / "published", tmp_path / "out")
    region = open_dataset(tmp_path / "out").labelled("test")[0]
    labels, valid = region.read_reference("semantic")
    assert not valid[:, :3].any()
    assert valid[:, 3:].all()
    assert labels.max() == 1


def test_both_fields_of_a_well_stay_together(tmp_path, capsys):
    for name in ("bbbc006", "bbbc006-defocus"):
        FAKES[name](tmp_path / name)
        CATALOG[name].prepare(tmp_path / name, tmp_path / f"{name}-out")
    focus, defocus = (open_dataset(tmp_path / f"{name}-out").split for name in ("bbbc006", "bbbc006-defocus"))
    assert focus == defocus
    wells = {part: {stem.rpartition("_s")[0] for stem in regions} for part, regions in focus.items()}
    assert all(wells.values())
    for one, other in combinations(wells, 2):
        assert not wells[one] & wells[other]


@pytest.mark.parametrize("name", ["snemi3d", "isbi2012"])
def test_test_labels_are_taken_where_there_are_any(name, tmp_path, capsys):
    FAKES[name](tmp_path / "published")
    labels = next((tmp_path / "published").rglob("train-labels.tif"))
    target = labels.with_name("test-labels.tif")
    if name == "snemi3d":
        shutil.copyfile(labels, target)
        CATALOG[name].prepare(tmp_path / "published", tmp_path / "out")
        assert set(open_dataset(tmp_path / "out").split["test"]) == {"test"}
        assert not (tmp_path / "out" / "unlabelled").exists()
    else:  # a stack of zeros in their place is none
        tif(target, np.zeros_like(tifffile.imread(target)))
        CATALOG[name].prepare(tmp_path / "published", tmp_path / "out")
        dataset = open_dataset(tmp_path / "out")
        assert all(set(dataset.split[part]) == {"train"} for part in ("train", "val", "test"))
        assert list_images(tmp_path / "out" / "unlabelled" / "images").keys() == {"test"}


def test_stacks_of_different_shape_are_refused(tmp_path, capsys):
    FAKES["lucchi"](tmp_path / "published")
    tif(tmp_path / "published" / "testing_groundtruth.tif", np.zeros((11, 40, 48), np.uint8))
    with pytest.raises(BadInput, match=r"testing_groundtruth.*\(11, 40, 48\).*\(12, 40, 48\)"):
        CATALOG["lucchi"].prepare(tmp_path / "published", tmp_path / "out")


def test_a_slice_of_another_shape_is_refused(tmp_path, capsys):
    FAKES["mitoem-r"](tmp_path / "published")
    png(next((tmp_path / "published").rglob("im0003.png")), volume(0, (40, 45)))
    with pytest.raises(BadInput, match=r"im0003.*\(40, 45\)"):
        CATALOG["mitoem-r"].prepare(tmp_path / "published", tmp_path / "out")


def test_a_label_without_its_slice_is_named(tmp_path, capsys):
    FAKES["mitoem-h"](tmp_path / "published")
    next((tmp_path / "published").rglob("im0011.png")).unlink()
    with pytest.raises(BadInput, match=r"im0011\.png"):
        CATALOG["mitoem-h"].prepare(tmp_path / "published", tmp_path / "out")


@pytest.mark.parametrize("name", ["seg0005.tif", "seg0011.tif", "im0014.png"])
def test_a_stack_without_one_of_its_slices_is_refused(tmp_path, capsys, name):
    FAKES["mitoem-h"](tmp_path / "published")
    next((tmp_path / "published").rglob(name)).unlink()
    with pytest.raises(BadInput, match=name.replace(".", r"\.")) as caught:
        CATALOG["mitoem-h"].prepare(tmp_path / "published", tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_a_list_that_names_no_image_is_refused(tmp_path, capsys):
    FAKES["bbbc039"](tmp_path / "published")
    lists = next((tmp_path / "published").rglob("test.txt"))
    lists.write_text(lists.read_text() + "IXMtest_gone.png\n")
    with pytest.raises(BadInput, match="IXMtest_gone"):
        CATALOG["bbbc039"].prepare(tmp_path / "published", tmp_path / "out")


def test_the_largest_volume_is_never_in_memory_as_a_whole(tmp_path, capsys, monkeypatch):
    """No read gives more than one plane."""
    FAKES["mitoem-r"](tmp_path / "published")
    from anyscope.images.image import Image

    seen = []
    read = Image.read
    monkeypatch.setattr(Image, "read", lambda self, region=None: seen.append(read(self, region)) or seen[-1])
    CATALOG["mitoem-r"].prepare(tmp_path / "published", tmp_path / "out")
    assert max(array.shape[1] for array in seen) == 1
    assert len(seen) == 16 + 13


def test_run_lengths_go_down_the_columns():
    # 3 rows: pixels 2 and 3 are the rest of the first column, 7 begins the third.
    ids = run_lengths(["2 2", "7 1"], (3, 4), None)
    assert ids.tolist() == [[0, 0, 2, 0], [1, 0, 0, 0], [1, 0, 0, 0]]
    for wrong in ("1 13", "0 2", "1", "a b", "3 -1"):
        with pytest.raises(BadInput):
            run_lengths([wrong], (3, 4), "solution.csv")


def test_masks_that_overlap_are_merged_in_the_order_of_their_names(tmp_path):
    one, two = np.zeros((2, 6, 8), np.uint8)
    one[1:4, 1:5], two[2:5, 3:7] = 255, 255
    png(tmp_path / "a.png", one)
    png(tmp_path / "b.png", two)
    ids = merged([tmp_path / "b.png", tmp_path / "a.png"])
    assert (ids[two > 0] == 2).all()
    assert (ids[(one > 0) & (two == 0)] == 1).all()
    png(tmp_path / "c.png", np.zeros((5, 8), np.uint8))
    with pytest.raises(BadInput, match=r"c\.png"):
        merged(list(tmp_path.glob("*.png")))


def test_validation_names_depend_on_names_alone():
    names = [f"n{number}" for number in range(50)]
    train, val = take_val(names)
    assert (len(train), len(val)) == (45, 5)
    assert take_val(reversed(names)) == (train, val)
    # A further image moves no more than one of them.
    assert len(set(val) - set(take_val([*names, "another"])[1])) <= 1


@given(st.integers(12, 400))
def test_a_stack_is_cut_without_a_shared_plane(count):
    """Parts in order, disjoint, each with planes, and nothing lost but the gaps."""
    for regions in (tail(count), [three(count)[part][""] for part in ("train", "val", "test")]):
        rois = [parse_region(text, (count, 4, 4)) for text in regions]
        bounds = [(roi.start[0], roi.stop[0]) for roi in rois]
        assert bounds[0][0] == 0
        assert bounds[-1][1] == count
        for (_, stop), (start, _) in pairwise(bounds):
            assert start - stop == max(1, count // 32)


def test_blobs_are_what_the_fakes_need():
    ids = blobs((2, 40, 48))
    assert set(np.unique(ids)) == {0, 4, 7, 9, 12}
