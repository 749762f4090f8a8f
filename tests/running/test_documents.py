"""Entries of registries from plain data: built alike from dataclasses and models, mistakes explained in one line."""

from dataclasses import dataclass
from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from anyscope.errors import BadInput
from anyscope.running.documents import build_entry


@dataclass(frozen=True)
class Plain:
    offsets: tuple[tuple[int, int], ...]
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5


class Model(BaseModel):
    offsets: tuple[tuple[int, int], ...]
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5


kinds = pytest.mark.parametrize("kind", [Plain, Model])


@kinds
def test_values_take_the_types_of_the_fields(kind):
    made = build_entry(kind, {"offsets": [[0, 1], [-1, 0]]}, "entry 'a'")
    assert isinstance(made, kind)
    assert (made.offsets, made.share) == (((0, 1), (-1, 0)), 0.5)
    assert build_entry(kind, vars(made), "entry 'a'") == made


@kinds
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"offsets": [], "shar": 0.5}, r"^option of entry 'a' 'shar': no such name; .*did you mean 'share'"),
        ({}, r"^option 'offsets' of entry 'a': Field required$"),
        ({"offsets": [], "share": 1}, r"^option 'share' of entry 'a': Input should be less than 1, found 1$"),
        ({"offsets": [[0]]}, r"^option 'offsets\.0\.1' of entry 'a'"),
    ],
)
def test_mistakes_are_explained(kind, given, message):
    with pytest.raises(BadInput, match=message):
        build_entry(kind, given, "entry 'a'", "option")
