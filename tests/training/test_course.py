"""The loop on a course so small that its end can be worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from anyscope.errors import BadInput
from anyscope.running.run_folder import RunFolder
from anyscope.training.course import Course, follow


class Sum(Course):
    """Its weight becomes the sum of what its steps draw; each step's loss is its number."""

    def __init__(self, dropout=0.0):
        self.net = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.net.weight)
        self.dropout = dropout
        self.seen, self.epochs = [], []

    @property
    def parts(self):
        return {"net": self.net}

    def begin_epoch(self, epoch):
        self.epochs.append(epoch)

    def step(self, number):
        self.seen.append(number)
        drawn = nn.functional.dropout(torch.ones(1000), self.dropout).mean()
        with torch.no_grad():
            self.net.weight += (number + 1) * drawn
        return {"loss": torch.tensor(float(number)), "drawn": drawn}

    def end_epoch(self, epoch, means):
        return {"twice": 2 * means["loss"]}


def go(course, folder, epochs, **more):
    run = RunFolder(folder)
    folder.mkdir(exist_ok=True)
    follow(course, run, epochs=epochs, steps=3, seed=5, device="cpu", **more)
    return run.records()


def test_steps_are_numbered_over_all_epochs_and_recorded_as_means(tmp_path):
    course = Sum()
    records = go(course, tmp_path / "run", 2)
    assert course.seen == [0, 1, 2, 3, 4, 5]
    assert course.epochs == [0, 1]
    assert course.net.weight.item() == 1 + 2 + 3 + 4 + 5 + 6
    assert [record["train_loss"] for record in records] == [1.0, 4.0]
    assert [record["twice"] for record in records] == [2.0, 8.0]
    assert [record["step"] for record in records] == [3, 6]


def test_a_course_goes_on_where_it_stopped_with_the_same_dropout(tmp_path):
    whole = Sum(0.5)
    go(whole, tmp_path / "whole", 4)
    go(Sum(0.5), tmp_path / "parts", 2)
    rest = Sum(0.5)
    records = go(rest, tmp_path / "parts", 4)
    assert rest.seen == [6, 7, 8, 9, 10, 11]
    assert torch.equal(rest.net.weight, whole.net.weight)
    assert [record["epoch"] for record in records] == [1, 2, 3, 4]


def test_a_finished_course_does_nothing(tmp_path):
    go(Sum(), tmp_path / "run", 2)
    again = Sum()
    go(again, tmp_path / "run", 2)
    assert again.seen == []
    assert again.net.weight.item() == 21


def test_the_callback_comes_before_the_checkpoint(tmp_path):
    there = []
    go(
        Sum(),
        tmp_path / "run",
        2,
        after_epoch=lambda epoch: there.append((epoch, (tmp_path / "run/checkpoints").exists())),
    )
    assert there == [(1, False), (2, True)]


def test_the_global_stream_is_left_alone(tmp_path):
    course = Sum(0.5)
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    go(course, tmp_path / "run", 1)
    assert torch.equal(torch.rand(3), expected)


def test_an_infinite_loss_is_one_line_that_names_it(tmp_path):
    class Exploding(Sum):
        def step(self, number):
            return {"loss": torch.tensor(1.0), "gradient penalty": torch.tensor(float("nan") if number == 4 else 0.0)}

    with pytest.raises(BadInput, match=r"step 4: the gradient penalty is nan"):
        go(Exploding(), tmp_path / "run", 2, title="style")
