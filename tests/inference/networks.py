"""Small networks whose behaviour is known."""

from __future__ import annotations

import torch
from torch import nn

from anyscope.models import Segmenter, SegmenterSpec, build_segmenter


def random_unet(levels: int, seed: int = 0, **spec: object) -> Segmenter:
    """A U-Net with BatchNorm whose running statistics are not those of a new layer."""
    settings: dict[str, object] = {"task": "instances", "heads": ("mask", "boundary", "distance")} | spec
    arguments = {"filters": [4 + 2 * level for level in range(levels)]}
    segmenter = build_segmenter(
        SegmenterSpec.model_validate({"model": "unet", "arguments": arguments} | settings), seed
    )
    generator = torch.Generator().manual_seed(seed)
    for module in segmenter.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.3, 2, generator=generator)
    return segmenter.eval()


class Plain(nn.Module):
    """A network of one function on images [B, C, H, W], of stride 1."""

    stride = 1

    def __init__(self, spec: SegmenterSpec, field: int | None) -> None:
        super().__init__()
        self.spec = spec
        self._field = field

    def receptive_field(self) -> int | None:
        return self._field


class Pixelwise(Plain):
    """Logits that depend on their own pixel alone: the first channels of the input, scaled."""

    def __init__(self, spec: SegmenterSpec) -> None:
        super().__init__(spec, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 8 * images[:, : self.spec.out_channels] - 4


class Blur(Plain):
    """The mean over 5 x 5 pixels, zeros beyond the edge: equivariant to flips and quarter turns."""

    def __init__(self, spec: SegmenterSpec) -> None:
        super().__init__(spec, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.avg_pool2d(images, 5, stride=1, padding=2) * 8 - 4


class Global(Plain):
    """Each pixel against the mean of all that the network is shown."""

    def __init__(self, spec: SegmenterSpec) -> None:
        super().__init__(spec, None)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 4 * (images - images.mean(dim=(-2, -1), keepdim=True))


def mask_spec(**given: object) -> SegmenterSpec:
    """The spec of a network with one mask."""
    return SegmenterSpec.model_validate({"model": "unet", "task": "semantic", "heads": ("mask",)} | given)
