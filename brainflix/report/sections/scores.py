"""Scores: a drawing a metric, the full table, and what each metric shows and does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brainflix.metrics.base import Note
from brainflix.report.contents import Contents
from brainflix.report.drawing.figures import score_plot
from brainflix.report.html import Markup, element
from brainflix.report.page import scrolling_table
from brainflix.report.words import (
    VARIANT_NAMES,
    digits_of,
    interval,
    note,
    number,
    p_value,
)

ATTRIBUTE = "attribute@"
_BASELINES = ("grey", "mean_training_clip", "shuffled", "ridge", "oracle")
_KEY = (
    ("network", "network, with its 95 % interval"),
    ("ridge", "ridge in place of the network"),
    ("shuffled", "predictions of other clips"),
    ("oracle", "oracle: the generator on the true vectors"),
    ("flat", "flat grey, and the mean training clip"),
    ("chance", "chance, by permuted pairings"),
)


def section(contents: Contents) -> Markup:
    """Return the scores of all subjects and metrics."""
    plots = [
        element(
            "div",
            score_plot(
                f"score{k}", note(metric).title, contents.entries(metric), note(metric).unit
            ),
            class_="plot",
        )
        for k, metric in enumerate(contents.metric_names)
    ]
    return element(
        "section",
        element("h2", "Scores"),
        element(
            "p",
            "Every row is a subject. Intervals are bootstrapped over test clips (over groups of "
            "them where the test set has several), chance and P come from permuting which "
            "reconstruction belongs to which clip, q is P after control of the false discovery "
            "rate over metrics and subjects, and every rival is scored by the same code.",
        ),
        _key(),
        element("div", plots, class_="plots"),
        element("h3", "All numbers"),
        _table(contents),
        element("h3", "How to read the metrics"),
        element("dl", [_explained(*each) for each in _explanations(contents)], class_="notes"),
        id="scores",
    )


def _key() -> Markup:
    return element(
        "ul",
        [
            element("li", element("i", class_=f"mark {name}", aria_hidden="true"), text)
            for name, text in _KEY
        ],
        class_="key",
    )


def _table(contents: Contents) -> Markup:
    heads = ["subject", "value", "95 % interval", "chance", "P", "q", "clips"]
    heads += [VARIANT_NAMES[name] for name in _BASELINES]
    body = []
    for metric in contents.metric_names:
        words = note(metric)
        title = f"{words.title} ({words.unit})" if words.unit else words.title
        head = element("th", title, element("code", metric), colspan=len(heads), scope="rowgroup")
        rows = [_row(name, metric, entry) for name, entry in contents.entries(metric)]
        body.append(element("tbody", element("tr", head), rows))
    return scrolling_table(heads, body, "All scores")


def _row(name: str, metric: str, entry: Mapping[str, Any]) -> Markup:
    digits = digits_of(metric)
    cells = [
        number(entry["value"], digits),
        interval(entry["interval"], digits),
        number(entry["chance"], digits),
        p_value(entry["p"]),
        p_value(entry.get("q")),
        str(entry["n"]),
        *(number(entry["baselines"].get(key), digits) for key in _BASELINES),
    ]
    return element(
        "tr",
        element("th", name, scope="row"),
        element("td", cells[0], class_="value"),
        [element("td", cell) for cell in cells[1:]],
    )


def _explanations(contents: Contents) -> list[tuple[str, str, Note]]:
    """Return title, name and words of each metric; the attributes have one text together."""
    found = [
        (note(metric).title, metric, note(metric))
        for metric in contents.metric_names
        if not metric.startswith(ATTRIBUTE)
    ]
    seen = [m.removeprefix(ATTRIBUTE) for m in contents.metric_names if m.startswith(ATTRIBUTE)]
    if seen:
        words = note(ATTRIBUTE + "attribute")
        found.insert(1, (f"Right {', '.join(seen)}", f"{ATTRIBUTE}…", words))
    return found


def _explained(title: str, name: str, words: Note) -> Markup:
    return element(
        "div",
        element("dt", title, element("code", name)),
        element("dd", words.shows, " ", element("em", "What it does not show: "), words.hides),
    )
