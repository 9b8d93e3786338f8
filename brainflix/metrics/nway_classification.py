"""n-way classification in closed form.

The published trials draw n - 1 other classes at random and ask whether the best of the true classes
beats them all. Of the C - k classes that are not among the k true ones, m beat the best of these;
the trial succeeds when none of the m is drawn, which has the hypergeometric probability
C(C - k - m, n - 1) / C(C - k, n - 1): no trials, no seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import comb
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import VideoClips
from brainflix.errors import DataError
from brainflix.metrics.base import Metric, Note
from brainflix.statistics.chance import Scores, of_matrix

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
class RankCounts:
    """The rank of the best true class among the others, before n - 1 of them are drawn.

    Attributes
    ----------
    above : ndarray of int64
        How many others have a higher logit.
    equal : ndarray of int64
        How many others have the same.
    tied : ndarray of int64
        How many true classes share it, the best one included.
    """

    above: NDArray[np.int64]
    equal: NDArray[np.int64]
    tied: NDArray[np.int64]

    def probability(self, others: int, ways: int) -> Floats:
        """Return the probability of success; ties are broken at random."""
        table = success_table(others, ways)
        # without ties: the chance that none of those above is drawn
        success = table[self.above]
        # with ties: the mean over the random orders of those that share the place
        for place in zip(*np.nonzero(self.equal), strict=True):
            above, equal, tied = int(self.above[place]), int(self.equal[place]), self.tied[place]
            success[place] = _tie_weights(equal, int(tied)) @ table[above : above + equal + 1]
        return np.asarray(success)


@lru_cache(maxsize=4096)
def _tie_weights(equal: int, tied: int) -> Floats:
    """Return the chances that 0 to ``equal`` others precede all of ``tied`` in a random order."""
    orders = np.array([comb(equal - m + tied - 1, tied - 1) for m in range(equal + 1)], dtype=float)
    return np.asarray(orders / comb(equal + tied, tied))


def chance(true_classes: int, ways: int) -> float:
    """Return the probability of success for ranks independent of the truth: k / (k + n - 1).

    The best of k + n - 1 exchangeable classes is one of the k true ones.
    """
    return true_classes / (true_classes + ways - 1)


def top_classes(logits: NDArray[Any], k: int) -> NDArray[np.int64]:
    """Return the k classes of highest logit, highest first, (..., k)."""
    classes = np.empty((*logits.shape[:-1], k), dtype=np.int64)
    remaining = logits if k == 1 else logits.copy()
    # k is 1 or 3: the largest, then the largest of the rest, is quicker than sorting all classes
    for place in range(k):
        classes[..., place] = remaining.argmax(axis=-1)
        if place + 1 < k:
            np.put_along_axis(remaining, classes[..., place, None], -np.inf, axis=-1)
    return classes


def rank_counts(logits: NDArray[Any], classes: NDArray[np.int64]) -> RankCounts:
    """Return the rank of the best of some classes among the others.

    Parameters
    ----------
    logits : ndarray, shape (..., class)
    classes : ndarray of int, shape (..., k)
        The leading axes as those of ``logits``.
    """
    chosen = np.take_along_axis(logits, classes, axis=-1)  # (..., k)
    best = chosen.max(axis=-1, keepdims=True)
    tied = np.count_nonzero(chosen == best, axis=-1)
    above = np.count_nonzero(logits > best, axis=-1)
    return RankCounts(above, np.count_nonzero(logits >= best, axis=-1) - above - tied, tied)


def rank_count_pairs(logits: NDArray[Any], classes: NDArray[np.int64]) -> RankCounts:
    """Return the ranks of each clip's classes in every prediction, (prediction, clip).

    Parameters
    ----------
    logits : ndarray, shape (prediction, class)
    classes : ndarray of int, shape (clip, k)
    """
    above, equal, tied = np.empty((3, len(logits), len(classes)), dtype=np.int64)
    # sorting a prediction once gives the ranks of all clips' classes in it by bisection
    for i, row in enumerate(logits):
        ordered, chosen = np.sort(row), row[classes]  # (clip, k)
        best = chosen.max(axis=1)
        above[i] = len(row) - np.searchsorted(ordered, best, side="right")
        tied[i] = (chosen == best[:, None]).sum(axis=1)
        equal[i] = len(row) - np.searchsorted(ordered, best, side="left") - above[i] - tied[i]
    return RankCounts(above, equal, tied)


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
        true, predicted = true[:, None], predicted[:, None]  # (clip, class) -> (clip, 1, class)
    others = true.shape[2] - k
    frames = [
        rank_count_pairs(predicted[:, f], top_classes(true[:, f], k)).probability(others, ways)
        for f in range(true.shape[1])
    ]
    return np.asarray(np.mean(frames, axis=0))


def nway_exact(true: NDArray[Any], predicted: NDArray[Any], ways: int, k: int) -> Floats:
    """Return the probability of n-way success of each prediction with its own clip, (clip,).

    Parameters as in :func:`nway_matrix`.
    """
    others = true.shape[-1] - k
    success = rank_counts(predicted, top_classes(true, k)).probability(others, ways)
    return success if success.ndim == 1 else np.asarray(success.mean(axis=1))


def nway_trials(
    true: NDArray[Any], predicted: NDArray[Any], ways: int, k: int, trials: int, seed: int
) -> Floats:
    """Return the published Monte Carlo estimate of :func:`nway_exact`, (clip,), for comparison.

    Parameters
    ----------
    true, predicted : ndarray, shape (clip, class)
        Logits.
    ways, k, trials, seed : int
        n, the number of true classes, the draws per clip, and the seed of the draws.
    """
    rng = np.random.default_rng(seed)
    shares = np.empty(len(true))
    for i, (truth, logits) in enumerate(zip(true, predicted, strict=True)):
        classes = np.argsort(truth)[-k:]
        candidates = [c for c in np.arange(len(logits)) if c not in classes]
        # one trial: draw n - 1 others; it succeeds if any true class beats all of them
        successes = 0
        for _ in range(trials):
            drawn = rng.choice(candidates, ways - 1, replace=False)
            for own in classes:
                if np.argsort(np.concatenate([[logits[own]], logits[drawn]]))[-1] == 0:
                    successes += 1
                    break
        shares[i] = successes / trials
    return shares


class NWayClassification(Metric):
    """n-way classification: the classes of the true clip against n - 1 others."""

    true_classes: ClassVar[int]
    unit: ClassVar[str]  # "frame" or "video"
    rule: ClassVar[str]

    def score(self, true: VideoClips, predicted: VideoClips, *, pairs: bool) -> dict[str, Scores]:
        k, key = self.true_classes, f"{self.unit}_logits"
        model = self.models.require(key)
        x, y = (clips.seen(key, model).astype(np.float64) for clips in (true, predicted))
        facts = {
            "ways": self.ways,
            "classes": int(x.shape[-1]),
            "independent_ranks": chance(k, self.ways),
        }
        name = f"{self.unit}-{self.ways}way@{self.rule}"
        if not pairs:
            return {name: Scores(nway_exact(x, y, self.ways, k), facts=facts)}
        return {name: of_matrix(nway_matrix(x, y, self.ways, k), pairs, **facts)}

    @classmethod
    def note(cls, name: str) -> Note:
        n, k = cls.ways, cls.true_classes
        what = "frames, averaged," if cls.unit == "frame" else "clips"
        rule = (
            "any of the true clip's first three classes" if k > 1 else "the true clip's first class"
        )
        return Note(
            f"{n}-way classification of {what.split(',')[0]}, {cls.rule}",
            shows=f"How often a classifier of {what} gives {rule} a higher score than all of "
            f"{n - 1} other classes drawn at random: what the published trials expect, in closed "
            "form, without draws or seed. Where ranks were independent of the truth it would be "
            f"{chance(k, n):.3f}.",
            hides="What no class names. "
            + (f"With three chances, {n}-way is not 1 in {n}. " if k > 1 else "")
            + "Classes that suit most clips lift chance further: compare with the chance of "
            "permuted pairs.",
            short=f"{cls.unit} {n}-way {cls.rule}",
        )


class FrameTop3(NWayClassification):
    """n-way classification of frames by the top-3 rule of MinD-Video."""

    unit, true_classes, rule = "frame", 3, "top3"


class FrameArgmax(NWayClassification):
    """n-way classification of frames by the single class."""

    unit, true_classes, rule = "frame", 1, "argmax"


class VideoTop3(NWayClassification):
    """n-way classification of clips by the top-3 rule of MinD-Video."""

    unit, true_classes, rule = "video", 3, "top3"


class VideoArgmax(NWayClassification):
    """n-way classification of clips by the single class."""

    unit, true_classes, rule = "video", 1, "argmax"
