"""A segmenter that also draws its image again, while it is trained; what is kept is the segmenter alone."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from anyscope.models import MODELS, InputTransform, Segmenter
from anyscope.models.encoders import stages_of
from anyscope.models.nets.normalisation import Norm
from anyscope.models.nets.reconstruction import ReconstructionDecoder, Up
from anyscope.models.nets.unet import UNetArguments
from anyscope.seeding import derive_seed

_LEAST_FILTERS = 16


class Outputs(NamedTuple):
    """What a :class:`MultiTaskNet` says of images [B, C, H, W]; None where it was not asked.

    Args:
        logits: Logits [B, K, H, W].
        features: The last features of the segmentation decoder [B, F, h, w].
        image: The images drawn again [B, C, H, W].
        seen: The images as the network sees them, after the segmenter's input transform: what ``image`` should be.
    """

    logits: torch.Tensor | None
    features: torch.Tensor | None
    image: torch.Tensor | None
    seen: torch.Tensor


class MultiTaskNet(nn.Module):
    """A segmenter and a second decoder on its bottleneck.

    Args:
        segmenter: Trained in place; its network must be one that can be taken apart.
        decoder: Draws images from the bottleneck.
    """

    def __init__(self, segmenter: Segmenter, decoder: ReconstructionDecoder) -> None:
        super().__init__()
        self._stages = stages_of(segmenter)
        self.segmenter = segmenter
        self.decoder = decoder

    def forward(self, images: torch.Tensor, *, segment: bool = True, reconstruct: bool = True) -> Outputs:
        """Both tasks on one pass through the encoder.

        Args:
            images: [B, C, H, W], float32 in 0..1.
            segment, reconstruct: Which of the tasks are wanted.
        """
        height, width = images.shape[-2:]
        segmenter = self.segmenter
        with torch.no_grad():
            seen = segmenter.transform_input(images)
        with segmenter.seeing(InputTransform()):
            encoded = self._stages.encode(segmenter.prepare(seen))
        logits = features = image = None
        if segment:
            features = self._stages.expand(encoded)
            logits = self._stages.head(features)[..., :height, :width]
        if reconstruct:
            image = self.decoder(encoded[-1])[..., :height, :width]
        return Outputs(logits, features, image, seen)


def with_reconstruction(segmenter: Segmenter, up: Up, seed: int) -> MultiTaskNet:
    """The segmenter with a decoder that mirrors its own: filters, normalisation, activation and dropout of a U-Net.

    For other networks, filters are halved level by level, down to 16, with group normalisation and ReLU.

    Args:
        segmenter: On its device.
        up: See :class:`~anyscope.models.nets.reconstruction.ReconstructionDecoder`.
        seed: Seed of the decoder's first weights. Global generators stay as they were.
    """
    spec = segmenter.spec
    arguments = MODELS[spec.model].check(spec.arguments)
    channels = stages_of(segmenter).channels
    norm: Norm = "group"
    activation = "relu"
    if isinstance(arguments, UNetArguments):
        norm, activation = arguments.norm, arguments.activation
        filters, rates = arguments.filters[-2::-1], arguments.rates[-2::-1]
    else:
        levels = segmenter.stride.bit_length() - 1
        filters = tuple(max(_LEAST_FILTERS, channels >> level) for level in range(1, levels + 1))
        rates = (0.0,) * levels
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, "reconstruction"))
        decoder = ReconstructionDecoder(channels, filters, spec.in_channels, norm, activation, rates, up)
    return MultiTaskNet(segmenter, decoder.to(segmenter.mean.device))
