"""Distributions: each metric's scores over clips, those of shuffled pairs, and a few levels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brainflix.evaluation.wording import ATTRIBUTE, title_with_unit
from brainflix.report.contents import Contents
from brainflix.report.drawing.figures import distribution_plot

NAME, TITLE = "distributions", "Distributions"
NEEDS: tuple[str, ...] = ("metrics",)
_KEY = (
    ("sign bars", "reconstructions, over clips"),
    ("sign mean", "their mean"),
    ("sign outline", "shuffled: reconstructions of other clips"),
    ("sign chance", "chance"),
    ("sign grey", "flat grey, its mean"),
)


def has_content(contents: Contents) -> bool:
    """Return whether some metric scores single clips."""
    return bool(_drawn(contents))


def _drawn(contents: Contents) -> list[str]:
    """Return the metrics that are drawn; right or wrong has no distribution."""
    return [
        metric
        for metric in contents.metrics
        if not metric.startswith(ATTRIBUTE) and contents.clip_scores(metric).size
    ]


def view(contents: Contents) -> Mapping[str, Any]:
    """Return a drawing per metric."""
    plots = []
    for k, metric in enumerate(_drawn(contents)):
        entry = contents.results.metrics[metric]
        marks = {
            "chance": entry.chance,
            "grey": entry.baselines.get("grey"),
            "mean": entry.value,
        }
        own, other = contents.clip_scores(metric), contents.clip_scores(metric, "shuffled")
        drawing = distribution_plot(
            f"distribution{k}", title_with_unit(metric), own, other if other.size else None, marks
        )
        plots.append((metric, drawing))
    return {"plots": plots, "key": _KEY}
