"""Reliability: how well a voxel's responses to the same clips recur, and whether by chance."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from brainflix.errors import DataError

BLOCK = 16384  # voxels worked on at a time: long rows are summed fastest
_LARGEST_R = 1 - 1e-12
Correction = Literal["fdr", "bonferroni", "none"]


def fisher_z(correlation: np.ndarray) -> np.ndarray:
    """Return artanh(r), finite at +-1."""
    return np.arctanh(np.clip(correlation, -_LARGEST_R, _LARGEST_R))


class RepeatBlocks(Protocol):
    """Responses of one repeat of a set of clips, computed for some voxels at a time."""

    present: np.ndarray  # bool (clip,): those that were recorded
    n_voxels: int

    def block(self, part: slice) -> np.ndarray:
        """Return the responses of some voxels, (clip, voxel); only present rows are meaningful."""


class HeldResponses:
    """Responses that are an array, (clip, voxel); a clip that was not recorded is a row of NaN."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self.present = np.isfinite(values[:, 0])
        self.n_voxels = values.shape[1]

    def block(self, part: slice) -> np.ndarray:
        """Return the responses of some voxels, (clip, voxel)."""
        return self.values[:, part]


def mean_pair_z(
    repeats: Sequence[np.ndarray | RepeatBlocks], pairs: Sequence[tuple[int, int]] | None = None
) -> np.ndarray:
    """Return the mean Fisher z of the correlations between repeats.

    Parameters
    ----------
    repeats : sequence of ndarray, each (clip, voxel), or of RepeatBlocks
        Responses to the same clips in the same order, at least two repeats. A clip that a repeat
        lacks is a row of NaN; a pair is correlated over the clips that both have.
    pairs : sequence of (int, int), optional
        Repeats to correlate; by default all pairs.

    Returns
    -------
    ndarray of float64, shape (voxel,)
        0 where a response does not vary. Products are summed in the type of the responses, which
        are centred first where their mean is large beside their deviation.
    """
    chosen = list(pairs or itertools.combinations(range(len(repeats)), 2))
    held = [HeldResponses(one) if isinstance(one, np.ndarray) else one for one in repeats]
    whole = all(one.present.all() for one in held)
    wanted = sorted({k for pair in chosen for k in pair})
    total = np.zeros(held[0].n_voxels)
    for start in range(0, len(total), BLOCK):
        part = slice(start, min(start + BLOCK, len(total)))
        # With complete repeats, each one's moments serve all pairs; otherwise a pair has moments
        # over the clips that both of its repeats have.
        blocks = {k: held[k].block(part) for k in wanted}
        moments = {k: _ResponseMoments.of(blocks[k]) for k in wanted} if whole else {}
        for first, second in chosen:
            if not whole:
                both = held[first].present & held[second].present
                moments = {k: _ResponseMoments.of(blocks[k][both]) for k in (first, second)}
            total[part] += fisher_z(moments[first].correlation(moments[second]))
    return total / len(chosen)


@dataclass(frozen=True)
class _ResponseMoments:
    """Responses (clip, voxel) with their sum, and 1 over their length about the mean."""

    values: np.ndarray
    sum: np.ndarray
    inverse_length: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> _ResponseMoments:
        """Return the moments of responses, which are kept as they are or centred."""
        if values.dtype not in (np.float32, np.float64):
            values = values.astype(np.float64)
        ones, count = np.ones(len(values), dtype=values.dtype), len(values)
        sums = (ones @ values).astype(np.float64)
        squares = np.einsum("cv,cv->v", values, values).astype(np.float64)
        resolved = np.zeros_like(sums)
        # Where the mean is large beside the deviation, subtracting sums of squares would cancel:
        # the responses are centred first, and what rounding leaves of a constant counts as 0.
        if (sums**2 > 0.5 * count * squares).any():
            mean = sums / count
            values = values - mean.astype(values.dtype)
            sums = (ones @ values).astype(np.float64)
            squares = np.einsum("cv,cv->v", values, values).astype(np.float64)
            resolved = (8 * np.finfo(values.dtype).eps * mean) ** 2 * count
        squares -= sums**2 / count
        still = squares <= resolved
        return cls(values, sums, np.where(still, 0.0, 1 / np.sqrt(np.where(still, 1.0, squares))))

    def correlation(self, other: _ResponseMoments) -> np.ndarray:
        """Return Pearson's correlation of each voxel, 0 where one does not vary."""
        products = np.einsum("cv,cv->v", self.values, other.values).astype(np.float64)
        # sum (x - mx)(y - my) = sum xy - sum x sum y / n, over both lengths about the mean
        products -= self.sum * other.sum / len(self.values)
        return products * self.inverse_length * other.inverse_length


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
    # step-up: the largest P value that is at most its rank's share of alpha. scipy's function
    # adjusts P values and gives no threshold.
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
