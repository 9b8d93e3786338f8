"""What a brain could respond to in a clip: local maps of the frames, and the scene's labels.

The maps are classical: luminance and its local contrast, two colour-opponent channels
(Derrington, Krauskopf and Lennie 1984), and opponent motion energy in four directions, in the
gradient form that the energy model of Adelson and Bergen (1985) reduces to for small shifts. Maps
of expansion, contraction and rotation come from the divergence and curl of the motion field.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from brainflix.errors import DataError
from brainflix.simulation.world import LABELS, Scene, render

Array = NDArray[np.float32]

CHANNELS = (
    "luminance",
    "contrast",
    "red_green",
    "blue_yellow",
    "rightward",
    "leftward",
    "downward",
    "upward",
)
FLOWS = ("expansion", "contraction", "clockwise", "counterclockwise")
GRID = 16  # places per side of a map

_BLOCK = 2  # pixels per side that are averaged before gradients are taken
_FLOOR = 1e-4  # keeps the motion of flat places at zero; squared luminance per pixel
_LEVELS = tuple((name, label) for name, labels in LABELS.items() for label in labels)


def levels() -> tuple[tuple[str, str], ...]:
    """Return the columns of :func:`labels`: (attribute, label), such as ("colour", "red")."""
    return _LEVELS


def _pool(values: Array, factor: int) -> Array:
    """Average blocks of ``factor`` x ``factor`` over the last two axes."""
    *lead, height, width = values.shape
    blocks = values.reshape(*lead, height // factor, factor, width // factor, factor)
    return blocks.mean(axis=(-3, -1))


def _smooth(values: Array, sigma: float) -> Array:
    return gaussian_filter(values, sigma, mode="nearest", axes=(-2, -1), truncate=3.0)


def _slopes(values: Array) -> tuple[Array, Array]:
    """Return the derivatives along x and y, the last and the last but one axis."""
    along_y, along_x = np.gradient(values, axis=(-2, -1))
    return np.asarray(along_x, np.float32), np.asarray(along_y, np.float32)


def _gradients(luminance: Array, sigma: float) -> tuple[Array, Array, Array]:
    """Return the derivatives along x, y and time of smoothed luminance, (..., frame - 1, h, w)."""
    image = _smooth(luminance, sigma)
    # Space derivatives of the mean of two neighbouring frames belong to the same moment as the
    # difference between the two.
    along_x, along_y = _slopes(0.5 * (image[..., 1:, :, :] + image[..., :-1, :, :]))
    return along_x, along_y, image[..., 1:, :, :] - image[..., :-1, :, :]


def _motion_energy(luminance: Array) -> tuple[Array, Array]:
    """Return opponent motion energy along x and y between frames, (..., frame - 1, h, w).

    Positive is rightward and downward. Energies are divided by the local contrast, as neurons of
    area MT do, so that they grow with speed more than with contrast.
    """
    # A pattern that moves with velocity v has dt = -v dx, so that -dt dx is v dx^2: motion energy
    # in gradient form, divided by the local contrast energy.
    dx, dy, dt = _gradients(luminance, 1.5)
    energy = _smooth(dx**2 + dy**2, 2.0) + _FLOOR
    right: Array = _smooth(-dt * dx, 2.0) / energy
    down: Array = _smooth(-dt * dy, 2.0) / energy
    return right, down


def _flow_patterns(luminance: Array) -> tuple[Array, Array]:
    """Return divergence and curl of the velocity field, each of shape (..., frame - 1, h, w).

    Velocity is the least-squares solution over a neighbourhood (Lucas and Kanade 1981), which
    unlike the energy at one place is not misled by the orientation of an edge. Positive is
    expansion and, with y pointing down, clockwise rotation.
    """
    # Normal equations of dt = -(u dx + v dy) over a neighbourhood, solved for velocity by Cramer's
    # rule; the floor makes velocity 0 where nothing has contrast.
    dx, dy, dt = _gradients(luminance, 2.0)
    xx, yy, xy, xt, yt = (_smooth(part, 3.0) for part in (dx**2, dy**2, dx * dy, dx * dt, dy * dt))
    xx, yy = xx + _FLOOR, yy + _FLOOR
    determinant = xx * yy - xy**2
    right = _smooth((xy * yt - yy * xt) / determinant, 4.0)
    down = _smooth((xy * xt - xx * yt) / determinant, 4.0)
    # Divergence du/dx + dv/dy and curl dv/dx - du/dy.
    (right_by_x, right_by_y), (down_by_x, down_by_y) = _slopes(right), _slopes(down)
    return right_by_x + down_by_y, down_by_x - right_by_y


def _rectified(values: Array) -> tuple[Array, Array]:
    return np.maximum(values, 0), np.maximum(-values, 0)


def local_maps(frames: NDArray[np.uint8]) -> Array:
    """Compute the maps of a batch of clips, averaged over time.

    Parameters
    ----------
    frames : ndarray of uint8, shape (clip, frame, height, width, 3)
        RGB; at least two frames, height and width multiples of 32.

    Returns
    -------
    ndarray of float32, shape (clip, map, GRID, GRID)
        The maps in the order :data:`CHANNELS` + :data:`FLOWS`. Luminance and colour are in -1 to
        1, contrast is a local standard deviation of luminance, motion is in pixels per frame of a
        32 x 32 image, flows are derivatives of velocity.

    Raises
    ------
    DataError
        When the frames have another shape.
    """
    if frames.ndim != 5 or frames.shape[-1] != 3 or frames.shape[1] < 2:
        raise DataError(
            "clips of another shape",
            expected="(clip, frame >= 2, height, width, 3)",
            found=frames.shape,
        )
    size = _BLOCK * GRID
    if frames.shape[2] % size or frames.shape[3] % size or frames.shape[2] != frames.shape[3]:
        raise DataError(
            "clips of another size", expected=f"square, a multiple of {size}", found=frames.shape
        )
    # Pictures of 32 x 32, twice as many places per side as the maps.
    rgb = np.moveaxis(frames, -1, 0).astype(np.float32) / 255.0  # (channel, clip, frame, h, w)
    red, green, blue = _pool(rgb, frames.shape[2] // size)
    luminance = 0.3 * red + 0.59 * green + 0.11 * blue
    # Contrast is the local standard deviation of luminance.
    mean = _smooth(luminance, 2.0)
    contrast = np.sqrt(np.maximum(_smooth(luminance**2, 2.0) - mean**2, 0))
    # Maps of single frames, and of neighbouring frames with each direction as a map of its own.
    still = (2 * luminance - 1, contrast, red - green, blue - 0.5 * (red + green))
    right, down = _motion_energy(luminance)
    moving = (*_rectified(right), *_rectified(down))
    expansion, rotation = _flow_patterns(luminance)
    flow = (*_rectified(expansion), *_rectified(rotation))
    # Averaged over time, then over 2 x 2 places: (clip, frame, 32, 32) -> (clip, GRID, GRID).
    maps = [_pool(part.mean(axis=1), _BLOCK) for part in (*still, *moving, *flow)]
    return np.stack(maps, axis=1).astype(np.float32)


def labels(scenes: Sequence[Scene]) -> Array:
    """Return the one-hot labels of scenes, float32 of shape (scene, level); see :func:`levels`."""
    columns = {level: column for column, level in enumerate(_LEVELS)}
    codes = np.zeros((len(scenes), len(_LEVELS)), dtype=np.float32)
    for row, scene in enumerate(scenes):
        for level in scene.attributes().items():
            codes[row, columns[level]] = 1.0
    return codes


def scene_maps(scenes: Sequence[Scene], batch: int = 50) -> Array:
    """Render scenes and compute their maps, a batch at a time.

    Returns
    -------
    ndarray of float32, shape (scene, map, GRID, GRID)
    """
    parts = [
        local_maps(
            np.stack([render(scene, size=_BLOCK * GRID) for scene in scenes[start : start + batch]])
        )
        for start in range(0, len(scenes), batch)
    ]
    return np.concatenate(parts)
