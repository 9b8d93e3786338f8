"""Comparisons with other systems on the same clips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brainflix.evaluation.results import Difference
from brainflix.evaluation.wording import (
    capital,
    interval,
    interval_head,
    metric_order,
    note,
    number,
    p_value,
    signed,
)
from brainflix.report.contents import Contents
from brainflix.report.folders import place_name
from brainflix.report.sections.scores import POOLED
from brainflix.report.tables import Cell, Column, DataTable, FilterField, TableRow

NAME, TITLE = "comparison", "Comparison"
NEEDS: tuple[str, ...] = ()


def has_content(contents: Contents) -> bool:
    """Return whether another system was compared."""
    return bool(contents.results.comparison)


def view(contents: Contents) -> Mapping[str, Any]:
    """Return a table per other system."""
    results = contents.results
    parts = []
    for k, (other, found) in enumerate(results.comparison.items()):
        this, that = names(contents, other)
        heads = [
            Column("metric", words=True),
            Column("subject", words=True),
            *(Column(text) for text in (this, that, "difference", interval_head(results))),
            Column("P", hint="two-sided, by flipping the signs of differences"),
            Column("q", hint="P after control of the false discovery rate over metrics"),
            Column("better", words=True),
        ]
        rows = []
        for metric in metric_order(found.metrics):
            each = found.metrics[metric]
            subjects = {
                name: each.subjects[name] for name in results.subjects if name in each.subjects
            }
            if each.pooled is not None and len(subjects) > 1:
                rows.append(_row(metric, POOLED, each.pooled, this, that, "pooled"))
            rows += [_row(metric, s, row, this, that, "") for s, row in subjects.items()]
        subjects_shown = tuple(dict.fromkeys(row.keys["subject"] for row in rows))
        filters = (FilterField("subject", "subject", subjects_shown),)
        table = DataTable(
            f"comparison{k}",
            f"{this} against {that}",
            tuple(heads),
            tuple(rows),
            filters if len(subjects_shown) > 1 else (),
            searched=len(rows) > 12,
        )
        title = f"{this} against {that}"
        parts.append((capital(title) if other == "ridge" else title, found.on, table))
    return {"parts": parts}


def names(contents: Contents, other: str) -> tuple[str, str]:
    """Return what this system and the other are called."""
    if other == "ridge":
        return "the network", other
    return contents.title, place_name(other)


def _row(
    metric: str, subject: str, found: Difference, this: str, that: str, style: str
) -> TableRow:
    better = {"this": this, "other": that, "neither": "not shown"}[found.better]
    cells = (
        Cell(note(metric).title, code=metric),
        Cell(subject or "all clips"),
        Cell(number(found.value), found.value),
        Cell(number(found.other), found.other),
        Cell(signed(found.difference), found.difference),
        Cell(interval(found.interval)),
        Cell(p_value(found.p), found.p),
        Cell(p_value(found.q), found.q),
        Cell(better),
    )
    return TableRow(cells, {"subject": subject or "all clips"}, style)
