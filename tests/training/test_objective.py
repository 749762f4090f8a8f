"""The objective, with and without auxiliary outputs."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from anyscope.contracts import HeadLayout
from anyscope.models import SegmenterSpec, build_segmenter
from anyscope.models.segmenter import GuidedLogits
from anyscope.training.objective import Objective


@pytest.fixture
def batch():
    random = torch.Generator().manual_seed(0)
    return {
        "images": torch.rand(2, 1, 33, 40, generator=random),
        "targets": (torch.rand(2, 2, 33, 40, generator=random) > 0.5).float(),
        "valid": torch.rand(2, 33, 40, generator=random) > 0.2,
    }


OBJECTIVE = Objective(HeadLayout(("mask", "boundary")), ("bce", "2*bce"))


def by_hand(logits, batch):
    mask, boundary = (
        F.binary_cross_entropy_with_logits(logits[:, n][batch["valid"]], batch["targets"][:, n][batch["valid"]])
        for n in range(2)
    )
    return mask + 2 * boundary


def test_without_auxiliary_outputs_the_model_is_called_with_images_alone(batch):
    logits = torch.randn(2, 2, 33, 40)

    def model(images):
        assert images is batch["images"]
        return logits

    assert torch.isclose(OBJECTIVE(model, batch), by_hand(logits, batch))


def test_auxiliary_losses_are_added_with_their_weights(batch):
    main, first, second = torch.randn(3, 2, 2, 33, 40)

    def model(images, *, auxiliary):
        assert auxiliary
        return GuidedLogits(main, ((0.4, first), (0.16, second)))

    expected = by_hand(main, batch) + 0.4 * by_hand(first, batch) + 0.16 * by_hand(second, batch)
    assert torch.isclose(OBJECTIVE(model, batch, auxiliary=True), expected)


@pytest.fixture
def accelerator():
    made = Accelerator(cpu=True, mixed_precision="bf16")
    yield made
    made.free_memory()
    AcceleratorState._reset_state(reset_partial_state=True)


def test_wrappers_see_the_call_and_the_guides_learn(batch, accelerator):
    """Mixed precision goes through forward: the auxiliary logits come back in float32, with gradients."""
    spec = SegmenterSpec(model="icnet", arguments={"width": 0.1}, task="instances", heads=("mask", "boundary"))
    segmenter = build_segmenter(spec, 0)
    model = accelerator.prepare(segmenter)
    output = model(batch["images"], auxiliary=True)
    assert isinstance(output, GuidedLogits)
    assert {each.dtype for each in (output.logits, *(each for _, each in output.auxiliary))} == {torch.float32}
    accelerator.backward(OBJECTIVE(model, batch, auxiliary=True))
    trained = [weight for weight in segmenter.parameters() if weight.requires_grad]
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in trained)


def test_several_processes_reduce_the_gradients_of_guides(batch, tmp_path):
    """DDP knows only what passes through forward; it would refuse the second step if a guide had been missed."""
    import torch.distributed as dist

    spec = SegmenterSpec(model="icnet", arguments={"width": 0.1}, task="instances", heads=("mask", "boundary"))
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        segmenter = build_segmenter(spec, 0)
        model = torch.nn.parallel.DistributedDataParallel(segmenter)
        for _ in range(2):
            model.zero_grad()
            OBJECTIVE(model, batch, auxiliary=True).backward()
        with_all = segmenter.net.fuse_fine.guide.weight.grad.clone()
        assert with_all.abs().sum() > 0
        model.zero_grad()
        OBJECTIVE(model, batch).backward()
        with pytest.raises(RuntimeError, match="reduction in the prior iteration"):
            OBJECTIVE(model, batch).backward()
    finally:
        dist.destroy_process_group()
