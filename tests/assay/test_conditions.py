from __future__ import annotations

import pytest

from anyscope.assay.conditions import CLEAN, Condition, attack_conditions, suite, suites
from anyscope.attacks import ATTACKS
from anyscope.corruptions import CORRUPTIONS
from anyscope.errors import BadInput


@pytest.mark.parametrize(
    "key",
    [
        "clean",
        "contrast@3",
        "pgd@8",
        "pgd-l2@2",
        "pgd@0.5",
        "shift:other data",
        "apgd:300@8",
        "sea-l2:100@2",
        "transfer/my run.2@8",
        "transfer-l2:30/a@8",
        "universal@8",
        "worst-l2@8",
    ],
)
def test_keys_are_read_back(key):
    assert Condition.parse(key).key == key


def test_parts_of_a_condition():
    attack = Condition.parse("segpgd-l2@4")
    assert (attack.kind, attack.name, attack.level, attack.norm, attack.series) == (
        "attack", "segpgd", 4.0, "l2", "segpgd-l2",
    )  # fmt: skip
    assert Condition.parse("charging@2").family == "electron"
    assert Condition.parse("random_noise@2").family == "control"
    assert CLEAN.family == CLEAN.series == "clean"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("contrast@6", "1, 2, 3, 4 or 5"),
        ("contrast@1.5", "1, 2, 3, 4 or 5"),
        ("contrats@1", "did you mean 'contrast'"),
        ("contrast-l2@1", "no such name"),
        ("contrast", "NAME@SEVERITY"),
        ("contrast:3@1", "no such name"),
        ("pgd:0@8", "NAME@EPSILON"),
        ("transfer@8", "transfer/MODEL"),
        ("pgd/other@8", "transfer/MODEL"),
        ("Contrast@1", "NAME@SEVERITY"),
    ],
)
def test_wrong_conditions(key, message):
    with pytest.raises(BadInput, match=message):
        Condition.parse(key)


def test_suites_have_all_corruptions_of_their_family():
    for family in ("fluorescence", "electron", "digital"):
        names = {condition.name for condition in suite(family)}
        assert names == {name for name, kind in CORRUPTIONS.items() if kind.family == family}
    assert len(suite("full")) == 5 * len(CORRUPTIONS) >= 200
    assert {condition.level for condition in suite("quick")} == {1.0, 3.0, 5.0}
    assert suite("none") == ()


def test_suites_are_joined():
    joined = suites("quick, contrast@2,contrast,charging")
    assert len(joined) == len(set(joined)) == len(suite("quick")) + 2 + 5
    with pytest.raises(BadInput, match=r"suite 'qick'.*did you mean 'quick'"):
        suites("qick")


def test_the_control_stands_beside_every_norm():
    keys = [condition.key for condition in attack_conditions(["pgd", "fgsm-l2"], [8])]
    assert keys == ["pgd@8", "fgsm-l2@8", "random_noise@8", "random_noise-l2@8"]
    everything = attack_conditions(["all"], [1, 2])
    assert {condition.name for condition in everything} == {*ATTACKS, "worst"}
    assert attack_conditions([]) == ()
    with pytest.raises(BadInput, match="did you mean 'pgd'"):
        attack_conditions(["pdg"])


def test_strong_attacks_have_their_parts_sizes_and_worst_case():
    keys = [condition.key for condition in attack_conditions(["strong"], models=["a", "b"])]
    assert [key for key in keys if key.endswith("@8")] == [
        "sea_balanced@8", "sea_masked@8", "sea_js@8", "sea@8", "square@8", "universal@8", "transfer/a@8",
        "transfer/b@8", "worst@8", "random_noise@8",
    ]  # fmt: skip
    assert {key.rpartition("@")[2] for key in keys} == {"2", "8"}
    assert not any("transfer" in condition.name for condition in attack_conditions(["strong"], models=["a"]))
    with pytest.raises(BadInput, match="two networks"):
        attack_conditions(["transfer"], models=["a"])


def test_steps_stand_in_the_key_where_they_are_asked_for():
    keys = [condition.key for condition in attack_conditions(["pgd:100", "apgd", "fgsm", "sea-l2"], [8], 300)]
    assert keys == [
        "pgd:100@8", "apgd:300@8", "fgsm@8", "sea_balanced-l2:300@8", "sea_masked-l2:300@8", "sea_js-l2:300@8",
        "sea-l2:300@8", "worst@8", "worst-l2@8", "random_noise@8", "random_noise-l2@8",
    ]  # fmt: skip


def test_families_say_what_an_attack_knows():
    known = {
        "pgd@8": "attack", "sea_js@8": "attack", "square@8": "black-box", "universal@8": "universal",
        "transfer/a@8": "transfer", "sea@8": "ensemble", "worst@8": "ensemble", "random_noise@8": "control",
    }  # fmt: skip
    assert {key: Condition.parse(key).family for key in known} == known


def test_a_pixel_changes_by_no_more_than_there_is():
    with pytest.raises(BadInput, match="--epsilons: 300"):
        attack_conditions(["pgd"], [8, 300])
    assert attack_conditions(["pgd-l2"], [300])  # a change of many pixels together may be longer
