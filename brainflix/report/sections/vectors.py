"""Predicted vectors: what the brain is regressed to, before a generator makes videos of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brainflix.evaluation.results import PredictedVectors
from brainflix.evaluation.wording import number
from brainflix.report.contents import Contents
from brainflix.report.tables import Cell, Column, DataTable, FilterField, TableRow

NAME, TITLE = "vectors", "Predicted vectors"
NEEDS: tuple[str, ...] = ()
_COLUMNS = (
    Column("subject", words=True),
    Column("target", words=True),
    Column("by", words=True),
    Column("identification"),
    Column("single trials", hint="identification by single trials"),
    Column("r"),
    Column("r single"),
    Column("R²"),
    Column("R² single"),
    Column("cosine"),
    Column("squared error"),
)


def has_content(contents: Contents) -> bool:
    """Return whether vectors were scored."""
    return any(subject.vectors for subject in contents.results.subjects.values())


def view(contents: Contents) -> Mapping[str, Any]:
    """Return the table of vector scores: each subject, target and estimator."""
    found = [
        (name, target, estimator, scores)
        for name, subject in contents.results.subjects.items()
        for target, by in subject.vectors.items()
        for estimator, scores in by.items()
    ]
    choices = {
        "subject": [name for name, *_ in found],
        "target": [target for _, target, *_ in found],
        "by": [estimator for _, _, estimator, _ in found],
    }
    fields = [FilterField(key, key, tuple(dict.fromkeys(of))) for key, of in choices.items()]
    return {
        "table": DataTable(
            "vector-table",
            "Predicted vectors of every subject",
            _COLUMNS,
            tuple(_row(*each) for each in found),
            tuple(field for field in fields if len(field.options) > 1),
        )
    }


def _row(name: str, target: str, estimator: str, found: PredictedVectors) -> TableRow:
    averaged, single = found.averaged, found.single
    values = [
        averaged.identification,
        single.identification if single else None,
        averaged.r,
        single.r if single else None,
        averaged.r2,
        single.r2 if single else None,
        averaged.cosine,
        averaged.mse,
    ]
    cells = [Cell(name), Cell(target), Cell(estimator), *(Cell(number(v), v) for v in values)]
    return TableRow(tuple(cells), {"subject": name, "target": target, "by": estimator})
