"""The page's drawings: scores, distributions, scatter plots, reproducibility, training curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from brainflix.evaluation.results import Entry
from brainflix.evaluation.wording import number
from brainflix.report.drawing import theme
from brainflix.report.history import TrainingCurve

Floats = NDArray[np.float64]
_BINS = 28
WIDTH = 3.55  # inches of a drawing that stands alone on a phone and three in a row on a desk

_FLAT = {"marker": "|", "s": 42, "linewidth": 1.4, "zorder": 2, "color": theme.MUTED}
_MARKS: Mapping[str, Mapping[str, Any]] = {
    "grey": _FLAT,
    "mean_training_clip": _FLAT,
    "shuffled": {"marker": "x", "s": 20, "color": theme.SHUFFLED, "linewidth": 1.3},
    "oracle": {"marker": "D", "s": 20, "facecolor": theme.ORACLE, "linewidth": 0},
    "ridge": {
        "marker": "o",
        "s": 30,
        "facecolor": theme.PAPER,
        "edgecolor": theme.RIDGE,
        "linewidth": 1.5,
        "zorder": 3,
    },
}
_LEVELS: Mapping[str, Mapping[str, Any]] = {
    "mean": {"color": theme.INK, "ls": "-"},
    "chance": {"color": theme.MUTED, "ls": (0, (4, 3))},
    "grey": {"color": theme.RIDGE, "ls": (0, (1.5, 2))},
}


def score_plot(name: str, title: str, rows: Sequence[tuple[str, Entry]]) -> Markup:
    """Draw one metric: a row for each subject, with interval, chance, baselines and ceiling.

    Parameters
    ----------
    name : str
        Unique on the page.
    title : str
        The metric's title.
    rows : sequence of (str, Entry)
        Subject and entry.
    """
    height = 0.62 + 0.27 * len(rows)
    with theme.drawing(WIDTH, height) as (figure, axes):
        for y, (_, entry) in enumerate(rows):
            _score_row(axes, y, entry)
        axes.set_yticks(range(len(rows)), [label for label, _ in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.xaxis.grid(True)
        axes.margins(x=0.06)
        axes.locator_params(axis="x", nbins=5)
        axes.set_title(title)
        described = "; ".join(f"{label} {number(entry.value)}" for label, entry in rows)
        return theme.inline_svg(figure, name, f"{title}: {described}")


def _score_row(axes: Any, y: int, entry: Entry) -> None:
    if _finite(entry.chance):
        level, dashes = [y - 0.36, y + 0.36], (0, (2, 1.4))
        axes.plot([entry.chance] * 2, level, color=theme.MUTED, lw=1.1, ls=dashes)
    for key, style in _MARKS.items():
        if _finite(entry.baselines.get(key)):
            axes.scatter(entry.baselines[key], y, **style)
    if entry.interval is not None and all(map(_finite, entry.interval)):
        axes.plot(entry.interval, [y, y], color=theme.NETWORK, lw=2.6, solid_capstyle="round")
    if _finite(entry.value):
        axes.scatter(entry.value, y, s=40, color=theme.NETWORK, zorder=4, linewidth=0)


def _finite(value: float | None) -> bool:
    return value is not None and bool(np.isfinite(value))


def distribution_plot(
    name: str,
    title: str,
    values: Floats,
    other: Floats | None,
    marks: Mapping[str, float | None],
) -> Markup:
    """Draw a metric's scores of all clips, with another system's outline and a few levels.

    Parameters
    ----------
    name : str
        Unique on the page.
    title : str
        The metric's title.
    values : ndarray of float64, shape (n,)
        One score for each clip; those that are not finite are left out.
    other : ndarray of float64, shape (m,), or None
        The same for reconstructions paired with other clips, drawn as an outline.
    marks : mapping of str to float or None
        "mean", "chance" and "grey": levels drawn as lines.
    """
    values = values[np.isfinite(values)]
    others = np.zeros(0) if other is None else other[np.isfinite(other)]
    levels = {key: float(v) for key, v in marks.items() if v is not None and np.isfinite(v)}
    edges = _edges(np.array([*values, *others, *levels.values()]))
    with theme.drawing(WIDTH, 1.55) as (figure, axes):
        # Shares instead of counts, so that sets of different size can be compared.
        if len(values):
            weights = np.full(len(values), 1 / len(values))
            axes.hist(values, edges, weights=weights, color=theme.NETWORK, alpha=0.8, rwidth=0.96)
        if len(others):
            weights = np.full(len(others), 1 / len(others))
            axes.hist(others, edges, weights=weights, histtype="step", color=theme.SHUFFLED, lw=1.1)
        for key, value in levels.items():
            axes.axvline(value, lw=1.4, **_LEVELS[key])
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlim(edges[0], edges[-1])
        axes.locator_params(axis="x", nbins=5)
        axes.set_title(title)
        label = f"{title}: distribution over {len(values)} clips"
        return theme.inline_svg(figure, name, label)


def _edges(values: Floats) -> Floats:
    """Return the edges of bins that hold all values, with a margin of 2 %."""
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    if high - low < 1e-12:
        low, high = low - 0.5, high + 0.5
    margin = 0.02 * (high - low)
    return np.linspace(low - margin, high + margin, _BINS + 1)


def scatter_plot(name: str, title: str, x: Floats, y: Floats, labels: tuple[str, str]) -> Markup:
    """Draw one number of every clip against another; pairs that are not finite are left out.

    Parameters
    ----------
    name : str
        Unique on the page.
    title : str
        What is drawn, for those who do not see it.
    x, y : ndarray of float64, shape (n,)
    labels : tuple of str
        What is along and up.
    """
    finite = np.isfinite(x) & np.isfinite(y)
    with theme.drawing(4.6, 2.7) as (figure, axes):
        axes.scatter(x[finite], y[finite], s=16, color=theme.NETWORK, alpha=0.6, linewidth=0)
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        axes.locator_params(nbins=5)
        return theme.inline_svg(figure, name, title)


def reproducibility_plot(
    name: str, r: NDArray[np.float64], selected: NDArray[np.bool_], subject: str
) -> Markup:
    """Draw how reproducible voxels are, the selected ones among all."""
    finite = np.isfinite(r)
    with theme.drawing(WIDTH, 1.75) as (figure, axes):
        if finite.any():
            edges = np.histogram_bin_edges(r[finite], bins=48)
            axes.hist(
                r[finite], edges, color=theme.MUTED, alpha=0.4, label=f"all, {int(finite.sum())}"
            )
            chosen = finite & selected
            axes.hist(r[chosen], edges, color=theme.NETWORK, label=f"selected, {int(chosen.sum())}")
            axes.legend(loc="upper right", handlelength=0.9)
        axes.set_xlabel("correlation between repeats, r")
        axes.set_ylabel("voxels")
        axes.locator_params(axis="y", nbins=4)
        axes.set_title("Reproducibility")
        return theme.inline_svg(figure, name, f"{subject}: histogram of voxels' reproducibility")


def curve_plot(name: str, title: str, lines: Mapping[str, TrainingCurve]) -> Markup:
    """Draw training curves; a dot marks the epoch whose weights were kept.

    Parameters
    ----------
    name : str
        Unique on the page.
    title : str
        What is drawn.
    lines : mapping of str to TrainingCurve
        At most a dozen: colours repeat with dashes.
    """
    with theme.drawing(WIDTH, 2.1) as (figure, axes):
        for k, (label, curve) in enumerate(lines.items()):
            colour = theme.SERIES[k % len(theme.SERIES)]
            dash = ("-", (0, (4, 1.5)), (0, (1, 1.2)))[k // len(theme.SERIES) % 3]
            axes.plot(curve.epochs, curve.values, color=colour, ls=dash, label=label)
            if curve.best is not None:
                place = curve.epochs[curve.best], curve.values[curve.best]
                axes.scatter(*place, s=20, color=colour, zorder=3, linewidth=0)
        axes.set_xlabel("epoch")
        axes.set_title(title)
        axes.yaxis.grid(True)
        axes.locator_params(axis="y", nbins=5)
        axes.locator_params(axis="x", nbins=6, integer=True)
        if len(lines) > 1:
            axes.legend(loc="best", handlelength=1.4, labelspacing=0.25)
        return theme.inline_svg(figure, name, f"{title}: {', '.join(lines)}")
