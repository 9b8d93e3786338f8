"""Ridge regression by one decomposition: any penalty, and every left-out fold, from it.

With K = X X' = U S U' the fitted values at penalty a are H y, H = U diag(s / (s + a)) U', and the
prediction of a fold g by the fit without it follows exactly from the same H (the block form of the
leave-one-out identity; Cook and Weisberg 1982, Residuals and Influence in Regression, section 3.6):
y_g - (I - H_gg)^-1 (y_g - (H y)_g). Inputs and targets must be centred already, once for all folds.

himalaya has ridge too, and is what the tests compare with. This implementation is kept because no
fold is fitted again: all left-out predictions, for any penalty, follow from one decomposition
(``benchmarks/ridge.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, eigh

from brainflix.artifacts.responses import average_repeats
from brainflix.artifacts.stimuli import Array, Labels
from brainflix.errors import DataError

Double = NDArray[np.float64]

_RANK = 1e-9  # eigenvalues below this share of the largest are rounding of float32 inputs


@dataclass(frozen=True)
class Standardization:
    """Mean and deviation of each feature over training rows.

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
        # A deviation within the rounding of the mean counts as none.
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

    def penalties(self, multiples: Sequence[float]) -> list[float]:
        """Return penalties from multiples of the number of features.

        A row of standardised features has that squared length on average, so that the same
        multiples suit any number of voxels.
        """
        return [float(multiple * self.rows.shape[1]) for multiple in multiples]

    def weights(self, targets: Double, alpha: float) -> Double:
        """Return the ridge solution X' (X X' + alpha I)^-1 Y, shape (feature, dim)."""
        # (X X' + alpha I)^-1 = U diag(1 / (s + alpha)) U' on the span of U
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
    # The smaller of X X' (row, row) and X' X (feature, feature): both have the same eigenvalues.
    exact = rows.astype(np.float64)
    wide = rows.shape[0] <= rows.shape[1]
    gram = exact @ exact.T if wide else exact.T @ exact
    strength, vectors = eigh(gram, overwrite_a=True, check_finite=False, driver="evd")
    # eigh sorts ascending; what is left is sorted descending, without the null space.
    keep = strength > _RANK * max(strength[-1], 0.0)
    if not keep.any() or strength[-1] <= 0:
        raise DataError("responses do not vary", expected="variance", found=f"{rows.shape} zeros")
    strength, vectors = strength[keep][::-1], vectors[:, keep][:, ::-1]
    # From X' X = V S V', the eigenvectors of X X' are U = X V S^(-1/2).
    basis = vectors if wide else (exact @ vectors) / np.sqrt(strength)
    return Spectrum(rows, np.ascontiguousarray(basis), strength.copy())


Block = tuple[NDArray[np.bool_], tuple[Double, bool]]


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
    projected = spectrum.basis.T @ targets
    return _heldout(spectrum, targets, projected, alpha, _blocks(spectrum, alpha, folds))


def _blocks(spectrum: Spectrum, alpha: float, folds: NDArray[np.int64]) -> list[Block]:
    """Return each fold's rows and the Cholesky factor of I - H_gg."""
    # H = U diag(gain) U', of which a fold needs its own rows and columns alone.
    gain = spectrum.strength / (spectrum.strength + alpha)
    blocks = []
    for fold in np.unique(folds):
        inside = folds == fold
        part = spectrum.basis[inside]  # (row of the fold, rank)
        block = np.eye(len(part)) - (part * gain) @ part.T
        blocks.append((inside, cho_factor(block, overwrite_a=True, check_finite=False)))
    return blocks


def _heldout(
    spectrum: Spectrum, targets: Double, projected: Double, alpha: float, blocks: list[Block]
) -> Double:
    # The residual of the fit on all rows, y - H y, from which (I - H_gg)^-1 removes each fold's own
    # influence.
    gain = spectrum.strength / (spectrum.strength + alpha)
    residual = targets - spectrum.basis @ (gain[:, None] * projected)  # (row, dim)
    predicted = np.empty_like(targets)
    for inside, factor in blocks:
        left_out = cho_solve(factor, residual[inside], check_finite=False)
        predicted[inside] = targets[inside] - left_out
    return predicted


def choose_alphas(
    spectrum: Spectrum,
    targets: Mapping[str, Double],
    folds: NDArray[np.int64],
    clip: Labels,
    alphas: Sequence[float],
) -> dict[str, float]:
    """Choose each target's penalty by its left-out predictions, averaged over repeats.

    The best is the one whose averaged predictions, times the best common factor, err least:
    averaged, because that is how test clips are predicted, and with a factor, because averaging
    more repeats changes how much shrinkage is right, but not which direction is.

    Parameters
    ----------
    spectrum : Spectrum
        Of the centred inputs.
    targets : mapping of str to ndarray of float64, shape (row, dim)
        Centred targets by name.
    folds : ndarray of int64, shape (row,)
        The fold of each row.
    clip : ndarray of str, shape (row,)
        The clip of each row.
    alphas : sequence of float
        Candidates.

    Returns
    -------
    dict of str to float
        The best candidate by target; the largest of equals.
    """
    projected = {name: spectrum.basis.T @ values for name, values in targets.items()}
    true = {name: average_repeats(values, clip)[0] for name, values in targets.items()}
    best = {name: (-1.0, 0.0) for name in targets}
    for alpha in sorted(alphas):
        # One set of factors serves all targets.
        blocks = _blocks(spectrum, alpha, folds)
        for name, values in targets.items():
            heldout = _heldout(spectrum, values, projected[name], alpha, blocks)
            fit = _likeness(average_repeats(heldout, clip)[0], true[name])
            best[name] = max(best[name], (fit, alpha))
    return {name: alpha for name, (_, alpha) in best.items()}


def _likeness(predicted: Double, true: Double) -> float:
    """Return the cosine of two arrays, 0 for one that is zero or points the other way."""
    length = float(np.sqrt((predicted**2).sum() * (true**2).sum()))
    return max(0.0, float((predicted * true).sum()) / length) if length > 0 else 0.0
