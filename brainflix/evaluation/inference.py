"""Chance, P values and intervals, computed from clip-by-clip scores that are made once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.errors import DataError

Floats = NDArray[np.float64]
_BLOCK = 4_000_000  # entries of an index matrix held at a time


@dataclass(frozen=True)
class Scores:
    """A metric's score of each reconstruction against its own clip and against others.

    Attributes
    ----------
    own : ndarray of float64, shape (n,)
        Against the clip it reconstructs.
    others : ndarray of float64, shape (n, k), or None
        Against clips ``partners[i, k]``; None where chance is not wanted.
    partners : ndarray of int64, shape (n, k), or None
        None with ``others`` given means all n clips in order, the own one among them.
    facts : mapping
        What else a reader should know about these scores, as JSON values.
    """

    own: Floats
    others: Floats | None = None
    partners: NDArray[np.int64] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.own)
        if self.others is None:
            return
        expected = (n, n) if self.partners is None else self.partners.shape
        if self.others.shape != expected:
            raise DataError("scores of pairs", expected=expected, found=self.others.shape)

    @property
    def value(self) -> float:
        """The mean over clips."""
        return float(self.own.mean())


@dataclass(frozen=True)
class Chance:
    """What the mean score is when reconstructions and clips are paired at random."""

    mean: float
    p: float
    permutations: int


def chance_level(scores: Scores, permutations: int, seed: int) -> Chance:
    """Return chance and the one-sided P value of a mean score by permuting the pairing.

    P = (b + 1) / (B + 1), with b the permutations whose mean reaches the observed one (Phipson and
    Smyth 2010, doi 10.2202/1544-6115.1585). With all pairs scored, the permutations are of clips.
    With sampled pairs each reconstruction draws one of its partners, or its own clip with
    probability 1 / n, independently of the others.

    Parameters
    ----------
    scores : Scores
        With ``others``.
    permutations : int
        How many pairings are drawn.
    seed : int
        Seed of the draws.

    Raises
    ------
    DataError
        Where the scores of other pairs are lacking.
    """
    others = scores.others
    if others is None:
        raise DataError("chance needs scores against other clips", found="own scores alone")
    rng = np.random.default_rng(seed)
    step = max(1, _BLOCK // len(scores.own))
    means = np.concatenate(
        [
            _permuted_means(others, draws, rng)
            if scores.partners is None
            else _sampled_means(scores.own, others, draws, rng)
            for draws in (min(step, permutations - k) for k in range(0, permutations, step))
        ]
    )
    observed = scores.value
    reached = int((means >= observed - 1e-12 * max(1.0, abs(observed))).sum())
    return Chance(float(means.mean()), (reached + 1) / (permutations + 1), permutations)


def _permuted_means(others: Floats, draws: int, rng: np.random.Generator) -> Floats:
    n = len(others)
    order = rng.permuted(np.tile(np.arange(n), (draws, 1)), axis=1)
    return np.asarray(others[np.arange(n), order].mean(axis=1))


def _sampled_means(own: Floats, others: Floats, draws: int, rng: np.random.Generator) -> Floats:
    n, k = others.shape
    drawn = others[np.arange(n), rng.integers(k, size=(draws, n))]
    kept = rng.random((draws, n)) < 1 / n
    return np.asarray(np.where(kept, own, drawn).mean(axis=1))


def partner_sample(n: int, k: int, seed: int) -> NDArray[np.int64]:
    """Draw ``k`` other clips for each of ``n``, so that every clip is drawn equally often.

    Returns
    -------
    ndarray of int64, shape (n, k)
        Row i never holds i nor anything twice.
    """
    if not 0 < k < n:
        raise DataError("partners a clip", expected=f"1 to {n - 1}", found=k)
    rng = np.random.default_rng(seed)
    order = rng.permutation(n)
    shifts = 1 + rng.choice(n - 1, size=k, replace=False)
    partners = np.empty((n, k), dtype=np.int64)
    partners[order] = order[(np.arange(n)[:, None] + shifts) % n]
    return partners


def independent_units(groups: Sequence[str], ids: Sequence[str]) -> tuple[str, ...]:
    """Return what may be resampled: the groups, or the clips where all lie in one group.

    With one group there is nothing else to draw; the interval then ignores what the clips of that
    group have in common.
    """
    return tuple(groups) if len(set(groups)) > 1 else tuple(ids)


def _unit_sums(values: Floats, units: Sequence[str]) -> tuple[Floats, Floats]:
    """Return the sum over each unit's clips, and their number."""
    if len(units) != len(values):
        raise DataError("one unit a clip", expected=len(values), found=len(units))
    names, member = np.unique(np.asarray(units), return_inverse=True)
    if len(names) < 2:
        raise DataError("too few units to resample", expected="at least 2", found=len(names))
    sums = np.asarray(np.bincount(member, weights=values), dtype=np.float64)
    sizes = np.asarray(np.bincount(member), dtype=np.float64)
    return sums, sizes


def bootstrap_interval(
    values: Floats, units: Sequence[str], draws: int, confidence: float, seed: int
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a mean over clips, resampling units.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        A score a clip.
    units : sequence of str, length n
        Clips of one unit are drawn together, see :func:`independent_units`.
    draws : int
        Bootstrap samples.
    confidence : float
        Coverage aimed at, such as 0.95.
    seed : int
        Seed of the draws.
    """
    sums, sizes = _unit_sums(values, units)
    rng = np.random.default_rng(seed)
    clusters = len(sums)
    step = max(1, _BLOCK // clusters)
    means = []
    for start in range(0, draws, step):
        chosen = rng.integers(clusters, size=(min(step, draws - start), clusters))
        means.append(sums[chosen].sum(axis=1) / sizes[chosen].sum(axis=1))
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return float(low), float(high)


def sign_flip_p(differences: Floats, units: Sequence[str], draws: int, seed: int) -> float:
    """Return the two-sided P value of a mean paired difference, flipping signs a unit.

    P = (b + 1) / (B + 1), with b the flips whose absolute mean reaches the observed one.

    Parameters
    ----------
    differences : ndarray of float64, shape (n,)
        One system's score less the other's, a clip.
    units : sequence of str, length n
        Clips of one unit are flipped together, see :func:`independent_units`.
    draws : int
        Random flips.
    seed : int
        Seed of the draws.
    """
    sums, _ = _unit_sums(differences, units)
    rng = np.random.default_rng(seed)
    observed = abs(float(sums.sum()))
    reached = 0
    step = max(1, _BLOCK // len(sums))
    for start in range(0, draws, step):
        signs = rng.integers(0, 2, size=(min(step, draws - start), len(sums))) * 2 - 1
        reached += int((np.abs(signs @ sums) >= observed - 1e-12 * max(1.0, observed)).sum())
    return (reached + 1) / (draws + 1)
