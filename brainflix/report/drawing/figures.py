"""The page's drawings: scores with intervals, reproducibility, training curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.report.drawing import theme
from brainflix.report.history import Curve
from brainflix.report.html import Markup

WIDTH = 3.55  # inches of a drawing that stands alone on a phone and three in a row on a desk


def score_plot(
    name: str, title: str, rows: Sequence[tuple[str, Mapping[str, Any]]], unit: str = ""
) -> Markup:
    """Draw one metric: a row a subject, its interval, chance, rivals and ceiling.

    Parameters
    ----------
    name : str
        Unique on the page.
    title : str
        The metric's title.
    rows : sequence of (str, mapping)
        Subject and its entry in metrics.json.
    unit : str
        Put behind the title.
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
        axes.set_title(f"{title} ({unit})" if unit else title)
        described = "; ".join(f"{label} {entry['value']:.3f}" for label, entry in rows)
        return theme.inline_svg(figure, name, f"{title}: {described}")


def _score_row(axes: Any, y: int, entry: Mapping[str, Any]) -> None:
    rivals = entry["baselines"]
    chance = entry["chance"]
    if chance is not None:
        level, dashes = [y - 0.36, y + 0.36], (0, (2, 1.4))
        axes.plot([chance, chance], level, color=theme.MUTED, lw=1.1, ls=dashes)
    flat = {"marker": "|", "s": 42, "linewidth": 1.4, "zorder": 2}
    for key in ("grey", "mean_training_clip"):
        if key in rivals:
            axes.scatter(rivals[key], y, color=theme.MUTED, **flat)
    if "shuffled" in rivals:
        axes.scatter(rivals["shuffled"], y, marker="x", s=20, color=theme.SHUFFLED, linewidth=1.3)
    if "oracle" in rivals:
        axes.scatter(rivals["oracle"], y, marker="D", s=20, facecolor=theme.ORACLE, linewidth=0)
    if "ridge" in rivals:
        axes.scatter(
            rivals["ridge"],
            y,
            marker="o",
            s=30,
            facecolor=theme.PAPER,
            edgecolor=theme.RIDGE,
            linewidth=1.5,
            zorder=3,
        )
    if entry["interval"] is not None:
        axes.plot(entry["interval"], [y, y], color=theme.NETWORK, lw=2.6, solid_capstyle="round")
    axes.scatter(entry["value"], y, s=40, color=theme.NETWORK, zorder=4, linewidth=0)


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


def curve_plot(name: str, title: str, lines: Mapping[str, Curve]) -> Markup:
    """Draw training curves; a dot marks the epoch whose weights were kept.

    Parameters
    ----------
    name : str
        Unique on the page.
    title : str
        What is drawn.
    lines : mapping of str to Curve
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
