"""Contrastive unpaired translation: one generator, one discriminator, patches that must stay what they are.

Source: Park et al., ECCV 2020, arXiv 2007.15651.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from anyscope.adaptation.style.losses import TEMPERATURE, looks_real, multilayer_nce, tells_apart
from anyscope.adaptation.style.schedule import GanCourse, make_adam
from anyscope.models.nets.generators import ResnetGenerator
from anyscope.models.nets.patch_embedding import PatchEmbedding, draw_places
from anyscope.models.nets.patchgan import DiscriminatorArguments, PatchDiscriminator
from anyscope.seeding import derive_seed, torch_generator
from anyscope.training.course import Losses

Images = Callable[[int], torch.Tensor]
"""Images [B, C, H, W] in -1..1 of the step with a number, on the device of the networks."""


@dataclass(frozen=True)
class CutSettings:
    """What CUT does, apart from its generator and the data; the defaults are those of its authors.

    Args:
        filters: Channels of the discriminator's first layer.
        antialias: Whether the discriminator is anti-aliased.
        places: Places of every feature map that are compared.
        temperature: Of PatchNCE.
        lambda_gan, lambda_nce: Weights of the losses.
        identity: Also compare source images with their own translation.
        learning_rate: Of all three networks.
        constant_epochs, decaying_epochs: At this rate, and linearly down from it.
    """

    filters: int = 64
    antialias: bool = True
    places: int = 256
    temperature: float = TEMPERATURE
    lambda_gan: float = 1.0
    lambda_nce: float = 1.0
    identity: bool = True
    learning_rate: float = 2e-4
    constant_epochs: int = 200
    decaying_epochs: int = 200


class CutCourse(GanCourse):
    """Learns to translate images of the target into the style of the source.

        G:  lambda_gan LSGAN(D(G(x)), 1) + lambda_nce (NCE(x, G(x)) + NCE(y, G(y))) / 2
        D:  (LSGAN(D(y), 1) + LSGAN(D(G(x)), 0)) / 2

    with x from the target, y from the source; without ``identity`` only the first NCE, not halved. D steps first.

    Args:
        generator: Trained in place.
        target, source: Images in -1..1 by the number of the step.
        settings: See :class:`CutSettings`.
        seed: Seed of the weights of the other networks and of the places that are compared.
        device: Where to train.
    """

    def __init__(
        self,
        generator: ResnetGenerator,
        target: Images,
        source: Images,
        settings: CutSettings,
        seed: int,
        device: torch.device | str,
    ) -> None:
        self._target, self._source, self._settings, self._seed = target, source, settings, seed
        self._layers = generator.contrast_layers
        channels = next(iter(generator.parameters())).shape[1]
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive_seed(seed, "discriminator"))
            arguments = DiscriminatorArguments(filters=settings.filters, antialias=settings.antialias)
            self._discriminator = PatchDiscriminator(channels, arguments).to(device)
            with torch.no_grad():
                features = generator.features(torch.zeros(1, channels, 16, 16, device=device), self._layers)
            self._embedding = PatchEmbedding([each.shape[1] for each in features]).to(device)
        self._generator = generator
        rate = settings.learning_rate
        super().__init__(
            {"generator": generator, "discriminator": self._discriminator, "embedding": self._embedding},
            {
                "generator": make_adam(generator.parameters(), rate),
                "discriminator": make_adam(self._discriminator.parameters(), rate),
                "embedding": make_adam(self._embedding.parameters(), rate),
            },
            rate,
            settings.constant_epochs,
            settings.decaying_epochs,
        )

    def step(self, number: int) -> Losses:
        """One step of the discriminator, then one of the generator and the embedding."""
        settings = self._settings
        x, y = self._target(number), self._source(number)
        inputs = torch.cat([x, y]) if settings.identity else x
        made, features = self._generator.forward_with_features(inputs, self._layers)
        loss_d = self._judge(y, made[: len(x)])
        self._discriminator.requires_grad_(False)
        gan = looks_real(self._discriminator(made[: len(x)]))
        nce = self._contrast(made, features, len(x), number)
        loss = settings.lambda_gan * gan + settings.lambda_nce * nce
        optimisers = self._optimisers["generator"], self._optimisers["embedding"]
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's is untyped
        for optimiser in optimisers:
            optimiser.step()
        self._discriminator.requires_grad_(True)
        return {"loss": loss.detach(), "gan": gan.detach(), "nce": nce.detach(), "discriminator": loss_d}

    def _judge(self, real: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        optimiser = self._optimisers["discriminator"]
        optimiser.zero_grad(set_to_none=True)
        loss = tells_apart(self._discriminator(real), self._discriminator(made.detach()))
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return loss.detach()

    def _contrast(
        self, made: torch.Tensor, features: tuple[torch.Tensor, ...], count: int, number: int
    ) -> torch.Tensor:
        """PatchNCE of the translations of the target and, with identity, of the source, whose places differ."""
        again = self._generator.features(made, self._layers)
        losses = []
        parts = {"target": slice(0, count), "source": slice(count, None)} if self._settings.identity else {}
        for name, part in (parts or {"target": slice(0, count)}).items():
            # What the input's features are is known from the way forward; the authors compute them once more.
            before = [each[part].detach() for each in features]
            random = torch_generator(self._seed, "places", name, number)
            places = draw_places(before, self._settings.places, random)
            with torch.no_grad():
                keys = self._embedding(before, places)
            queries = self._embedding([each[part] for each in again], places)
            losses.append(multilayer_nce(queries, keys, self._settings.temperature))
        return torch.stack(losses).mean()
