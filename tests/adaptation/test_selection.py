"""Rules of selection: their definitions on cases worked by hand, and what holds for every rule."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyscope.adaptation.priors import PRIORS, Combined, deviations
from anyscope.adaptation.selection import RULES, Choice, Judgement, collapse, regret
from anyscope.errors import BadInput

from .judgements import COLLAPSED, EMPTY, FULL, GOOD, REFERENCE, judged, judgements

candidates = st.lists(judgements, min_size=1, max_size=6)
every_rule = pytest.mark.parametrize("rule", list(RULES))


def test_the_rules_have_the_names_that_reports_use():
    assert list(RULES) == ["source-validation", "last", "solidity", "solidity-per-slice", "area-ratio", "combined"]


def test_the_published_rule_takes_the_nearest_solidity():
    judged_ones = [
        judged(epoch, replace(GOOD, solidity=solidity, solidity_per_slice=0.5))
        for epoch, solidity in ((2, 0.90), (4, 0.96), (6, 0.93), (8, 0.99))
    ]
    choice = RULES["solidity"](judged_ones, REFERENCE)
    assert (choice.index, choice.epoch) == (1, 4)
    assert choice.scores == pytest.approx((0.05, 0.01, 0.02, 0.04))
    assert choice.better == "lower"


def test_both_variants_of_solidity_are_kept_apart():
    one = judged(1, replace(GOOD, solidity=0.95, solidity_per_slice=0.90))
    two = judged(2, replace(GOOD, solidity=0.90, solidity_per_slice=0.97))
    assert RULES["solidity"]([one, two], REFERENCE).epoch == 1
    assert RULES["solidity-per-slice"]([one, two], REFERENCE).epoch == 2


def test_area_ratio_is_taken_for_planes_of_one_size():
    """Objects of 1048 px: .004 of a plane of 512 x 512, .016 of one of 256 x 256, which is the same."""
    small = replace(GOOD, pixels=GOOD.planes * 256**2, area_ratio=0.016, foreground_px=15_000)
    larger = replace(GOOD, area_ratio=0.005)
    choice = RULES["area-ratio"]([judged(1, larger), judged(2, small)], REFERENCE)
    assert choice.scores == pytest.approx((0.001, 0))
    assert choice.epoch == 2


def test_source_validation_and_last():
    ones = [judged(1, source_score=0.7), judged(2, source_score=0.9), judged(3, source_score=None)]
    assert RULES["source-validation"](ones, REFERENCE).epoch == 2
    assert RULES["last"](ones, REFERENCE).epoch == 3


@every_rule
@pytest.mark.parametrize("fallen", COLLAPSED.values(), ids=list(COLLAPSED))
def test_a_collapsed_prediction_never_wins(rule, fallen):
    """However good everything else about it is, and however bad the other one."""
    poor = judged(1, replace(GOOD, solidity=0.5, solidity_per_slice=0.5, area_ratio=0.1), source_score=0.01)
    best = judged(2, fallen, source_score=1.0, agreement=1.0, stability=1.0)
    choice = RULES[rule]([poor, best], REFERENCE)
    assert choice.epoch == 1
    assert not choice.collapsed
    assert "1 of 2 candidates have collapsed" in choice.alarms[0]
    assert "epoch 2" in choice.alarms[0]


@every_rule
def test_where_all_have_collapsed_the_choice_says_so(rule):
    choice = RULES[rule]([judged(1, EMPTY), judged(2, FULL)], REFERENCE)
    assert choice.collapsed
    assert choice.alarms[0].startswith("COLLAPSED")


@every_rule
@given(candidates)
def test_the_choice_is_among_the_best_that_have_not_collapsed(rule, judged_ones):
    choice = RULES[rule](judged_ones, REFERENCE)
    fallen = [collapse(each.target, REFERENCE) is not None for each in judged_ones]
    assert choice.collapsed == all(fallen)
    assert choice.collapsed or not fallen[choice.index]
    assert choice.epoch == judged_ones[choice.index].epoch
    assert bool(any(fallen)) <= bool(choice.alarms)
    json.dumps(choice.to_dict(), allow_nan=False)
    eligible = [i for i in range(len(judged_ones)) if all(fallen) or not fallen[i]]
    scores = [choice.scores[i] for i in eligible if choice.scores[i] is not None]
    if scores:
        best = min(scores) if choice.better == "lower" else max(scores)
        assert choice.scores[choice.index] == best
        ties = [judged_ones[i].epoch for i in eligible if choice.scores[i] == best]
        assert choice.epoch == min(ties)


@given(candidates, st.sampled_from(["solidity", "solidity-per-slice", "area-ratio"]))
def test_priors_of_shape_look_at_nothing_but_the_target(judged_ones, rule):
    changed = [replace(each, source_score=0.5, source=None, agreement=None, stability=None) for each in judged_ones]
    assert RULES[rule](changed, REFERENCE) == RULES[rule](judged_ones, REFERENCE)


@given(st.lists(judgements, min_size=1, max_size=6, unique_by=lambda each: each.epoch), st.randoms())
def test_the_order_of_candidates_does_not_matter(judged_ones, random):
    shuffled = random.sample(judged_ones, len(judged_ones))
    for name in ("solidity", "area-ratio", "last"):
        one, other = RULES[name](judged_ones, REFERENCE), RULES[name](shuffled, REFERENCE)
        if any(score is not None for score in one.scores):
            scored = [judged_ones[i] for i, score in enumerate(one.scores) if score is not None]
            if any(collapse(each.target, REFERENCE) is None for each in scored):
                assert one.epoch == other.epoch


@given(judgements)
def test_judgements_survive_json(judgement):
    plain = json.loads(json.dumps(judgement.to_dict(), allow_nan=False))
    assert Judgement.from_dict(plain) == judgement


def test_of_equals_the_earliest_is_taken():
    for name in RULES:
        if name != "last":
            assert RULES[name]([judged(5), judged(3), judged(4)], REFERENCE).epoch == 3


def test_unscored_candidates_lose_and_where_none_is_scored_the_last_is_taken():
    one, two = judged(1, source_score=None), judged(2, source_score=0.1)
    assert RULES["source-validation"]([two, one], REFERENCE).epoch == 2
    choice = RULES["source-validation"]([one, replace(one, epoch=7)], REFERENCE)
    assert choice.epoch == 7
    assert "no candidate could be scored" in choice.alarms[0]
    assert RULES["source-validation"]([judged(1, source_score=float("nan")), two], REFERENCE).epoch == 2


def test_no_candidates_are_refused():
    with pytest.raises(BadInput, match="no candidate"):
        RULES["last"]([], REFERENCE)


def test_a_reference_like_that_is_no_collapse():
    everywhere = replace(REFERENCE, foreground_px=int(0.97 * REFERENCE.pixels), largest_share=0.95)
    assert collapse(FULL, everywhere) is None
    tiny = replace(REFERENCE, objects=0, specks=900, foreground_px=4000)
    assert collapse(COLLAPSED["specks"], tiny) is None
    assert "of the pixels" in collapse(FULL, REFERENCE)
    assert "covers" in collapse(replace(GOOD, largest_share=0.93), REFERENCE)
    assert "only" in collapse(replace(GOOD, foreground_px=30), REFERENCE)


def test_a_doubtful_amount_of_foreground_is_an_alarm():
    choice = RULES["last"]([judged(4, replace(GOOD, foreground_px=GOOD.foreground_px // 8))], REFERENCE)
    assert choice.alarms == ("epoch 4 finds 0.75% foreground in the target, source labels have 6.00%",)


def test_regret():
    choice = RULES["solidity"]([judged(1), judged(2, replace(GOOD, solidity=0.8))], REFERENCE)
    assert regret([0.4, 0.55], choice) == pytest.approx(0.15)
    assert regret([0.4, None], choice) == 0
    with pytest.raises(BadInput, match="3 scores"):
        regret([1, 2, 3], choice)


class TestCombined:
    def test_deviations_by_hand(self):
        target = replace(
            GOOD,
            objects=120,
            median_area_px=450.0,
            foreground_px=2 * GOOD.foreground_px,
            solidity_per_slice=0.93,
            entropy_bits=0.2,
        )
        found = deviations(judged(1, target, source_score=0.4, agreement=0.5, stability=0.25), REFERENCE, 0.8)
        ln2 = 0.6931471805599453
        assert found == pytest.approx(
            {
                "solidity": ln2,  # .07 + .01 over .03 + .01
                "area": ln2,
                "count": ln2,
                "foreground": ln2,
                "entropy": ln2,  # four times the entropy, twice the foreground
                "agreement": ln2,
                "stability": 2 * ln2,
                "source": ln2,
            },
            abs=1e-5,
        )

    def test_the_score_by_hand(self):
        """All as in the source but stability, which is one spread away: weight 1 of 6, log(2)."""
        one = judged(1, GOOD, agreement=1.0, stability=2.718281828459045 ** -PRIORS["stability"].spread)
        choice = RULES["combined"]([one], REFERENCE)
        assert choice.scores[0] == pytest.approx(0.6931471805599453 / 6)
        assert choice.terms[0]["stability"] == pytest.approx(0.6931471805599453)

    def test_a_refinement_may_lose_the_source(self):
        """Candidates of a training on labels are compared on it, those of a refinement, which begins at 0, are not."""
        lost = judged(2, source_score=0.4)
        assert RULES["combined"]([judged(1, stability=0.8), lost], REFERENCE).epoch == 1
        refined = RULES["combined"]([judged(0, stability=0.8), lost], REFERENCE)
        assert refined.epoch == 2
        assert "source" not in refined.terms[0]

    def test_being_surer_than_on_the_source_is_not_held_against_a_candidate(self):
        sure = deviations(judged(1, replace(GOOD, entropy_bits=0.001)), REFERENCE, 0.8)
        assert sure["entropy"] == 0

    @pytest.mark.parametrize(
        ("worse", "term"),
        [
            ({"target": replace(GOOD, solidity_per_slice=0.8)}, "solidity"),
            ({"target": replace(GOOD, median_area_px=30.0)}, "area"),
            ({"target": replace(GOOD, objects=1000)}, "count"),
            ({"target": replace(GOOD, foreground_px=GOOD.foreground_px // 4)}, "foreground"),
            ({"target": replace(GOOD, entropy_bits=0.9)}, "entropy"),
            ({"agreement": 0.2}, "agreement"),
            ({"stability": 0.2}, "stability"),
            ({"source_score": 0.6}, "source"),
        ],
    )
    def test_every_prior_counts(self, worse, term):
        choice = RULES["combined"]([judged(1, **worse), judged(2)], REFERENCE)
        assert choice.epoch == 2
        assert choice.terms[0][term] > choice.terms[1][term]
        # Less foreground with as much entropy is more entropy for each pixel of it.
        others = choice.terms[0].keys() - {term, "entropy"}
        assert all(choice.terms[0][name] == choice.terms[1][name] for name in others)

    def test_the_first_candidate_is_not_judged_by_an_agreement_that_it_cannot_have(self):
        ones = [judged(0, agreement=None), judged(1, agreement=0.5), judged(2, agreement=0.9)]
        terms = [term["agreement"] for term in RULES["combined"](ones, REFERENCE).terms]
        assert terms[2] < terms[0] < terms[1]
        nobody = [judged(0, agreement=None), judged(1, agreement=None)]
        assert "agreement" not in RULES["combined"](nobody, REFERENCE).terms[0]

    def test_one_trait_that_differs_between_domains_does_not_overrule_the_others(self):
        """Objects a hundred times denser than in the source, whatever the candidate."""
        dense = replace(GOOD, objects=6000)
        ones = [judged(1, dense, stability=0.4), judged(2, replace(dense, objects=7000), stability=0.95)]
        assert RULES["combined"](ones, REFERENCE).epoch == 2

    @given(st.lists(judgements, min_size=1, max_size=5), st.floats(0.1, 10))
    def test_weights_are_relative(self, judged_ones, factor):
        scaled = Combined(tuple((name, replace(each, weight=each.weight * factor)) for name, each in PRIORS.items()))
        one, other = Combined()(judged_ones, REFERENCE), scaled(judged_ones, REFERENCE)
        assert one.scores == pytest.approx(other.scores)


def test_a_choice_is_plain_data():
    choice = RULES["combined"]([judged(1), judged(2)], REFERENCE)
    assert isinstance(choice, Choice)
    data = json.loads(json.dumps(choice.to_dict(), allow_nan=False))
    assert data["rule"] == "combined"
    assert data["scores"] == list(choice.scores)
