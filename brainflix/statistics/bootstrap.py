"""Intervals by bootstrap, tests of paired differences, and the false discovery rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.errors import DataError

Floats = NDArray[np.float64]
_BLOCK = 4_000_000  # entries of an index matrix held at a time
_KEPT = 16_000_000  # entries of index matrices kept for the next metric


def independent_units(groups: Sequence[str], ids: Sequence[str]) -> tuple[str, ...]:
    """Return what may be resampled: the groups, or the clips where all lie in one group.

    With one group there is nothing else to draw; the interval then ignores what the clips of that
    group have in common.
    """
    return tuple(groups) if len(set(groups)) > 1 else tuple(ids)


def _unit_sums(values: Floats, units: Sequence[str]) -> tuple[Floats, Floats]:
    """Return the sum over each unit's clips, and their number."""
    if len(units) != len(values):
        raise DataError("one unit is needed for each clip", expected=len(values), found=len(units))
    names, member = np.unique(np.asarray(units), return_inverse=True)
    if len(names) < 2:
        raise DataError("too few units to resample", expected="at least 2", found=len(names))
    sums = np.asarray(np.bincount(member, weights=values), dtype=np.float64)
    sizes = np.asarray(np.bincount(member), dtype=np.float64)
    return sums, sizes


def _resampled(clusters: int, draws: int, seed: int) -> Iterable[NDArray[Any]]:
    """Return how often each cluster is drawn, (draws, clusters) in parts; drawn once for all."""
    drawn = _draw_clusters if clusters * draws > _KEPT else _kept_clusters
    return drawn(clusters, draws, seed)


@lru_cache(maxsize=1)
def _kept_clusters(clusters: int, draws: int, seed: int) -> tuple[NDArray[Any], ...]:
    return tuple(_draw_clusters(clusters, draws, seed))


def _draw_clusters(clusters: int, draws: int, seed: int) -> Iterator[NDArray[Any]]:
    rng = np.random.default_rng(seed)
    step = max(1, _BLOCK // clusters)
    for start in range(0, draws, step):
        count = min(step, draws - start)
        # Draw row r's clusters, and count them all at once in a range of numbers of its own, (draw,
        # cluster).
        chosen = rng.integers(clusters, size=(count, clusters), dtype=np.int32)
        chosen += np.arange(count, dtype=np.int32)[:, None] * clusters
        drawn = np.bincount(chosen.ravel(), minlength=count * clusters)
        yield drawn.reshape(count, clusters).astype(np.uint16)


def bootstrap_means(
    values: Floats, units: Sequence[str], draws: int, seed: int
) -> NDArray[np.float64]:
    """Return the means over clips of bootstrap samples of units, (draws,)."""
    sums, sizes = _unit_sums(values, units)
    # How often each unit is drawn times its sum and its number of clips: a mean over clips, not
    # over units, (draw, unit) @ (unit, 2).
    columns = np.stack([sums, sizes], axis=1)
    drawn = np.concatenate(
        [part.astype(np.float64) @ columns for part in _resampled(len(sums), draws, seed)]
    )
    return np.asarray(drawn[:, 0] / drawn[:, 1])


def bootstrap_interval(
    values: Floats, units: Sequence[str], draws: int, confidence: float, seed: int
) -> tuple[float, float]:
    """Return the bootstrap interval of a mean over clips, resampling units.

    The percentile interval, widened about the mean by sqrt(k / (k - 1)) for k units: the spread of
    k units about their own mean is short by that factor of their spread about the true one.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        One score for each clip.
    units : sequence of str, length n
        Clips of one unit are drawn together, see :func:`independent_units`.
    draws : int
        Bootstrap samples.
    confidence : float
        Coverage aimed at, such as 0.95.
    seed : int
        Seed of the draws.
    """
    means = bootstrap_means(values, units, draws, seed)
    return _percentiles(means, values, float(np.mean(values)), len(set(units)), confidence)


def _percentiles(
    means: Floats, values: Floats, centre: float, units: int, confidence: float
) -> tuple[float, float]:
    """Return the widened percentiles of means, within the range of the values themselves."""
    tail = (1 - confidence) / 2
    quantiles = np.quantile(means, [tail, 1 - tail])
    low, high = centre + (quantiles - centre) * np.sqrt(units / (units - 1))
    low, high = max(float(low), float(values.min())), min(float(high), float(values.max()))
    return min(low, centre), max(high, centre)


@dataclass(frozen=True)
class SubjectScores:
    """One subject's scores, with the unit that each clip is drawn with."""

    own: Floats
    units: tuple[str, ...]


def hierarchical_interval(
    subjects: Sequence[SubjectScores],
    draws: int,
    confidence: float,
    seed: int,
    *,
    resample_subjects: bool = True,
) -> tuple[float, float]:
    """Return the interval of the mean over subjects of their mean over clips.

    Each sample draws subjects with replacement and, within each of those drawn, units of clips.
    With one subject, or without ``resample_subjects``, clips alone are drawn: the interval then
    speaks of other clips for these subjects, not of other people.

    Parameters
    ----------
    subjects : sequence of SubjectScores
    draws : int
        Bootstrap samples.
    confidence : float
        Coverage aimed at.
    seed : int
        Seed of the draws.
    resample_subjects : bool
        Whether subjects are drawn too.
    """
    if not subjects:
        raise DataError("no subjects to resample", expected="at least 1", found=0)
    # Means of each subject's own bootstrap samples, by independent seeds.
    seeds = np.random.SeedSequence(seed).spawn(len(subjects) + 1)
    means = np.stack(
        [
            bootstrap_means(s.own, s.units, draws, int(one.generate_state(1)[0]))
            for s, one in zip(subjects, seeds[1:], strict=True)
        ],
        axis=1,
    )  # (draw, subject)
    centre = float(np.mean([s.own.mean() for s in subjects]))
    every, count = np.concatenate([s.own for s in subjects]), len(subjects)
    if count == 1 or not resample_subjects:
        units = min(len(set(s.units)) for s in subjects)
        return _percentiles(means.mean(axis=1), every, centre, units, confidence)
    # Subjects are drawn with replacement in each sample, and their means averaged.
    rng = np.random.default_rng(seeds[0])
    chosen = rng.integers(count, size=(draws, count))
    drawn = np.take_along_axis(means, chosen, axis=1).mean(axis=1)
    return _percentiles(drawn, every, centre, count, confidence)


def sign_flip_p(differences: Floats, units: Sequence[str], draws: int, seed: int) -> float:
    """Return the two-sided P value of a mean paired difference, flipping signs unit by unit.

    P = (b + 1) / (B + 1), with b the flips whose absolute mean reaches the observed one.

    Parameters
    ----------
    differences : ndarray of float64, shape (n,)
        One system's score less the other's, for each clip.
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
        count = min(step, draws - start)
        # Random bits as signs: 2 (bits @ sums) - total is the sum with signs of +1 and -1.
        packed = np.frombuffer(rng.bytes(-(-count * len(sums) // 8)), dtype=np.uint8)
        signs = np.unpackbits(packed, count=count * len(sums)).reshape(count, len(sums))
        flipped = 2 * (signs.astype(np.float64) @ sums) - sums.sum()
        reached += int((np.abs(flipped) >= observed - 1e-12 * max(1.0, observed)).sum())
    return (reached + 1) / (draws + 1)


def false_discovery(p: Iterable[float]) -> list[float]:
    """Return Benjamini and Hochberg's q of each of several P values, by scipy.

    Reporting what has q below 0.05 keeps the expected share of false findings among those reported
    below 0.05 (Benjamini and Hochberg 1995; valid also under positive dependence, such as between
    metrics of the same clips: Benjamini and Yekutieli 2001, doi 10.1214/aos/1013699998).
    """
    from scipy.stats import false_discovery_control

    values = [*p]
    return [float(q) for q in false_discovery_control(values, method="bh")] if values else []
