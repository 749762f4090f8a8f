"""How a method finds the encoder of any network of the zoo, and what it says of those that have none apart."""

from __future__ import annotations

from anyscope.errors import BadInput
from anyscope.models.nets.parts import EncoderNames, Stages
from anyscope.models.segmenter import Segmenter
from anyscope.models.zoo import MODELS


def with_encoder() -> tuple[str, ...]:
    """Models whose encoder can be told from their decoder."""
    return tuple(name for name, entry in MODELS.items() if entry.encoder is not None)


def with_stages() -> tuple[str, ...]:
    """Models to whose bottleneck and last features more networks can be attached."""
    return tuple(name for name, entry in MODELS.items() if entry.stages is not None)


def check_encoder(model: str, method: str) -> None:
    """Refuse a model without an encoder of its own.

    Raises:
        BadInput: It has none; the message names ``method`` and the models that have.
    """
    _check(model, method, with_encoder(), "an encoder apart from its decoder")


def check_stages(model: str, method: str) -> None:
    """Refuse a model without a bottleneck that a second decoder can be attached to; see :func:`check_encoder`."""
    _check(model, method, with_stages(), "a bottleneck that a second decoder can be attached to")


def _check(model: str, method: str, able: tuple[str, ...], needed: str) -> None:
    if MODELS[model].name not in able:
        raise BadInput(
            f"model {model!r}", f"cannot be used with {method}", needed, f"models that work: {', '.join(able)}"
        )


def encoder_names(segmenter: Segmenter) -> EncoderNames:
    """The encoder of a segmenter as prefixes of the names of its tensors, such as ``net.down.0.``.

    Raises:
        BadInput: Its network has no encoder apart from its decoder.
    """
    check_encoder(segmenter.spec.model, "what needs an encoder")
    find = MODELS[segmenter.spec.model].encoder
    assert find is not None
    names = find(segmenter.net)
    return EncoderNames(_inside(names.levels), _inside(names.bottleneck))


def stages_of(segmenter: Segmenter) -> Stages:
    """The forward pass of a segmenter's network in three. Its images are normalised and of a whole number of strides.

    Raises:
        BadInput: Its network cannot be taken apart.
    """
    check_stages(segmenter.spec.model, "what needs a second decoder")
    find = MODELS[segmenter.spec.model].stages
    assert find is not None
    return find(segmenter.net)


def _inside(prefixes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"net.{prefix}" for prefix in prefixes)
