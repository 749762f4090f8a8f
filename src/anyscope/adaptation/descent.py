"""An optimiser with its schedule, as the published methods of adaptation name them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau, StepLR

from anyscope.training.course import Stateful

Optimiser = Literal["sgd", "adam"]
Schedule = Literal["onecycle", "plateau", "steps", "constant"]


@dataclass(frozen=True)
class Rates:
    """How fast something learns.

    Args:
        optimiser: ``sgd`` or ``adam``; neither decays weights.
        learning_rate: The largest learning rate.
        schedule: ``onecycle``: 30 % of the steps up from lr / 25, then a cosine down to lr / 25e4, momentum the other
            way between .95 and .85 (Smith & Topin 2018; fastai's values); ``plateau``: halved after ``patience`` epochs
            without a lower loss, down to a tenth; ``steps``: times .9 after every ``decay_steps`` steps;
            ``constant``.
        momentum: Of SGD; the first coefficient of Adam.
        second: The second coefficient of Adam.
        patience: Of ``plateau``, in epochs.
        decay_steps: Of ``steps``.
        clip_norm: Largest norm of the gradient; 0 for no limit.
    """

    optimiser: Optimiser
    learning_rate: float
    schedule: Schedule
    momentum: float = 0.9
    second: float = 0.999
    patience: int = 5
    decay_steps: int = 1
    clip_norm: float = 0.0


class Descent:
    """Steps of an optimiser over the parameters that want a gradient when it is made.

    Args:
        parameters: The parameters.
        rates: See :class:`Rates`.
        total_steps: Steps in all, for ``onecycle``.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], rates: Rates, total_steps: int) -> None:
        self._trained = [parameter for parameter in parameters if parameter.requires_grad]
        self._clip_norm = rates.clip_norm
        rate = rates.learning_rate
        self.optimiser: torch.optim.Optimizer
        if rates.optimiser == "sgd":
            self.optimiser = torch.optim.SGD(self._trained, lr=rate, momentum=rates.momentum)
        else:
            self.optimiser = torch.optim.Adam(self._trained, lr=rate, betas=(rates.momentum, rates.second))
        self.schedule: OneCycleLR | ReduceLROnPlateau | StepLR | None = None
        if rates.schedule == "onecycle":
            self.schedule = OneCycleLR(
                self.optimiser, rate, total_steps=total_steps, pct_start=0.3, div_factor=25, final_div_factor=1e4
            )
        elif rates.schedule == "plateau":
            self.schedule = ReduceLROnPlateau(self.optimiser, factor=0.5, patience=rates.patience, min_lr=rate / 10)
        elif rates.schedule == "steps":
            self.schedule = StepLR(self.optimiser, rates.decay_steps, gamma=0.9)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return float(self.optimiser.param_groups[0]["lr"])

    def parts(self, name: str) -> Mapping[str, Stateful]:
        """What a checkpoint must hold, under names that begin with ``name``."""
        parts: dict[str, Stateful] = {f"{name}optimiser": self.optimiser}
        if self.schedule is not None:
            parts[f"{name}schedule"] = self.schedule
        return parts

    def step(self, loss: torch.Tensor) -> None:
        """Follow the gradient of ``loss``; parameters that it does not depend on stay as they are."""
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self._clip_norm > 0:
            torch.nn.utils.clip_grad_norm_(self._trained, self._clip_norm)
        self.optimiser.step()
        if isinstance(self.schedule, OneCycleLR | StepLR):
            self.schedule.step()

    def end_epoch(self, loss: float) -> None:
        """Tell a schedule that goes by epochs the mean loss of one."""
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step(loss)
