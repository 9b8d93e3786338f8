"""Audits: collapse, nearness to training, duplicates, separate splits, shared volumes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from brainflix.evaluation.audits.nearness import NearnessAudit
from brainflix.evaluation.audits.splits import DuplicateAudit
from brainflix.evaluation.results import StudyAudits
from brainflix.evaluation.wording import metric_order, note, number, share
from brainflix.report.contents import Contents
from brainflix.report.drawing.figures import scatter_plot
from brainflix.report.tables import Cell, Column, DataTable, TableRow, text_table

NAME, TITLE = "audits", "Audits"
NEEDS: tuple[str, ...] = ()
_SPACES = {"clip": "CLIP's space (cosine)", "pixels": "small pixels (Pearson's r)"}


def has_content(contents: Contents) -> bool:
    """Return True: whether reconstructions have collapsed is always known."""
    return True


def view(contents: Contents) -> Mapping[str, Any]:
    """Return the tables and drawings of all audits."""
    results = contents.results
    first = next(iter(results.subjects.values())).collapse
    return {
        "collapse_space": space_words(first.space),
        "collapse": _collapse(contents),
        "studies": [
            (study, audit, _nearness(contents, k, study, audit), _duplicates(k, audit.duplicates))
            for k, (study, audit) in enumerate(results.audit.items())
        ],
        "space_words": space_words,
        "number": number,
    }


def space_words(space: str) -> str:
    """Return the space of an audit in words."""
    return _SPACES.get(space, f"the space of {space} (cosine)")


def _collapse(contents: Contents) -> DataTable:
    heads = (
        Column("subject", words=True),
        Column("directions", hint="effective rank of the reconstructions"),
        Column("true clips'", hint="effective rank of the true clips"),
        Column("nearest clips", hint="true clips that are the nearest of some reconstruction"),
        Column("if random"),
        Column("distinct", hint="reconstructions that are not a copy of another"),
        Column("collapsed", words=True),
    )
    rows = []
    for name, subject in contents.results.subjects.items():
        each = subject.collapse
        cells = (
            Cell(name or "all reconstructions"),
            Cell(number(each.effective_rank, 1), each.effective_rank),
            Cell(number(each.effective_rank_true, 1), each.effective_rank_true),
            Cell(share(each.distinct_nearest, each.n), each.distinct_nearest),
            Cell(number(each.distinct_expected, 1), each.distinct_expected),
            Cell(share(each.distinct_reconstructions, each.n), each.distinct_reconstructions),
            Cell("yes" if each.collapsed else "no", style="beats" if each.collapsed else ""),
        )
        rows.append(TableRow(cells))
    return DataTable("collapse-table", "Collapse", heads, tuple(rows))


def _nearness(
    contents: Contents, k: int, study: str, audit: StudyAudits
) -> tuple[DataTable, Markup | None] | None:
    near = audit.nearest_training
    if near is None:
        return None
    effects = near.rank_correlation
    rows = tuple(
        TableRow((Cell(note(name).title, code=name), Cell(number(effects[name], 2), effects[name])))
        for name in metric_order(effects)
        if effects[name] is not None
    )
    heads = Column("metric", words=True), Column("rank correlation")
    table = DataTable(f"nearness-table{k}", "Dependence on training", heads, rows)
    return table, _scatter(contents, k, study, near)


def _scatter(contents: Contents, k: int, study: str, near: NearnessAudit) -> Markup | None:
    metric = contents.ranking
    if metric is None:
        return None
    own = contents.results.scores_of[contents.results.system]
    pairs = [
        (near.clips[clip].similarity, scores[metric])
        for (name, clip), scores in own.items()
        if (not study or name.startswith(f"{study}/")) and clip in near.clips and metric in scores
    ]
    if not pairs:
        return None
    x, y = np.array(pairs, dtype=np.float64).T
    labels = "similarity of the nearest training clip", note(metric).title
    title = f"{labels[1]} against the {labels[0]}, {len(pairs)} clips"
    return scatter_plot(f"nearness{k}", title, x, y, labels)


def _duplicates(k: int, audit: DuplicateAudit | None) -> tuple[DataTable, str] | None:
    if audit is None:
        return None
    rows = []
    for found, text in ((audit.exact, "identical frames"), (audit.near, "nearly identical")):
        cells = [str(found.within.get(split, "–")) for split in ("test", "train")]
        rows.append([text, *cells, str(found.across) if "train" in found.within else "–"])
    examples = [" = ".join(p) for found in (audit.exact, audit.near) for p in found.examples]
    heads = ("pairs", "among test", "among training", "across")
    table = text_table(f"duplicate-table{k}", "Duplicates", heads, rows)
    return table, "; ".join(examples[:5])
