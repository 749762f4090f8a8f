"""The page of a pre-training from plain data."""

from __future__ import annotations

import numpy as np
import pytest

from anyscope.errors import BadInput
from anyscope.reports.pretext_report import PretextPictures, PretextReport, pretext_page


def pictures(count=3):
    image, spoiled, repaired = np.random.default_rng(0).random((3, count, 20, 24))
    return PretextPictures(image, spoiled, repaired, tuple((0.2 + n, 0.1 + n) for n in range(count)))


def test_pictures_are_kept_and_read_again(tmp_path):
    kept = pictures()
    kept.save(tmp_path / "p.npz")
    again = PretextPictures.load(tmp_path / "p.npz")
    for name in ("images", "spoiled", "repaired"):
        assert np.abs(getattr(again, name) - getattr(kept, name)).max() <= 0.5 / 255 + 1e-9
    assert again.errors == kept.errors
    (tmp_path / "p.npz").write_bytes((tmp_path / "p.npz").read_bytes()[:200])
    with pytest.raises(BadInput, match="anyscope pretrain"):
        PretextPictures.load(tmp_path / "p.npz")


def report(after, **more):
    metrics = [{"epoch": n, "step": n, "train_loss": 1 / n, "val_loss": 1.2 / n} for n in (1, 2)]
    return PretextReport("unet <pre-trained>", "pieces are hidden", metrics, 0.2, after, **more)


def test_the_page_says_how_well_it_repairs_and_shows_it():
    text = pretext_page(report(0.125, pictures=pictures(), commands=("anyscope train --init pre",))).html()
    assert text.count("data:image/jpeg;base64") == 9
    assert "differ from the images by 0.200 of the grey range where they were spoiled" in text
    assert "by 0.125 after they were repaired" in text
    assert "nothing learned" not in text
    assert "anyscope train --init pre" in text
    assert "&lt;pre-trained&gt;" in text


def test_a_network_that_repairs_nothing_raises_an_alarm():
    assert "nothing learned" in pretext_page(report(0.2)).html()
