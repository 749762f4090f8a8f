"""Networks whose encoder somebody trained on ImageNet."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from anyscope.errors import BadInput
from anyscope.models.entry import Pretrained
from anyscope.models.hub import reaching_the_hub

Statistics = tuple[Sequence[float], Sequence[float]]
"""Mean and standard deviation, of each colour, of the images an encoder was trained with."""


def with_imagenet_encoder(
    name: str, available: bool, fetch: Callable[[], nn.Module], statistics: Callable[[str], Statistics]
) -> Pretrained:
    """A network with its origin in words.

    Args:
        name: The encoder.
        available: Whether it has ImageNet weights.
        fetch: Makes the network and fetches the weights of its encoder.
        statistics: Finds what its images looked like, by its name.

    Raises:
        BadInput: There are no such weights.
        EnvironmentFault: They cannot be fetched.
    """
    if not available:
        raise BadInput(
            f"encoder {name!r}", "has no ImageNet weights", remedy="choose another encoder or random weights"
        )
    with reaching_the_hub(f"ImageNet weights of encoder {name!r}"):
        net = fetch()
        mean, std = statistics(name)
    return Pretrained(net, tuple(mean), tuple(std), f"encoder {name} trained on ImageNet, random decoder")


def with_timm_encoder(name: str, fetch: Callable[[], nn.Module]) -> Pretrained:
    """:func:`with_imagenet_encoder` where timm has the encoder."""
    import timm

    def statistics(name: str) -> Statistics:
        settings = timm.get_pretrained_cfg(name)
        assert settings is not None  # it has weights
        return settings.mean, settings.std

    return with_imagenet_encoder(name, timm.models.is_model_pretrained(name), fetch, statistics)
