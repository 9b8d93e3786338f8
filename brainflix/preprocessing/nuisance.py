"""A run's rows without drift and confounds, z-scored; and betas scaled by training statistics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from brainflix.errors import DataError

BLOCK = 512  # voxels worked on at a time; a run of some hundred volumes then fits into the cache
RELATIVE_ZERO = 2e-6  # deviation of a constant voxel by rounding to float32, over its values


@dataclass(frozen=True)
class CleanedRows:
    """A cleaned run.

    Parameters
    ----------
    rows : ndarray of float32, shape (volume, voxel)
        Cleaned values; 0 in voxels that are not finite or constant.
    nonfinite, constant : ndarray of bool, shape (voxel,)
        Voxels that hold a value that is not finite; that are finite and do not vary once drift and
        confounds are removed.
    """

    rows: np.ndarray
    nonfinite: np.ndarray
    constant: np.ndarray

    def __post_init__(self) -> None:
        if not len(self.nonfinite) == len(self.constant) == self.rows.shape[1]:
            raise DataError("flags do not fit the rows", expected=self.rows.shape[1])


def nuisance_basis(
    n_volumes: int, order: int, confounds: np.ndarray | None = None, where: object = None
) -> np.ndarray:
    """Return an orthonormal basis of drift and confounds.

    Parameters
    ----------
    n_volumes : int
        Volumes of the run.
    order : int
        Highest degree of the Legendre polynomials.
    confounds : ndarray, shape (volume, column), optional
        Further regressors; collinear ones are harmless.
    where : object
        The run, for messages.

    Returns
    -------
    ndarray of float64, shape (volume, regressor)

    Raises
    ------
    DataError
        When the run has too few volumes for so many regressors.
    """
    # Drift: Legendre polynomials up to the order given, whose first one is the mean.
    time = np.linspace(-1.0, 1.0, n_volumes)
    design = np.polynomial.legendre.legvander(time, order)
    if confounds is not None and confounds.shape[1]:
        # Confounds without their mean, each of unit length; a constant one becomes 0.
        centred = confounds - confounds.mean(axis=0)
        scale = np.linalg.norm(centred, axis=0)
        design = np.column_stack([design, centred / np.where(scale > 0, scale, 1.0)])
    if design.shape[1] >= n_volumes:
        raise DataError(
            "a run is too short for what is to be removed from it",
            expected=f"more than {design.shape[1]} volumes",
            found=n_volumes,
            where=where,
            remedy="lower preprocessing.cleaning.detrend_order or name fewer confounds",
        )
    # The left singular vectors span what the columns span; directions of a negligible singular
    # value come from collinear columns.
    left, singular, _ = np.linalg.svd(
        design / np.linalg.norm(design, axis=0).clip(1e-300), full_matrices=False
    )
    return left[:, singular > singular[0] * 1e-10]


def clean_rows(rows: np.ndarray, basis: np.ndarray, standardize: bool = True) -> CleanedRows:
    """Remove a basis from each voxel by least squares, and z-score what is left.

    Parameters
    ----------
    rows : ndarray, shape (volume, voxel)
        A run; not changed.
    basis : ndarray of float64, shape (volume, regressor)
        Orthonormal regressors, see :func:`nuisance_basis`.
    standardize : bool
        Divide by the population standard deviation over the run.

    Returns
    -------
    CleanedRows
        Computed in float32 about each voxel's first value, a block of voxels at a time.
    """
    n_volumes, n_voxels = rows.shape
    cleaned = np.empty((n_volumes, n_voxels), dtype=np.float32)
    nonfinite = np.zeros(n_voxels, dtype=bool)
    constant = np.zeros(n_voxels, dtype=bool)
    regressors = np.ascontiguousarray(basis, dtype=np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, n_voxels, BLOCK):
            part = slice(start, start + BLOCK)
            # Differences from each voxel's first value: large values would cost float32 its
            # precision.
            block, first = _about_first(rows[:, part])
            # Least squares with an orthonormal basis is a projection: (regressor, volume) @
            # (volume, voxel), and back.
            weights = regressors.T @ block  # (regressor, voxel)
            block -= regressors @ weights
            squares = np.einsum("tv,tv->v", block, block)
            # Sums show whether any voxel of the block needs a closer look.
            if not np.isfinite(squares).all():
                nonfinite[part] = bad = ~np.isfinite(rows[:, part]).all(axis=0)
                block[:, bad], first[bad], squares[bad], weights[:, bad] = 0.0, 0.0, 0.0, 0.0
            # A voxel is constant when what is left is within the rounding of what was removed.
            deviation = np.sqrt(squares / n_volumes)
            removed = np.sqrt(np.einsum("rv,rv->v", weights, weights) / n_volumes)
            still = deviation <= RELATIVE_ZERO * (np.abs(first) + removed)
            constant[part] = still & ~nonfinite[part]
            factor = np.where(still, 0.0, 1.0 / np.where(still, 1.0, deviation))
            if not standardize:
                factor = np.where(still, 0.0, 1.0)
            np.multiply(block, factor.astype(np.float32), out=cleaned[:, part])
    return CleanedRows(cleaned, nonfinite, constant)


def _about_first(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows less the first one as new float32 (volume, voxel), and the first one."""
    first = rows[0].copy()
    if rows.dtype == np.float32:
        return np.subtract(rows, first), first
    return (rows.astype(np.float64) - first).astype(np.float32), first.astype(np.float32)


class TrialStatistics:
    """Mean and standard deviation of single-trial responses over training runs, run by run.

    Sums of squares are taken about the first run's mean, and combined by the update of Chan,
    Golub and LeVeque (1983), so that only three vectors are kept.
    """

    def __init__(self, n_voxels: int) -> None:
        self.count = 0
        self.mean = np.zeros(n_voxels)
        self.squares = np.zeros(n_voxels)
        self.largest = np.zeros(n_voxels)
        self.nonfinite = np.zeros(n_voxels, dtype=bool)

    def add(self, rows: np.ndarray) -> None:
        """Add a run's responses, (trial, voxel)."""
        total = self.count + len(rows)
        for start in range(0, rows.shape[1], BLOCK):
            part = slice(start, start + BLOCK)
            values = rows[:, part].astype(np.float64)
            # Voxels that are not finite once stay unusable, and add zeros.
            bad = ~np.isfinite(values).all(axis=0)
            values[:, bad] = 0.0
            self.nonfinite[part] |= bad
            np.maximum(self.largest[part], np.abs(values).max(axis=0), out=self.largest[part])
            # The pooled sum of squares is that of both parts about their own means, plus the term
            # of the difference between these means.
            mean = values.mean(axis=0)
            values -= mean
            difference = mean - self.mean[part]
            self.squares[part] += np.einsum("tv,tv->v", values, values)
            self.squares[part] += difference**2 * self.count * len(rows) / total
            self.mean[part] += difference * len(rows) / total
        self.count = total

    @property
    def deviation(self) -> np.ndarray:
        """Population standard deviation, float64 (voxel,)."""
        return np.sqrt(self.squares / max(self.count, 1))

    @property
    def constant(self) -> np.ndarray:
        """Voxels that are finite and do not vary over the training trials, bool (voxel,)."""
        return ~self.nonfinite & (self.deviation <= 1e-7 * self.largest)

    def scale(self, rows: np.ndarray, standardize: bool = True) -> CleanedRows:
        """Return responses less the training mean, over the training deviation."""
        scaled = np.empty(rows.shape, dtype=np.float32)
        unusable = np.zeros(rows.shape[1], dtype=bool)
        still = self.constant | self.nonfinite
        factor = 1.0 / np.where(still | (not standardize), 1.0, self.deviation)
        for start in range(0, rows.shape[1], BLOCK):
            part = slice(start, start + BLOCK)
            values = rows[:, part].astype(np.float64)
            unusable[part] = bad = ~np.isfinite(values).all(axis=0)
            with np.errstate(invalid="ignore"):
                values -= self.mean[part]
                values *= factor[part]
            values[:, bad | still[part]] = 0.0
            scaled[:, part] = values
        return CleanedRows(scaled, unusable, np.zeros_like(unusable))
