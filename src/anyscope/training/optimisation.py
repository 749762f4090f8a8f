"""Optimiser, learning-rate schedule and the moving average of the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from anyscope.training.settings import LearnSettings

Schedule = torch.optim.lr_scheduler.LRScheduler


def make_optimiser(
    parameters: Iterable[nn.Parameter], settings: LearnSettings, factors: Mapping[nn.Parameter, float] | None = None
) -> torch.optim.Optimizer:
    """The optimiser that the settings name, over the parameters that want a gradient now.

    Args:
        parameters: The parameters.
        settings: Optimiser, learning rate, weight decay.
        factors: Factors of the learning rate of some parameters, 1 for others. Those with the same factor become one
            group, the fastest first.
    """
    rate, decay = settings.learning_rate, settings.weight_decay
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter in parameters:
        if parameter.requires_grad:
            groups.setdefault((factors or {}).get(parameter, 1.0), []).append(parameter)
    trained = [{"params": groups[factor], "lr": rate * factor} for factor in sorted(groups, reverse=True)]
    if settings.optimiser == "sgd":
        return torch.optim.SGD(trained, lr=rate, momentum=0.9, weight_decay=decay)
    if settings.optimiser == "adam":
        return torch.optim.Adam(trained, lr=rate, weight_decay=decay)
    return torch.optim.AdamW(trained, lr=rate, weight_decay=decay)


def make_schedule(optimiser: torch.optim.Optimizer, settings: LearnSettings) -> Schedule | None:
    """The schedule; one-cycle steps after each optimiser step, plateau after each epoch (see :func:`step_epoch`).

    Every group of parameters has its own largest rate, the one that it has in the optimiser.

    One-cycle: 30 % warm-up from lr/25, then a cosine down to lr/25e4 (Smith & Topin 2018; the values of
    Franco-Barranco et al. 2022).
    """
    if settings.schedule == "onecycle":
        total = settings.epochs * settings.steps_per_epoch
        return torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            [group["lr"] for group in optimiser.param_groups],
            total_steps=total,
            pct_start=0.3,
            div_factor=25,
            final_div_factor=1e4,
        )
    if settings.schedule == "plateau":
        return torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.5, patience=5)
    return None


def step_batch(schedule: Schedule | None) -> None:
    """Advance a schedule that moves with every optimiser step."""
    if isinstance(schedule, torch.optim.lr_scheduler.OneCycleLR):
        schedule.step()


def step_epoch(schedule: Schedule | None, validation_loss: float) -> None:
    """Advance a schedule that moves with every epoch."""
    if isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
        schedule.step(validation_loss)


def make_average(model: nn.Module, decay: float) -> AveragedModel | None:
    """The exponential moving average of weights and buffers, None for a decay of 0.

    The first updates use the smaller decay (1 + n) / (10 + n), so that short runs do not remember their start.
    """
    if decay == 0:
        return None

    def average(old: torch.Tensor, new: torch.Tensor, count: torch.Tensor | int) -> torch.Tensor:
        if not old.is_floating_point():
            return new
        number = float(count)
        return torch.lerp(old, new, 1 - min(decay, (1 + number) / (10 + number)))

    return AveragedModel(model, avg_fn=average, use_buffers=True)


@contextmanager
def freeze(
    module: nn.Module, prefixes: Sequence[str], spare: Callable[[str], bool] = lambda _: False
) -> Iterator[None]:
    """Leave parameters whose names begin so as they are, inside the block.

    Their layers of batch normalisation use their running statistics, as in evaluation, and leave them as they are too.

    Args:
        module: The network.
        prefixes: Beginnings of names.
        spare: Whether a parameter of a name learns all the same.

    Raises:
        ValueError: No parameter begins with one of the prefixes.
    """
    chosen = []
    for prefix in prefixes:
        found = {name: parameter for name, parameter in module.named_parameters() if name.startswith(prefix)}
        if not found:
            raise ValueError(f"no parameter of {type(module).__name__} begins with {prefix!r}")
        chosen += [parameter for name, parameter in found.items() if parameter.requires_grad and not spare(name)]
    for parameter in chosen:
        parameter.requires_grad_(False)
    hooks = [
        # whoever calls train() before a step, the layer is in evaluation when it is used
        layer.register_forward_pre_hook(_evaluate)
        for name, layer in module.named_modules()
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and f"{name}.".startswith(tuple(prefixes))
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for parameter in chosen:
            parameter.requires_grad_(True)


def _evaluate(layer: nn.Module, _: object) -> None:
    layer.eval()
