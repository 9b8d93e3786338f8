"""Where the selected voxels lie: a voxels artifact as numbers and as a mosaic of slices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.artifacts.store import open_artifact
from brainflix.artifacts.voxels import read_space
from brainflix.formats.voxel_space import VoxelSpace
from brainflix.preprocessing.atlas import area

MAX_SLICES = 12
BRAIN = (128, 132, 140, 72)  # RGBA of a voxel that was not selected
RAMP = ((44, 84, 128), (38, 140, 134), (130, 188, 96), (246, 214, 92))  # from the threshold up


@dataclass(frozen=True)
class VoxelSummary:
    """What selection found in one subject.

    Attributes
    ----------
    reproducibility, t, ceiling : ndarray of float64, shape (voxel,)
        May hold NaN, where there were too few repeats.
    selected : ndarray of bool, shape (voxel,)
    position : ndarray of int, shape (voxel, 3) or (voxel, 1)
        Grid indices, or indices of grayordinates.
    attributes : dict
        The artifact's own: threshold, correction, alpha, dof, unit, ...
    region : ndarray of str, shape (voxel,), or None
        The region of each, empty for none; None where no atlas was named.
    space : VoxelSpace or None
        Where the voxels lie.
    """

    reproducibility: NDArray[np.float64]
    t: NDArray[np.float64]
    ceiling: NDArray[np.float64]
    selected: NDArray[np.bool_]
    position: NDArray[np.int64]
    attributes: dict[str, Any]
    region: NDArray[np.str_] | None = None
    space: VoxelSpace | None = None

    @property
    def is_volume(self) -> bool:
        """Whether the voxels lie on a three-dimensional grid, so that slices can be drawn."""
        return self.position.ndim == 2 and self.position.shape[1] == 3


def read_voxels(path: Path) -> VoxelSummary:
    """Read a voxels artifact."""
    with open_artifact(path, "voxels") as file:
        return VoxelSummary(
            file["reproducibility"][()].astype(np.float64),
            file["t"][()].astype(np.float64),
            file["noise_ceiling"][()].astype(np.float64),
            file["selected"][()].astype(bool),
            file["position"][()].astype(np.int64),
            {key: _plain(file.attrs[key]) for key in sorted(file.attrs)},
            file["region"].asstr()[()].astype(str) if "region" in file else None,
            read_space(file) if "shape" in file.attrs else None,
        )


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value


def colour_range(summary: VoxelSummary) -> tuple[float, float]:
    """Return the t (or, without t, r) at the two ends of the colour ramp."""
    values = shown_values(summary)[summary.selected]
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return 0.0, 1.0
    low, high = float(values.min()), float(np.quantile(values, 0.99))
    return low, high if high > low else low + 1.0


def shown_values(summary: VoxelSummary) -> NDArray[np.float64]:
    """Return what colours a voxel: t, or its reproducibility where no t-test was made."""
    return summary.t if np.isfinite(summary.t).any() else summary.reproducibility


def ramp(fraction: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the colour (…, 3) at a place between 0 and 1 on the ramp."""
    stops = np.linspace(0, 1, len(RAMP))
    channels = [np.interp(fraction, stops, [colour[k] for colour in RAMP]) for k in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def pixels(summary: VoxelSummary) -> NDArray[np.uint8]:
    """Return the colour of each voxel, RGBA (voxel, 4): selected ones on the ramp, others grey."""
    low, high = colour_range(summary)
    fraction = np.clip((np.nan_to_num(shown_values(summary)) - low) / (high - low), 0, 1)
    colours = np.empty((len(fraction), 4), np.uint8)
    colours[:] = BRAIN
    colours[summary.selected, :3] = ramp(fraction[summary.selected])
    colours[summary.selected, 3] = 255
    return colours


@dataclass(frozen=True)
class RegionRow:
    """A region's line: how many voxels it has, how many were selected, and their means."""

    name: str
    voxels: int
    selected: int
    reproducibility: float
    ceiling: float


def region_rows(summary: VoxelSummary) -> list[RegionRow]:
    """Return the regions with selected voxels, both hemispheres together, the most voxels first.

    Means are over the selected voxels of a region; NaN where nothing is known of them.
    """
    if summary.region is None:
        return []
    names, inverse = np.unique(
        np.array([area(str(name)) for name in summary.region]), return_inverse=True
    )
    rows = []
    for number, name in enumerate(names):
        chosen = (inverse == number) & summary.selected
        if not name or not chosen.any():
            continue
        means = [_mean(values[chosen]) for values in (summary.reproducibility, summary.ceiling)]
        rows.append(RegionRow(str(name), int((inverse == number).sum()), int(chosen.sum()), *means))
    return sorted(rows, key=lambda row: (-row.selected, row.name))


def _mean(values: NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")


def mosaic(summary: VoxelSummary, columns: int = 6) -> NDArray[np.uint8]:
    """Draw axial slices: selected voxels by colour, the others in grey, nothing outside.

    Parameters
    ----------
    summary : VoxelSummary
        Of a volume.
    columns : int
        Slices a row.

    Returns
    -------
    ndarray of uint8, shape (height, width, 4)
        RGBA, a pixel a voxel; the first axis of the grid runs to the right, the second upwards,
        slices from below to above.
    """
    place = summary.position - summary.position.min(axis=0)
    size = place.max(axis=0) + 1
    volume = np.zeros((*size, 4), np.uint8)
    volume[tuple(place.T)] = pixels(summary)
    layers = _layers(place[:, 2], summary.selected)
    tiles = [volume[:, ::-1, k].transpose(1, 0, 2) for k in layers]
    rows = -(-len(tiles) // columns)
    tiles += [np.zeros_like(tiles[0])] * (rows * columns - len(tiles))
    lines = [
        np.concatenate([np.pad(tile, ((1, 1), (1, 1), (0, 0))) for tile in row], axis=1)
        for row in (tiles[k : k + columns] for k in range(0, len(tiles), columns))
    ]
    return np.concatenate(lines)


def _layers(z: NDArray[np.int64], selected: NDArray[np.bool_]) -> list[int]:
    """Return up to MAX_SLICES slices, spread over those that hold selected voxels."""
    present = np.unique(z[selected]) if selected.any() else np.unique(z)
    if len(present) < MAX_SLICES:
        present = np.unique(z)
    chosen = np.rint(np.linspace(0, len(present) - 1, min(MAX_SLICES, len(present))))
    return [int(present[int(k)]) for k in chosen]
