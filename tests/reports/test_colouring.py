from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist

from anyscope.reports.colouring import Colouring, matching_colours, neighbours, object_colours
from anyscope.reports.palette import OBJECTS, object_palette


def brute_force(labels: np.ndarray, reach: int) -> set[tuple[int, int]]:
    """Neighbours by the distances between all their pixels."""
    stack = labels if labels.ndim == 3 else labels[None]
    pixels = {int(name): np.argwhere(stack == name) for name in np.unique(stack[stack != 0])}
    pairs = set()
    for first, second in combinations(pixels, 2):
        apart = np.abs(pixels[first][:, None, 0] - pixels[second][None, :, 0])
        across = cdist(pixels[first][:, 1:], pixels[second][:, 1:])
        if ((apart == 0) & (across <= reach)).any() or ((apart == 1) & (across == 0)).any():
            pairs.add((first, second))
    return pairs


def assert_proper(labels: np.ndarray, colouring: Colouring, reach: int) -> None:
    numbers = dict(zip(colouring.ids.tolist(), colouring.numbers.tolist(), strict=True))
    assert sorted(numbers) == np.unique(labels[labels != 0]).tolist()
    assert min(numbers.values(), default=1) >= 1
    assert all(numbers[first] != numbers[second] for first, second in brute_force(labels, reach))


PLANES = arrays(np.int32, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=st.integers(0, 9))
STACKS = arrays(np.int64, st.tuples(*[st.integers(1, 4)] * 3), elements=st.integers(0, 7))
LABELS = st.one_of(PLANES, STACKS)


@given(LABELS, st.integers(1, 3))
def test_neighbours_agree_with_brute_force(labels: np.ndarray, reach: int) -> None:
    assert set(map(tuple, neighbours(labels, reach).tolist())) == brute_force(labels, reach)


@given(LABELS, st.integers(1, 3), st.integers(1, 4))
def test_neighbours_never_share_a_colour(labels: np.ndarray, reach: int, wished: int) -> None:
    colouring = object_colours(labels, reach, wished)
    assert_proper(labels, colouring, reach)
    pixels = colouring.of(labels)
    assert ((pixels == 0) == (labels == 0)).all()
    palette = object_palette(colouring.count)
    assert len(set(map(tuple, palette.tolist()))) == colouring.count


@given(PLANES, PLANES)
def test_both_of_a_pair_are_proper_even_with_given_colours(reference: np.ndarray, prediction: np.ndarray) -> None:
    shape = np.minimum(reference.shape, prediction.shape)
    reference, prediction = (labels[: shape[0], : shape[1]] for labels in (reference, prediction))
    first, second = matching_colours(reference, prediction, 2, 3)
    assert_proper(reference, first, 2)
    assert_proper(prediction, second, 2)


@given(LABELS, st.randoms(use_true_random=False))
def test_the_numbering_of_objects_does_not_matter(labels: np.ndarray, random) -> None:
    names = [0, *random.sample(range(1, 10**6), 9)]
    other = np.array(names, np.int64)[labels]
    assert (object_colours(labels).of(labels) == object_colours(other).of(other)).all()


@given(LABELS)
def test_the_same_labels_get_the_same_colours_on_both_sides(labels: np.ndarray) -> None:
    renamed = np.where(labels == 0, 0, 40 - labels)
    first, second = matching_colours(labels, renamed)
    assert (first.of(labels) == second.of(renamed)).all()


def test_colours_are_carried_to_partners_where_they_do_not_clash() -> None:
    reference = np.zeros((12, 40), int)
    reference[2:10, 2:10], reference[2:10, 12:20], reference[2:10, 30:38] = 1, 2, 3
    prediction = np.zeros_like(reference)
    prediction[2:10, 2:20] = 7  # both of them; it has as much of either
    prediction[3:10, 30:38] = 4
    first, second = matching_colours(reference, prediction)
    colours = first.of(reference), second.of(prediction)
    assert colours[0][5, 5] != colours[0][5, 15]
    assert colours[1][5, 33] == colours[0][5, 33]
    assert colours[1][5, 5] in (colours[0][5, 5], colours[0][5, 15])
    moved = np.roll(prediction, -8, axis=1)  # 4 now touches 7
    moved[5, 12:24] = 7
    assert_proper(moved, matching_colours(reference, moved)[1], 3)


def test_an_object_has_one_colour_all_through_a_stack() -> None:
    stack = np.zeros((3, 1, 12), int)
    stack[0, 0, :4], stack[1, 0, 2:8], stack[2, 0, 2:8] = 1, 2, 1
    numbers = object_colours(stack)
    assert numbers.ids.tolist() == [1, 2]
    assert numbers.numbers[0] != numbers.numbers[1]


def test_a_map_of_many_cells_needs_no_more_than_the_wished_colours() -> None:
    rng = np.random.default_rng(0)
    points = rng.random((300, 2)) * 200
    grid = np.stack(np.meshgrid(np.arange(200), np.arange(200), indexing="ij"), -1).reshape(-1, 2)
    labels = cdist(grid, points).argmin(1).reshape(200, 200) + 1
    colouring = object_colours(labels)
    counts = np.bincount(colouring.numbers)[1:]
    assert len(counts) == 8
    assert counts.max() - counts.min() <= 2
    assert object_colours(labels, wished=1).count <= 6  # Brelaz is near the four that suffice for a map


def test_a_clique_gets_as_many_colours_as_it_has_objects() -> None:
    labels = np.arange(1, 26).reshape(5, 5)
    assert object_colours(labels, reach_px=6).count == 25


def test_large_ids_and_other_types() -> None:
    labels = np.array([[2**40, 2**40, 7, 7]])
    assert object_colours(labels).of(labels).tolist() == [[1, 1, 2, 2]]
    assert object_colours(np.array([[2**63, 5]], np.uint64)).ids.tolist() == [5, 2**63]
    assert object_colours(np.array([[True, False]])).count == 1
    assert object_colours(np.zeros((4, 4), int)).count == 0
    assert object_colours(labels).of(np.array([[9, 7]])).tolist() == [[0, 2]]


@pytest.mark.parametrize("count", [0, 3, 8, 40, 120])
def test_palettes_have_as_many_different_colours_as_asked_for(count: int) -> None:
    palette = object_palette(count)
    assert palette.shape == (count, 3)
    assert len(np.unique(palette, axis=0)) == count if count else True


def luminance(colour: tuple[int, int, int]) -> float:
    """Relative luminance, WCAG 2.2."""
    unit = np.array(colour) / 255
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


# Machado, Oliveira and Fernandes (2009), severity 1: what people without red, green or blue cones see.
DICHROMATS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


@pytest.mark.parametrize("eyes", [None, *DICHROMATS])
def test_the_first_colours_differ_for_all_eyes_and_from_dark_grey(eyes: str | None) -> None:
    from skimage.color import deltaE_ciede2000, rgb2lab

    unit = np.array(OBJECTS) / 255
    if eyes is not None:
        linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
        seen = np.clip(linear @ np.array(DICHROMATS[eyes]).T, 0, 1)
        unit = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = rgb2lab(unit[None])[0]
    apart = [float(deltaE_ciede2000(a, b)) for a, b in combinations(lab, 2)]
    assert min(apart) > 14
    assert all((luminance(colour) + 0.05) / (luminance((40, 40, 40)) + 0.05) > 3 for colour in OBJECTS)
