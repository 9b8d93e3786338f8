"""Farneback's optical flow as OpenCV computes it, for whole clips at once.

Published end-point errors were computed with ``cv2.calcOpticalFlowFarneback(a, b, None, 0.5, 3, 15,
3, 5, 1.2, 0)``. The same steps in the same order give the same flow to single precision, without
OpenCV. Source of the method: Farneback 2003 (doi 10.1007/3-540-45103-X_50).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]
LEVELS, WINDOW, ITERATIONS = 3, 15, 3
RADIUS, SIGMA = 5, 1.2  # of the neighbourhood that a polynomial is fitted to
_SMALLEST = 32  # pixels a side of the coarsest level
_EDGE = np.array([0.14, 0.14, 0.4472, 0.4472, 0.4472], dtype=np.float32)


def opencv_gray(frames: NDArray[Any]) -> NDArray[np.uint8]:
    """Return OpenCV's 8-bit grey of frames (..., 3) whose channels are taken as B, G, R."""
    wide = frames.astype(np.int32)
    total = 3735 * wide[..., 0] + 19235 * wide[..., 1] + 9798 * wide[..., 2]
    return ((total + (1 << 14)) >> 15).astype(np.uint8)


def farneback(gray: NDArray[Any]) -> Singles:
    """Return the flow between neighbouring frames of one clip.

    Parameters
    ----------
    gray : ndarray of uint8, shape (frame, height, width)

    Returns
    -------
    ndarray of float32, shape (frame - 1, height, width, 2)
        Displacement in pixels along the width and the height.
    """
    height, width = gray.shape[1:]
    levels, scale = 0, 0.5
    while levels < LEVELS and min(height, width) * scale >= _SMALLEST:
        levels, scale = levels + 1, scale / 2
    images = gray.astype(np.float32)
    flow: Singles | None = None
    for level in range(levels, -1, -1):
        scale = 0.5**level
        size = (round(height * scale), round(width * scale))
        pictures = _resized(_blurred(images, (1 / scale - 1) / 2), size)
        fitted = _polynomials(pictures)
        if flow is None:
            flow = np.zeros((len(gray) - 1, *size, 2), dtype=np.float32)
        else:
            moved = _resized(np.moveaxis(flow, -1, 1), size)
            flow = np.ascontiguousarray(np.moveaxis(moved, 1, -1)) * np.float32(2)
        for _ in range(ITERATIONS):
            flow = _solved(_equations(fitted[:-1], fitted[1:], flow))
    return np.asarray(flow)


def _blurred(images: Singles, sigma: float) -> Singles:
    from scipy.ndimage import correlate1d

    size = max(round(sigma * 5) | 1, 3)
    if sigma <= 0:
        kernel = np.array([0.25, 0.5, 0.25])
    else:
        kernel = np.exp(-0.5 * ((np.arange(size) - size // 2) / sigma) ** 2)
        kernel /= kernel.sum()
    for axis in (2, 1):
        images = correlate1d(images, kernel, axis=axis, mode="mirror")
    return images


def _resized(images: Singles, size: tuple[int, int]) -> Singles:
    """Resize the last two axes linearly between pixel centres."""
    for axis, wanted in ((-2, size[0]), (-1, size[1])):
        have = images.shape[axis]
        if have == wanted:
            continue
        place = ((np.arange(wanted) + 0.5) * (have / wanted) - 0.5).clip(0, have - 1)
        low = np.minimum(place.astype(np.int64), max(have - 2, 0))
        weight = (place - low).astype(np.float32)
        weight = weight[:, None] if axis == -2 else weight
        first, second = np.take(images, low, axis), np.take(images, low + 1, axis)
        images = first * (1 - weight) + second * weight
    return images


@lru_cache(maxsize=1)
def _basis() -> tuple[tuple[Singles, Singles, Singles], tuple[float, float, float, float]]:
    """Return the weights 1, x, x^2 under the Gaussian, and what the normal equations invert to."""
    x = np.arange(-RADIUS, RADIUS + 1)
    g = np.exp(-(x**2) / (2 * SIGMA**2))
    g /= g.sum()
    second, fourth = float((g * x**2).sum()), float((g * x**4).sum())
    normal = np.array(
        [[1, second, second], [second, fourth, second**2], [second, second**2, fourth]]
    )
    inverse = np.linalg.inv(normal)
    weights = (g.astype(np.float32), (x * g).astype(np.float32), (x * x * g).astype(np.float32))
    return weights, (1 / second, float(inverse[0, 1]), float(inverse[1, 1]), 1 / second**2)


def _polynomials(images: Singles) -> Singles:
    """Fit a quadratic around every pixel: (image, height, width) to (..., [y, x, yy, xx, xy])."""
    from scipy.ndimage import correlate1d

    (flat, slope, square), (of_slope, of_level, of_square, of_product) = _basis()

    def along(values: Singles, weights: Singles, axis: int) -> Singles:
        return np.asarray(correlate1d(values, weights, axis=axis, mode="nearest"))

    rows = [along(images, weights, 1) for weights in (flat, slope, square)]
    level = along(rows[0], flat, 2)
    found = np.empty((*images.shape, 5), dtype=np.float32)
    found[..., 0] = along(rows[1], flat, 2) * of_slope
    found[..., 1] = along(rows[0], slope, 2) * of_slope
    found[..., 2] = level * of_level + along(rows[2], flat, 2) * of_square
    found[..., 3] = level * of_level + along(rows[0], square, 2) * of_square
    found[..., 4] = along(rows[1], slope, 2) * of_product
    return found


def _equations(first: Singles, second: Singles, flow: Singles) -> Singles:
    """Return the five terms of the normal equations of each pixel's displacement."""
    height, width = flow.shape[1:3]
    moved, inside = _sampled(second, flow)
    mean = first.copy()
    mean[..., 2:] = np.where(inside, (first[..., 2:] + moved[..., 2:]) / 2, first[..., 2:])
    yy, xx, xy = mean[..., 2], mean[..., 3], mean[..., 4] / 2
    dx, dy = flow[..., 0], flow[..., 1]
    difference = (first[..., :2] - np.where(inside, moved[..., :2], 0)) / 2
    by = difference[..., 0] + yy * dy + xy * dx
    bx = difference[..., 1] + xy * dy + xx * dx
    weight = _faded(height)[:, None] * _faded(width)
    yy, xx, xy, by, bx = (term * weight for term in (yy, xx, xy, by, bx))
    terms = (
        yy * yy + xy * xy,
        (yy + xx) * xy,
        xx * xx + xy * xy,
        yy * by + xy * bx,
        xy * by + xx * bx,
    )
    return np.stack(terms)


def _faded(length: int) -> Singles:
    weight = np.ones(length, dtype=np.float32)
    edge = min(len(_EDGE), length)
    weight[:edge] *= _EDGE[:edge]
    weight[::-1][:edge] *= _EDGE[:edge]
    return weight


def _sampled(values: Singles, flow: Singles) -> tuple[Singles, NDArray[np.bool_]]:
    """Read values (image, height, width, 5) where the flow leads, and whether that lies inside."""
    images, height, width = flow.shape[:3]
    x = np.arange(width, dtype=np.float32) + flow[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
    left, top = np.floor(x), np.floor(y)
    inside = (left >= 0) & (left < width - 1) & (top >= 0) & (top < height - 1)
    fx, fy = (x - left)[..., None], (y - top)[..., None]
    start = np.arange(images)[:, None, None] * (height * width)
    corner = np.where(inside, start + top * width + left, 0).astype(np.int64)
    rows = values.reshape(-1, 5)
    upper = rows[corner] * (1 - fx) + rows[corner + 1] * fx
    lower = rows[corner + width] * (1 - fx) + rows[corner + width + 1] * fx
    return upper * (1 - fy) + lower * fy, inside[..., None]


def _solved(terms: Singles) -> Singles:
    """Average the equations over windows and solve them."""
    from scipy.ndimage import uniform_filter1d

    wide = terms.astype(np.float64)
    for axis in (2, 3):
        wide = uniform_filter1d(wide, WINDOW, axis=axis, mode="nearest")
    yy, xy, xx, by, bx = wide
    scale = 1 / (yy * xx - xy * xy + 1e-3)
    return np.stack([(yy * bx - xy * by) * scale, (xx * by - xy * bx) * scale], axis=-1).astype(
        np.float32
    )
