"""Made judgements for tests of selection."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from anyscope.adaptation.selection import Judgement
from anyscope.adaptation.traits import Traits

REFERENCE = Traits(
    planes=4,
    pixels=4 * 512 * 512,
    foreground_px=62_915,
    objects=60,
    specks=0,
    mean_area_px=1048.0,
    median_area_px=900.0,
    largest_share=0.02,
    solidity=0.95,
    solidity_per_slice=0.97,
    area_ratio=0.004,
    entropy_bits=None,
    unsure=None,
)
GOOD = replace(REFERENCE, entropy_bits=0.05, unsure=0.02)
EMPTY = replace(
    GOOD,
    foreground_px=0,
    objects=0,
    mean_area_px=None,
    median_area_px=None,
    largest_share=0.0,
    solidity=None,
    solidity_per_slice=None,
    area_ratio=None,
)
FULL = replace(GOOD, foreground_px=GOOD.pixels, objects=4, largest_share=1.0, solidity=1.0, solidity_per_slice=1.0)
SPECKLED = replace(EMPTY, foreground_px=20_000, specks=5000, largest_share=1e-5)
COLLAPSED = {"empty": EMPTY, "full": FULL, "specks": SPECKLED, "nothing": replace(EMPTY, planes=0, pixels=0)}


def judged(epoch=1, target=GOOD, **changes):
    """A judgement with usual values."""
    given = {"source_score": 0.8, "source": GOOD, "agreement": 0.9, "stability": 0.9, **changes}
    return Judgement(epoch=epoch, target=target, **given)


unit = st.floats(0.01, 1.0)
good_traits = st.builds(
    lambda share, count, solidity, area, entropy: replace(
        GOOD,
        foreground_px=int(share * GOOD.pixels),
        objects=count,
        median_area_px=area,
        mean_area_px=area,
        solidity=solidity,
        solidity_per_slice=solidity,
        area_ratio=area / 512**2,
        entropy_bits=entropy,
    ),
    st.floats(0.01, 0.9),
    st.integers(1, 1000),
    st.floats(0.3, 1.0),
    st.floats(11, 1e5),
    st.floats(0, 1),
)
collapsed_traits = st.sampled_from(list(COLLAPSED.values()))
maybe = st.none() | unit
judgements = st.builds(
    judged,
    epoch=st.integers(0, 100),
    target=good_traits | collapsed_traits,
    source_score=maybe,
    source=st.none() | good_traits,
    agreement=maybe,
    stability=maybe,
)
