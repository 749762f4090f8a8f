"""Another decoder or linker than that of the spec."""

import pytest

from anyscope.errors import BadInput
from anyscope.inference import decoder_of, making_objects, with_decoder
from anyscope.models import SegmenterSpec
from anyscope.models.spec import DecoderSpec, LinkerSpec

BEST = DecoderSpec(name="watershed", parameters={"threshold": 0.3}, linker=LinkerSpec(name="overlap"))
OTHER = DecoderSpec(name="components", parameters={"threshold": 0.7})
SPEC = SegmenterSpec(
    model="unet_simple", task="instances", heads=("mask", "boundary"), decoder=BEST, alternatives=(OTHER,)
)


def test_nothing_asked_for_changes_nothing():
    assert with_decoder(SPEC, None, None) == SPEC
    assert decoder_of(SPEC).describe().startswith("watershed in each slice of the mask above 0.3")
    assert "linked" in decoder_of(SPEC).describe()


def test_a_decoder_comes_with_the_parameters_tuned_for_it():
    assert with_decoder(SPEC, "components", None).decoder == OTHER
    untuned = with_decoder(SPEC, "agglomeration", None).decoder
    assert untuned.name == "agglomeration"
    assert untuned.linker is None


def test_objects_of_the_volume_at_once():
    whole = with_decoder(SPEC, None, "volume").decoder
    assert whole.linker is None
    assert whole.parameters == {"threshold": 0.3, "dimensions": 3}
    tuned = DecoderSpec(name="watershed", parameters={"threshold": 0.8, "dimensions": 3})
    slicewise = BEST.model_copy(update={"parameters": {"threshold": 0.3, "dimensions": 2}})
    spec = SPEC.model_copy(update={"decoder": slicewise, "alternatives": (tuned,)})
    assert with_decoder(spec, None, "volume").decoder == tuned
    back = with_decoder(spec.model_copy(update={"decoder": tuned, "alternatives": (slicewise,)}), None, "overlap")
    assert back.decoder == slicewise


def test_linkers():
    assert with_decoder(SPEC, None, "none").decoder.linker is None
    assert with_decoder(SPEC, "components", "overlap").decoder.linker == BEST.linker
    assert decoder_of(with_decoder(SPEC, None, "multicut")).linker.name == "multicut"
    bare = SPEC.model_copy(update={"decoder": None})
    assert with_decoder(bare, None, "overlap").decoder.name == "watershed"


@pytest.mark.parametrize(("decoder", "linker"), [("mutex_watershed", None), ("wishes", None), (None, "wishes")])
def test_what_does_not_fit_is_refused(decoder, linker):
    with pytest.raises(BadInput):
        with_decoder(SPEC, decoder, linker)


def test_objects_of_a_mask_are_above_its_threshold():
    mask = DecoderSpec(name="threshold", parameters={"threshold": 0.3})
    spec = SegmenterSpec(model="unet_simple", task="semantic", decoder=mask)
    made = making_objects(spec)
    assert (made.task, made.decoder) == ("instances", DecoderSpec(name="components", parameters={"threshold": 0.3}))
    assert "above 0.3" in decoder_of(made).describe()
    assert "above 0.5" in decoder_of(making_objects(spec.model_copy(update={"decoder": None}))).describe()
