"""SSIM with Gaussian windows of one brightness channel, equal to scikit-image's.

The windows are sums over 11 neighbours an axis, formed as products with narrow band matrices: the
multiplications that are wasted on zeros cost less than the passes over memory they save. Sums are
formed in single precision about each frame's mean, which keeps the variances of smooth frames.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.errors import DataError

Singles = NDArray[np.float32]
SIGMA = 1.5
RADIUS = 5  # scikit-image's int(3.5 * SIGMA + 0.5)
WINDOW = 2 * RADIUS + 1
_CHUNK = 48  # outputs a band matrix


@lru_cache(maxsize=8)
def _band(outputs: int) -> Singles:
    """Return the matrix (outputs + 10, outputs) that forms Gaussian means of 11 neighbours."""
    offsets = np.arange(-RADIUS, RADIUS + 1)
    weights = np.exp(-0.5 * (offsets / SIGMA) ** 2)
    weights /= weights.sum()
    band = np.zeros((outputs + 2 * RADIUS, outputs))
    for k, weight in enumerate(weights):
        band[np.arange(outputs) + k, np.arange(outputs)] = weight
    return band.astype(np.float32)


def _down(images: Singles) -> Singles:
    """Form Gaussian means along the height, where the window lies inside; (..., height, width)."""
    height = images.shape[-2] - 2 * RADIUS
    found = np.empty((*images.shape[:-2], height, images.shape[-1]), np.float32)
    for k in range(0, height, _CHUNK):
        n = min(_CHUNK, height - k)
        np.matmul(_band(n).T, images[..., k : k + n + 2 * RADIUS, :], out=found[..., k : k + n, :])
    return found


def _across(images: Singles) -> Singles:
    """Form Gaussian means along the width, where the window lies inside; (..., height, width)."""
    width = images.shape[-1] - 2 * RADIUS
    found = np.empty((*images.shape[:-1], width), np.float32)
    for k in range(0, width, _CHUNK):
        n = min(_CHUNK, width - k)
        found[..., k : k + n] = images[..., k : k + n + 2 * RADIUS] @ _band(n)
    return found


def check_size(clips: NDArray[Any], *, columns: bool = False) -> None:
    """Raise :class:`DataError` where the window does not fit into a frame, or into a column."""
    height, width = clips.shape[-3:-1]
    if min(height, height if columns else width) < WINDOW:
        raise DataError(
            "frames are smaller than the SSIM window",
            expected=f"at least {WINDOW} pixels",
            found=(height, width),
        )


class Windows:
    """Gaussian means and variances of some frames, of whole windows and of windows in columns.

    Parameters
    ----------
    brightness : ndarray of float32 or float64, shape (frame, height, width)
    data_range : float
        The largest possible difference.
    whole, columns : bool
        Which windows are wanted.
    """

    def __init__(
        self,
        brightness: NDArray[Any],
        data_range: float,
        *,
        whole: bool = True,
        columns: bool = False,
    ) -> None:
        self.c1, self.c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
        centre = brightness.mean(axis=(1, 2), keepdims=True, dtype=np.float64)
        centre = centre.astype(brightness.dtype)
        self.values: Singles = (brightness - centre).astype(np.float32, copy=False)
        mean, square = _down(self.values), _down(self.values**2)
        shift = centre.astype(np.float32)
        self.window = _moments(_across(mean), _across(square), shift) if whole else None
        self.column = _moments(mean, square, shift) if columns else None

    def score(self, other: Windows) -> tuple[float, float]:
        """Return mean SSIM by whole windows and by columns, NaN for what was not wanted."""
        cross = _down(self.values * other.values)
        window = column = np.nan
        if self.window is not None and other.window is not None:
            window = _ratio(self.window, other.window, _across(cross), self.c1, self.c2)
        if self.column is not None and other.column is not None:
            column = _ratio(self.column, other.column, cross, self.c1, self.c2)
        return window, column


def _moments(
    mean: Singles, square: Singles, shift: Singles
) -> tuple[Singles, Singles, Singles, Singles]:
    """Return the mean about the frame's, the mean, its square and the population variance."""
    square -= mean * mean
    level = mean + shift
    return mean, level, level * level, square


def _ratio(
    mine: tuple[Singles, ...], other: tuple[Singles, ...], cross: Singles, c1: float, c2: float
) -> float:
    covariance = mine[0] * other[0]
    np.subtract(cross, covariance, out=covariance)
    covariance *= 2
    covariance += np.float32(c2)
    product = mine[1] * other[1]
    product *= 2
    product += np.float32(c1)
    product *= covariance
    bottom = mine[2] + other[2]
    bottom += np.float32(c1)
    spread = np.add(mine[3], other[3], out=covariance)
    spread += np.float32(c2)
    bottom *= spread
    product /= bottom
    return float(product.mean(dtype=np.float64))
