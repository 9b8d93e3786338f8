"""How well predicted vectors agree with true ones, by scores that do not replace each other.

Each score is computed as one value for each clip whose mean over clips is the score itself, so that
two systems can be compared clip by clip, with paired intervals over clips and over subjects:

========================  ==========================================================================
``r``                     Pearson's r over clips in each dimension, averaged over dimensions: does
                          the prediction follow the clips? Scale does not matter.
``r2``                    1 - squared error / variance, of the prediction as it is. Dimensions count
                          by their variance; a prediction of wrong length is punished.
``r2_best_scaled``        the same after the best common factor on the deviations from ``centre``:
                          what is left when only the length was wrong.
``top1``                  is the own clip the most similar one of all? By r over a vector's entries.
``identification``        share of the other clips that are less similar than the own one. It
                          saturates near 1 where ``top1`` and ``r`` still tell systems apart.
========================  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brainflix.errors import DataError
from brainflix.metrics.identification import correlation_pairs, identification
from brainflix.statistics.bootstrap import (
    SubjectScores,
    bootstrap_interval,
    hierarchical_interval,
)

Floats = NDArray[np.float64]
_ROUNDING = 1e-12  # spread of a constant, relative to its size, from rounding alone
SCORES = ("r", "r2", "r2_best_scaled", "top1", "identification")


def agreement(
    predicted: NDArray[np.floating],
    true: NDArray[np.floating],
    centre: NDArray[np.floating] | None = None,
) -> dict[str, Floats]:
    """Score the predicted vector of each clip.

    Parameters
    ----------
    predicted, true : ndarray, shape (clip, ...)
        Row i of both belongs to clip i; the axes behind the first make one vector.
    centre : ndarray, shape (...), optional
        The vector that an uninformed prediction equals, such as the training mean; the best common
        factor scales deviations from it. By default the mean of ``true``.

    Returns
    -------
    dict of str to ndarray of float64, shape (clip,)
        By score (``SCORES``), values whose mean over clips is the score. Only ``top1`` and
        ``identification`` can be read clip by clip; in the others, what the clips share (means and
        variances over clips, the factor) enters each of them.

    Raises
    ------
    DataError
        When shapes differ, with fewer than two clips, or when the true vectors are all equal.
    """
    if predicted.shape != true.shape or len(true) < 2:
        raise DataError(
            "predicted and true vectors do not belong together",
            expected=f"two or more rows of shape {true.shape[1:]}, one for each clip",
            found=f"predicted {predicted.shape}, true {true.shape}",
        )
    x = predicted.reshape(len(predicted), -1).astype(np.float64)
    y = true.reshape(len(true), -1).astype(np.float64)
    mean = y.mean(axis=0)
    total = float(np.square(y - mean).sum()) / len(y)
    if total == 0:
        raise DataError(
            "the true vectors of all clips are equal", expected="different clips", found=len(y)
        )
    reference = mean if centre is None else centre.reshape(-1).astype(np.float64)
    factor = best_factor(x, y, reference)
    scaled = reference + factor * (x - reference)
    similarity = correlation_pairs(x, y)
    return {
        "r": _correlation_shares(x, y),
        "r2": 1 - np.square(y - x).sum(axis=1) / total,
        "r2_best_scaled": 1 - np.square(y - scaled).sum(axis=1) / total,
        "top1": _nearest(similarity),
        "identification": identification(similarity),
    }


def best_factor(predicted: Floats, true: Floats, centre: Floats) -> float:
    """Return the factor a that makes centre + a (predicted - centre) err least, over all entries.

    Parameters
    ----------
    predicted, true : ndarray of float64, shape (clip, dim)
    centre : ndarray of float64, shape (dim,)

    Returns
    -------
    float
        0 where the prediction never differs from the centre.
    """
    deviation = predicted - centre
    length = float(np.square(deviation).sum())
    if length <= _ROUNDING**2 * float(np.square(predicted).sum()):
        return 0.0
    return float((deviation * (true - centre)).sum()) / length


def _correlation_shares(predicted: Floats, true: Floats) -> Floats:
    """Return the share of each clip in r: products of z-scores, averaged over dimensions.

    Dimensions in which the true vectors do not vary are left out; one in which the prediction is
    constant counts 0.
    """
    x, y = predicted - predicted.mean(axis=0), true - true.mean(axis=0)
    spread = [np.sqrt(np.square(part).mean(axis=0)) for part in (x, y)]
    # A constant is not exactly its mean: what rounding leaves must not count as variation.
    follows, varying = (
        size > _ROUNDING * np.abs(rows).max(axis=0)
        for size, rows in zip(spread, (predicted, true), strict=True)
    )
    shares = np.divide(x * y, spread[0] * spread[1], out=np.zeros_like(x), where=follows & varying)
    if not varying.any():
        return np.zeros(len(x))
    return np.asarray(shares[:, varying].mean(axis=1))


def _nearest(similarity: Floats) -> Floats:
    """Return 1 where the own clip is the most similar, 1/k where k clips tie for it, else 0."""
    best = similarity == similarity.max(axis=1, keepdims=True)
    return np.diagonal(best) / best.sum(axis=1)


@dataclass(frozen=True)
class AgreementDifference:
    """One score of two systems on the same clips of the same subjects.

    Parameters
    ----------
    first, second : float
        The score of each system, averaged over subjects.
    difference : float
        First less second.
    over_clips : tuple of float
        Interval for other clips, with these subjects.
    over_subjects : tuple of float or None
        Interval for other clips and other subjects; None with one subject. With few subjects it is
        rough.
    """

    first: float
    second: float
    difference: float
    over_clips: tuple[float, float]
    over_subjects: tuple[float, float] | None


def compare_agreement(
    first: Mapping[str, Mapping[str, Floats]],
    second: Mapping[str, Mapping[str, Floats]],
    units: Mapping[str, Sequence[str]],
    *,
    draws: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, AgreementDifference]:
    """Compare two systems by paired bootstrap of the clips' differences.

    Subjects of one study saw the same test clips, so the interval over clips draws clips (their
    units) jointly for subjects with the same units. What clips share in a score (see
    :func:`agreement`) is held fixed.

    Parameters
    ----------
    first, second : mapping of str to mapping of str to ndarray of float64, shape (clip,)
        By subject and score, as :func:`agreement` returns them, on the same clips in one order.
    units : mapping of str to sequence of str, length clip
        By subject, what is drawn together, see
        :func:`brainflix.statistics.bootstrap.independent_units`.
    draws, confidence, seed
        Of the bootstrap.

    Returns
    -------
    dict of str to AgreementDifference
        By score.

    Raises
    ------
    DataError
        When the systems were scored on other subjects or other numbers of clips.
    """
    if set(first) != set(second) or not first:
        raise DataError(
            "two systems were scored on different subjects",
            expected=", ".join(sorted(first)) or "at least one subject",
            found=", ".join(sorted(second)),
        )
    compared = {}
    for score in SCORES:
        parts = {}
        for subject, own in first.items():
            other = second[subject][score]
            if own[score].shape != other.shape:
                raise DataError(
                    f"two systems were scored on different clips of {subject}",
                    expected=f"{len(own[score])} clips",
                    found=f"{len(other)} clips",
                )
            parts[subject] = own[score] - other
        values = [np.mean([s[name][score].mean() for name in first]) for s in (first, second)]
        compared[score] = AgreementDifference(
            float(values[0]),
            float(values[1]),
            float(np.mean([part.mean() for part in parts.values()])),
            _over_clips(parts, units, draws, confidence, seed),
            _over_subjects(parts, units, draws, confidence, seed),
        )
    return compared


def _over_clips(
    differences: Mapping[str, Floats],
    units: Mapping[str, Sequence[str]],
    draws: int,
    confidence: float,
    seed: int,
) -> tuple[float, float]:
    """Draw clips: jointly for subjects who saw the same ones, apart for those of other studies."""
    studies: dict[tuple[str, ...], list[Floats]] = {}
    for subject, values in differences.items():
        studies.setdefault(tuple(units[subject]), []).append(values)
    if len(studies) == 1:
        ((same, parts),) = studies.items()
        return bootstrap_interval(np.mean(parts, axis=0), same, draws, confidence, seed)
    means = [
        SubjectScores(np.mean(parts, axis=0), same)
        for same, parts in studies.items()
        for _ in parts  # a study weighs as much as it has subjects
    ]
    return hierarchical_interval(means, draws, confidence, seed, resample_subjects=False)


def _over_subjects(
    differences: Mapping[str, Floats],
    units: Mapping[str, Sequence[str]],
    draws: int,
    confidence: float,
    seed: int,
) -> tuple[float, float] | None:
    if len(differences) < 2:
        return None
    scores = [SubjectScores(part, tuple(units[name])) for name, part in differences.items()]
    return hierarchical_interval(scores, draws, confidence, seed)
