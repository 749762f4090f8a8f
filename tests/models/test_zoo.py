from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
import torch

import anyscope.models
from anyscope.errors import BadInput, EnvironmentFault
from anyscope.models import MODELS, build_segmenter, describe_model, describe_models, list_models
from anyscope.models.hub import reaching_the_hub

NAMES = list(MODELS)
DESCRIBED = {model.name: model for model in describe_models()}


def test_the_names():
    assert [
        *("unet", "unet_small", "unet_3level", "unet_simple", "attention_unet", "fcn8s", "segnet", "icnet", "hrnet"),
        *("smp_unet", "unetplusplus", "linknet", "manet", "fpn", "pspnet", "deeplabv3", "deeplabv3plus", "pan"),
        *("upernet", "upernet_convnext", "upernet_swin", "segformer", "dpt", "segmenter", "sam_unet", "sam_unet_base"),
    ] == NAMES
    assert list(list_models()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_entries_say_what_they_are(name):
    entry = MODELS[name]
    assert entry.name == name
    assert entry.summary
    assert "arXiv" in entry.source or "20" in entry.source
    assert entry.licence


@pytest.mark.parametrize("name", NAMES)
def test_the_stored_description_is_true(name, monkeypatch):
    """Where this fails: ``python -m anyscope.models.description`` writes the table anew."""
    for draw in ("uniform_", "normal_", "erfinv_"):  # slow, and the weights do not matter
        monkeypatch.setattr(torch.Tensor, draw, lambda tensor, *_, **__: tensor.zero_())
    assert asdict(DESCRIBED[name]) == json.loads(json.dumps(asdict(describe_model(name))))
    assert DESCRIBED[name].arguments.keys() == MODELS[name].arguments.model_fields.keys()


def test_known_numbers_of_parameters():
    """Of U-Net as counted everywhere, of Attention U-Net as its authors give it, of VGG16 by hand in test_vgg."""
    known = {"unet": 31_036_481, "unet_small": 1_942_289, "attention_unet": 1_985_061}
    assert {name: DESCRIBED[name].parameters for name in known} == known


def test_all_are_listed_and_added_ones_too(monkeypatch):
    assert [model.name for model in describe_models()] == NAMES
    entries = {**MODELS._entries, "mine": replace(MODELS["unet_simple"], name="mine")}
    monkeypatch.setattr(MODELS, "_entries", entries)
    mine = describe_models()[-1]
    assert (mine.name, mine.parameters) == ("mine", DESCRIBED["unet_simple"].parameters)


def test_listing_builds_nothing_and_loads_no_torch():
    code = "import sys, anyscope; assert anyscope.list_models(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_operations_by_hand():
    """unet_simple: every convolution costs 2 k^2 in out operations for each of its output pixels."""
    pixels = 512 * 512
    level = [
        (9 * (1 * 16 + 16 * 16) + 9 * (32 * 16 + 16 * 16) + 16) * pixels,
        (9 * (16 * 32 + 32 * 32) + 9 * (64 * 32 + 32 * 32)) * pixels // 4,
        9 * (32 * 64 + 64 * 64) * pixels // 16,
        4 * 64 * 32 * pixels // 16 + 4 * 32 * 16 * pixels // 4,  # transposed: for each input pixel
    ]
    assert describe_model("unet_simple").flops == 2 * sum(level)


def test_arguments_change_a_description():
    assert describe_model("unet_simple", {"filters": (4, 8)}).parameters < 5000


@pytest.mark.parametrize(
    "encoder", ["mobileone_s0", "tu-convnext_atto", "convnext_atto", "swin_tiny_patch4_window7_224"]
)
def test_any_encoder(encoder, spec_of):
    segmenter = build_segmenter(spec_of("smp_unet", arguments={"encoder": encoder}), seed=0).eval()
    with torch.no_grad():
        assert segmenter(torch.rand(1, 1, 67, 93)).shape == (1, 1, 67, 93)


@pytest.mark.parametrize(
    ("name", "encoder", "words"),
    [
        ("smp_unet", "resnet17", "nearest are resnet18"),
        ("smp_unet", "timm-regnetx_002", "no encoder"),
        ("smp_unet", "", "no encoder"),
        ("smp_unet", "vit_tiny_patch16_224", "does not work in unet"),
        ("dpt", "resnet18", "does not work in dpt"),
        ("deeplabv3", "tu-vgg11", "does not work in deeplabv3"),
    ],
)
def test_encoders_that_do_not_fit(name, encoder, words, spec_of):
    with pytest.raises(BadInput, match=words) as caught:
        build_segmenter(spec_of(name, arguments={"encoder": encoder}), seed=0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "encoder"), [("smp_unet", "resnet18"), ("dpt", "tu-vit_tiny_patch16_224")])
def test_weights_that_cannot_be_fetched_are_never_replaced_by_random_ones(
    name, encoder, spec_of, monkeypatch, tmp_path
):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EnvironmentFault, match="cannot be fetched") as caught:
        build_segmenter(spec_of(name, arguments={"encoder": encoder}), 0, "imagenet")
    assert "random weights" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_encoders_without_imagenet_weights(spec_of):
    with pytest.raises(BadInput, match="no ImageNet weights"):
        build_segmenter(spec_of("smp_unet", arguments={"encoder": "resnext101_32x16d"}), 0, "imagenet")


def test_imagenet_weights_are_used_and_grey_gets_mean_statistics(spec_of, monkeypatch):
    """The hub is played by a dictionary: what is fetched must arrive in the first layer and in the normalisation."""
    from contextlib import nullcontext

    import segmentation_models_pytorch as smp

    create = smp.create_model
    asked = []

    def fetched(architecture, *, encoder_weights, **options):
        asked.append(encoder_weights)
        return create(architecture, encoder_weights=None, **options)

    statistics = {"mean": [0.2, 0.3, 0.7], "std": [0.1, 0.2, 0.6]}
    monkeypatch.setattr(smp, "create_model", fetched)
    monkeypatch.setattr("anyscope.models.nets.imagenet.reaching_the_hub", nullcontext)
    monkeypatch.setattr("segmentation_models_pytorch.encoders.get_preprocessing_params", lambda *_: statistics)
    grey = build_segmenter(spec_of("smp_unet"), 0, "imagenet")
    colour = build_segmenter(spec_of("smp_unet", channels=3), 0, "imagenet")
    assert set(asked) == {"imagenet"}
    assert grey.mean.flatten().tolist() == pytest.approx([0.4])
    assert grey.std.flatten().tolist() == pytest.approx([0.3])
    assert colour.mean.flatten().tolist() == pytest.approx([0.2, 0.3, 0.7])
    slices = build_segmenter(spec_of("smp_unet", neighbours=1), 0, "imagenet")
    assert slices.mean.flatten().tolist() == pytest.approx([0.4] * 3)
    assert "resnet18 trained on ImageNet" in grey.spec.weights


def test_offline_mode_of_the_hub_is_restored(monkeypatch):
    import huggingface_hub.constants as hub

    monkeypatch.setattr(hub, "ENDPOINT", "http://127.0.0.1:9")
    before = hub.HF_HUB_OFFLINE
    seen = []

    def fetch():
        with reaching_the_hub("weights"):
            seen.append(hub.HF_HUB_OFFLINE)
            raise OSError(28, "the disk is full")

    with pytest.raises(EnvironmentFault, match="full"):
        fetch()
    assert seen == [True]
    assert before == hub.HF_HUB_OFFLINE


def test_public_names():
    assert all(getattr(anyscope.models, name) is not None for name in anyscope.models.__all__)
    with pytest.raises(AttributeError):
        _ = anyscope.models.no_such_name


def test_importing_the_package_does_not_import_torch():
    code = "import sys, anyscope.models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
