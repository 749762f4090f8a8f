from __future__ import annotations

from pathlib import Path

import pytest

from anyscope.crossings.plan import CEILING, FLOOR, plan_crossing
from anyscope.errors import BadInput

DATA = {"a": Path("a"), "b": Path("b"), "c": Path("c")}


def test_every_ordered_pair_with_every_method_and_seed_and_the_floor():
    plan = plan_crossing(Path("out"), DATA, ("histogram",), seeds=2, given={"train": {"seed": 5}})
    assert plan.methods == (FLOOR, "histogram")
    cells = plan.crossings()
    assert len(cells) == len(set(cells)) == 6 * 2 * 2
    assert {cell.seed for cell in cells} == {5, 6}
    assert all(cell.source != cell.target for cell in cells)
    assert {(cell.source, cell.seed) for cell in plan.trainings()} == {(n, s) for n in DATA for s in (5, 6)}
    assert {cell.method for cell in plan.trainings()} == {CEILING}
    assert len({cell.folder for cell in [*cells, *plan.trainings()]}) == 24 + 6


def test_a_method_sees_its_own_settings_alone():
    plan = plan_crossing(Path("out"), DATA, ("rescale", "fda"), given={"fda": {"beta": 0.1}, "train": {"epochs": 3}})
    assert plan.settings("fda", 0).steps == {"fda": {"beta": 0.1}}
    assert plan.settings("rescale", 4).steps == {}
    assert plan.settings("rescale", 4).train.seed == 4
    assert plan.settings("rescale", 4).train.epochs == 3


@pytest.mark.parametrize(
    ("data", "methods", "more", "message"),
    [
        ({"a": Path("a")}, ("fda",), {}, "two or more"),
        (DATA, ("fdaa",), {}, "adaptation method 'fdaa'"),
        (DATA, ("fda",), {"given": {"histogram": {}}}, "no method has such a step"),
        (DATA, ("fda",), {"given": {"fda": {"gamma": 1}}}, "gamma"),
        (DATA, ("fda",), {"profile": "slow"}, "profile 'slow'"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(data, methods, more, message):
    with pytest.raises(BadInput, match=message):
        plan_crossing(Path("out"), data, methods, **more)
