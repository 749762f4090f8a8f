"""The decoder, the arguments, and any size of image."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from anyscope.errors import BadInput
from anyscope.models import MODELS, build_segmenter, describe_models
from anyscope.models.nets.sam_unet import SamArguments, SamUNet
from anyscope.models.nets.unetr import UNETRDecoder


def shapes(module):
    """Channels in and out of the convolutions of a module, in order."""
    return [
        (layer.in_channels, layer.out_channels)
        for layer in module.modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    ]


def build(in_channels=1, **arguments):
    with torch.device("meta"):
        return SamUNet(in_channels, 2, SamArguments(**arguments))


def test_the_layout_of_em_sam():
    decoder = build(in_channels=3, encoder="samvit_base_patch16").decoder
    assert shapes(decoder.stem) == [(3, 32), (32, 64)]
    assert [shapes(way) for way in decoder.ways] == [
        [(768, 512)],
        [(768, 512), (512, 256)],
        [(768, 512), (512, 256), (256, 128)],
    ]
    assert [shapes(up) for up in decoder.up] == [[(768, 512)], [(512, 256)], [(256, 128)], [(128, 64)]]
    assert [shapes(merge) for merge in decoder.merge] == [
        [(2 * width, width), (width, width)] for width in (512, 256, 128, 64)
    ]


def test_the_decoder_of_stages():
    """Features at strides 4, 8, 16 and 32 are concatenated where they are; nothing is left for stride 2."""
    decoder = UNETRDecoder(1, (96, 192, 384, 768), (4, 8, 16, 32), 0.5, stem=False)
    assert [shapes(way) for way in decoder.ways] == [[], [], []]
    assert [shapes(merge)[0] for merge in decoder.merge] == [
        (256 + 384, 256),
        (256 + 192, 256),
        (128 + 96, 128),
        (64, 64),
        (32, 32),
    ]
    features = [torch.rand(1, c, 96 // s, 64 // s) for c, s in ((96, 4), (192, 8), (384, 16), (768, 32))]
    assert decoder([torch.rand(1, 1, 96, 64), *features]).shape == (1, 32, 96, 64)


def test_every_level_sees_its_features():
    """Each of the encoder's features, and the image, changes the output; so does nothing else."""
    torch.manual_seed(0)
    decoder = UNETRDecoder(1, (8,) * 4, (16,) * 4, 0.125, stem=True).eval()
    features = [torch.rand(1, 1, 32, 32), *(torch.rand(1, 8, 2, 2) for _ in range(4))]
    with torch.inference_mode():
        before = decoder(features)
        for number in range(5):
            changed = [each + (place == number) for place, each in enumerate(features)]
            assert not torch.allclose(decoder(changed), before)


def test_the_neck_takes_the_place_of_the_last_features():
    net = build(encoder="samvit_nano", neck=True)
    assert net.encoder.channels == (128, 128, 128, 256)
    assert shapes(net.decoder.up[0])[0][0] == 256


def test_without_a_stem_the_image_reaches_the_logits_through_the_encoder_alone():
    assert build(encoder="samvit_nano", stem=False).decoder.stem is None
    torch.manual_seed(0)
    net = MODELS["sam_unet"].build(1, 1, encoder="samvit_nano", stem=False).eval()
    with torch.no_grad():
        net.encoder.patch_embed.proj.weight.zero_()
        assert torch.equal(net(torch.rand(1, 1, 32, 32)), net(torch.rand(1, 1, 32, 32)))
    with_stem = MODELS["sam_unet"].build(1, 1, encoder="samvit_nano").eval()
    with torch.no_grad():
        with_stem.encoder.patch_embed.proj.weight.zero_()
        assert not torch.equal(with_stem(torch.rand(1, 1, 32, 32)), with_stem(torch.rand(1, 1, 32, 32)))


def test_widths():
    assert build(encoder="samvit_nano", width=1.0).decoder.width == 64
    assert build(encoder="samvit_nano").decoder.width == 16
    assert build(encoder="samvit_nano", width=0.05).decoder.width == 8


@pytest.mark.parametrize("shape", [(1024, 256), (512, 512), (37, 301), (250, 250)])
def test_any_size(shape, shared):
    segmenter = shared("sam_unet").eval()
    images = torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        logits = segmenter(images)
    assert logits.shape == (1, 3, *shape)
    assert logits.isfinite().all()


@pytest.mark.parametrize("encoder", ["mobile_sam", "sam2_hiera_tiny"])
@pytest.mark.parametrize("training", [True, False])
def test_other_encoders_of_odd_images_of_slices(encoder, training, spec_of):
    segmenter = build_segmenter(spec_of("sam_unet", arguments={"encoder": encoder}, neighbours=1), 0).train(training)
    with torch.no_grad():
        for shape in ((67, 93), (1, 1)):
            logits = segmenter(torch.rand(1, 3, *shape))
            assert logits.shape == (1, 1, *shape)
            assert logits.isfinite().all()


@pytest.mark.parametrize("encoder", ["mobile_sam", "sam2_hiera_tiny", "samvit_tiny"])
def test_gradients_reach_every_weight(encoder):
    torch.manual_seed(0)
    net = MODELS["sam_unet"].build(1, 1, encoder=encoder)
    net(torch.rand(1, 1, 64, 64)).square().mean().backward()
    assert [key for key, weight in net.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"encoder": "samvit_base"}, "no encoder of SAM, one of samvit_nano"),
        ({"encoder": "mobile_sam", "taps": "published"}, "taps=published is of samvit_nano.*not of mobile_sam"),
        ({"encoder": "mobile_sam", "checkpointing": True}, "checkpointing=True is of .*sam2_hiera_tiny"),
        ({"encoder": "sam2_hiera_tiny", "position": "drop"}, "position=drop"),
        ({"encoder": "sam2_hiera_tiny", "neck": True}, "neck=True"),
        ({"encoder": "sam2_hiera_tiny", "lora_rank": 4}, "lora_rank=4"),
        ({"lora_rank": -1}, "lora_rank"),
        ({"width": 0}, "width"),
    ],
)
def test_arguments_that_do_not_fit(arguments, words, spec_of):
    with pytest.raises(BadInput, match=words) as caught:
        build_segmenter(spec_of("sam_unet", arguments=arguments), 0)
    assert "\n" not in str(caught.value)


def test_numbers_of_the_zoo():
    """ViT-B without neck for grey images: 89,670,912 of the published encoder less neck and two colours."""
    described = {model.name: model for model in describe_models()}
    neck = 768 * 256 + 2 * 256 + 256 * 256 * 9 + 2 * 256
    with torch.device("meta"):
        decoder = UNETRDecoder(1, (768,) * 4, (16,) * 4, 1.0, stem=True)
    of_decoder = sum(weight.numel() for weight in decoder.parameters()) + 64 + 1
    encoder = 89_670_912 - neck - 2 * 256 * 768
    assert described["sam_unet_base"].parameters == encoder + of_decoder
    assert described["sam_unet"].stride == described["sam_unet_base"].stride == 16
