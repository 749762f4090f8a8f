"""CycleGAN: two generators that undo each other, two discriminators.

Source: Zhu et al., ICCV 2017, arXiv 1703.10593.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from anyscope.adaptation.style.buffer import ImageBuffer
from anyscope.adaptation.style.cut import Images
from anyscope.adaptation.style.losses import cycle_loss, looks_real, tells_apart
from anyscope.adaptation.style.schedule import GanCourse, make_adam
from anyscope.models.nets.patchgan import DiscriminatorArguments, PatchDiscriminator
from anyscope.seeding import derive_seed, torch_generator
from anyscope.training.course import Losses


@dataclass(frozen=True)
class CycleSettings:
    """What CycleGAN does, apart from its generators and the data; the defaults are those of its authors.

    Args:
        filters: Channels of the first layer of the discriminators.
        antialias: Whether the discriminators are anti-aliased.
        lambda_cycle: Weight of both cycles.
        lambda_identity: Weight of leaving images of the wanted style as they are, as a factor on ``lambda_cycle``.
        buffer: Images that each discriminator may see again.
        learning_rate: Of all four networks.
        constant_epochs, decaying_epochs: At this rate, and linearly down from it.
    """

    filters: int = 64
    antialias: bool = False
    lambda_cycle: float = 10.0
    lambda_identity: float = 0.5
    buffer: int = 50
    learning_rate: float = 2e-4
    constant_epochs: int = 100
    decaying_epochs: int = 100


class CycleCourse(GanCourse):
    """Learns to translate images of the target into the style of the source, and back.

        G, H:  LSGAN(D_s(G(x)), 1) + LSGAN(D_t(H(y)), 1) + lambda_cycle (|H(G(x)) - x| + |G(H(y)) - y|
               + lambda_identity (|G(y) - y| + |H(x) - x|))
        D_s:   (LSGAN(D_s(y), 1) + LSGAN(D_s(G(x) or an older one), 0)) / 2; D_t alike

    with x from the target, y from the source. The generators step first.

    Args:
        forth: G, target to source; trained in place.
        back: H, source to target; trained in place.
        target, source: Images in -1..1 by the number of the step.
        settings: See :class:`CycleSettings`.
        seed: Seed of the weights of the discriminators and of the buffers.
        device: Where to train.
    """

    def __init__(
        self,
        forth: nn.Module,
        back: nn.Module,
        target: Images,
        source: Images,
        settings: CycleSettings,
        seed: int,
        device: torch.device | str,
    ) -> None:
        self._forth, self._back = forth, back
        self._target, self._source, self._settings, self._seed = target, source, settings, seed
        channels = next(iter(forth.parameters())).shape[1]
        arguments = DiscriminatorArguments(
            filters=settings.filters, antialias=settings.antialias, initialisation="normal"
        )
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive_seed(seed, "discriminators"))
            self._judges = nn.ModuleDict(
                {style: PatchDiscriminator(channels, arguments) for style in ("source", "target")}
            ).to(device)
        self._buffers = {style: ImageBuffer(settings.buffer) for style in ("source", "target")}
        rate = settings.learning_rate
        buffers = {f"{style}_buffer": each for style, each in self._buffers.items()}
        super().__init__(
            {"forth": forth, "back": back, "discriminators": self._judges, **buffers},
            {
                "generators": make_adam([*forth.parameters(), *back.parameters()], rate),
                "discriminators": make_adam(self._judges.parameters(), rate),
            },
            rate,
            settings.constant_epochs,
            settings.decaying_epochs,
        )

    def step(self, number: int) -> Losses:
        """One step of both generators, then one of both discriminators."""
        x, y = self._target(number), self._source(number)
        weight = self._settings.lambda_cycle
        self._judges.requires_grad_(False)
        like_source, like_target = self._forth(x), self._back(y)
        gan = looks_real(self._judges["source"](like_source)) + looks_real(self._judges["target"](like_target))
        cycle = cycle_loss(x, self._back(like_source)) + cycle_loss(y, self._forth(like_target))
        loss = gan + weight * cycle
        values = {"gan": gan.detach(), "cycle": cycle.detach()}
        if self._settings.lambda_identity:
            identity = cycle_loss(y, self._forth(y)) + cycle_loss(x, self._back(x))
            loss = loss + weight * self._settings.lambda_identity * identity
            values["identity"] = identity.detach()
        self._advance("generators", loss)
        self._judges.requires_grad_(True)
        judged = self._judge("source", y, like_source, number) + self._judge("target", x, like_target, number)
        self._advance("discriminators", judged)
        return {"loss": loss.detach(), **values, "discriminator": judged.detach()}

    def _judge(self, style: str, real: torch.Tensor, made: torch.Tensor, number: int) -> torch.Tensor:
        shown = self._buffers[style].exchange(made, torch_generator(self._seed, "buffer", style, number))
        return tells_apart(self._judges[style](real), self._judges[style](shown))

    def _advance(self, name: str, loss: torch.Tensor) -> None:
        self._optimisers[name].zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's is untyped
        self._optimisers[name].step()
