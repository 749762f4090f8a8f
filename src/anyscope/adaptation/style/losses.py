"""Losses of unpaired translation: contrast of patches, least squares of discriminators, cycles."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

TEMPERATURE = 0.07


def patch_nce(queries: torch.Tensor, keys: torch.Tensor, temperature: float = TEMPERATURE) -> torch.Tensor:
    """PatchNCE: cross-entropy of finding the key of the same place among those of all places of the same image.

        mean over images and places p of -log( exp(q_p . k_p / T) / sum over p' of exp(q_p . k_p' / T) )

    It is least, log(1 + (P - 1) exp(-2 / T)) > 0, where each vector equals its key and the others point away.

    Args:
        queries: Unit vectors [B, P, C] of the translation.
        keys: Unit vectors [B, P, C] of the input at the same places. No gradient reaches them.
        temperature: T.

    Source: Park et al., ECCV 2020, arXiv 2007.15651, equations 2 and 3.
    """
    logits = queries @ keys.detach().transpose(1, 2) / temperature
    right = torch.arange(keys.shape[1], device=keys.device).expand(keys.shape[0], -1)
    return F.cross_entropy(logits.transpose(1, 2), right)


def multilayer_nce(
    queries: Sequence[torch.Tensor], keys: Sequence[torch.Tensor], temperature: float = TEMPERATURE
) -> torch.Tensor:
    """The mean of :func:`patch_nce` over layers."""
    each = [patch_nce(query, key, temperature) for query, key in zip(queries, keys, strict=True)]
    return torch.stack(each).mean()


def looks_real(numbers: torch.Tensor) -> torch.Tensor:
    """Least squares of a discriminator's numbers to 1, what the generator wants: mean (D(G(x)) - 1)^2.

    Source: Mao et al., ICCV 2017, arXiv 1611.04076, equation 9 with a = 0, b = c = 1, without its factor 1/2.
    """
    return (numbers - 1).square().mean()


def tells_apart(of_real: torch.Tensor, of_made: torch.Tensor) -> torch.Tensor:
    """What the discriminator wants: (mean (D(y) - 1)^2 + mean D(G(x))^2) / 2, .25 where it says .5 to everything."""
    return (looks_real(of_real) + of_made.square().mean()) / 2


def cycle_loss(images: torch.Tensor, returned: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference between images and what comes back of them.

    Source: Zhu et al., ICCV 2017, arXiv 1703.10593, equation 2.
    """
    return (images - returned).abs().mean()
