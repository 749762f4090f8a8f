"""The objective: one loss for each head, summed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from anyscope.contracts import HeadLayout
from anyscope.models.segmenter import GuidedLogits
from anyscope.training.batches import Batch
from anyscope.training.losses import combined_loss
from anyscope.training.settings import TrainSettings


@dataclass(frozen=True)
class Objective:
    """The sum over heads of their losses; that of the auxiliary outputs of a network is added with their weights.

    Args:
        layout: Heads in the order of the logits' channels.
        losses: Loss of each head as a sum such as ``bce+0.5*dice``.
    """

    layout: HeadLayout
    losses: tuple[str, ...]

    @classmethod
    def of(cls, settings: TrainSettings, layout: HeadLayout) -> Objective:
        """The objective that the settings describe."""
        return cls(layout, tuple(settings.loss_of(head, layout.classes) for head in layout.heads))

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
        """The sum over heads; that of affinities is the mean over their offsets."""
        logits = logits.float()
        parts = []
        for head, text in zip(self.layout.heads, self.losses, strict=True):
            values, target = logits[:, self.layout.logits[head]], batch["targets"][:, self.layout.targets[head]]
            each = [values] if self.layout.has_classes(head) else [values[:, i, None] for i in range(values.shape[1])]
            losses = [_known(text, one, target[:, number], batch["valid"]) for number, one in enumerate(each)]
            parts.append(torch.stack(losses).mean())
        return torch.stack(parts).sum()


def _known(text: str, logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """The loss of one target [B, H, W] where it is known, that is, not NaN."""
    known = target.isfinite()
    return combined_loss(text)(logits, target.where(known, 0.0), valid & known)
