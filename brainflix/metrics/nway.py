"""n-way classification and identification in closed form.

The published trials draw n - 1 other classes at random and ask whether the best of the true classes
beats them all. Of the C - k classes that are not among the k true ones, m beat the best of these;
the trial succeeds when none of the m is drawn, which has the hypergeometric probability
C(C - k - m, n - 1) / C(C - k, n - 1): no trials, no seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.errors import DataError

Floats = NDArray[np.float64]


@lru_cache(maxsize=64)
def success_table(others: int, ways: int) -> Floats:
    """Return the probability that none of the m better ones is drawn, for m = 0 to ``others``.

    Parameters
    ----------
    others : int
        How many there are to draw from.
    ways : int
        n; n - 1 of the others are drawn without replacement.

    Returns
    -------
    ndarray of float64, shape (others + 1,)

    Raises
    ------
    DataError
        Where fewer than n - 1 can be drawn, or n is below 2.
    """
    if not 2 <= ways <= others + 1:
        raise DataError(
            f"{ways}-way needs {ways - 1} others to draw",
            expected=f"2 to {others + 1} ways",
            found=ways,
        )
    better = np.arange(others)
    # P(m + 1) / P(m): one more of the others - m that do not beat it can no longer be drawn
    kept = np.maximum(others - better - (ways - 1), 0) / (others - better)
    return np.concatenate([[1.0], np.cumprod(kept)])


@dataclass(frozen=True)
class Standing:
    """Where the best of the true ones stands among the others, before n - 1 of them are drawn.

    Attributes
    ----------
    above : ndarray of int64
        How many others are better.
    equal : ndarray of int64
        How many others tie with it.
    tied : ndarray of int64
        How many true ones share that place, itself included.
    """

    above: NDArray[np.int64]
    equal: NDArray[np.int64]
    tied: NDArray[np.int64]

    def probability(self, others: int, ways: int) -> Floats:
        """Return the probability of success; ties are broken at random."""
        table = success_table(others, ways)
        found = table[self.above]
        for place in zip(*np.nonzero(self.equal), strict=True):
            above, equal, tied = int(self.above[place]), int(self.equal[place]), self.tied[place]
            found[place] = _tie_weights(equal, int(tied)) @ table[above : above + equal + 1]
        return np.asarray(found)


@lru_cache(maxsize=4096)
def _tie_weights(equal: int, tied: int) -> Floats:
    """Return the chances that 0 to ``equal`` others precede all of ``tied`` in a random order."""
    orders = np.array([comb(equal - m + tied - 1, tied - 1) for m in range(equal + 1)], dtype=float)
    return np.asarray(orders / comb(equal + tied, tied))


def chance(true_classes: int, ways: int) -> float:
    """Return the probability of success where ranks are independent of the truth: k / (k + n - 1).

    The best of k + n - 1 exchangeable classes is one of the k true ones.
    """
    return true_classes / (true_classes + ways - 1)


def top_classes(logits: NDArray[Any], k: int) -> NDArray[np.int64]:
    """Return the k classes of highest logit, highest first, (..., k)."""
    found = np.empty((*logits.shape[:-1], k), dtype=np.int64)
    left = logits if k == 1 else logits.copy()
    for place in range(k):
        found[..., place] = left.argmax(axis=-1)
        if place + 1 < k:
            np.put_along_axis(left, found[..., place, None], -np.inf, axis=-1)
    return found


def standing(logits: NDArray[Any], classes: NDArray[np.int64]) -> Standing:
    """Return where the best of some classes stands among the others.

    Parameters
    ----------
    logits : ndarray, shape (..., class)
    classes : ndarray of int, shape (..., k)
        The leading axes as those of ``logits``.
    """
    chosen = np.take_along_axis(logits, classes, axis=-1)
    best = chosen.max(axis=-1, keepdims=True)
    tied = np.count_nonzero(chosen == best, axis=-1)
    above = np.count_nonzero(logits > best, axis=-1)
    return Standing(above, np.count_nonzero(logits >= best, axis=-1) - above - tied, tied)


def standing_pairs(logits: NDArray[Any], classes: NDArray[np.int64]) -> Standing:
    """Return where each clip's classes stand in every prediction, shapes (prediction, clip).

    Parameters
    ----------
    logits : ndarray, shape (prediction, class)
    classes : ndarray of int, shape (clip, k)
    """
    above, equal, tied = np.empty((3, len(logits), len(classes)), dtype=np.int64)
    for i, row in enumerate(logits):
        ordered, chosen = np.sort(row), row[classes]  # (clip, k)
        best = chosen.max(axis=1)
        above[i] = len(row) - np.searchsorted(ordered, best, side="right")
        tied[i] = (chosen == best[:, None]).sum(axis=1)
        equal[i] = len(row) - np.searchsorted(ordered, best, side="left") - above[i] - tied[i]
    return Standing(above, equal, tied)


def nway_matrix(true: NDArray[Any], predicted: NDArray[Any], ways: int, k: int) -> Floats:
    """Return the probability of n-way success of every prediction with every true clip.

    Parameters
    ----------
    true, predicted : ndarray, shape (clip, class) or (clip, frame, class)
        Logits. With frames, frame f is compared with frame f, and frames are averaged.
    ways, k : int
        n, and how many of the true clip's first classes count as true.

    Returns
    -------
    ndarray of float64, shape (prediction, clip)
    """
    if true.ndim == 2:
        true, predicted = true[:, None], predicted[:, None]
    others = true.shape[2] - k
    frames = [
        standing_pairs(predicted[:, f], top_classes(true[:, f], k)).probability(others, ways)
        for f in range(true.shape[1])
    ]
    return np.asarray(np.mean(frames, axis=0))


def nway_exact(true: NDArray[Any], predicted: NDArray[Any], ways: int, k: int) -> Floats:
    """Return the probability of n-way success of each prediction with its own clip, (clip,).

    Parameters as in :func:`nway_matrix`.
    """
    others = true.shape[-1] - k
    success = standing(predicted, top_classes(true, k)).probability(others, ways)
    return success if success.ndim == 1 else np.asarray(success.mean(axis=1))


def nway_trials(
    true: NDArray[Any], predicted: NDArray[Any], ways: int, k: int, trials: int, seed: int
) -> Floats:
    """Return the published Monte Carlo estimate of :func:`nway_exact`, for comparison, (clip,).

    Parameters
    ----------
    true, predicted : ndarray, shape (clip, class)
        Logits.
    ways, k, trials, seed : int
        n, the number of true classes, and the draws a clip.
    """
    rng = np.random.default_rng(seed)
    found = np.empty(len(true))
    for i, (truth, logits) in enumerate(zip(true, predicted, strict=True)):
        classes = np.argsort(truth)[-k:]
        range_of_others = [c for c in np.arange(len(logits)) if c not in classes]
        successes = 0
        for _ in range(trials):
            drawn = rng.choice(range_of_others, ways - 1, replace=False)
            for own in classes:
                if np.argsort(np.concatenate([[logits[own]], logits[drawn]]))[-1] == 0:
                    successes += 1
                    break
        found[i] = successes / trials
    return found


def identification_matrix(similarity: NDArray[Any], ways: int) -> Floats:
    """Return the probability that a prediction is nearest clip j among j and n - 1 others.

    Parameters
    ----------
    similarity : ndarray, shape (prediction, clip)
    ways : int
        n.

    Returns
    -------
    ndarray of float64, shape (prediction, clip)
        Ties are broken at random. The mean of a row is 1 / n, and so is chance.
    """
    from scipy.stats import rankdata

    first = rankdata(-similarity, method="min", axis=1).astype(np.int64) - 1
    last = rankdata(-similarity, method="max", axis=1).astype(np.int64)
    table = np.concatenate([[0.0], np.cumsum(success_table(similarity.shape[1] - 1, ways))])
    return np.asarray((table[last] - table[first]) / (last - first))
