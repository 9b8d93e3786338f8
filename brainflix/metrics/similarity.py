"""Similarities of every prediction to every true vector: cosine and Pearson's r."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def cosine_pairs(predicted: NDArray[Any], true: NDArray[Any]) -> Floats:
    """Return the cosine of every prediction with every true vector.

    Parameters
    ----------
    predicted, true : ndarray, shape (n, ...) and (m, ...)
        A row of zeros has cosine 0 with everything.

    Returns
    -------
    ndarray of float64, shape (n, m)
    """
    return _unit(predicted) @ _unit(true).T


def correlation_pairs(predicted: NDArray[Any], true: NDArray[Any]) -> Floats:
    """Return Pearson's r over dimensions of every prediction with every true vector, (n, m)."""
    return cosine_pairs(_centred(predicted), _centred(true))


def _centred(rows: NDArray[Any]) -> Floats:
    wide = rows.reshape(len(rows), -1).astype(np.float64)  # (row, ...) -> (row, dim)
    return np.asarray(wide - wide.mean(axis=1, keepdims=True))


def _unit(rows: NDArray[Any]) -> Floats:
    wide = rows.reshape(len(rows), -1).astype(np.float64)  # (row, ...) -> (row, dim)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.divide(wide, length, out=np.zeros_like(wide), where=length > 0)
