"""A picture of which voxels were selected and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brainflix.artifacts.store import atomic_path
from brainflix.formats.voxel_space import VoxelSpace

MAX_SLICES = 12
_BLUE, _ORANGE, _GREY = "#3b6fb6", "#d9822b", "#8a8f98"


@dataclass(frozen=True)
class VoxelPicture:
    """What is drawn of a subject's voxels.

    Parameters
    ----------
    reproducibility, t : ndarray of float64, shape (voxel,)
        NaN when there were too few repeats.
    selected : ndarray of bool, shape (voxel,)
        The selected voxels.
    threshold : float
        The smallest t that passes.
    voxels : VoxelSpace
        Where they lie; only volumes are drawn as slices.
    """

    reproducibility: np.ndarray
    t: np.ndarray
    selected: np.ndarray
    threshold: float
    voxels: VoxelSpace


def plot_voxels(path: Path, title: str, picture: VoxelPicture) -> None:
    """Write a PNG: histograms of r and t, and slices of the selected voxels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    selected, threshold = picture.selected, picture.threshold
    volume = len(picture.voxels.shape) == 3
    figure = Figure(figsize=(10, 5.6 if volume else 3.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    parts: Any = figure.subfigures(2, 1, height_ratios=[1.1, 1]) if volume else (figure, None)
    top, bottom = parts
    figure.suptitle(title, fontsize=11)
    left, right = top.subplots(1, 2)
    _histogram(left, picture.reproducibility, selected, "reproducibility r between repeats")
    left.axvline(0, color=_GREY, linewidth=0.8)
    _histogram(right, picture.t, selected, "t of Fisher z over sets of repeats")
    if np.isfinite(threshold):
        right.axvline(threshold, color="black", linestyle="--", linewidth=1)
        right.annotate(
            f"t = {threshold:.2f}",
            (threshold, 0.9),
            xycoords=("data", "axes fraction"),
            xytext=(4, 0),
            textcoords="offset points",
            fontsize=8,
        )
    if left.get_legend_handles_labels()[0]:
        left.legend(fontsize=8, frameon=False)
    if bottom is not None:
        _slices(bottom, picture)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _histogram(axes: Any, values: np.ndarray, selected: np.ndarray, label: str) -> None:
    axes.set_xlabel(label, fontsize=9)
    axes.set_ylabel("voxels", fontsize=9)
    axes.tick_params(labelsize=8)
    finite = np.isfinite(values)
    if not finite.any():
        axes.text(0.5, 0.5, "too few repeats", ha="center", transform=axes.transAxes, color=_GREY)
        return
    # Outliers fall into the first and the last bin.
    low, high = np.percentile(values[finite], [0.1, 99.9])
    edges = np.linspace(low, high if high > low else low + 1, 61)
    clipped = np.clip(values, edges[0], edges[-1])
    for chosen, colour, name in ((~selected, _GREY, "other"), (selected, _ORANGE, "selected")):
        if (chosen & finite).any():
            part = clipped[chosen & finite]
            count = int(chosen.sum())
            axes.hist(part, edges, color=colour, alpha=0.75, label=f"{name} ({count})")


def _slices(figure: Any, picture: VoxelPicture) -> None:
    """Draw slices along k: the mask in grey, selected voxels by their reproducibility."""
    position, shape, selected = picture.voxels.position, picture.voxels.shape, picture.selected
    # The voxels' places as volumes, NaN (transparent) elsewhere.
    brain = np.full(shape, np.nan)
    brain[tuple(position.T)] = 1.0
    chosen = np.full(shape, np.nan)
    values = np.where(np.isfinite(picture.reproducibility), picture.reproducibility, 1.0)
    chosen[tuple(position[selected].T)] = values[selected]
    occupied = np.unique(position[:, 2])
    # At most MAX_SLICES slices, evenly spaced among those that hold voxels.
    picks = np.unique(np.linspace(0, len(occupied) - 1, min(MAX_SLICES, len(occupied))).astype(int))
    axes = np.atleast_1d(figure.subplots(1, len(picks)))
    high = float(np.nanmax(chosen)) if selected.any() else 1.0
    image = None
    for axis, k in zip(axes, occupied[picks], strict=True):
        axis.imshow(brain[:, :, k].T, origin="lower", cmap="Greys", vmin=0, vmax=4)
        image = axis.imshow(
            chosen[:, :, k].T, origin="lower", cmap="viridis", vmin=0, vmax=max(high, 1e-3)
        )
        axis.set_title(f"k = {k}", fontsize=7)
        axis.set_axis_off()
    bar = figure.colorbar(image, ax=list(axes), shrink=0.7, pad=0.01)
    bar.set_label("r of selected voxels", fontsize=8)
    bar.ax.tick_params(labelsize=7)
