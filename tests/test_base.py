"""The base layer: errors, registry, seeds, coordinates, options, the public surface, the house itself."""

from __future__ import annotations

import doctest
import errno
import importlib
import pickle
import pkgutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import anyscope
from anyscope import contracts, errors, geometry, options, registry, seeding
from anyscope.errors import BadInput, EnvironmentFault, Incomplete, explain_os_errors
from anyscope.geometry import Roi, VoxelSize, parse_region
from anyscope.running import progress, run_folder


@pytest.mark.parametrize("module", [contracts, errors, geometry, options, registry, seeding, progress, run_folder])
def test_doctests(module):
    assert doctest.testmod(module).failed == 0


def test_exit_codes_are_those_of_the_design():
    codes = {BadInput: 2, Incomplete: 3, EnvironmentFault: 4, errors.GateFailed: 1}
    assert {kind: kind("a", "b").exit_code for kind in codes} == codes


def test_an_error_is_one_line():
    assert str(BadInput("a.tif", "two\nlines", "one", "join them")) == "a.tif: two lines; expected one; join them"


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "read-only"), (errno.EACCES, "permission")]
)
def test_os_errors_are_explained(number, words):
    with pytest.raises(EnvironmentFault, match=words), explain_os_errors("out"):
        raise OSError(number, "whatever")


def test_a_registry_lists_the_nearest_names_first():
    shapes = registry.Registry[int]("shape")
    shapes.add("circle", 1)
    shapes.add("square", 4)
    with pytest.raises(BadInput, match=r"shape 'squares'.*one of square, circle.*did you mean 'square'"):
        shapes["squares"]
    with pytest.raises(ValueError, match="twice"):
        shapes.add("square", 5)


def test_streams_depend_on_their_name_alone():
    draws = {key: seeding.generator(3, *key).random() for key in [("a",), ("b",), ("a", 1), ("a", "1")]}
    assert len(set(draws.values())) == len(draws)
    assert seeding.generator(3, "a").random() == draws["a",]
    state = torch.random.get_rng_state()
    first = torch.rand(3, generator=seeding.torch_generator(3, "a"))
    assert torch.equal(first, torch.rand(3, generator=seeding.torch_generator(3, "a")))
    assert torch.equal(state, torch.random.get_rng_state())


@st.composite
def boxes(draw):
    start = [draw(st.integers(0, 20)) for _ in range(3)]
    return Roi(tuple(start), tuple(s + draw(st.integers(0, 20)) for s in start))


@given(boxes(), boxes())
def test_intersection_is_that_of_the_voxel_sets(one, other):
    space = np.zeros((2, 41, 41, 41), dtype=bool)
    space[0][one.slices] = True
    space[1][other.slices] = True
    shared = np.zeros_like(space[0])
    shared[one.intersect(other).slices] = True
    assert np.array_equal(shared, space[0] & space[1])
    assert one.intersect(other).size == shared.sum()


@given(st.tuples(*[st.integers(1, 30)] * 3), st.data())
def test_a_region_in_numpy_notation_is_what_numpy_takes(shape, data):
    bound = st.none() | st.integers(-35, 35)
    slices = [slice(data.draw(bound), data.draw(bound)) for _ in range(3)]
    text = (
        "["
        + ", ".join(f"{'' if s.start is None else s.start}:{'' if s.stop is None else s.stop}" for s in slices)
        + "]"
    )
    array = np.arange(np.prod(shape)).reshape(shape)
    expected = array[tuple(slices)]
    if expected.size == 0:
        with pytest.raises(BadInput, match="empty"):
            parse_region(text, shape)
    else:
        assert np.array_equal(array[parse_region(text, shape).slices], expected)


@pytest.mark.parametrize("text", ["", "[:]", "[::2, :, :]", "[:, :, :, :]", "[__import__('os'), :, :]", ":, :, :"])
def test_other_regions_are_refused(text):
    with pytest.raises(BadInput, match="region"):
        parse_region(text, (4, 4, 4))


@pytest.mark.parametrize("sizes", [[1], [1, 2, 3, 4], [0, 1], [-1, 1, 1], [float("nan"), 1, 1], ["a", 1, 1]])
def test_impossible_voxel_sizes_are_refused(sizes):
    with pytest.raises(BadInput):
        VoxelSize.of(sizes)


@pytest.mark.parametrize("pair", ["seed", "=3", "a..b=1", "a={", "a=[1"])
def test_overrides_that_are_no_pairs_are_refused(pair):
    with pytest.raises(BadInput, match="--set"):
        options.parse_overrides([pair])


def test_overrides_read_numbers_as_people_write_them():
    assert options.parse_overrides(["a=1e-3", "b=0.5", "c=true", "d=x", "e=null"]) == {
        "a": 0.001, "b": 0.5, "c": True, "d": "x", "e": None,
    }  # fmt: skip
    with pytest.raises(BadInput, match="value already"):
        options.parse_overrides(["a=1", "a.b=2"])


@pytest.mark.parametrize("text", ["much", "-1", "0", "4 parsecs"])
def test_memory_that_is_none_is_refused(text):
    with pytest.raises(BadInput, match="--memory"):
        options.parse_memory(text)


def test_the_public_surface():
    assert anyscope.__all__ == [
        "demo", "doctor", "list_models", "list_conditions", "list_methods",
        "data_list", "data_get", "data_check", "data_synth", "data_volume", "data_strata", "data_like",
        "data_compare",
        "pretrain", "train", "train_grid", "stress", "adapt", "cross", "predict", "merge", "evaluate",
        "report", "export",
    ]  # fmt: skip
    assert all(callable(getattr(anyscope, name)) for name in anyscope.__all__)
    with pytest.raises(AttributeError):
        anyscope.nothing  # noqa: B018


@pytest.mark.parametrize(
    "module",
    ["anyscope", "anyscope.cli", "anyscope.images", "anyscope.metrics", "anyscope.datasets", "anyscope.models.spec"],
)
def test_light_modules_load_nothing_heavy(module):
    heavy = ("torch", "matplotlib", "numba", "skimage", "zarr", "h5py", "timm", "pyarrow", "accelerate")
    code = f"import {module}, sys; print([name for name in {heavy!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_module_has_a_docstring_and_under_400_lines():
    for info in pkgutil.walk_packages(anyscope.__path__, "anyscope."):
        spec = importlib.util.find_spec(info.name)
        source = spec.loader.get_source(info.name)
        assert source.lstrip().startswith('"""'), info.name
        assert source.count("\n") < 400, info.name


def test_errors_travel_between_processes():
    error = EnvironmentFault("file", "found", "expected", "remedy")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is EnvironmentFault
    assert vars(copy) == vars(error)
    assert str(copy) == str(error)
