"""A foreign network: torch's (with gradients) or another runtime's (without), seen as inference sees our segmenters."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from anyscope.contracts import Labels, Unit
from anyscope.errors import BadInput
from anyscope.external.description import NetworkFile
from anyscope.models.runtimes import Runtime
from anyscope.models.spec import SegmenterSpec

_SMALLEST_PROBABILITY = 1e-6
_ASSUMED_BYTES = 2048
"""Memory for each pixel of a network that cannot be looked into: that of a U-Net of two million parameters, doubled."""
Processing = Callable[[torch.Tensor], torch.Tensor]
"""What is done to [B, C, H, W] before or after a network."""


class ForeignNetwork(nn.Module):
    """Logits [B, K, H, W] of images [B, C, H, W] in 0..1, whatever the network itself wants and gives.

    Args:
        description: What its user says of it.
        body: A torch module, through which gradients flow, or a runtime, through which none do.
        before: Preprocessing, after the range of values.
        after: Postprocessing of its output.
        whole_image: Whether pre- or postprocessing look at the whole image, so that tiles would differ from it.
    """

    def __init__(
        self,
        description: NetworkFile,
        body: nn.Module | Runtime,
        before: Processing | None = None,
        after: Processing | None = None,
        *,
        whole_image: bool = False,
    ) -> None:
        super().__init__()
        self.description = description
        self.spec: SegmenterSpec = description.spec
        self.stride = description.stride
        self.tile = description.size or description.tile
        self.differentiable = isinstance(body, nn.Module)
        if isinstance(body, nn.Module):
            self.body: nn.Module | None = body.eval()
            for parameter in body.parameters():  # scripted modules have no requires_grad_
                parameter.requires_grad = False
        else:
            self.body = None
        self.runtime = None if isinstance(body, nn.Module) else body
        self._before, self._after = before, after
        self._whole_image = whole_image

    def receptive_field(self) -> int | None:
        """As described; None where it is not known, or where the whole image takes part."""
        return None if self._whole_image else self.description.receptive_field

    def forward_bytes(self, shape: tuple[int, int, int, int]) -> int | None:
        """Memory of a forward pass where its tensors cannot be followed: an assumption; None where they can."""
        if self.body is not None and self.description.size is None:
            return None
        batch, _, height, width = shape
        return _ASSUMED_BYTES * batch * height * width

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of images of any height and width, up to the size that the network is bound to."""
        height, width = images.shape[-2:]
        found = self._run(self._prepared(images))
        return self._logits(self._checked(found, images))[..., :height, :width]

    def _prepared(self, images: torch.Tensor) -> torch.Tensor:
        low, high = self.description.value_range
        if (low, high) != (0.0, 1.0):
            images = low + (high - low) * images
        if self._before is not None:
            images = self._before(images)
        padding = (0, self._missing(images.shape[-1]), 0, self._missing(images.shape[-2]))
        return nn.functional.pad(images, padding, mode="replicate") if any(padding) else images

    def _missing(self, length: int) -> int:
        size = self.description.size
        if size is None:
            return -(-max(length, self.description.smallest) // self.stride) * self.stride - length
        if length > size:
            raise BadInput(self._subject, f"an image {length} pixels wide", f"at most {size}, its only size")
        return size - length

    def _run(self, images: torch.Tensor) -> torch.Tensor:
        if self.body is not None:
            found = self.body(images)
        else:
            assert self.runtime is not None
            # nothing flows back through another runtime, and its output must not look as if something did
            found = torch.from_numpy(self.runtime(images.detach().cpu().numpy())).to(images.device)
        if isinstance(found, list | tuple):
            found = found[0]
        if isinstance(found, dict):
            found = next(iter(found.values()))
        if not isinstance(found, torch.Tensor) or not found.is_floating_point():
            kind = found.dtype if isinstance(found, torch.Tensor) else type(found).__name__
            raise BadInput(self._subject, f"its output is {kind}", "a tensor of floats [B, K, H, W]")
        return found.float()

    def _checked(self, found: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """The channels of the output that are used; a :class:`BadInput` where its shape is another."""
        batch, _, height, width = images.shape
        right = found.ndim == 4 and found.shape[0] == batch
        if not right or found.shape[-2] < height or found.shape[-1] < width:
            expected = f"[{batch}, {self._channels}, {height}, {width}], the size of its input"
            raise BadInput(self._subject, f"an output of shape {list(found.shape)}", expected)
        if self._after is not None:
            found = self._after(found)
        chosen = self.description.output_channels
        if chosen is not None:
            if max(chosen) >= found.shape[1]:
                raise BadInput(self._subject, f"{found.shape[1]} channels of output", f"more than {max(chosen)}")
            found = found[:, list(chosen)]
        if found.shape[1] != self._channels:
            heads = ", ".join(self.spec.heads)
            raise BadInput(
                self._subject, f"{found.shape[1]} channels of output", f"{self._channels} for the heads {heads}",
                "describe heads, classes, activation or output_channels in anyscope-model.yaml",
            )  # fmt: skip
        return found

    @property
    def _pair(self) -> bool:
        """Whether background and foreground have a channel each."""
        return self.description.softmax and self.spec.classes == 2

    @property
    def _channels(self) -> int:
        return self.spec.out_channels + self._pair

    @property
    def _subject(self) -> str:
        return self.description.name or self.description.path

    def _logits(self, found: torch.Tensor) -> torch.Tensor:
        """Logits as :class:`~anyscope.contracts.HeadLayout` orders them."""
        if self._pair:
            first = self.spec.layout.logits["mask"].start
            background, foreground = found[:, first : first + 1], found[:, first + 1 : first + 2]
            if self.description.output == "logits":
                mask = foreground - background
            else:
                mask = foreground / (foreground + background).clamp(min=_SMALLEST_PROBABILITY)
            found = torch.cat([found[:, :first], mask, found[:, first + 2 :]], dim=1)
        if self.description.output == "logits":
            return found
        parts = []
        for head, part in self.spec.layout.logits.items():
            values = found[:, part]
            if self.spec.layout.has_classes(head):
                parts.append(values.clamp(min=_SMALLEST_PROBABILITY).log())
            elif head == "distance":
                parts.append(values.clamp(-1 + _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY).atanh())
            else:
                parts.append(values.clamp(_SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY).logit())
        return torch.cat(parts, dim=1)


class LabelsAsLogits(nn.Module):
    """A model that gives labels alone, as a network of logits that are sure: what attacks without gradients can query.

    Args:
        spec: What it is.
        answer: Labels (z, y, x) of an image (c, z, y, x).
    """

    sure = 10.0
    differentiable = False

    def __init__(self, spec: SegmenterSpec, answer: Callable[[Unit], Labels]) -> None:
        super().__init__()
        self.spec = spec
        self.stride = 1
        self.answer = answer
        self.gives_objects = spec.task == "instances"

    def receptive_field(self) -> int | None:
        """Unknown."""
        return None

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [B, K, H, W] of the mask of images [B, C, H, W]."""
        found = [
            torch.from_numpy(self.answer(one[:, None].cpu().numpy())[0].astype("int64")) for one in images.detach()
        ]
        labels = torch.stack(found).to(images.device)
        if self.spec.classes == 2 or self.spec.task == "instances":
            return (2.0 * (labels > 0)[:, None].float() - 1.0) * self.sure
        hot = nn.functional.one_hot(labels, self.spec.classes).movedim(-1, 1).float()
        return (2.0 * hot - 1.0) * self.sure
