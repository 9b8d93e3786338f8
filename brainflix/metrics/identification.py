"""Identification: is a prediction nearer its own clip than the others are?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.errors import DataError
from brainflix.metrics.nway import identification_matrix
from brainflix.statistics.chance import Scores, of_matrix

Floats = NDArray[np.float64]


def identification_pairs(similarity: NDArray[Any]) -> Floats:
    """Score every prediction as an identification of every clip.

    Parameters
    ----------
    similarity : ndarray, shape (m, n)
        Row i holds the similarity of prediction i to each of n clips.

    Returns
    -------
    ndarray of float64, shape (m, n)
        Entry (i, j): the fraction of the clips other than j that are less similar to prediction i
        than clip j is; a tie counts half. The mean of a row is 0.5, and so is chance.
    """
    if similarity.ndim != 2 or similarity.shape[1] < 2:
        raise DataError(
            "identification needs at least two clips to choose from",
            expected="(prediction, clip)",
            found=similarity.shape,
        )
    from scipy.stats import rankdata

    ranks = rankdata(similarity, method="average", axis=1)
    return np.asarray((ranks - 1) / (similarity.shape[1] - 1))


def identification(similarity: NDArray[Any], own: NDArray[np.int64] | None = None) -> Floats:
    """Return each prediction's pairwise identification of its own clip; chance 0.5.

    Parameters
    ----------
    similarity : ndarray, shape (m, n)
        Row i holds the similarity of prediction i to each of n clips.
    own : ndarray of int, shape (m,), optional
        The column of each prediction's own clip; by default i, with m = n.
    """
    if own is None and similarity.shape[0] != similarity.shape[-1]:
        raise DataError("which clip is whose", expected="a square matrix", found=similarity.shape)
    rows = np.arange(len(similarity))
    return identification_pairs(similarity)[rows, rows if own is None else own]


def identified(similarity: NDArray[Any], pairs: bool) -> Scores:
    """Return pairwise identification of a square matrix of similarities, as a metric's scores."""
    matrix = identification_pairs(similarity)
    nearest = len(np.unique(similarity.argmax(axis=1)))
    return of_matrix(matrix, pairs, distinct_nearest=nearest)


def nway_identified(similarity: NDArray[Any], ways: int, pairs: bool) -> Scores:
    """Return identification among ``ways`` clips in closed form, as a metric's scores."""
    return of_matrix(identification_matrix(similarity, ways), pairs, ways=ways)


def cosine_pairs(predicted: NDArray[Any], true: NDArray[Any]) -> Floats:
    """Return the cosine of every prediction with every true vector.

    Parameters
    ----------
    predicted, true : ndarray, shape (n, dim) and (m, dim)
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
    wide = rows.reshape(len(rows), -1).astype(np.float64)
    return np.asarray(wide - wide.mean(axis=1, keepdims=True))


def _unit(rows: NDArray[Any]) -> Floats:
    wide = rows.reshape(len(rows), -1).astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.divide(wide, length, out=np.zeros_like(wide), where=length > 0)
