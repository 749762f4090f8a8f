"""Training a painter: a generator that must look real to a discriminator which sees the scene, and be like the image.

Source: Isola et al., CVPR 2017, arXiv 1611.07004 (conditional GAN and L1), with least squares for the GAN (Mao et al.,
ICCV 2017, arXiv 1611.04076) and the residual generator of CycleGAN.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from anyscope.adaptation.style.losses import cycle_loss, looks_real, tells_apart
from anyscope.adaptation.style.schedule import GanCourse, make_adam
from anyscope.models.nets.patchgan import DiscriminatorArguments, PatchDiscriminator
from anyscope.seeding import derive_seed
from anyscope.synthesis.maps import CHANNELS
from anyscope.synthesis.settings import PainterSettings
from anyscope.training.course import Losses

Pairs = Callable[[int], tuple[torch.Tensor, torch.Tensor]]
"""Maps [B, 3, H, W] and images [B, 1, H, W], both in -1..1, of the step with a number."""


class PainterCourse(GanCourse):
    """Learns to paint scenes.

        G:  LSGAN(D(maps, G(maps)), 1) + lambda_l1 |G(maps) - image|
        D:  (LSGAN(D(maps, image), 1) + LSGAN(D(maps, G(maps)), 0)) / 2

    D steps first.

    Args:
        generator: Trained in place.
        pairs: What it learns from.
        settings: See :class:`~anyscope.synthesis.settings.PainterSettings`.
        device: Where to train.
    """

    def __init__(
        self, generator: nn.Module, pairs: Pairs, settings: PainterSettings, device: torch.device | str
    ) -> None:
        self._generator, self._pairs, self._settings = generator, pairs, settings
        arguments = DiscriminatorArguments(filters=settings.discriminator_filters)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive_seed(settings.seed, "painter discriminator"))
            self._discriminator = PatchDiscriminator(CHANNELS + 1, arguments).to(device)
        rate, decaying = settings.learning_rate, settings.epochs // 2
        super().__init__(
            {"generator": generator, "discriminator": self._discriminator},
            {
                "generator": make_adam(generator.parameters(), rate),
                "discriminator": make_adam(self._discriminator.parameters(), rate),
            },
            rate,
            settings.epochs - decaying,
            decaying,
        )

    def step(self, number: int) -> Losses:
        """One step of the discriminator, then one of the generator."""
        maps, images = self._pairs(number)
        made = self._generator(maps)
        judged = self._judge(maps, images, made)
        self._discriminator.requires_grad_(False)
        gan = looks_real(self._discriminator(torch.cat([maps, made], dim=1)))
        difference = cycle_loss(images, made)
        loss = gan + self._settings.lambda_l1 * difference
        self._optimisers["generator"].zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's is untyped
        self._optimisers["generator"].step()
        self._discriminator.requires_grad_(True)
        return {"loss": loss.detach(), "gan": gan.detach(), "l1": difference.detach(), "discriminator": judged}

    def _judge(self, maps: torch.Tensor, images: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        real = self._discriminator(torch.cat([maps, images], dim=1))
        loss = tells_apart(real, self._discriminator(torch.cat([maps, made.detach()], dim=1)))
        self._optimisers["discriminator"].zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimisers["discriminator"].step()
        return loss.detach()
