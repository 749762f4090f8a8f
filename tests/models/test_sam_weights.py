"""Files of SAM, SAM 2 and MobileSAM: every tensor is used or named, and what does not fit is refused."""

from __future__ import annotations

import hashlib
import re
from contextlib import nullcontext

import pytest
import torch

from anyscope.errors import BadInput, EnvironmentFault
from anyscope.models import MODELS, build_segmenter, initialise, load_segmenter, save_segmenter
from anyscope.models.nets import sam_weights
from anyscope.models.nets.sam_encoder import PLAIN, build_encoder
from anyscope.models.nets.sam_weights import MEAN, PUBLISHED, STD, adopt

from .sam import file_of, for_size, official

NANO = {"encoder": "samvit_nano"}


@pytest.fixture(scope="module")
def source():
    return official()


@pytest.fixture(scope="module")
def published(source, tmp_path_factory):
    """A file with all that a file of SAM has, the encoder being a small one."""
    path = tmp_path_factory.mktemp("weights") / "sam_vit_nano.pth"
    torch.save(file_of(source), path)
    return path


def encoder_of(name, channels=1, neck=False):
    with torch.device("meta"):
        return build_encoder(name, channels, "global", "keep", neck, False)


@pytest.mark.parametrize("name", ["samvit_base_patch16", "samvit_large_patch16", "samvit_huge_patch16"])
def test_every_name_and_shape_of_the_published_sizes(name):
    with torch.device("meta"):
        state = file_of(official(name=name))
    adopted = adopt(encoder_of(name, neck=True), 1, state, "a file")
    assert adopted.form == "SAM"
    own = encoder_of(name, neck=True).state_dict()
    assert {key: tensor.shape for key, tensor in adopted.tensors.items()} == {k: t.shape for k, t in own.items()}
    assert len(adopted.tensors) + len(adopted.unused) == len(state)
    assert {key.split(".")[0] for key in adopted.unused} == {"prompt_encoder", "mask_decoder"}


@pytest.mark.parametrize(
    ("options", "left_out"),
    [
        ({}, r"neck\..*"),
        ({"neck": True}, "nothing"),
        ({"position": "drop"}, r"neck\..*|pos_embed"),
        ({"taps": "published"}, r"neck\..*|blocks\.7\..*"),
    ],
)
def test_every_tensor_is_used_or_named(options, left_out, published, spec_of):
    segmenter = build_segmenter(spec_of("sam_unet", arguments={**NANO, **options}), 0)
    before = {key: tensor.clone() for key, tensor in segmenter.state_dict().items()}
    report = initialise(segmenter, published)
    state = torch.load(published, weights_only=True)
    used = state.keys() - set(report.unexpected)
    named = {key.removeprefix("image_encoder.") for key in report.unexpected if key.startswith("image_encoder.")}
    assert {key for key in state if not key.startswith("image_encoder.")} <= set(report.unexpected)
    assert named == {
        key.removeprefix("image_encoder.") for key in state if re.fullmatch(rf"image_encoder\.({left_out})", key)
    }
    assert len(report.loaded) == len(used) + 2  # mean and deviation of the images belong to the weights
    after = segmenter.state_dict()
    for key in used - {"image_encoder.patch_embed.proj.weight", "image_encoder.patch_embed.proj.bias"}:
        own = key.replace("image_encoder.", "net.encoder.").replace("mlp.lin", "mlp.fc")
        assert torch.equal(after[own], state[key])
    assert all(key.startswith(("net.decoder.", "net.head.")) for key in report.missing)
    assert all(torch.equal(after[key], before[key]) for key in report.missing)
    assert report.other_shape == ()


def features(segmenter, images):
    with torch.inference_mode():
        return segmenter.net.encode(segmenter.prepare(images))[-1]


def normalised(colours):
    """As SAM prepares images of 0..255, of three colours."""
    mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    return (colours * 255 - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)


@pytest.mark.parametrize("case", ["grey", "colour", "grey slices", "colour slices", "two channels"])
def test_any_channels_start_from_what_sam_sees(case, published, spec_of):
    """The whole of it: an image in 0..1 gives what SAM's own code gives, from its own normalisation."""
    random = torch.Generator().manual_seed(4)
    grey, colour = (torch.rand(1, channels, 96, 64, generator=random) for channels in (1, 3))
    two = torch.rand(1, 2, 96, 64, generator=random)
    changes, images, seen = {
        "grey": ({}, grey, grey.repeat(1, 3, 1, 1)),
        "colour": ({"channels": 3}, colour, colour),
        "grey slices": ({"neighbours": 1}, torch.cat([two, grey], 1), torch.cat([two, grey], 1).mean(1, True)),
        "colour slices": ({"channels": 3, "neighbours": 1}, colour.repeat(1, 3, 1, 1), colour),
        "two channels": ({"channels": 2}, two, two.mean(1, keepdim=True)),
    }[case]
    segmenter = build_segmenter(spec_of("sam_unet", arguments={**NANO, "neck": True}, **changes), 0).eval()
    initialise(segmenter, published)
    with torch.inference_mode():
        expected = for_size(official(), 96, 64)(normalised(seen.expand(-1, 3, -1, -1)))
    assert (features(segmenter, images) - expected).abs().max() < 1e-4


@pytest.mark.parametrize("encoder", ["mobile_sam", "sam2_hiera_tiny"])
def test_grey_equals_repeated_grey_in_the_other_encoders(encoder):
    three = build_encoder(encoder, 3, "global", "keep", False, False).eval()
    state = three.state_dict()
    one = build_encoder(encoder, 1, "global", "keep", False, False).eval()
    form = {"mobile_sam": as_mobile_sam, "sam2_hiera_tiny": as_sam2}[encoder]
    one.load_state_dict(adopt(one, 1, {form(key): tensor for key, tensor in state.items()}, "a file").tensors)
    images = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        for found, expected in zip(one(images), three(images.repeat(1, 3, 1, 1)), strict=True):
            assert torch.allclose(found, expected, atol=1e-4)


def as_sam2(key):
    """The name in SAM 2's code of a tensor of our encoder."""
    return re.sub(r"mlp\.fc([12])", lambda found: f"mlp.layers.{int(found[1]) - 1}", f"image_encoder.{key}")


def as_mobile_sam(key):
    """The name in MobileSAM's code of a tensor of our encoder."""
    key = key.removeprefix("trunk.").replace("patch_embed.conv1", "patch_embed.seq.0")
    key = key.replace("patch_embed.conv2", "patch_embed.seq.2").replace(".conv.", ".c.")
    stage = re.match(r"stages\.(\d)", key)
    if stage:
        key = key.replace(stage[0], f"layers.{int(stage[1]) - ('downsample' in key)}")
    return f"image_encoder.{key}"


def digest(names):
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


NAMES_OF_SAM2 = {
    "tiny": "41be48146d0432b0fbc31096e033c6e3daa157f291c63a87f3a36dcc8692a4ae",
    "small": "9f0d99ba26b46cc8354b93513f28da45700d440524a6957b6ca542142cab0516",
    "large": "c3af67805bfe0cbbe603deea9683e0e3381e9b73e72bff0c0291dbcbdfe23996",
}
"""SHA-256 of the names and shapes of the trunk as the code of the package sam2 1.1.0 makes them."""
NAMES_OF_MOBILE_SAM = "e4ead00ead46e3ded753e1fe9f6aed92e09b4f007aa17f7cc8e53394a8df4254"
"""The same of the image encoder of the package mobilesam-mirror 1.0.0, with the neck and the classifier below."""
REST_OF_MOBILE_SAM = {
    "neck.0.weight": (256, 320, 1, 1),
    "neck.1.weight": (256,),
    "neck.1.bias": (256,),
    "neck.2.weight": (256, 256, 3, 3),
    "neck.3.weight": (256,),
    "neck.3.bias": (256,),
    "norm_head.weight": (320,),
    "norm_head.bias": (320,),
    "head.weight": (1000, 320),
    "head.bias": (1000,),
}


@pytest.mark.parametrize("size", NAMES_OF_SAM2)
def test_names_of_sam2(size):
    own = encoder_of(f"sam2_hiera_{size}", channels=3)
    state = {as_sam2(key): tensor for key, tensor in own.state_dict().items()}
    assert digest(f"{key} {tuple(tensor.shape)}" for key, tensor in state.items()) == NAMES_OF_SAM2[size]
    others = {"image_encoder.neck.convs.0.conv.weight": torch.ones(1), "sam_mask_decoder.x": torch.ones(1)}
    adopted = adopt(own, 3, {**state, **others}, "a file")
    assert adopted.form == "SAM 2"
    assert set(adopted.unused) == set(others)
    assert adopted.tensors.keys() == own.state_dict().keys()


def test_names_of_mobile_sam():
    own = encoder_of("mobile_sam", channels=3)
    state = {as_mobile_sam(key): tensor for key, tensor in own.state_dict().items()}
    rest = {f"image_encoder.{key}": torch.ones(shape) for key, shape in REST_OF_MOBILE_SAM.items()}
    state |= rest
    assert digest(f"{key} {tuple(tensor.shape)}" for key, tensor in state.items()) == NAMES_OF_MOBILE_SAM
    adopted = adopt(own, 3, {**state, "mask_decoder.x": torch.ones(1)}, "a file")
    assert adopted.form == "MobileSAM"
    assert set(adopted.unused) == {*rest, "mask_decoder.x"}
    assert adopted.tensors.keys() == own.state_dict().keys()


@pytest.mark.parametrize(
    ("file", "network", "words"),
    [
        (
            "samvit_large_patch16",
            "samvit_base_patch16",
            "is ViT-L: 24 blocks of 1024 channels; expected ViT-B: 12 blocks of 768 channels, as the network is;"
            " encoder=samvit_large_patch16",
        ),
        ("samvit_base_patch16", "samvit_tiny", "is ViT-B: 12 blocks of 768 channels; expected ViT-tiny: 12 blocks"),
        ("samvit_base_patch16", "mobile_sam", "holds weights of SAM; expected weights for the encoder mobile_sam"),
        ("mobile_sam", "samvit_tiny", "holds weights of MobileSAM; expected weights for the encoder samvit_tiny"),
        ("sam2_hiera_tiny", "sam2_hiera_small", "lacks|of shape"),
    ],
)
def test_another_architecture_is_refused(file, network, words):
    own = encoder_of(file, channels=3)
    if file in PLAIN:
        with torch.device("meta"):
            state = file_of(official(name=file))
    else:
        rename = as_sam2 if file.startswith("sam2") else as_mobile_sam
        state = {rename(key): tensor for key, tensor in own.state_dict().items()}
    with pytest.raises(BadInput, match=words) as caught:
        adopt(encoder_of(network), 1, state, "a file")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("image_encoder.blocks.3.norm1.bias"), r"lacks blocks.3.norm1.bias"),
        (lambda state: state.pop("image_encoder.patch_embed.proj.weight"), r"lacks patch_embed.proj.weight"),
        (lambda s: s.update({"image_encoder.blocks.1.norm1.bias": torch.ones(3)}), r"norm1.bias of shape \(3,\), not"),
        (lambda s: s.update({"image_encoder.patch_embed.proj.weight": torch.ones(128, 1, 16, 16)}), "three colours"),
        (lambda s: s.update({"image_encoder.blocks.1.adapter": torch.ones(3)}), "which no encoder has"),
    ],
)
def test_damaged_files_are_refused_and_change_nothing(change, words, published, spec_of, tmp_path):
    state = torch.load(published, weights_only=True)
    change(state)
    torch.save(state, tmp_path / "w.pth")
    segmenter = build_segmenter(spec_of("sam_unet"), 0)
    before = {key: tensor.clone() for key, tensor in segmenter.state_dict().items()}
    with pytest.raises(BadInput, match=words):
        initialise(segmenter, tmp_path / "w.pth")
    assert all(torch.equal(tensor, before[key]) for key, tensor in segmenter.state_dict().items())
    assert segmenter.spec.weights == "random, seed 0"


def test_other_models_refuse_the_file(published, spec_of):
    with pytest.raises(BadInput, match=r"none of its \d+ tensors fits model 'unet_simple'"):
        initialise(build_segmenter(spec_of("unet_simple"), 0), published)


def test_only_published_files_are_called_by_the_name_of_sam(published, spec_of, monkeypatch):
    segmenter = build_segmenter(spec_of("sam_unet"), 3)
    assert segmenter.spec.weights == "random, seed 3"
    initialise(segmenter, published)
    assert segmenter.spec.weights.startswith("sam_vit_nano.pth, in the format of SAM but not published there: ")
    assert segmenter.spec.weights.endswith("random, seed 3")
    monkeypatch.setitem(PUBLISHED, hashlib.sha256(published.read_bytes()).hexdigest(), "SAM")
    initialise(segmenter, published)
    assert segmenter.spec.weights.startswith("SAM, sam_vit_nano.pth: ")


def test_checksums_are_checksums():
    assert len(PUBLISHED) == 12
    assert all(re.fullmatch("[0-9a-f]{64}", each) for each in PUBLISHED)


def test_a_segmenter_that_began_with_sam_is_saved_and_begins_others(published, spec_of, tmp_path):
    segmenter = build_segmenter(spec_of("sam_unet", channels=3), 0).eval()
    initialise(segmenter, published)
    assert segmenter.mean.flatten().tolist() == pytest.approx(MEAN)
    assert segmenter.std.flatten().tolist() == pytest.approx(STD)
    save_segmenter(segmenter, tmp_path / "s")
    images = torch.rand(1, 3, 40, 72)
    other = build_segmenter(spec_of("sam_unet", channels=3), 1).eval()
    assert initialise(other, tmp_path / "s").missing == ()
    with torch.inference_mode():
        expected = segmenter(images)
        assert torch.equal(load_segmenter(tmp_path / "s")(images), expected)
        assert torch.equal(other(images), expected)


def test_adapters_are_no_part_of_the_file(published, spec_of):
    segmenter = build_segmenter(spec_of("sam_unet", arguments={**NANO, "lora_rank": 2}), 0)
    report = initialise(segmenter, published)
    adapters = [key for key in report.missing if key.startswith("net.encoder.")]
    assert len(adapters) == 4 * 8
    assert all(re.search(r"attn\.qkv\.(query|value)_(down|up)$", key) for key in adapters)


def test_weights_of_the_hub(spec_of, monkeypatch):
    """The hub is played by an encoder of timm with random weights, smaller than the one that is asked for."""
    import timm
    from timm.models.vision_transformer_sam import VisionTransformerSAM

    size = PLAIN["samvit_nano"]
    torch.manual_seed(0)
    fetched = VisionTransformerSAM(
        embed_dim=size.channels, depth=size.depth, num_heads=size.heads, use_rel_pos=True, num_classes=0,
        window_size=size.window, global_attn_indexes=size.looking,
    )  # fmt: skip
    asked = []

    def create(name, **options):
        asked.append((name, options))
        return fetched

    monkeypatch.setattr(timm, "create_model", create)
    monkeypatch.setattr(timm.models, "is_model_pretrained", lambda name: True)
    monkeypatch.setattr(sam_weights, "reaching_the_hub", lambda *_: nullcontext())
    segmenter = build_segmenter(spec_of("sam_unet", channels=3), 0, "sam")
    assert asked == [("samvit_nano", {"pretrained": True, "num_classes": 0})]
    assert segmenter.spec.weights == "SAM, encoder samvit_nano as on the hub of timm, random decoder"
    assert segmenter.std.flatten().tolist() == pytest.approx(STD)
    own = segmenter.net.encoder.state_dict()
    assert all(torch.equal(tensor, fetched.state_dict()[key]) for key, tensor in own.items())


def test_weights_that_cannot_be_fetched_are_an_error_that_says_what_else(spec_of, monkeypatch, tmp_path):
    import timm

    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, **options: create(name, depth=1, embed_dim=12, **options))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setitem(PLAIN, "samvit_base_patch16", PLAIN["samvit_nano"])  # what is built before is not the point
    with pytest.raises(EnvironmentFault, match=r"cannot be fetched.*--init.*anyscope pretrain") as caught:
        build_segmenter(spec_of("sam_unet", arguments={"encoder": "samvit_base_patch16"}), 0, "sam")
    assert "\n" not in str(caught.value)


def test_what_the_hub_does_not_have(spec_of):
    with pytest.raises(BadInput, match=r"encoder 'samvit_nano'.*no weights of SAM.*mobile_sam.pt"):
        build_segmenter(spec_of("sam_unet"), 0, "sam")
    with pytest.raises(BadInput, match=r"'unet_simple'.*no weights of SAM.*with SAM: sam_unet, sam_unet_base"):
        build_segmenter(spec_of("unet_simple"), 0, "sam")
    with pytest.raises(BadInput, match=r"'sam_unet'.*no ImageNet weights"):
        build_segmenter(spec_of("sam_unet"), 0, "imagenet")


def test_the_hub_has_the_encoders_of_sam_and_sam2():
    """Names only; nothing is fetched."""
    import timm

    names = {"samvit_base_patch16", "samvit_large_patch16", "samvit_huge_patch16", "sam2_hiera_tiny"}
    assert all(timm.models.is_model_pretrained(name) for name in names)
    assert MODELS["sam_unet"].foreign is not None
