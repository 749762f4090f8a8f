"""Keeps a teacher's classes as frequent as the source's labels say, so that a class neither vanishes nor spreads."""

from __future__ import annotations

from dataclasses import replace

import torch

from anyscope.adaptation.refinement.views import still
from anyscope.adaptation.work import Work
from anyscope.contracts import HEADS, HeadLayout
from anyscope.training.checkpoint import State

_PATCHES = 64
_LEAST = 1e-3
"""Least share that is believed, so that no factor grows without end."""
_MOST = 10.0
"""Largest factor between shares that is evened out."""


class Alignment:
    """Distribution alignment: probabilities times (wanted share / found share) ^ strength, made to sum to one.

    Wanted are the shares of pixels among labels of the source, found those that the teacher decided for on the
    target, a moving average over steps. The distance is left alone. Target labels are never looked at: where the target
    really has more or less foreground than the source, a strength below 1 leaves it part of that.

    Source: Berthelot et al., ReMixMatch, ICLR 2020, section 3.1; here for pixels, with the labels of another domain.

    Args:
        wanted: Shares of the channels of the maps, [K].
        layout: What the channels are.
        strength: 0 for none, 1 for all of it.
        decay: Of the moving average, a plain mean at first.
    """

    def __init__(self, wanted: torch.Tensor, layout: HeadLayout, strength: float, decay: float = 0.98) -> None:
        self._wanted, self._layout = wanted, layout
        self._strength, self._decay = strength, decay
        self._found = torch.zeros_like(wanted)
        self._count = 0

    def __call__(self, maps: torch.Tensor) -> torch.Tensor:
        """Aligned maps of maps [..., K, H, W], which are counted in."""
        self._count += 1
        self._found = torch.lerp(self._found, self._decided(maps), max(1 - self._decay, 1 / self._count))
        aligned = maps.clone()
        for head, part in self._layout.logits.items():
            if HEADS[head].activation == "tanh":
                continue
            factor = self._factors(self._wanted[part], self._found[part])[:, None, None]
            values = maps[..., part, :, :]
            if len(factor) == 1:
                rest = self._factors(1 - self._wanted[part], 1 - self._found[part])[:, None, None]
                aligned[..., part, :, :] = values * factor / (values * factor + (1 - values) * rest)
            else:
                aligned[..., part, :, :] = values * factor / (values * factor).sum(-3, keepdim=True)
        return aligned

    def _decided(self, maps: torch.Tensor) -> torch.Tensor:
        """Shares [K] of the pixels that maps decide for: labels are decisions too, means of probabilities are not."""
        axes = [axis for axis in range(maps.ndim) if axis != maps.ndim - 3]
        shares = (maps > 0.5).to(maps).mean(axes)
        for part in self._layout.logits.values():
            if part.stop - part.start > 1:
                winners = maps[..., part, :, :].argmax(-3).flatten()
                shares[part] = torch.bincount(winners, minlength=self._layout.classes) / len(winners)
        return shares

    def _factors(self, wanted: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
        ratio = wanted.clamp(min=_LEAST) / found.clamp(min=_LEAST)
        return ratio.clamp(1 / _MOST, _MOST) ** self._strength

    def state_dict(self) -> State:
        """The shares found."""
        return {"found": self._found, "count": self._count}

    def load_state_dict(self, state: State) -> None:
        """The reverse."""
        self._found, self._count = state["found"].to(self._wanted), state["count"]


def shares_of_source(work: Work) -> torch.Tensor:
    """Shares [K] of the pixels of each channel's class among labels of the source, on patches cut anywhere.

    Where a handful of target labels was given on purpose, half of the patches are theirs.
    """
    spec = work.segmenter.spec
    anywhere = replace(work, settings=work.settings.model_copy(update={"foreground": 0.0}))
    patches = anywhere.source_patches("shares", augmentation=still(work.settings.augmentation), styled=False)
    sums, valid = torch.zeros(spec.out_channels), 0.0
    for number in range(_PATCHES):
        patch = patches[number]
        counted = patch["valid"]
        valid += float(counted.sum())
        for place, part in enumerate(spec.layout.logits.values()):
            target = patch["targets"][place][counted]
            if part.stop - part.start == 1:
                sums[part] += target.sum()
            else:
                sums[part] += torch.bincount(target.long(), minlength=spec.classes).float()
    return (sums / max(1.0, valid)).to(work.device)
