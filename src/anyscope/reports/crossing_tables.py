"""Tables of a crossing: scores of every pair beside floor and ceiling, recovered gaps, regrets of selection."""

from __future__ import annotations

from collections.abc import Sequence

from anyscope.crossings.plan import FLOOR
from anyscope.crossings.summary import MEASURES, ORACLE, SMALL_GAP, PairScore
from anyscope.reports.blocks import Cell, DataTable, HeatMap, Shade
from anyscope.reports.crossing_findings import HARM, Crossed, Pair, arrow
from anyscope.reports.numbers import MISSING
from anyscope.reports.shading import shade
from anyscope.running.ledger import Cell as LedgerCell

NAMES = {"pooled": "pooled over all pixels", "per_slice": "mean over slices"}
_WIDEST_MAP = 20
_DASH = Cell(MISSING)


def _shade(one: PairScore | None) -> Shade | None:
    return None if one is None else shade(one.mean)


def main_map(crossed: Crossed, method: str | None, measure: str = "pooled") -> HeatMap:
    """Source x target: without adaptation, with a method, and trained on the target's own labels.

    Args:
        crossed: The numbers.
        method: The method; None shows floor and ceiling alone.
        measure: ``pooled`` or ``per_slice``.
    """
    data = crossed.data
    titles = ["no adaptation", *([] if method is None else [method])]
    rows = []
    for source in data:
        cells = [_shade(crossed.floor((source, target), measure)) for target in data]
        if method is not None:
            cells += [_shade(crossed.score((source, target), method, measure)) for target in data]
        rows.append((source, tuple(cells)))
    own = tuple(_shade(crossed.ceiling(target, measure)) for target in data)
    ceiling = ("own labels", (*own, *([None] * (len(rows[0][1]) - len(own)))))
    if method is not None:
        ceiling = ("own labels", (*own, *own))
    columns = data * len(titles)
    caption = f"Score on the test part of the target (columns) after learning from the source (rows), {NAMES[measure]}"
    scale = tuple(one for value in (0.0, 0.25, 0.5, 0.75, 1.0) if (one := shade(value)) is not None)
    groups = tuple((title, len(data)) for title in titles)
    return HeatMap(caption, groups, columns, (*rows, ceiling), scale)


def gain_maps(crossed: Crossed) -> tuple[HeatMap, ...]:
    """Every method on every pair, as gain over no adaptation: pairs are rows, methods columns."""
    methods = crossed.ranked + tuple(method for method in crossed.adapting if method not in crossed.ranked)
    maps = []
    for start in range(0, len(methods), _WIDEST_MAP):
        shown = methods[start : start + _WIDEST_MAP]
        rows = []
        for pair in crossed.pairs:
            gains = [crossed.gain(pair, method) for method in shown]
            cells = [None if gain is None else gain_shade(gain) for gain in gains]
            rows.append((arrow(pair), tuple(cells)))
        caption = f"Gain of every method over no adaptation, {NAMES['pooled']}, selection {crossed.rule}"
        maps.append(HeatMap(caption, (("method", len(shown)),), shown, tuple(rows)))
    return tuple(maps)


def gain_shade(gain: float) -> Shade:
    """A gain on orange where it is a loss and on blue where it is one, on white where it is neither; full at .3."""
    strength = min(abs(gain) / 0.3, 1.0)
    full = (0, 90, 150) if gain > 0 else (200, 80, 0)
    red, green, blue = (round(250 + (part - 250) * strength) for part in full)
    text = f"{gain:+.2f}".replace("-", "\N{MINUS SIGN}")
    return Shade(text, f"#{red:02x}{green:02x}{blue:02x}", "#ffffff" if strength > 0.75 and gain > 0 else "#000000")


def recovery_table(crossed: Crossed) -> DataTable:
    """What each method recovered, pooled and per slice side by side, where it did worst, and what selection cost."""
    rows: list[tuple[str | float | Cell | None, ...]] = []
    order = (*crossed.ranked, *(method for method in crossed.methods if method not in crossed.ranked))
    for method in order:
        found = [crossed.recovery(method, measure) for measure in MEASURES]
        if found[0] is None:
            rows.append((method, *[_DASH] * 7))
            continue
        best = crossed.recovery(method, "pooled", ORACLE)
        row: list[str | float | Cell | None] = [method if method != FLOOR else f"{method} (no adaptation)"]
        row += [_share(None if one is None else one.recovered) for one in found]
        row.append(_share(None if best is None else best.recovered))
        row.append(Cell(str(found[0].pairs), found[0].pairs))
        row += [_gain(one.worst, one.worst_pair) if one is not None else _DASH for one in found]
        harmed = len(crossed.harmed(method))
        row.append(Cell(str(harmed), harmed))
        rows.append(tuple(row))
    columns = (
        "Method", "Recovered, pooled", "Recovered, per slice", "With the best candidate", "Pairs", "Worst gain, pooled",
        "Worst gain, per slice", f"Pairs worse by more than {HARM}",
    )  # fmt: skip
    caption = f"Share of the gap between no adaptation and own labels that is recovered, selection {crossed.rule}"
    return DataTable(caption, columns, tuple(rows))


def _share(value: float | None) -> Cell:
    return _DASH if value is None else Cell(f"{value:.0%}", value)


def _gain(value: float, where: str) -> Cell:
    return Cell(f"{value:+.3f}", value, arrow(where))


def regret_table(crossed: Crossed) -> DataTable:
    """What each rule loses to the best candidate, for every method, pooled and beneath it per slice."""
    methods = [method for method in crossed.methods if crossed.recovery(method) is not None]
    rules = sorted(crossed.rules, key=lambda rule: (crossed.regret(rule) is None, crossed.regret(rule) or 0.0))
    rows: list[tuple[str | float | Cell | None, ...]] = [
        ("all methods", *(_regrets(crossed.regret(rule), crossed.regret(rule, "per_slice")) for rule in rules))
    ]
    for method in methods:
        found = [[crossed.recovery(method, measure, rule) for measure in MEASURES] for rule in rules]
        cells = [_regrets(*(None if one is None else one.regret for one in pair)) for pair in found]
        rows.append((method, *cells))
    caption = (
        "By how much the candidate that each rule takes is worse than the best one, mean over pairs and seeds, pooled; "
        "beneath it per slice"
    )
    columns = (f"{rule} (default)" if rule == crossed.rule else rule for rule in rules)
    return DataTable(caption, ("Method", *columns), tuple(rows))


def _regrets(pooled: float | None, sliced: float | None) -> Cell:
    return _DASH if pooled is None else Cell(f"{pooled:.3f}", pooled, "" if sliced is None else f"{sliced:.3f}")


def _breakable(method: str) -> str:
    """A method with places where its name may be broken."""
    return method.replace("+", "+\N{ZERO WIDTH SPACE}")


def pair_table(crossed: Crossed, pairs: Sequence[Pair], caption: str, collapsed: bool = False) -> DataTable:
    """Scores of pairs: floor, every method, ceiling; beneath each score that per slice."""
    rows: list[tuple[str | float | Cell | None, ...]] = []
    for pair in pairs:
        gap = crossed.gap(pair)
        row: list[str | float | Cell | None] = [arrow(pair)]
        row.append(_both(crossed.floor(pair), crossed.floor(pair, "per_slice")))
        row += [_both(crossed.score(pair, name), crossed.score(pair, name, "per_slice")) for name in crossed.adapting]
        row.append(_both(crossed.ceiling(pair[1]), crossed.ceiling(pair[1], "per_slice")))
        row.append(_DASH if gap is None else Cell(f"{gap:.3f}", gap))
        rows.append(tuple(row))
    columns = ("Pair", "No adaptation", *map(_breakable, crossed.adapting), "Own labels", "Gap")
    return DataTable(caption, columns, tuple(rows), collapsed)


def _both(pooled: PairScore | None, sliced: PairScore | None) -> Cell:
    if pooled is None:
        return _DASH
    spread = "" if pooled.deviation is None else f" ± {pooled.deviation:.3f}"
    return Cell(f"{pooled.mean:.3f}{spread}", pooled.mean, "" if sliced is None else f"{sliced.mean:.3f}")


def small_pairs(crossed: Crossed) -> tuple[Pair, ...]:
    """Pairs that have too little to recover."""
    return tuple(pair for pair in crossed.pairs if (gap := crossed.gap(pair)) is not None and gap < SMALL_GAP)


def failure_table(failures: Sequence[LedgerCell]) -> DataTable:
    """Cells that failed, and why."""
    rows = tuple(
        (f"{source} to {target}", method, seed, cell.failure or "")
        for cell in failures
        for source, target, method, seed in [cell.key]
    )
    return DataTable("Cells that failed", ("Pair", "Method", "Seed", "Why"), rows)
