"""Predicted vectors beside true ones: identification, correlation and R2; paired comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.config.recipe import EvaluationConfig
from brainflix.errors import DataError
from brainflix.metrics.identification import identification
from brainflix.metrics.similarity import correlation_pairs
from brainflix.statistics.bootstrap import bootstrap_interval, sign_flip_p

Floats = NDArray[np.float64]
ALPHA = 0.05


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
        Anything behind the first axis is one vector.
    true : ndarray, shape (n, ...)
        One vector a clip.
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
    """Return Pearson's r over clips a dimension, averaged over the dimensions that vary.

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
) -> dict[str, float | None]:
    """Return identification, mean r, R2, cosine and squared error of predicted vectors.

    Shapes as above. R2 is by sums of squares and may be negative: predicting the mean of the true
    vectors would have been better then.
    """
    paired = true if own is None else true[own]
    return {
        "identification": float(vector_identification(predicted, true, own).mean()),
        "r": mean_correlation(predicted, paired),
        "r2": r_squared(predicted, paired),
        "cosine": mean_cosine(predicted, paired),
        "mse": mean_squared_error(predicted, paired),
    }


def paired_difference(
    ours: Floats, theirs: Floats, units: Sequence[str], options: EvaluationConfig
) -> dict[str, Any]:
    """Compare two systems on the same clips.

    Parameters
    ----------
    ours, theirs : ndarray of float64, shape (n,)
        Score of each clip by this system and by the other.
    units : sequence of str, length n
        What is resampled together.
    options : EvaluationConfig
        Draws, confidence and seed.

    Returns
    -------
    dict
        value, other, difference, interval, p (two-sided, sign flips), n, better: "this", "other"
        or "neither" where the interval holds 0 or P is not below 0.05.
    """
    if ours.shape != theirs.shape:
        raise DataError("paired scores differ in number", expected=ours.shape, found=theirs.shape)
    difference = ours - theirs
    low, high = bootstrap_interval(
        difference, units, options.bootstrap, options.confidence, options.seed
    )
    p = sign_flip_p(difference, units, options.permutations, options.seed)
    shown = p < ALPHA and not low <= 0 <= high
    mean = float(difference.mean())
    return {
        "value": float(ours.mean()),
        "other": float(theirs.mean()),
        "difference": mean,
        "interval": [low, high],
        "p": p,
        "n": len(ours),
        "better": ("this" if mean > 0 else "other") if shown else "neither",
    }
