"""Ridge from features of clips to voxels, and the covariance of what it leaves.

The parts of an encoding model (:mod:`brainflix.learning.encoding_model`) that are fitted to trials:
from products taken once over all rows, the fit to the rows outside any fold follows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from brainflix.artifacts.stimuli import Array
from brainflix.learning.clip_features import Double

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class VoxelRegression:
    """Ridge from features F to standardised responses Y, of all rows or of some.

    The last column of F is 1 and its weights, the intercept, are not penalised. Rows that are left
    out must not enter by a mean of all rows either: what is centred by it knows their sum.

    Parameters
    ----------
    rows : ndarray of float32, shape (row, voxel)
    features : ndarray of float64, shape (row, component + 1)
    square : ndarray of float64, shape (component + 1, component + 1)
        F'F.
    cross : ndarray of float64, shape (component + 1, voxel)
        F'Y.
    """

    rows: Array
    features: Double
    square: Double
    cross: Double

    @classmethod
    def of(cls, rows: Array, features: Double) -> VoxelRegression:
        """Take the products of all rows; features (row, component) come without the intercept."""
        features = np.concatenate([features, np.ones((len(features), 1))], axis=1)
        return cls(rows, features, features.T @ features, _cross(features, rows))

    def weights(self, penalty: float, keep: Mask | None = None) -> tuple[Double, float]:
        """Return ridge weights (component + 1, voxel) of the kept rows, and their trace.

        The trace is that of the map from responses to fitted responses: the parameters that a
        voxel effectively has.
        """
        square, cross = self.square, self.cross
        if keep is not None and not keep.all():
            left = self.features[~keep]
            square, cross = square - left.T @ left, cross - _cross(left, self.rows[~keep])
        penalized = square + np.diag([penalty] * (len(square) - 1) + [0.0])
        factor = cho_factor(penalized, overwrite_a=True, check_finite=False)
        trace = float(np.trace(cho_solve(factor, square, check_finite=False)))
        return np.asarray(cho_solve(factor, cross, check_finite=False)), trace


def _cross(features: Double, rows: Array) -> Double:
    return (features.T.astype(np.float32) @ rows).astype(np.float64)


@dataclass(frozen=True)
class ResidualProducts:
    """Products of scaled rows Z, from which every fold's residual covariance follows.

    The residuals of a fold's fit are Z - F B, with B its scaled weights, so their products differ
    from those of Z by terms of the features' small rank: the large product is taken once.

    Parameters
    ----------
    regression : VoxelRegression
    scale : ndarray of float32, shape (voxel,)
        Root mean square of each voxel's residuals, Z = Y / scale.
    scaled : ndarray of float32, shape (row, voxel)
        Z.
    gram : ndarray of float64
        ZZ', (row, row), where there are at least as many voxels as rows; Z'Z, (voxel, voxel),
        otherwise.
    """

    regression: VoxelRegression
    scale: Array
    scaled: Array
    gram: Double

    @classmethod
    def of(cls, regression: VoxelRegression, penalty: float) -> ResidualProducts:
        """Scale the rows by the residuals of the fit to all of them, and take their products."""
        weights, trace = regression.weights(penalty)
        residual = regression.rows - regression.features.astype(np.float32) @ weights.astype(
            np.float32
        )
        scale = np.sqrt(
            np.square(residual).mean(axis=0, dtype=np.float64) * _inflation(trace, len(residual))
        ).astype(np.float32)
        scale[scale == 0] = 1.0
        scaled = regression.rows / scale
        wide = scaled.shape[0] <= scaled.shape[1]
        gram = scaled @ scaled.T if wide else scaled.T @ scaled
        return cls(regression, scale, scaled, gram.astype(np.float64))

    def filters(self, penalty: float, shrinkage: float, keep: Mask) -> tuple[Double, Double]:
        """Fit the kept rows and return W' and W' S^-1, each (component + 1, voxel).

        S = D^1/2 ((1 - s) R + s I) D^1/2, with s the shrinkage, D the variances of the residuals
        and R their correlations (the target D of Schaefer and Strimmer 2005, doi
        10.2202/1544-6115.1175).

        Parameters
        ----------
        penalty : float
        shrinkage : float
            Above 0, at most 1.
        keep : ndarray of bool, shape (row,)
        """
        weights, trace = self.regression.weights(penalty, keep)
        scaled, features = weights / self.scale, self.regression.features[keep]
        if shrinkage >= 1:
            return weights, scaled / self.scale
        count = len(features)
        share = (1 - shrinkage) * _inflation(trace, count) / count
        solve = self._solve_dual if len(self.gram) == len(self.scaled) else self._solve_primal
        return weights, solve(scaled, features, keep, shrinkage, share) / self.scale

    def _solve_dual(
        self, scaled: Double, features: Double, keep: Mask, shrinkage: float, share: float
    ) -> Double:
        """Return B (s I + c E'E)^-1 over rows, with E = Z - F B the residuals.

        By Woodbury, with q = s / c: B (I - E' (q I + EE')^-1 E) / s.
        """
        rows = self.scaled[keep]
        # EE' and EB' from ZZ', ZB' and BB': no array of residuals is formed.
        projected = (rows @ scaled.T.astype(np.float32)).astype(np.float64)  # ZB'
        square = scaled @ scaled.T
        mixed = projected @ features.T
        inner = self.gram[np.ix_(keep, keep)] - mixed - mixed.T + features @ square @ features.T
        inner[np.diag_indices(len(inner))] += shrinkage / share
        factor = cho_factor(inner, overwrite_a=True, check_finite=False)
        dual = cho_solve(factor, projected - features @ square, check_finite=False)
        # B - (EE' part) E, with E written out: rows - F B.
        explained = dual.T.astype(np.float32) @ rows - (dual.T @ features) @ scaled
        return np.asarray((scaled - explained) / shrinkage)

    def _solve_primal(
        self, scaled: Double, features: Double, keep: Mask, shrinkage: float, share: float
    ) -> Double:
        """Return B (s I + c E'E)^-1 over voxels, with E = Z - F B the residuals."""
        left = self.scaled[~keep]
        mixed = scaled.T @ _cross(features, self.scaled[keep])  # B'F'Z, (voxel, voxel)
        inner = self.gram - (left.T @ left).astype(np.float64) - mixed - mixed.T
        inner += scaled.T @ (features.T @ features) @ scaled
        inner *= share
        inner[np.diag_indices(len(inner))] += shrinkage
        factor = cho_factor(inner, overwrite_a=True, check_finite=False)
        return np.asarray(cho_solve(factor, scaled.T, check_finite=False).T)


def _inflation(trace: float, count: int) -> float:
    """Return how much larger the error of a new row is than the mean square of fitted residuals.

    Of n rows and k effective parameters, fitted residuals are short by (n - k) / n, and errors in
    the weights add k / n to the noise of a new row.
    """
    return (1 + trace / count) / max(1 - trace / count, 1 / count)
