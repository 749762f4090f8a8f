"""Tables of an adaptation: the domains side by side, the steps, choices of the rules, what was known of candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from anyscope.adaptation.catalog import STEPS
from anyscope.adaptation.priors import PRIORS
from anyscope.adaptation.traits import Traits
from anyscope.reports.adaptation_steps import StepView
from anyscope.reports.blocks import Cell, DataTable, Facts, HeatMap, Shade
from anyscope.reports.numbers import MISSING, capitalised, number, score
from anyscope.reports.shading import shade

Row = tuple[str | float | Cell | None, ...]

_DOMAINS = (
    ("pixel_nm", "Pixel size in nm"),
    ("mean", "Mean grey level, 0 black to 1 white"),
    ("contrast", "Contrast: deviation of the grey level"),
    ("noise", "Noise: its standard deviation"),
    ("detail_px", "Finest detail, in working pixels: larger is blurrier"),
    ("slope", "Slope of the spectrum: more negative is smoother"),
    ("padding", "Black padding, share of the pixels"),
)
_RULES = {
    "source-validation": "best on labelled source images; blind to the target",
    "last": "the last epoch; no selection",
    "solidity": "outlines as convex as in the source's labels (3D objects); the published rule",
    "solidity-per-slice": "the same, objects within each slice",
    "area-ratio": "objects take as much of their image as in the source's labels",
    "combined": "all priors together",
}


def domain_table(comparison: Mapping[str, Any]) -> DataTable:
    """Source and target side by side."""
    source, target = comparison["source"], comparison["target"]
    rows: list[Row] = [
        (name, source[key], target[key], _ratio(source[key], target[key]) if key != "slope" else None)
        for key, name in _DOMAINS
        if source[key] is not None or target[key] is not None
    ]
    caption = "How the images of the two domains look, at the pixels the network works at"
    return DataTable(caption, ("Property", "Source", "Target", "Target / source"), tuple(_numbers(row) for row in rows))


def _numbers(row: Row) -> Row:
    return tuple(_dash() if cell is None else cell for cell in row)


def _dash() -> Cell:
    return Cell(MISSING)


def _ratio(source: float | None, target: float | None) -> Cell:
    return Cell(f"{target / source:.2f}", target / source) if source and target is not None else _dash()


def step_table(steps: Sequence[StepView]) -> DataTable:
    """The steps in their order, what each does, and where it was published."""
    known = set(STEPS)
    rows: list[Row] = []
    for step in steps:
        kind = STEPS[step.name] if step.name in known else None
        summary, source = ("", "") if kind is None else (kind.summary, kind.source)
        outcome = MISSING
        if step.choice is not None:
            outcome = f"epoch {step.choice.epoch} of {len(step.candidates)} candidates"
        elif step.stage == "polarity" and step.findings:
            outcome = "inverted" if step.findings["inverted"] else "as it is"
        elif step.stage == "scale" and step.findings:
            outcome = f"{step.findings['zoom'] / step.findings['nominal']:.2f} times the nominal scale"
        rows.append((step.name, capitalised(summary), outcome, source))
    return DataTable("The steps", ("Step", "What it does", "Taken", "Published"), tuple(rows))


def rule_table(step: StepView) -> DataTable:
    """What every rule chooses, and what is known of it."""
    rows: list[Row] = []
    for name, choice in step.choices.items():
        chosen = step.candidates[choice.index]
        decided = " (decided)" if name == step.rule else ""
        rows.append(
            (
                f"{name}{decided}",
                _RULES.get(name, ""),
                _epoch(chosen.epoch, step),
                _value(chosen.source_score),
                _share(chosen.target),
                Cell(str(chosen.target.objects), chosen.target.objects),
                _value(chosen.stability),
            )
        )
    columns = ("Rule", "What it takes", "Epoch", "Source score", "Target foreground", "Target objects", "Stability")
    return DataTable("What each selection rule chooses, without labels of the target", columns, tuple(rows))


def candidate_table(step: StepView) -> DataTable:
    """Everything that was known of the candidates."""
    rows: list[Row] = []
    for one in step.candidates:
        target = one.target
        rows.append(
            (
                _epoch(one.epoch, step),
                _value(one.source_score),
                _share(target),
                Cell(f"{target.objects_per_megapixel:.0f}", target.objects_per_megapixel),
                _value(target.median_area_px),
                _value(target.solidity),
                _value(target.solidity_per_slice),
                _value(target.entropy_bits),
                _value(one.stability),
                _value(one.agreement),
            )
        )
    columns = (
        "Epoch", "Source score", "Foreground", "Objects / megapixel", "Median area, px", "Solidity, 3D objects",
        "Solidity per slice", "Entropy, bit", "Stability", "Agreement",
    )  # fmt: skip
    return DataTable("The numbers behind the curves", columns, tuple(rows), collapsed=True)


def _epoch(epoch: int, step: StepView) -> Cell:
    return Cell(str(epoch), epoch, "collapsed" if epoch in step.collapsed else "")


def _value(value: float | None) -> Cell:
    return _dash() if value is None else Cell(score(value), value)


def _share(target: Traits) -> Cell:
    return Cell(f"{target.foreground_fraction:.1%}", target.foreground_fraction)


TERMS = (
    "The combined score adds up how far a candidate's predictions of the target are from what is expected of good "
    "ones and, in training on labels, its score on source validation from the best. Low (dark) is good; * marks what "
    "this rule takes, x what has collapsed."
)


def term_map(step: StepView) -> HeatMap | None:
    """The terms of the combined rule for each candidate, as parts of its score; None where it has none."""
    choice = step.choices.get("combined")
    if choice is None or not any(choice.terms):
        return None
    names = list(dict.fromkeys(name for terms in choice.terms for name in terms))
    weights = sum(PRIORS[name].weight for name in names if name in PRIORS) or 1.0
    parts = {name: [terms.get(name) for terms in choice.terms] for name in names}
    largest = max((value for values in parts.values() for value in values if value is not None), default=0.0) or 1.0
    rows: list[tuple[str, tuple[Shade | None, ...]]] = [
        (name, tuple(None if value is None else _shade(value / weights, value / largest) for value in values))
        for name, values in parts.items()
    ]
    known = [value for value in choice.scores if value is not None]
    top = max(known, default=0.0) or 1.0
    rows.append(("sum", tuple(None if value is None else _shade(value, value / top) for value in choice.scores)))
    columns = tuple(
        f"{one.epoch}{' *' if number == choice.index else ''}{' x' if one.epoch in step.collapsed else ''}"
        for number, one in enumerate(step.candidates)
    )
    return HeatMap("Terms of the combined score", (("epoch", len(columns)),), columns, tuple(rows))


def _shade(value: float, colour: float) -> Shade:
    found = shade(colour)
    assert found is not None
    return replace(found, text=f"{value:.2f}")


def prior_facts() -> Facts:
    """What the terms of the combined rule mean."""
    entries = {name: f"{prior.meaning}; weight {prior.weight:g}, spread {prior.spread:g}"
               for name, prior in PRIORS.items()}  # fmt: skip
    return Facts.of("What the terms of the combined rule are", entries, collapsed=True)


def translation_table(step: StepView) -> DataTable:
    """What was found of the translations after each epoch that was examined."""
    rows: list[Row] = []
    for epoch, found in step.examinations.items():
        structure, foreground = found["structure"], found["foreground"]
        taken = step.choice is not None and str(step.choice.epoch) == epoch
        row = (
            Cell(epoch, int(epoch), "taken" if taken else ""),
            _percent(structure["invented"]),
            _percent(structure["lost"]),
            _value(structure["agreement"]),
            _percent(foreground["before"]),
            _percent(foreground["after"]),
            _percent(foreground["on_invented"]),
            _value(foreground["cycle"]),
            Cell(str(len(found["alarms"])), len(found["alarms"])),
        )
        rows.append(row)
    columns = (
        "Epoch", "Structure invented, of the area", "Lost", "Explained by the original", "Foreground before", "After",
        "Of it on invented structure", "Dice there and back", "Alarms",
    )  # fmt: skip
    return DataTable("Whether translations show what their originals show", columns, tuple(rows))


def _percent(value: float | None) -> Cell:
    return _dash() if value is None else Cell(f"{value:.1%}", value)


def transfer_facts(findings: Mapping[str, Any]) -> tuple[Facts, DataTable]:
    """Which weights went from pre-training into the training on labels: in short, and tensor by tensor."""
    transfer, frozen = findings["transfer"], set(findings["frozen"])
    other = {each["tensor"]: each for each in transfer["other_shape"]}
    facts = {
        "taken over": f"{len(transfer['loaded'])} tensors",
        "kept fixed in the training that follows": f"{len(frozen)} tensors, the encoder" if frozen else "none",
        "not in the pre-trained network": f"{len(transfer['missing'])} tensors",
        "of another shape there": f"{len(other)} tensors",
        "not used": f"{len(transfer['unexpected'])} tensors",
    }
    rows: list[Row] = [(name, "taken over, fixed" if name in frozen else "taken over") for name in transfer["loaded"]]
    rows += [(name, "kept as it was: not there") for name in transfer["missing"]]
    rows += [(name, f"kept as it was: {each['in_file']} there, {each['here']} here") for name, each in other.items()]
    rows += [(name, "not used") for name in transfer["unexpected"]]
    table = DataTable("Every tensor", ("Tensor", "What became of it"), tuple(rows), collapsed=True)
    return Facts.of("Which weights were transferred", facts), table


def scale_table(findings: Mapping[str, Any]) -> DataTable:
    """Every scale that was tried."""
    rows: list[Row] = []
    for zoom, found, judged in zip(findings["zooms"], findings["scores"], findings["judgements"], strict=True):
        factor, target = zoom / findings["nominal"], Traits.from_dict(judged["target"], "findings.json")
        note = "taken" if zoom == findings["zoom"] else "nominal" if zoom == findings["nominal"] else ""
        number_of = Cell(f"{factor:.2f}", factor, note)
        rows.append((number_of, _value(found), _share(target), Cell(str(target.objects), target.objects),
                     _value(judged["stability"])))  # fmt: skip
    rows.sort(key=lambda row: row[0].value or 0.0 if isinstance(row[0], Cell) else 0.0)
    columns = ("Times the nominal scale", "Score", "Foreground", "Objects", "Stability")
    return DataTable("The scales that were tried", columns, tuple(rows), collapsed=True)


def distance_facts(comparison: Mapping[str, Any]) -> Facts:
    """How far the domains are apart as a whole."""
    facts = {
        "grey levels apart (0 alike, 1 black against white)": number(comparison["histogram_distance"]),
        "spectra apart, decades of power": number(comparison["spectrum_distance"]),
    }
    if comparison["object_px"] is not None:
        facts["objects of the source, working pixels across"] = f"{comparison['object_px']:.0f}"
    facts["what these differences speak for"] = comparison["proposal"]
    return Facts.of("In all", facts)
