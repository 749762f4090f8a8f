from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anyscope.errors import BadInput
from anyscope.images import Intensity
from anyscope.models.spec import VERSION, DecoderSpec, SegmenterSpec

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
plain_data = st.dictionaries(st.text(), plain, max_size=3)
specs = st.builds(
    SegmenterSpec,
    model=st.text(),
    arguments=plain_data,
    task=st.sampled_from(["semantic", "instances"]),
    heads=st.sampled_from([("mask",), ("mask", "boundary", "distance"), ("distance",)]),
    classes=st.integers(2, 1024),
    channels=st.integers(1, 256),
    neighbours=st.integers(0, 64),
    intensity=st.sampled_from([Intensity(), Intensity.parse("dtype"), Intensity.parse("fixed:-3.5,4095")]),
    pixel_size_nm=st.none() | st.floats(1e-3, 1e6),
    decoder=st.none() | st.builds(DecoderSpec, name=st.text(), parameters=plain_data),
    weights=st.text(),
    provenance=plain_data,
)


@settings(deadline=None, max_examples=60)
@given(specs)
def test_spec_survives_json(spec):
    assert SegmenterSpec.from_document(json.loads(json.dumps(spec.to_document())), "file") == spec


def test_tuples_are_plain_data_from_the_start():
    spec = SegmenterSpec(model="unet", task="semantic", arguments={"filters": (1, (2, 3))})
    assert spec.arguments == {"filters": [1, [2, 3]]}


@pytest.mark.parametrize(
    ("heads", "classes", "channels"),
    [(("mask",), 2, 1), (("mask",), 4, 4), (("mask", "boundary", "distance"), 2, 3), (("boundary", "mask"), 3, 4)],
)
def test_out_channels(heads, classes, channels):
    assert SegmenterSpec(model="unet", task="semantic", heads=heads, classes=classes).out_channels == channels


def test_in_channels_count_neighbouring_slices():
    assert SegmenterSpec(model="unet", task="semantic", channels=3, neighbours=2).in_channels == 15


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": VERSION + 1}, f"newer anyscope: version {VERSION + 1} > {VERSION}"),
        ({"version": 0}, "'version'"),
        ({"version": "one"}, "'version'"),
        ({"colour": "red"}, "'colour'"),
        ({"task": "classify"}, "'task'"),
        ({"heads": ["mask", "nose"]}, "'nose' is not a head"),
        ({"heads": ["mask", "mask"]}, "twice"),
        ({"heads": []}, "'heads'"),
        ({"classes": 1}, "'classes'"),
        ({"classes": 10**9}, "'classes'"),
        ({"channels": 10**9}, "'channels'"),
        ({"pixel_size_nm": 0}, "'pixel_size_nm'"),
        ({"pixel_size_nm": float("inf")}, "'pixel_size_nm'"),
        ({"intensity": {"kind": "guess"}}, "'intensity.kind'"),
        ({"decoder": {"name": "watershed", "speed": 3}}, "'decoder.speed'"),
        ({"model": None}, "'model'"),
        ({"provenance": {"when": object()}}, "'provenance.when"),
    ],
)
def test_wrong_documents_are_one_line(change, words):
    document = {**SegmenterSpec(model="unet", task="semantic").to_document(), **change}
    with pytest.raises(BadInput) as caught:
        SegmenterSpec.from_document(document, "segmenter.yaml")
    message = str(caught.value)
    assert words in message
    assert message.startswith("segmenter.yaml: ")
    assert "\n" not in message


@pytest.mark.parametrize("document", [None, [], "text", 3])
def test_documents_that_are_no_mapping(document):
    with pytest.raises(BadInput, match="not a mapping"):
        SegmenterSpec.from_document(document, "segmenter.yaml")


def test_spec_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        SegmenterSpec(model="unet", task="semantic").model = "other"


def test_torch_is_not_imported_by_the_spec():
    code = "import sys, anyscope, anyscope.models.spec; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
