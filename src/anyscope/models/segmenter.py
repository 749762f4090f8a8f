"""The segmenter: a network of the zoo with its normalisation inside and its spec."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple, get_args, overload

import torch
from torch import nn

from anyscope.errors import BadInput
from anyscope.models.entry import Arguments, Foreign, ModelEntry, Pretrained
from anyscope.models.nets.auxiliary import GuidedNet
from anyscope.models.receptive_field import receptive_field
from anyscope.models.spec import InputTransform, SegmenterSpec
from anyscope.models.translator import GENERATORS, Translator
from anyscope.models.zoo import MODELS
from anyscope.seeding import derive_seed

Weights = Literal["random", "imagenet", "sam"]
MEAN, STD = 0.5, 0.25
"""Normalisation of networks that start from random weights: 0..1 becomes -2..2, whatever the data."""


class GuidedLogits(NamedTuple):
    """Logits with those that only training uses.

    Args:
        logits: Logits [B, K, H, W].
        auxiliary: Of each inner stage that has a loss of its own, the weight of that loss and the logits, brought to
            the same height and width.
    """

    logits: torch.Tensor
    auxiliary: tuple[tuple[float, torch.Tensor], ...]


class Segmenter(nn.Module):
    """A differentiable predictor: logits as a function of images in 0..1.

    Args:
        spec: What it is.
        net: The network that the spec names.
        mean, std: Statistics that images are normalised by, one for every channel in; saved with the weights.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        spec: SegmenterSpec,
        net: nn.Module,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.net = net
        entry = MODELS[spec.model]
        self.stride = entry.stride(net)
        self.smallest = entry.smallest
        self._field: tuple[int | None] | None = None
        self.translator: Translator | None = None
        if spec.input.translator is not None:
            self.translator = Translator(spec.input.translator, spec.channels).requires_grad_(False)
        for name, given, default in (("mean", mean, MEAN), ("std", std, STD)):
            values = [default] * spec.in_channels if given is None else list(given)
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32).view(1, spec.in_channels, 1, 1))

    @property
    def is_guided(self) -> bool:
        """Whether the network has auxiliary outputs for its training."""
        return isinstance(self.net, GuidedNet)

    @overload
    def forward(self, images: torch.Tensor, *, auxiliary: Literal[False] = False) -> torch.Tensor: ...

    @overload
    def forward(self, images: torch.Tensor, *, auxiliary: Literal[True]) -> GuidedLogits: ...

    def forward(self, images: torch.Tensor, *, auxiliary: bool = False) -> torch.Tensor | GuidedLogits:
        """Logits [B, K, H, W] of images [B, C, H, W], float32 in 0..1, of any height and width.

        Images are extended at the bottom and on the right to a multiple of the stride, repeating the last pixels, and
        the logits are cut back.

        Args:
            images: The images.
            auxiliary: Return the auxiliary logits too, none where the network has none. It is an argument and not a
                method of its own, so that wrappers for several processes and mixed precision see the call.
        """
        height, width = images.shape[-2:]
        images = self.prepare(images)
        if not auxiliary:
            logits: torch.Tensor = self.net(images)
            return logits[..., :height, :width]
        size = images.shape[-2:]
        logits, extra = self.net.forward_training(images) if isinstance(self.net, GuidedNet) else (self.net(images), ())
        weights = self.net.auxiliary_weights if isinstance(self.net, GuidedNet) else ()
        resized = [nn.functional.interpolate(each, size, mode="bilinear", align_corners=False) for each in extra]
        return GuidedLogits(
            logits[..., :height, :width],
            tuple((weight, each[..., :height, :width]) for weight, each in zip(weights, resized, strict=True)),
        )

    def prepare(self, images: torch.Tensor) -> torch.Tensor:
        """What the network is given of images [B, C, H, W] in 0..1: the spec's input transform, normalisation, padding.

        They are extended at the bottom and on the right, repeating the last pixels, as far as the network needs.
        """
        images = (self.transform_input(images) - self.mean) / self.std
        padding = (0, self._missing(images.shape[-1]), 0, self._missing(images.shape[-2]))
        return nn.functional.pad(images, padding, mode="replicate") if any(padding) else images

    @contextmanager
    def seeing(self, transform: InputTransform) -> Iterator[None]:
        """Another input transform inside the block: a network that was adapted to a target sees its source without."""
        before = self.spec
        self.spec = before.model_copy(update={"input": transform})
        try:
            yield
        finally:
            self.spec = before

    def attach_translator(self, translator: Translator) -> None:
        """Let images be translated from now on. The translator's weights are frozen, and saved with the others.

        Raises:
            BadInput: There is one already.
        """
        if self.translator is not None:
            raise BadInput(
                f"model {self.spec.model!r}", "translates its images already", "one without a translator",
                "start from the segmenter as it was before",
            )  # fmt: skip
        self.translator = translator.to(self.mean.device).train(self.training).requires_grad_(False)
        self.spec = self.spec.with_input(translator=translator.spec)

    def transform_input(self, images: torch.Tensor) -> torch.Tensor:
        """Images [B, C, H, W] in 0..1 as the network sees them: other grey levels, then another style.

        This is what the spec's input transform wants; where it is neutral, the images themselves. The zoom is done
        before, when images are read.
        """
        images = self._relevel(images)
        if self.translator is None or self.spec.input.translator is None:
            return images
        translated: torch.Tensor = self.translator(images)
        return translated

    def _relevel(self, images: torch.Tensor) -> torch.Tensor:
        """Grey levels as the spec's input transform wants them."""
        if not self.spec.input.levels:
            return images
        table = torch.tensor(self.spec.input.levels, dtype=images.dtype, device=images.device)
        table = table.repeat(2 * self.spec.neighbours + 1, 1)
        place = images.clamp(0, 1) * (table.shape[1] - 1)
        below = place.detach().floor().long().clamp(max=table.shape[1] - 2)
        channel = torch.arange(len(table), device=images.device).view(1, -1, 1, 1)
        low, high = table[channel, below], table[channel, below + 1]
        return torch.lerp(low, high, place - below)

    def _missing(self, length: int) -> int:
        wanted = max(length, self.smallest)
        return -(-wanted // self.stride) * self.stride - length

    def _translates_globally(self) -> bool:
        return self.spec.input.translator is not None and GENERATORS[self.spec.input.translator.name].global_statistics

    def receptive_field(self) -> int | None:
        """How many pixels across the input region is that can change one pixel of the output.

        2 r + 1, where r is the largest distance in y or x at which an input pixel still reaches an output pixel; a halo
        of r pixels around a tile therefore makes it equal to the whole image. None where every input pixel reaches
        every output pixel: pooling over the image, attention, group or instance normalisation.
        """
        if MODELS[self.spec.model].global_statistics or self._translates_globally():
            return None
        if self._field is None:
            self._field = (receptive_field(self.net, self.spec.in_channels, self.stride, self.smallest),)
        return self._field[0]


def build_segmenter(spec: SegmenterSpec, seed: int, weights: Weights = "random") -> Segmenter:
    """A new segmenter.

    Args:
        spec: What it shall be. ``spec.weights`` is replaced by where the weights come from.
        seed: Seed of random weights; one seed gives the same weights bit for bit. Global generators stay as they were.
        weights: ``random``, ``imagenet`` for an encoder trained on ImageNet, or ``sam`` for one of Segment Anything.
            The latter are fetched from the network where they are not in the cache; the decoder is random then.

    Raises:
        BadInput: Unknown model or arguments, or no such weights for it.
        EnvironmentFault: The weights cannot be fetched.
    """
    if weights not in get_args(Weights):
        raise BadInput(f"weights {weights!r}", "no such weights", "random, imagenet or sam")
    entry = MODELS[spec.model]
    entry.check_channels(spec.in_channels, spec.out_channels)
    arguments = entry.check(spec.arguments)
    _check_weights(entry, weights)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, "weights"))
        if weights == "imagenet" and entry.pretrained is not None:
            start = entry.pretrained(spec.in_channels, spec.out_channels, arguments)
        else:
            net = entry.construct(spec.in_channels, spec.out_channels, arguments)
            start = Pretrained(net, (MEAN,), (STD,), f"random, seed {seed}")
            if weights == "sam" and entry.foreign is not None:
                start = _with_foreign(entry.foreign, net, spec, arguments)
    mean, std = (statistics_for_channels(statistics, spec) for statistics in (start.mean, start.std))
    return Segmenter(spec.model_copy(update={"weights": start.origin}), start.net, mean, std)


def _check_weights(entry: ModelEntry, weights: Weights) -> None:
    """Refuse weights that a model does not have, and say which models have them."""
    if weights == "imagenet" and entry.pretrained is None:
        able = [name for name, other in MODELS.items() if other.pretrained is not None]
        raise BadInput(
            f"model {entry.name!r}", "has no ImageNet weights", "random weights", f"with ImageNet: {', '.join(able)}"
        )
    if weights == "sam" and entry.foreign is None:
        able = [name for name, other in MODELS.items() if other.foreign is not None]
        raise BadInput(
            f"model {entry.name!r}", "has no weights of SAM", "random weights", f"with SAM: {', '.join(able)}"
        )


def _with_foreign(foreign: Foreign, net: nn.Module, spec: SegmenterSpec, arguments: Arguments) -> Pretrained:
    """A network with the weights that others publish for its encoder, fetched from the hub."""
    state, origin = foreign.fetch(arguments)
    adopted = foreign.adopt(net, spec.channels, state, origin)
    if adopted is None:
        raise BadInput(origin, "is in a format that is not known", remedy="start from the published file with --init")
    net.load_state_dict(adopted.tensors, strict=False)
    return Pretrained(net, adopted.mean, adopted.std, origin)


def statistics_for_channels(statistics: Sequence[float], spec: SegmenterSpec) -> list[float]:
    """Statistics of colours for every channel in: those of each colour for RGB slices, their average for all others."""
    if spec.channels == len(statistics):
        return list(statistics) * (2 * spec.neighbours + 1)
    return [sum(statistics) / len(statistics)] * spec.in_channels
