"""Ridge regression by one decomposition: any penalty, and every left-out fold, from it.

With K = X X' = U S U' the fitted values at penalty a are H y, H = U diag(s / (s + a)) U', and the
prediction of a fold g by the fit without it follows exactly from the same H (the block form of the
leave-one-out identity; Cook and Weisberg 1982, Residuals and Influence in Regression, section 3.6):
y_g - (I - H_gg)^-1 (y_g - (H y)_g). Inputs and targets must be centred already, once for all folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, eigh

from brainflix.alignment.trials import Array, Labels, average_repeats
from brainflix.errors import DataError

Double = NDArray[np.float64]

_RANK = 1e-9  # eigenvalues below this share of the largest are rounding of float32 inputs


@dataclass(frozen=True)
class Standardization:
    """Mean and deviation a feature, of training rows.

    Parameters
    ----------
    mean, scale : ndarray of float32, shape (feature,)
        ``scale`` is 1 where the training rows do not vary.
    """

    mean: Array
    scale: Array

    @classmethod
    def of(cls, rows: NDArray[np.floating]) -> Standardization:
        """Take the statistics of training rows (row, feature)."""
        mean = rows.mean(axis=0, dtype=np.float64)
        scale = rows.std(axis=0, dtype=np.float64)
        scale[scale <= 1e-6 * (1e-6 + np.abs(mean))] = 1.0
        return cls(mean.astype(np.float32), scale.astype(np.float32))

    def apply(self, rows: Array) -> Array:
        """Return rows (row, feature) in units of the training deviation."""
        return (rows - self.mean) / self.scale


@dataclass(frozen=True)
class Spectrum:
    """Rows X and the eigenvectors of X X' with their eigenvalues, descending.

    Parameters
    ----------
    rows : ndarray of float32, shape (row, feature)
    basis : ndarray of float64, shape (row, rank)
        Orthonormal columns U.
    strength : ndarray of float64, shape (rank,)
        Eigenvalues s > 0.
    """

    rows: Array
    basis: Double
    strength: Double

    def weights(self, targets: Double, alpha: float) -> Double:
        """Return the ridge solution X' (X X' + alpha I)^-1 Y, shape (feature, dim)."""
        projected = self.basis.T @ targets  # (row, dim) -> (rank, dim)
        dual = self.basis @ (projected / (self.strength + alpha)[:, None])
        return self.rows.T.astype(np.float64) @ dual


def decompose(rows: Array) -> Spectrum:
    """Decompose centred rows (row, feature), over the smaller of the two sides.

    Raises
    ------
    DataError
        When all rows are zero.
    """
    exact = rows.astype(np.float64)
    wide = rows.shape[0] <= rows.shape[1]
    gram = exact @ exact.T if wide else exact.T @ exact
    strength, vectors = eigh(gram, overwrite_a=True, check_finite=False, driver="evd")
    keep = strength > _RANK * max(strength[-1], 0.0)
    if not keep.any() or strength[-1] <= 0:
        raise DataError("responses do not vary", expected="variance", found=f"{rows.shape} zeros")
    strength, vectors = strength[keep][::-1], vectors[:, keep][:, ::-1]
    basis = vectors if wide else (exact @ vectors) / np.sqrt(strength)
    return Spectrum(rows, np.ascontiguousarray(basis), strength.copy())


def heldout_predictions(
    spectrum: Spectrum, targets: Double, alpha: float, folds: NDArray[np.int64]
) -> Double:
    """Predict each row by the ridge fit on all other folds.

    Parameters
    ----------
    spectrum : Spectrum
        Of the centred inputs.
    targets : ndarray of float64, shape (row, dim)
        Centred targets.
    alpha : float
        Penalty, above 0.
    folds : ndarray of int64, shape (row,)
        The fold of each row.

    Returns
    -------
    ndarray of float64, shape (row, dim)
    """
    return _heldout(spectrum, targets, spectrum.basis.T @ targets, alpha, folds)


def _heldout(
    spectrum: Spectrum,
    targets: Double,
    projected: Double,
    alpha: float,
    folds: NDArray[np.int64],
) -> Double:
    gain = spectrum.strength / (spectrum.strength + alpha)
    residual = targets - spectrum.basis @ (gain[:, None] * projected)  # (row, dim)
    predicted = np.empty_like(targets)
    for fold in np.unique(folds):
        inside = folds == fold
        part = spectrum.basis[inside]  # (row of the fold, rank)
        block = np.eye(len(part)) - (part * gain) @ part.T
        left_out = cho_solve(cho_factor(block, check_finite=False), residual[inside])
        predicted[inside] = targets[inside] - left_out
    return predicted


def choose_alpha(
    spectrum: Spectrum,
    targets: Double,
    folds: NDArray[np.int64],
    clip: Labels,
    alphas: Sequence[float],
) -> tuple[float, Double]:
    """Choose the penalty whose left-out predictions, averaged over repeats, err least.

    Repeats are averaged before the comparison because that is how test clips are predicted: the
    average is less noisy, so it favours a lower penalty than single trials do.

    Parameters
    ----------
    spectrum, targets, folds
        As for :func:`heldout_predictions`.
    clip : ndarray of str, shape (row,)
        The clip of each row.
    alphas : sequence of float
        Candidates.

    Returns
    -------
    alpha : float
        The best candidate; the largest of equals.
    errors : ndarray of float64, shape (alpha,)
        Sum of squared errors over clips and dimensions, relative to predicting zero.
    """
    projected = spectrum.basis.T @ targets
    true, _ = average_repeats(targets, clip)
    total = float((true**2).sum()) or 1.0
    errors = np.empty(len(alphas))
    for place, alpha in enumerate(alphas):
        predicted, _ = average_repeats(_heldout(spectrum, targets, projected, alpha, folds), clip)
        errors[place] = ((predicted - true) ** 2).sum() / total
    best = max(a for a, e in zip(alphas, errors, strict=True) if e == errors.min())
    return float(best), errors
