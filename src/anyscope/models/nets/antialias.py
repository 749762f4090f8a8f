"""Down- and up-sampling by 2 that keep to the sampling theorem: a binomial blur, then every second pixel; and back.

Source: Zhang, ICML 2019, arXiv 1904.11486; kernel sizes as in CUT (Park et al., ECCV 2020): 3 down, 4 up.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class BlurDown(nn.Module):
    """Every second pixel of ``x`` [B, C, H, W] blurred by [1 2 1] / 4 in y and x; [B, C, ceil(H / 2), ceil(W / 2)].

    Beyond the rim the image is reflected.
    """

    kernel: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        line = torch.tensor([1.0, 2.0, 1.0]) / 4
        kernel = torch.outer(line, line).repeat(channels, 1, 1, 1)
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Half the size."""
        padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(padded, self.kernel, stride=2, groups=self.kernel.shape[0])


class BlurUp(nn.Module):
    """Twice the size of ``x`` [B, C, H, W] by the kernel [1 3 3 1] / 4 in y and x, which is linear interpolation."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, 2 H, 2 W]."""
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
