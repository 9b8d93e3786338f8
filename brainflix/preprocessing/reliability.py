"""How well a voxel's response to the same clips recurs, and whether that is more than chance."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from brainflix.errors import DataError

BLOCK = 1024  # voxels worked on at a time, so that they stay in the cache
_LARGEST_R = 1 - 1e-12
Correction = Literal["fdr", "bonferroni", "none"]


def fisher_z(correlation: np.ndarray) -> np.ndarray:
    """Return artanh(r), finite at +-1."""
    return np.arctanh(np.clip(correlation, -_LARGEST_R, _LARGEST_R))


def mean_pair_z(
    repeats: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]] | None = None
) -> np.ndarray:
    """Return the mean Fisher z of the correlations between repeats.

    Parameters
    ----------
    repeats : sequence of ndarray, each (clip, voxel)
        Responses to the same clips in the same order, at least two repeats. A clip that a repeat
        lacks is a row of NaN; a pair is correlated over the clips that both have.
    pairs : sequence of (int, int), optional
        Repeats to correlate; by default all pairs.

    Returns
    -------
    ndarray of float64, shape (voxel,)
        0 where a response does not vary.
    """
    chosen = list(pairs or itertools.combinations(range(len(repeats)), 2))
    n_voxels = repeats[0].shape[1]
    total = np.zeros(n_voxels)
    present = [np.isfinite(repeat[:, 0]) for repeat in repeats]
    whole = all(rows.all() for rows in present)
    for start in range(0, n_voxels, BLOCK):
        part = slice(start, start + BLOCK)
        units = {k: _unit(repeats[k][:, part]) for pair in chosen for k in pair} if whole else {}
        for first, second in chosen:
            if not whole:
                both = present[first] & present[second]
                units = {k: _unit(repeats[k][both, part]) for k in (first, second)}
            (a, shorter), (b, longer) = units[first], units[second]
            total[part] += fisher_z(np.einsum("cv,cv->v", a, b) * shorter * longer)
    return total / len(chosen)


def _unit(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return centred columns, and 1 over the length of each, or 0 where they do not vary.

    The columns keep their type, float32 or float64; lengths are float64.
    """
    values = values if values.dtype in (np.float32, np.float64) else values.astype(np.float64)
    weight = np.full(len(values), 1.0 / len(values), dtype=values.dtype)
    mean = weight @ values
    centred = values - mean
    centred -= weight @ centred  # what rounding left of the mean
    length = np.sqrt(np.einsum("cv,cv->v", centred, centred), dtype=np.float64)
    resolved = 8 * np.finfo(values.dtype).eps * math.sqrt(len(values)) * np.abs(mean)
    still = length <= resolved
    return centred, np.where(still, 0.0, 1.0 / np.where(still, 1.0, length))


class OneSampleT:
    """One-sided one-sample t-test of each voxel against 0, one sample at a time (Welford 1962)."""

    def __init__(self, n_voxels: int) -> None:
        self.count = 0
        self.mean = np.zeros(n_voxels)
        self._squares = np.zeros(n_voxels)

    def add(self, sample: np.ndarray) -> None:
        """Add one observation of each voxel, (voxel,)."""
        self.count += 1
        difference = sample - self.mean
        self.mean += difference / self.count
        self._squares += difference * (sample - self.mean)

    @property
    def dof(self) -> int:
        """Degrees of freedom."""
        return max(self.count - 1, 0)

    def statistic(self) -> np.ndarray:
        """Return t, float64 (voxel,); 0 where all observations are 0."""
        if self.dof < 1:
            raise DataError("a t-test needs two observations", expected=2, found=self.count)
        error = np.sqrt(self._squares / self.dof / self.count)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.mean == 0, 0.0, self.mean / error)

    def p_value(self) -> np.ndarray:
        """Return P of a t as large or larger under a mean of 0, float64 (voxel,)."""
        from scipy.special import stdtr

        return stdtr(self.dof, -self.statistic())


@dataclass(frozen=True)
class Passed:
    """Voxels that pass a test.

    Parameters
    ----------
    selected : ndarray of bool, shape (voxel,)
        Those that pass, and lie in the region and the most significant fraction asked for.
    p_threshold : float
        Largest P that passes.
    """

    selected: np.ndarray
    p_threshold: float


def p_threshold(p: np.ndarray, correction: Correction, alpha: float) -> float:
    """Return the largest P that counts as significant among the tested voxels.

    Parameters
    ----------
    p : ndarray, shape (tested voxel,)
        P values.
    correction : {"fdr", "bonferroni", "none"}
        "fdr" is the step-up procedure of Benjamini and Hochberg (1995); "bonferroni" divides
        ``alpha`` by the number of tested voxels.
    alpha : float
        False discovery rate, or probability of any false positive.
    """
    if correction == "none":
        return alpha
    if correction == "bonferroni":
        return alpha / len(p)
    ranked = np.sort(p)
    below = np.flatnonzero(ranked <= alpha * np.arange(1, len(p) + 1) / len(p))
    return float(ranked[below[-1]]) if len(below) else alpha / len(p)


def pass_voxels(
    p: np.ndarray,
    correction: Correction,
    alpha: float,
    fraction: float | None = None,
    region: np.ndarray | None = None,
) -> Passed:
    """Return the voxels whose responses recur.

    Parameters
    ----------
    p : ndarray of float64, shape (voxel,)
        P values.
    correction, alpha
        See :func:`p_threshold`; only voxels of the region are counted as tests.
    fraction : float, optional
        Keep this most significant part of those that pass, rounded up; ties by position.
    region : ndarray of bool, shape (voxel,), optional
        Voxels that are tested at all.
    """
    tested = np.ones(len(p), dtype=bool) if region is None else region
    threshold = p_threshold(p[tested], correction, alpha)
    selected = tested & (p <= threshold)
    if fraction is not None and selected.any():
        places = np.flatnonzero(selected)
        order = places[np.argsort(p[places], kind="stable")]
        selected = np.zeros_like(selected)
        selected[order[: math.ceil(fraction * len(order) - 1e-9)]] = True
    return Passed(selected, threshold)


def noise_ceiling(reproducibility: np.ndarray, repeats: int = 1) -> np.ndarray:
    """Return the largest correlation that a perfect model can reach with measured responses.

    With the reliability rho of one repeat, estimated by the correlation between repeats, the mean
    of n repeats has reliability n rho / (1 + (n - 1) rho) (Spearman-Brown), and the true response
    correlates with it at the square root of that: signal over signal plus noise variance, as in
    Lage-Castellanos et al. 2019, doi 10.1371/journal.pcbi.1006397.

    Parameters
    ----------
    reproducibility : ndarray, shape (voxel,)
        Correlation between single repeats; negative ones count as 0.
    repeats : int
        How many repeats are averaged.
    """
    rho = np.clip(reproducibility, 0.0, 1.0)
    return np.sqrt(repeats * rho / (1 + (repeats - 1) * rho))
