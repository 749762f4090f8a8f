"""Memory: the estimate is proportional, kept within its bound, and tiles shrink with it."""

import numpy as np
import pytest
import torch
from torch import nn

from anyscope.errors import BadInput
from anyscope.inference import InferenceSettings, estimate_memory, predict_maps
from anyscope.inference.footprint import WORKSPACE, _free_in_container, forward_bytes, free_bytes
from anyscope.models import SegmenterSpec, build_segmenter

from .networks import Plain, mask_spec, random_unet


class Wide(Plain):
    """One convolution to 10 channels, then to 1: input, 10 and 1 channels are alive at the end of the second."""

    def __init__(self) -> None:
        super().__init__(mask_spec(), 5)
        self.first, self.second = nn.Conv2d(1, 10, 3, padding=1), nn.Conv2d(10, 1, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(images))


class Attention(Plain):
    """Every pixel of a 32nd of the resolution attends to every other: a table of (pixels / 1024) squared."""

    def __init__(self) -> None:
        super().__init__(mask_spec(), None)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        small = nn.functional.avg_pool2d(images, 8).flatten(2)
        table = torch.softmax(small.transpose(1, 2) @ small, dim=-1)
        return images + table.mean()


def test_live_tensors_are_counted():
    assert forward_bytes(Wide(), (1, 1, 100, 200)) == pytest.approx(WORKSPACE * (1 + 10 + 1) * 4 * 100 * 200)
    assert forward_bytes(Wide(), (3, 1, 100, 200)) == pytest.approx(
        3 * forward_bytes(Wide(), (1, 1, 100, 200)), rel=1e-6
    )


def test_attention_grows_with_the_square():
    network = Attention()
    tables = [2 * 4 * (side // 8) ** 4 for side in (512, 1024)]
    small, large = (forward_bytes(network, (1, 1, side, side)) for side in (512, 1024))
    assert small == pytest.approx(WORKSPACE * tables[0], rel=0.05)
    assert large == pytest.approx(WORKSPACE * tables[1], rel=0.05)


def test_less_memory_means_smaller_tiles_and_the_same_maps():
    segmenter = random_unet(3)
    shown = np.random.default_rng(0).random((1, 1, 200, 230), dtype=np.float32)
    whole = predict_maps(segmenter, shown)
    plenty = estimate_memory(segmenter, shown.shape, InferenceSettings())
    assert len(plenty.layout.tiles((200, 230))) == 1
    assert "untiled" in plenty.describe()
    counts = []
    for part in (0.9, 0.7, 0.5):
        bound = InferenceSettings(memory_bytes=int(part * plenty.total))
        plan = estimate_memory(segmenter, shown.shape, bound)
        assert plan.total <= bound.memory_bytes
        counts.append(len(plan.layout.tiles((200, 230))))
        np.testing.assert_allclose(predict_maps(segmenter, shown, settings=bound), whole, atol=1e-5)
    assert 1 < counts[0] <= counts[1] <= counts[2]
    with pytest.raises(BadInput, match="memory: 0 MiB left"):
        estimate_memory(segmenter, shown.shape, InferenceSettings(memory_bytes=1000))


def test_batches_are_bounded_by_memory_and_by_what_exists():
    segmenter = random_unet(2)
    one = estimate_memory(segmenter, (1, 6, 64, 64), InferenceSettings(batch=1))
    assert one.slices_at_once == 1
    assert estimate_memory(segmenter, (1, 6, 64, 64), InferenceSettings(batch=8)).layout.batch == 6
    bound = one.image + one.maps + 3 * (one.slices + one.forward) + 1000
    some = estimate_memory(segmenter, (1, 6, 64, 64), InferenceSettings(batch=8, memory_bytes=bound))
    assert some.layout.batch == some.slices_at_once == 3
    assert some.total <= bound


def test_free_memory_is_known(tmp_path):
    assert 1 << 20 < free_bytes(torch.device("cpu")) < 1 << 50
    for name, text in (
        ("memory.max", "1000"),
        ("memory.current", "700"),
        ("memory.stat", "anon 1\ninactive_file 50\n"),
    ):
        (tmp_path / name).write_text(text)
    assert _free_in_container(tmp_path) == 350
    (tmp_path / "memory.max").write_text("max\n")
    assert _free_in_container(tmp_path) > 1 << 60


def test_attention_over_padded_windows_is_extrapolated_as_the_square_of_the_pixels():
    """Windows of 8 patches are padded at 64 pixels and not at 128; 2048 pixels have 16 times the table of 1024."""
    spec = SegmenterSpec(model="sam_unet", arguments={"encoder": "samvit_nano"}, task="semantic")
    segmenter = build_segmenter(spec, 0).eval()
    small, large = (forward_bytes(segmenter, (1, 1, side, side)) for side in (1024, 2048))
    assert large > 10 * small
    assert large > 3 * 4 * (2048 // 16) ** 4 * 4  # rows, columns and their sum, of 4 heads
