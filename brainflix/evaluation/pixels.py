"""Clips compared pixel by pixel, all pairs of two sets at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.evaluation.clips import check_clips

Floats = NDArray[np.float64]
_BLOCK_BYTES = 64 * 2**20


def cross_products(true: NDArray[Any], predicted: NDArray[Any]) -> Floats:
    """Return the inner product of every prediction with every true clip, a frame.

    Parameters
    ----------
    true, predicted : ndarray of uint8 or float, shape (clip, frame, height, width, 3)

    Returns
    -------
    ndarray of float64, shape (frame, prediction, true clip)
        Exact for uint8: every partial sum is an integer below 2^53.
    """
    frames = true.shape[1]
    products = np.zeros((frames, len(predicted), len(true)))
    width = int(np.prod(true.shape[2:]))
    step = max(1, _BLOCK_BYTES // (8 * max(len(true), len(predicted))))
    for frame in range(frames):
        flat_true = true[:, frame].reshape(len(true), width)
        flat_predicted = predicted[:, frame].reshape(len(predicted), width)
        for start in range(0, width, step):
            part = slice(start, start + step)
            products[frame] += (
                flat_predicted[:, part].astype(np.float64) @ flat_true[:, part].astype(np.float64).T
            )
    return products


def _frame_moments(clips: NDArray[Any]) -> tuple[Floats, Floats]:
    """Return the sum and the sum of squares of each frame's pixels, each (clip, frame)."""
    axes = (1, 2, 3)
    sums = np.stack([clip.sum(axis=axes, dtype=np.float64) for clip in clips])
    squares = np.stack([np.square(clip, dtype=np.float64).sum(axis=axes) for clip in clips])
    return sums, squares


def pixel_correlation_pairs(true: NDArray[Any], predicted: NDArray[Any]) -> Floats:
    """Return Pearson's r over all pixels, channels and frames of every prediction and true clip.

    A clip of one grey level everywhere correlates with nothing: its r is set to 0.

    Returns
    -------
    ndarray of float64, shape (prediction, true clip)
    """
    check_clips(true, predicted)
    samples = float(np.prod(true.shape[1:]))
    sum_true, squares_true = (part.sum(axis=1) for part in _frame_moments(true))
    sum_predicted, squares_predicted = (part.sum(axis=1) for part in _frame_moments(predicted))
    covariance = cross_products(true, predicted).sum(axis=0) - np.outer(
        sum_predicted, sum_true / samples
    )
    scale = np.sqrt(
        np.outer(
            np.maximum(squares_predicted - sum_predicted**2 / samples, 0.0),
            np.maximum(squares_true - sum_true**2 / samples, 0.0),
        )
    )
    return np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0)
