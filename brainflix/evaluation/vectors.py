"""Predicted vectors against true ones: identification, correlation, R2, cosine, squared error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.errors import DataError
from brainflix.metrics.identification import identification
from brainflix.metrics.similarity import correlation_pairs

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class VectorScores:
    """How well one set of vectors is predicted.

    Attributes
    ----------
    identification : float
        See :func:`vector_identification`; chance 0.5.
    r : float
        See :func:`mean_correlation`.
    r2 : float or None
        See :func:`r_squared`; negative where the mean of the true vectors would have been better.
    cosine : float
        See :func:`mean_cosine`.
    mse : float
        See :func:`mean_squared_error`, in squared units of the target.
    """

    identification: float
    r: float
    r2: float | None
    cosine: float
    mse: float


def vector_metric(target: str) -> str:
    """Return what identification by the vectors of a target is called among the metrics."""
    return f"identification@vector:{target}"


def _flat(rows: NDArray[Any], other: NDArray[Any]) -> tuple[Floats, Floats]:
    if rows.shape != other.shape:
        raise DataError("vectors differ in shape", expected=other.shape, found=rows.shape)
    return (
        rows.reshape(len(rows), -1).astype(np.float64),
        other.reshape(len(other), -1).astype(np.float64),
    )


def vector_identification(
    predicted: NDArray[Any], true: NDArray[Any], own: NDArray[np.int64] | None = None
) -> Floats:
    """Return pairwise identification by Pearson's r over a vector's entries; chance 0.5.

    Parameters
    ----------
    predicted : ndarray, shape (m, ...)
        Everything after the first axis is one vector.
    true : ndarray, shape (n, ...)
        One vector for each clip.
    own : ndarray of int, shape (m,), optional
        The clip of each prediction, where several are of one clip; by default i, with m = n.
    """
    if predicted.shape[1:] != true.shape[1:]:
        raise DataError(
            "vectors differ in shape", expected=true.shape[1:], found=predicted.shape[1:]
        )
    return identification(correlation_pairs(predicted, true), own)


def r_squared(predicted: NDArray[Any], true: NDArray[Any]) -> float | None:
    """Return 1 - sum of squared errors / sum of squares about the true mean, over all entries.

    Each dimension counts by its variance. Below 0, predicting the mean of the true vectors would
    have been better; correlations hide that. None where all true vectors are equal.
    """
    predicted, true = _flat(predicted, true)
    total = float(((true - true.mean(axis=0)) ** 2).sum())
    if total == 0:
        return None
    return 1.0 - float(((true - predicted) ** 2).sum()) / total


def mean_correlation(predicted: NDArray[Any], true: NDArray[Any]) -> float:
    """Return Pearson's r over clips for each dimension, averaged over the dimensions that vary.

    A dimension in which the prediction is constant counts as 0.
    """
    predicted, true = _flat(predicted, true)
    x, y = predicted - predicted.mean(axis=0), true - true.mean(axis=0)
    varying = (y**2).sum(axis=0) > 0
    scale = np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    r = np.divide((x * y).sum(axis=0), scale, out=np.zeros_like(scale), where=scale > 0)
    return float(r[varying].mean()) if varying.any() else 0.0


def mean_cosine(predicted: NDArray[Any], true: NDArray[Any]) -> float:
    """Return the cosine of each predicted vector with the true one, the mean over clips.

    Uncentred: vectors that share a large mean have a high cosine whatever was predicted. A vector
    of zeros counts 0.
    """
    predicted, true = _flat(predicted, true)
    scale = np.sqrt((predicted**2).sum(axis=1) * (true**2).sum(axis=1))
    product = (predicted * true).sum(axis=1)
    return float(np.divide(product, scale, out=np.zeros_like(scale), where=scale > 0).mean())


def mean_squared_error(predicted: NDArray[Any], true: NDArray[Any]) -> float:
    """Return the squared error over all entries, in squared units of the target."""
    predicted, true = _flat(predicted, true)
    return float(np.square(true - predicted).mean())


def vector_scores(
    predicted: NDArray[Any], true: NDArray[Any], own: NDArray[np.int64] | None = None
) -> VectorScores:
    """Return all scores of predicted vectors; shapes as in :func:`vector_identification`."""
    paired = true if own is None else true[own]
    return VectorScores(
        identification=float(vector_identification(predicted, true, own).mean()),
        r=mean_correlation(predicted, paired),
        r2=r_squared(predicted, paired),
        cosine=mean_cosine(predicted, paired),
        mse=mean_squared_error(predicted, paired),
    )
