"""A run's rows without drift and confounds, z-scored; and betas scaled by training statistics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from brainflix.errors import DataError

BLOCK = 2048  # voxels worked on at a time in float64
RELATIVE_ZERO = 1e-7  # float32 resolves no less of a voxel's largest value


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
    time = np.linspace(-1.0, 1.0, n_volumes)
    design = np.polynomial.legendre.legvander(time, order)
    if confounds is not None and confounds.shape[1]:
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
        Computed in float64 a block of voxels at a time, stored as float32.
    """
    n_volumes, n_voxels = rows.shape
    cleaned = np.empty((n_volumes, n_voxels), dtype=np.float32)
    nonfinite = np.zeros(n_voxels, dtype=bool)
    constant = np.zeros(n_voxels, dtype=bool)
    for start in range(0, n_voxels, BLOCK):
        part = slice(start, start + BLOCK)
        block = rows[:, part].astype(np.float64)
        nonfinite[part] = bad = ~np.isfinite(block).all(axis=0)
        if bad.any():
            block[:, bad] = 0.0
        largest = np.maximum(block.max(axis=0), -block.min(axis=0))
        block -= basis @ (basis.T @ block)
        deviation = np.sqrt(np.einsum("tv,tv->v", block, block) / n_volumes)
        still = deviation <= RELATIVE_ZERO * largest
        constant[part] = still & ~bad
        block[:, still] = 0.0
        if standardize:
            block /= np.where(still, 1.0, deviation)
        cleaned[:, part] = block
    return CleanedRows(cleaned, nonfinite, constant)


class TrialStatistics:
    """Mean and standard deviation of single-trial responses over training runs, a run at a time.

    Sums of squares are taken about the first run's mean, and combined by the update of Chan,
    Golub and LeVeque (1983), so that nothing but three vectors is kept.
    """

    def __init__(self, n_voxels: int) -> None:
        self.count = 0
        self.mean = np.zeros(n_voxels)
        self.squares = np.zeros(n_voxels)
        self.largest = np.zeros(n_voxels)
        self.nonfinite = np.zeros(n_voxels, dtype=bool)

    def add(self, rows: np.ndarray) -> None:
        """Add a run's responses, (trial, voxel)."""
        values = rows.astype(np.float64)
        bad = ~np.isfinite(values).all(axis=0)
        values[:, bad] = 0.0
        self.nonfinite |= bad
        self.largest = np.maximum(self.largest, np.abs(values).max(axis=0))
        count, mean = len(values), values.mean(axis=0)
        difference = mean - self.mean
        total = self.count + count
        self.squares += ((values - mean) ** 2).sum(axis=0)
        self.squares += difference**2 * self.count * count / total
        self.mean += difference * count / total
        self.count = total

    @property
    def deviation(self) -> np.ndarray:
        """Population standard deviation, float64 (voxel,)."""
        return np.sqrt(self.squares / max(self.count, 1))

    @property
    def constant(self) -> np.ndarray:
        """Voxels that are finite and do not vary over the training trials, bool (voxel,)."""
        return ~self.nonfinite & (self.deviation <= RELATIVE_ZERO * self.largest)

    def scale(self, rows: np.ndarray, standardize: bool = True) -> CleanedRows:
        """Return responses less the training mean, over the training deviation."""
        values = rows.astype(np.float64)
        bad = np.asarray(~np.isfinite(values).all(axis=0))
        still = self.constant | self.nonfinite
        with np.errstate(invalid="ignore"):
            values -= self.mean
        values[:, bad | still] = 0.0
        if standardize:
            values /= np.where(still, 1.0, self.deviation)
        return CleanedRows(values.astype(np.float32), bad, np.zeros_like(bad))
