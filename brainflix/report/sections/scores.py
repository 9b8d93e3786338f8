"""Scores: every metric with interval, chance, P, q and every baseline, for each subject."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brainflix.evaluation.results import ORACLE, Entry
from brainflix.evaluation.wording import (
    NOTHING,
    SYSTEMS,
    baseline_order,
    by_reason,
    count,
    interval,
    interval_head,
    number,
    p_value,
    system_name,
    title_with_unit,
)
from brainflix.report.contents import Contents
from brainflix.report.drawing.figures import score_plot
from brainflix.report.tables import Cell, Column, DataTable, FilterField, TableRow

NAME, TITLE = "scores", "Scores"
NEEDS: tuple[str, ...] = ("metrics",)
POOLED = "all subjects"
_SAMPLED = {
    "sampled_pairs": "chance from {:,} pairs",
    "scored_clips": "{:,} clips scored",
    "baseline_clips": "baselines on {:,} clips",
}
_KEY = {
    "mark network": "the system, with its interval",
    "mark ridge": "ridge in place of the network",
    "mark shuffled": "reconstructions of other clips",
    "mark oracle": "oracle: the generator on the true vectors",
    "mark flat": "flat grey, and the mean training clip",
    "mark chance": "chance, by permuted pairings",
}


def has_content(contents: Contents) -> bool:
    """Return True: results have at least one metric."""
    return True


def view(contents: Contents) -> Mapping[str, Any]:
    """Return the table of all scores, and a drawing per metric where there are subjects."""
    results = contents.results
    several = len(results.subjects) > 1
    shown = {b for each in results.metrics.values() for b in each.baselines}
    baselines = baseline_order(results.metrics)
    return {
        "table": score_table(contents),
        "plots": _plots(contents) if any(results.subjects) else [],
        "key": [
            (name, text)
            for name, text in _KEY.items()
            if name in ("mark network", "mark chance", "mark flat") or name.split()[1] in shown
        ],
        "resampled": _resampled(contents),
        "baselines": [SYSTEMS[name] for name in baselines if name in SYSTEMS],
        "several": several,
        "skipped": by_reason(results.skipped_metrics),
        "skipped_count": count(len(results.skipped_metrics), "metric"),
    }


def _plots(contents: Contents) -> list[Any]:
    return [
        score_plot(f"score{k}", title_with_unit(metric), contents.results.entries(metric))
        for k, metric in enumerate(contents.metrics)
    ]


def _resampled(contents: Contents) -> str:
    groups = contents.results.provenance.rules.get("groups", {})
    found = {e.resampled for s in contents.results.subjects.values() for e in s.metrics.values()}
    units = "groups of clips" if "groups" in found else "clips"
    if groups.get("column") and "groups" in found:
        units = f"the {groups['groups']} groups in the column {groups['column']}"
    return f"subjects and {units}" if len(contents.results.subjects) > 1 else units


def score_table(contents: Contents) -> DataTable:
    """Return one row per metric and subject, with a row over all subjects."""
    results = contents.results
    baselines = baseline_order(results.metrics)
    names = [name for name in results.subjects if name]
    several = len(results.subjects) > 1
    columns = [
        Column("metric", words=True),
        *([Column("subject", words=True)] if names else []),
        Column("value"),
        Column(interval_head(results)),
        Column("chance", hint="mean score of random pairings"),
        Column("P", hint="share of random pairings that reach the value"),
        Column("q", hint="P after control of the false discovery rate"),
        Column("clips"),
        *(Column(system_name(b), hint=SYSTEMS.get(b, ("", ""))[1]) for b in baselines),
    ]
    rows = []
    for metric in contents.metrics:
        if several:
            entry = results.metrics[metric]
            rows.append(_row(metric, POOLED, entry, baselines, names, style="pooled"))
        for k, (name, entry) in enumerate(results.entries(metric)):
            style = "again" if several or k else ""
            rows.append(_row(metric, name, entry, baselines, names, style=style))
    filters = []
    if several:
        filters.append(FilterField("subject", "subject", (POOLED, *names)))
    return DataTable(
        "score-table", "All scores", tuple(columns), tuple(rows), tuple(filters), searched=True
    )


def _row(
    metric: str, name: str, entry: Entry, baselines: list[str], names: list[str], style: str
) -> TableRow:
    title = Cell(
        title_with_unit(metric),
        code=metric,
        detail="; ".join([*(["lower is better"] if entry.lower else []), *_sampled(entry)]),
    )
    cells = [
        title,
        *([Cell(name)] if names else []),
        Cell(number(entry.value), entry.value, style="value" if entry.above_chance else "own"),
        Cell(interval(entry.interval)),
        _number(entry.chance),
        Cell(p_value(entry.p), entry.p),
        Cell(p_value(entry.q), entry.q),
        Cell(f"{entry.n:,}", entry.n),
    ]
    for baseline in baselines:
        reached = baseline != ORACLE and entry.reached_by(baseline)
        cells.append(_number(entry.baselines.get(baseline), "beats" if reached else ""))
    return TableRow(tuple(cells), {"subject": name} if name else {}, style)


def _number(value: float | None, style: str = "") -> Cell:
    text = number(value)
    return Cell(text, None if text == NOTHING else value, style)


def _sampled(entry: Entry) -> list[str]:
    """Return what was computed from a part of the clips or pairs only, and from how many."""
    return [text.format(entry.notes[key]) for key, text in _SAMPLED.items() if key in entry.notes]
