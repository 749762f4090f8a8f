"""The objective: one loss for each head, summed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from anyscope.contracts import head_channels
from anyscope.models.segmenter import GuidedLogits
from anyscope.training.batches import Batch
from anyscope.training.losses import combined_loss
from anyscope.training.settings import TrainSettings


@dataclass(frozen=True)
class Objective:
    """The sum over heads of their losses; that of the auxiliary outputs of a network is added with their weights.

    Args:
        heads: Heads in the order of the logits' channels.
        classes: Number of classes of the mask head.
        losses: Loss of each head as a sum such as ``bce+0.5*dice``.
    """

    heads: tuple[str, ...]
    classes: int
    losses: tuple[str, ...]

    @classmethod
    def of(cls, settings: TrainSettings, classes: int) -> Objective:
        """The objective that the settings describe."""
        return cls(settings.heads, classes, tuple(settings.loss_of(head, classes) for head in settings.heads))

    def __call__(
        self, model: Callable[..., torch.Tensor | GuidedLogits], batch: Batch, *, auxiliary: bool = False
    ) -> torch.Tensor:
        """The loss of ``model`` on a batch, a scalar.

        Args:
            model: Maps images to logits; with ``auxiliary``, a :class:`~anyscope.models.Segmenter` or a wrapper of one.
            batch: Images, targets, and the pixels that count.
            auxiliary: Ask the model for its auxiliary outputs and add their losses, the same ones for each head.
        """
        output = model(batch["images"], auxiliary=True) if auxiliary else model(batch["images"])
        if isinstance(output, torch.Tensor):
            return self._of(output, batch)
        parts = [self._of(output.logits, batch)]
        parts += [weight * self._of(logits, batch) for weight, logits in output.auxiliary]
        return torch.stack(parts).sum()

    def _of(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        logits = logits.float()
        channels = head_channels(self.heads, self.classes)
        parts = [
            combined_loss(text)(logits[:, channels[head]], batch["targets"][:, place], batch["valid"])
            for place, (head, text) in enumerate(zip(self.heads, self.losses, strict=True))
        ]
        return torch.stack(parts).sum()
