"""Which weights of a segmenter learn, and how fast: the ways to train a network that was trained before.

```
            patch embedding   level 1 ... level n | bottleneck, decoder, head
full             learns, at encoder_rate x layer_decay^depth |  learns
frozen           stays, its batch normalisation too          |  learns
decoder-first    stays for some epochs, then learns          |  learns
lora             its low-rank adapters learn, the rest stays |  learns
```
The encoder is what a model of the zoo names as its levels; a bottleneck of its own learns with the decoder, as in the
steps of adaptation that keep an encoder.

A network with adapters (``sam_unet`` with ``lora_rank``) is trained with ``lora`` and nothing else: adapters stand for
what the weights beside them would learn, and do nothing where they stay as they began. In pre-training and in the steps
of an adaptation the rest of its encoder stays as well. To train all of it, or none, start a network without adapters
from it: they are merged into its weights (:func:`anyscope.models.initialise`).

Sources: layer-wise rates as in the fine-tuning of BEiT (Bao et al., ICLR 2022, arXiv 2106.08254) and MAE (He et al.,
CVPR 2022, arXiv 2111.06377, appendix A); low-rank adapters, LoRA (Hu et al., ICLR 2022, arXiv 2106.09685); training a
new head before the rest, Kumar et al., ICLR 2022, arXiv 2202.10054.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

from torch import nn

from anyscope.errors import BadInput
from anyscope.models import MODELS, Segmenter, has_adapters, is_adapter
from anyscope.models.encoders import check_encoder, encoder_names
from anyscope.training.optimisation import freeze
from anyscope.training.settings import LearnSettings, TrainSettings

_NUMBERED = re.compile(r"((?:[^.]+\.)*?\d+)(?:\.|\Z)")


def check_tuning(segmenter: Segmenter, settings: LearnSettings) -> None:
    """Refuse a network that cannot be tuned as the settings ask.

    Raises:
        BadInput: It has no encoder apart from its decoder, no low-rank adapters for ``lora``, or some for another mode.
    """
    if not isinstance(settings, TrainSettings):
        return
    model = segmenter.spec.model
    for asked, default in (("tune", "full"), ("layer_decay", 1.0), ("encoder_rate", 1.0)):
        if getattr(settings, asked) != default:
            check_encoder(model, f"{asked}={getattr(settings, asked)}")
    adapted = _adapted(segmenter)
    if settings.tune == "lora" and not adapted:
        able = [name for name, entry in MODELS.items() if "lora_rank" in entry.arguments.model_fields]
        raise BadInput(
            f"model {model!r}",
            "has no low-rank adapters in its encoder, which tune=lora trains",
            "a network with some",
            "--set arguments.lora_rank=4"
            if model in able
            else f"models with the argument lora_rank: {', '.join(able)}",
        )
    if settings.tune != "lora" and adapted:
        raise BadInput(
            f"model {model!r}",
            f"has low-rank adapters (lora_rank), for which tune={settings.tune} is not meant",
            "tune=lora, or a network without adapters",
            "--set tune=lora or --set arguments.lora_rank=0",
        )


def epochs_kept(settings: TrainSettings) -> int:
    """How many epochs the encoder stays as it is; all of them for ``frozen`` and ``lora``."""
    if settings.tune == "full":
        return 0
    if settings.tune == "decoder-first":
        return min(settings.epochs - 1, max(1, round(settings.decoder_first * settings.epochs)))
    return settings.epochs


def keeping(segmenter: Segmenter, settings: LearnSettings, epoch: int) -> AbstractContextManager[None]:
    """Leave the encoder as it is, inside the block, as far as the settings want it in an epoch counted from 0.

    Raises:
        BadInput: See :func:`check_tuning`.
    """
    check_tuning(segmenter, settings)
    if _adapted(segmenter):
        return keeping_adapted(segmenter)
    if not isinstance(settings, TrainSettings) or epoch >= epochs_kept(settings):
        return nullcontext()
    return freeze(segmenter, encoder_names(segmenter).levels)


def keeping_adapted(segmenter: Segmenter) -> AbstractContextManager[None]:
    """Leave an encoder that has low-rank adapters as it is but for these, inside the block; all others learn."""
    if not _adapted(segmenter):
        return nullcontext()
    return freeze(segmenter, encoder_names(segmenter).levels, is_adapter)


def describe_tuning(segmenter: Segmenter, settings: TrainSettings) -> str:
    """What learns, in words, with the number of parameters in the first epoch."""
    with keeping(segmenter, settings, 0):
        learning = sum(each.numel() for each in segmenter.parameters() if each.requires_grad)
    total = sum(each.numel() for each in segmenter.parameters())
    words = f"{settings.tune}: {learning:,} of {total:,} parameters learn"
    kept = epochs_kept(settings)
    if 0 < kept < settings.epochs:
        words += f" for {kept} epoch(s), then all"
    factors = set(rate_factors(segmenter, settings).values())
    if factors:
        words += f"; learning rates of the encoder from {min(factors):.3g} to {max(factors):.3g} times the decoder's"
    return words


def rate_factors(segmenter: Segmenter, settings: LearnSettings) -> dict[nn.Parameter, float]:
    """Factors of the learning rate of the encoder's parameters; all others learn at the rate itself.

    ``encoder_rate * layer_decay ** depth``, where the decoder has depth 0 and the encoder's last level depth 1. Levels
    are those that the model names; where it names one alone, as for transformers and for the encoders of
    segmentation-models-pytorch, they are its blocks in the order of their parameters (see :func:`block_depths`).
    """
    if not isinstance(settings, TrainSettings) or settings.layer_decay == settings.encoder_rate == 1:
        return {}
    names = _encoder_parameters(segmenter)
    depths = level_depths(names, encoder_names(segmenter).levels)
    rate, decay = settings.encoder_rate, settings.layer_decay
    return {parameter: rate * decay ** depths[name] for name, parameter in names.items()}


def level_depths(names: Iterable[str], levels: tuple[str, ...]) -> dict[str, int]:
    """The depth of every parameter of an encoder: 1 for the level next to the decoder, more towards the image.

    Args:
        names: Names of the parameters, each beginning with one of the levels, in the order of the network.
        levels: Beginnings of names, from the image to the decoder.
    """
    if len(levels) == 1:
        return block_depths([name for name in names if name.startswith(levels)])
    found = {}
    for name in names:
        fitting = [place for place, level in enumerate(levels) if name.startswith(level)]
        if fitting:
            found[name] = len(levels) - fitting[0]
    return found


def block_depths(names: Iterable[str]) -> dict[str, int]:
    """The depth of every parameter of an encoder that is one level: its numbered blocks count.

    A block is everything up to the first number in a name, such as ``encoder.blocks.7`` or ``encoder.layer1.0``. What
    stands before the first block (patch embedding, stem) is a level of its own, what stands between two belongs to the
    later one, what stands after the last to the last.

    Args:
        names: Names of the parameters, in the order of the network.

    >>> block_depths(["e.embed.weight", "e.blocks.0.a", "e.blocks.1.a", "e.norm.weight"])
    {'e.embed.weight': 3, 'e.blocks.0.a': 2, 'e.blocks.1.a': 1, 'e.norm.weight': 1}
    """
    names = list(names)
    matches = [_NUMBERED.match(name) for name in names]
    blocks = [match[1] if match else None for match in matches]
    order = list(dict.fromkeys(block for block in blocks if block is not None))
    places: list[int | None] = [None if block is None else order.index(block) + 1 for block in blocks]
    for index, place in enumerate(places):
        if place is None:
            later = next((other for other in places[index:] if other is not None), len(order))
            places[index] = 0 if not any(other for other in places[:index]) else later
    # places count from the image, an empty stem being none of the depths
    filled = [place for place in places if place is not None]
    return {name: len(order) + 1 - place for name, place in zip(names, filled, strict=True)}


def _encoder_parameters(segmenter: Segmenter) -> dict[str, nn.Parameter]:
    levels = encoder_names(segmenter).levels
    return {name: parameter for name, parameter in segmenter.named_parameters() if name.startswith(levels)}


def _adapted(segmenter: Segmenter) -> bool:
    return has_adapters(name for name, _ in segmenter.named_parameters())
