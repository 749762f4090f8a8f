"""The architectures of segmentation-models-pytorch, each on any encoder of that library or of timm."""

from __future__ import annotations

from difflib import get_close_matches
from functools import partial
from typing import Annotated, Any, Literal, cast

import torch
from pydantic import Field, field_validator
from torch import nn

from anyscope.errors import BadInput
from anyscope.models.entry import Arguments, ModelEntry, Pretrained
from anyscope.models.nets.auxiliary import FCNHead, GuidedNet
from anyscope.models.nets.imagenet import Statistics, with_imagenet_encoder
from anyscope.models.nets.normalisation import tolerate_single_values
from anyscope.models.nets.parts import EncoderNames, Stages


class EncoderArguments(Arguments):
    """Arguments of all architectures on an encoder.

    Args:
        encoder: Name of an encoder of segmentation-models-pytorch (``resnet18``, ``mit_b0``), or of timm, with or
            without the prefix ``tu-`` (``tu-convnext_tiny``).
    """

    encoder: str = "resnet18"

    @field_validator("encoder")
    @classmethod
    def _known(cls, name: str) -> str:
        return _find_encoder(name)


class GuidedArguments(EncoderArguments):
    """Arguments of architectures that are published with an auxiliary loss.

    Args:
        encoder: See :class:`EncoderArguments`.
        auxiliary: Weight of the loss of logits from the encoder's last stage but one; 0 for none.
    """

    auxiliary: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] = 0.4


class DilatedArguments(GuidedArguments):
    """Arguments of architectures whose encoder is dilated.

    Args:
        encoder: See :class:`EncoderArguments`.
        auxiliary: See :class:`GuidedArguments`.
        output_stride: Down-sampling factor of the encoder; 8 is finer and several times slower than 16.
    """

    auxiliary: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] = 0.0

    output_stride: Literal[8, 16] = 16


def _find_encoder(name: str) -> str:
    """The name as segmentation-models-pytorch knows it."""
    import timm
    from segmentation_models_pytorch.encoders import encoders

    own = [known for known in encoders if not known.startswith("timm-")]  # those are deprecated spellings
    bare = name.removeprefix("tu-")
    if name in own:
        return name
    if timm.is_model(bare.partition(".")[0]):
        return f"tu-{bare}"
    known = dict.fromkeys([*own, *timm.list_models()])
    near = get_close_matches(bare, known, n=5) or ["resnet18", "mit_b0", "tu-convnext_tiny"]
    raise ValueError(
        f"{name!r} is no encoder of segmentation-models-pytorch {own[0]} ... {own[-1]} or of timm;"
        f" the nearest are {', '.join(near)}"
    )


def _construct(
    architecture: str,
    smallest: int,
    in_channels: int,
    out_channels: int,
    arguments: EncoderArguments,
    weights: str | bool | None = None,
) -> nn.Module:
    """Build ``architecture`` and try it once, since not every encoder works with every decoder."""
    import segmentation_models_pytorch as smp

    options: dict[str, Any] = {}
    if isinstance(arguments, DilatedArguments):
        options["encoder_output_stride"] = arguments.output_stride
    if architecture == "dpt":
        options["dynamic_img_size"] = True  # otherwise the transformer takes images of one size only
    elif arguments.encoder.startswith("tu-swin"):
        options["strict_img_size"] = False
    try:
        net: nn.Module = smp.create_model(
            architecture,
            encoder_name=arguments.encoder,
            encoder_weights=weights,
            in_channels=in_channels,
            classes=out_channels,
            **options,
        )
        tolerate_single_values(net)
        if isinstance(arguments, GuidedArguments) and arguments.auxiliary > 0:
            net = Guided(net, out_channels, arguments.auxiliary, 256 if architecture == "upernet" else None)
        _try(net, in_channels, smallest)
    except (ValueError, KeyError, TypeError, RuntimeError, AssertionError, NotImplementedError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise BadInput(
            f"encoder {arguments.encoder!r}",
            f"does not work in {architecture} ({reason})",
            remedy="choose another encoder",
        ) from error
    return net


class Guided(GuidedNet):
    """An architecture with logits from the encoder's last stage but one.

    Args:
        net: The architecture.
        out_channels: Channels of the logits.
        weight: Weight of their loss.
        width: Channels within the head; a quarter of the features' where it is not given.

    Source: PSPNet (Zhao et al., arXiv 1612.01105, section 3.3); UPerNet and DeepLabv3 are trained alike since, the
    former with 256 channels.
    """

    def __init__(self, net: nn.Module, out_channels: int, weight: float, width: int | None) -> None:
        super().__init__()
        self.net: Any = net
        self.guide = FCNHead(net.encoder.out_channels[-2], out_channels, width)  # type: ignore[union-attr, index, arg-type]
        self.auxiliary_weights = (weight,)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [B, K, H, W] of ``x`` [B, C, H, W]."""
        return cast(torch.Tensor, self.net(x))

    def forward_training(self, x: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """The logits, and those of the encoder's last stage but one."""
        features = self.net.encoder(x)
        logits = self.net.segmentation_head(self.net.decoder(features))
        return logits, (self.guide(features[-2]),)


def _try(net: nn.Module, in_channels: int, smallest: int) -> None:
    """Pass a small image forward and back, and freeze what takes no part.

    The size is an odd multiple of the stride. Some decoders leave the last stages of an encoder unused; frozen, they
    trouble neither weight decay nor distributed training.
    """
    stride = _stride(net)
    side = max(3 * stride, smallest + stride)
    net.eval()
    with torch.enable_grad():
        x = torch.zeros(1, in_channels, side, side)
        logits, extra = net.forward_training(x) if isinstance(net, GuidedNet) else (net(x), ())
        torch.autograd.backward([each.sum() for each in (logits, *extra)])
    net.train()
    if logits.shape[-2:] != (side, side):
        raise ValueError(f"gives {tuple(logits.shape[-2:])} pixels for {side, side}")
    for parameter in net.parameters():
        parameter.requires_grad_(parameter.grad is not None)
        parameter.grad = None


def _stride(net: nn.Module) -> int:
    import segmentation_models_pytorch as smp

    if isinstance(net, Guided):
        return _stride(net.net)
    stride = int(net.encoder.output_stride)  # type: ignore[union-attr, arg-type]
    # the decoder of DPT makes maps at 1/4 to 1/32 from the one scale of a transformer
    return max(stride, 32) if isinstance(net, smp.DPT) else stride


def _encoder(net: nn.Module) -> EncoderNames:
    return EncoderNames(("net.encoder." if isinstance(net, Guided) else "encoder.",))


def _stages(net: nn.Module) -> Stages:
    inner: Any = net.net if isinstance(net, Guided) else net
    width = inner.segmentation_head[0].in_channels
    return Stages(inner.encoder, inner.decoder, inner.segmentation_head, inner.encoder.out_channels[-1], width)


def _pretrained(
    architecture: str, smallest: int, in_channels: int, out_channels: int, arguments: EncoderArguments
) -> Pretrained:
    """The architecture with an encoder that was trained on ImageNet and a random decoder."""
    import timm
    from segmentation_models_pytorch.encoders import encoders

    name = arguments.encoder
    of_timm = name.startswith("tu-")
    if of_timm:
        available = timm.models.is_model_pretrained(name.removeprefix("tu-"))
    else:
        available = "imagenet" in encoders[name]["pretrained_settings"]
    fetch = partial(
        _construct, architecture, smallest, in_channels, out_channels, arguments, True if of_timm else "imagenet"
    )
    return with_imagenet_encoder(name, available, fetch, _statistics)


def _statistics(name: str) -> Statistics:
    from segmentation_models_pytorch.encoders import get_preprocessing_params

    settings = get_preprocessing_params(name, "imagenet")
    return settings["mean"], settings["std"]


_PAN_SMALLEST = 128
"""PAN pools the maps of an encoder of stride 16 three times more."""

_CODE = "code MIT; weights: those of the encoder,"
_RESNET = f"{_CODE} for the default BSD-3-Clause (torchvision)"
_MIT = f"{_CODE} for mit_b0 to mit_b5 NVIDIA Source Code License (no commercial use)"
_VIT = f"{_CODE} for the default Apache-2.0 (google-research/vision_transformer)"
_CONVNEXT = f"{_CODE} for the default Apache-2.0 (timm)"
_SWIN = f"{_CODE} for the default MIT (Microsoft)"
_GUIDED = "auxiliary loss of weight 0.4"


def _entry(
    name: str,
    summary: str,
    source: str,
    *,
    architecture: str = "",
    licence: str = _RESNET,
    arguments: type[EncoderArguments] = EncoderArguments,
    defaults: dict[str, Any] | None = None,
    global_statistics: bool = True,  # most decoders here pool over the image
    smallest: int = 1,
    notes: str = "",
) -> ModelEntry:
    architecture = architecture or name
    return ModelEntry(
        name=name,
        summary=summary,
        source=f"{source}; segmentation-models-pytorch",
        licence=licence,
        arguments=arguments,
        construct=partial(_construct, architecture, smallest),
        stride=_stride,
        defaults=defaults or {},
        global_statistics=global_statistics,
        smallest=smallest,
        pretrained=partial(_pretrained, architecture, smallest),
        encoder=_encoder,
        stages=None if architecture == "dpt" else _stages,  # its decoder takes more than features
        notes=notes,
    )


ENTRIES = (
    _entry(
        "smp_unet",
        "U-Net decoder on an encoder",
        "Ronneberger et al., arXiv 1505.04597",
        architecture="unet",
        global_statistics=False,
    ),
    _entry("unetplusplus", "U-Net++, nested skips", "Zhou et al., arXiv 1807.10165", global_statistics=False),
    _entry("linknet", "LinkNet, added skips", "Chaurasia, Culurciello, arXiv 1707.03718", global_statistics=False),
    _entry("manet", "MA-Net, attention over positions and channels", "Fan et al., IEEE Access 8, 2020"),
    _entry("fpn", "Feature pyramid network, group normalisation", "Kirillov et al., arXiv 1901.02446"),
    _entry(
        "pspnet",
        "PSPNet, pyramid pooling over the image",
        "Zhao et al., arXiv 1612.01105",
        arguments=GuidedArguments,
        notes=f"logits at 1/8; {_GUIDED}",
    ),
    _entry(
        "deeplabv3",
        "DeepLabv3, atrous spatial pyramid pooling",
        "Chen et al., arXiv 1706.05587",
        arguments=DilatedArguments,
        notes="logits at 1/16 or 1/8",
    ),
    _entry(
        "deeplabv3plus",
        "DeepLabv3+, a fine decoder on DeepLabv3",
        "Chen et al., arXiv 1802.02611",
        arguments=DilatedArguments,
        notes="logits at 1/4",
    ),
    _entry(
        "pan",
        "Pyramid attention network",
        "Li et al., arXiv 1805.10180",
        smallest=_PAN_SMALLEST,
        notes=f"images are extended to at least {_PAN_SMALLEST} pixels",
    ),
    _entry(
        "upernet",
        "UPerNet, pyramid pooling and feature pyramid",
        "Xiao et al., arXiv 1807.10221",
        arguments=GuidedArguments,
        notes=f"logits at 1/4; {_GUIDED}",
    ),
    _entry(
        "upernet_convnext",
        "UPerNet on ConvNeXt-T",
        "Liu et al., CVPR 2022, arXiv 2201.03545; Xiao et al., arXiv 1807.10221",
        architecture="upernet",
        licence=_CONVNEXT,
        arguments=GuidedArguments,
        defaults={"encoder": "tu-convnext_tiny"},
        notes=f"logits at 1/4; {_GUIDED}; encoder=tu-convnext_atto suits a CPU",
    ),
    _entry(
        "upernet_swin",
        "UPerNet on Swin-T",
        "Liu et al., ICCV 2021, arXiv 2103.14030; Xiao et al., arXiv 1807.10221",
        architecture="upernet",
        licence=_SWIN,
        arguments=GuidedArguments,
        defaults={"encoder": "tu-swin_tiny_patch4_window7_224"},
        notes=f"logits at 1/4; {_GUIDED}",
    ),
    _entry(
        "segformer",
        "SegFormer, a mixed transformer with a light decoder",
        "Xie et al., arXiv 2105.15203",
        licence=_MIT,
        global_statistics=False,
        notes="convolutional encoders keep it local, transformers do not",
        defaults={"encoder": "mit_b0"},
    ),
    _entry(
        "dpt",
        "DPT, a vision transformer with a convolutional decoder",
        "Ranftl et al., arXiv 2103.13413",
        licence=_VIT,
        defaults={"encoder": "tu-vit_tiny_patch16_224"},
        notes="encoders: plain vision transformers of timm with patches of 16 pixels",
    ),
)
