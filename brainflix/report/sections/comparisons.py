"""Systems beside each other on the same clips, and predicted vectors beside true ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brainflix.report.contents import Contents
from brainflix.report.html import Markup, element
from brainflix.report.words import interval, number, p_value, signed

_WORDS = frozenset({"on", "target", "by"})  # columns of words, set to the left


def section(contents: Contents) -> Markup | None:
    """Return the comparisons of vectors, or None where no vectors were compared."""
    vectors = _vectors(contents)
    rivals = [
        _rival(contents, rival, targets)
        for rival, targets in contents.metrics.get("comparison", {}).items()
        if targets
    ]
    if not rivals and vectors is None:
        return None
    return element(
        "section",
        element("h2", "Predicted vectors"),
        element(
            "p",
            "What the brain is regressed to, before a generator turns it into pictures. "
            "Identification: how often a predicted vector correlates more with its own clip's "
            "than with another test clip's (chance 0.5). R² is by sums of squares: below 0, "
            "predicting the mean of the test clips would be better, whatever r says.",
        ),
        rivals,
        vectors,
        id="vectors",
    )


def _rival(contents: Contents, rival: str, targets: Mapping[str, Any]) -> Markup:
    this = "network" if rival == "ridge" else contents.experiment
    heads = ["target", "on", this, rival, "difference", "95 % interval", "P", "better"]
    body = []
    for target, found in targets.items():
        by_subject = found["subjects"]
        rows = {name: by_subject[name] for name in contents.subjects if name in by_subject}
        if len(rows) > 1:
            rows = {"all clips": found["pooled"], **rows}
        body.append(
            element("tbody", [_rival_row(target, on, row, this, rival) for on, row in rows.items()])
        )
    return element(
        "div",
        element("h3", f"{this.capitalize() if rival == 'ridge' else this} against {rival}"),
        _scroll(heads, body, f"{this} against {rival}"),
    )


def _rival_row(target: str, on: str, row: Mapping[str, Any], this: str, rival: str) -> Markup:
    better = {"this": this, "other": rival, "neither": "not shown"}[row["better"]]
    cells = [
        number(row["value"]),
        number(row["other"]),
        signed(row["difference"]),
        interval(row["interval"]),
        p_value(row["p"]),
        better,
    ]
    return element(
        "tr",
        element("th", target, scope="row"),
        element("td", on, class_="on"),
        [element("td", cell) for cell in cells],
        class_="pooled" if on == "all clips" else None,
    )


def _vectors(contents: Contents) -> Markup | None:
    heads = ["subject", "target", "by", "identification", "single trials", "r", "R²", "R² single"]
    body = []
    for name in contents.subjects:
        rows = [
            _vector_row(name, target, estimator, found)
            for target, by in contents.metrics["subjects"][name].get("vectors", {}).items()
            for estimator, found in by.items()
        ]
        if rows:
            body.append(element("tbody", rows))
    if not body:
        return None
    return element(
        "div",
        element("h3", "Averaged repeats and single trials"),
        _scroll(heads, body, "Predicted vectors of every subject"),
    )


def _vector_row(name: str, target: str, estimator: str, found: Mapping[str, Any]) -> Markup:
    averaged, single = found["averaged"], found.get("single", {})
    cells = [
        averaged["identification"],
        single.get("identification"),
        averaged["r"],
        averaged["r2"],
        single.get("r2"),
    ]
    return element(
        "tr",
        element("th", name, scope="row"),
        element("td", target, class_="on"),
        element("td", estimator, class_="on"),
        [element("td", number(cell)) for cell in cells],
    )


def _scroll(heads: list[str], body: list[Markup], label: str) -> Markup:
    cells = [
        element("th", each, scope="col", class_="on" if each in _WORDS else None) for each in heads
    ]
    head = element("thead", element("tr", cells))
    return element(
        "div",
        element("table", head, body),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label=label,
    )
