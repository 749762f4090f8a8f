"""How the maps of a segmenter become labels: what its spec says, and what may be asked for instead."""

from __future__ import annotations

from anyscope.errors import BadInput
from anyscope.instances import (
    DECODERS,
    LINKERS,
    Decoding,
    build_decoder,
    build_linker,
    default_decoder,
    fitting_decoders,
)
from anyscope.models import SegmenterSpec
from anyscope.models.spec import DecoderSpec, LinkerSpec

NO_LINKER, IN_THE_VOLUME = "none", "volume"


def decoder_of(spec: SegmenterSpec) -> Decoding:
    """How the maps of a segmenter become labels: as its spec says, or by default for its task and heads."""
    if spec.decoder is None:
        return Decoding(default_decoder(spec.task, spec.layout))
    linker = spec.decoder.linker
    return Decoding(
        build_decoder(spec.decoder.name, spec.decoder.parameters),
        None if linker is None else build_linker(linker.name, linker.parameters),
    )


def making_objects(spec: SegmenterSpec) -> SegmenterSpec:
    """The spec of a network of masks, making objects of them: connected components above the threshold of the mask."""
    threshold = {} if spec.decoder is None else spec.decoder.parameters  # all that a decoder of masks has
    decoder = DecoderSpec(name="components", parameters=threshold)
    return spec.model_copy(update={"task": "instances", "decoder": decoder})


def with_decoder(spec: SegmenterSpec, decoder: str | None, linker: str | None) -> SegmenterSpec:
    """The spec with another way from maps to labels.

    Args:
        spec: What the segmenter is.
        decoder: Name of a decoder: with the parameters that training has tuned for these weights, where it has. None
            for that of the spec.
        linker: Name of a linker for the objects of slices, tuned where it was; ``none`` for none, ``volume`` to make
            objects of the volume at once, None for what goes with the decoder.

    Raises:
        BadInput: The heads do not suffice for the decoder.
    """
    tuned = [one for one in (spec.decoder, *spec.alternatives) if one is not None]
    chosen = spec.decoder
    if decoder is not None:
        name = DECODERS[decoder].name
        fitting = {one.name: one for one in fitting_decoders(spec.task, spec.layout)}
        if name not in fitting:
            found = f"does not fit a {spec.task} segmenter with the heads {', '.join(spec.heads)}"
            raise BadInput(f"decoder {decoder!r}", found, ", ".join(fitting))
        own = DecoderSpec(name=name, parameters=vars(fitting[name]))
        chosen = next((one for one in tuned if one.name == name), own)
    if linker is not None:
        if chosen is None:
            default = default_decoder(spec.task, spec.layout)
            chosen = DecoderSpec(name=default.name, parameters=vars(default))
        chosen = _in_the_volume(chosen, tuned) if linker == IN_THE_VOLUME else _linked(chosen, linker, tuned)
    return spec.model_copy(update={"decoder": chosen})


def _in_the_volume(chosen: DecoderSpec, tuned: list[DecoderSpec]) -> DecoderSpec:
    """The decoder as it was tuned for volumes, or as it is, but in the volume."""
    if not hasattr(build_decoder(chosen.name, chosen.parameters), "dimensions"):
        raise BadInput(f"decoder {chosen.name!r}", "makes no objects", "one that does", "leave --link out")
    for one in tuned:
        if one.name == chosen.name and one.parameters.get("dimensions") == 3:
            return one
    return chosen.model_copy(update={"parameters": {**chosen.parameters, "dimensions": 3}, "linker": None})


def _linked(chosen: DecoderSpec, name: str, tuned: list[DecoderSpec]) -> DecoderSpec:
    """The decoder slice by slice with another linker or none."""
    if chosen.parameters.get("dimensions") == 3:
        slicewise = [one for one in tuned if one.name == chosen.name and one.parameters.get("dimensions", 2) == 2]
        in_slices = {**chosen.parameters, "dimensions": 2}
        chosen = slicewise[0] if slicewise else chosen.model_copy(update={"parameters": in_slices})
    return chosen.model_copy(update={"linker": None if name == NO_LINKER else _linker(name, tuned)})


def _linker(name: str, tuned: list[DecoderSpec]) -> LinkerSpec:
    """A linker with the parameters that were tuned for it, where they were."""
    name = LINKERS[name].name
    known = [one.linker for one in tuned if one.linker is not None and one.linker.name == name]
    return known[0] if known else LinkerSpec(name=name)
