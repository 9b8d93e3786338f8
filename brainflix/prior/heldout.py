"""How good a prior is, by pairs that it was not fitted to; kinds are compared and chosen by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from brainflix.artifacts.stimuli import Array, Labels
from brainflix.learning.folds import group_folds
from brainflix.prior.catalogue import make_prior
from brainflix.prior.data import Pairs, TrainingClips


@dataclass(frozen=True)
class Restored:
    """Predictions averaged over repeats, each restored by a prior that never saw its clip.

    Parameters
    ----------
    subject, clip : ndarray of str, shape (row,)
    predicted, restored, true : ndarray of float32, shape (row, ...)
    """

    subject: Labels
    clip: Labels
    predicted: Array
    restored: Array
    true: Array

    def r2(self, vectors: Array) -> float:
        """Return the share of the truths' variance that vectors explain, over all dimensions.

        Dimensions weigh by their variance.
        """
        error = ((vectors - self.true).astype(np.float64) ** 2).sum()
        spread = (self.true - self.true.mean(axis=0)).astype(np.float64)
        return float(1 - error / (spread**2).sum())


def restore_heldout(
    kind: str,
    options: Mapping[str, Any],
    pairs: Pairs,
    clips: TrainingClips,
    folds: int = 2,
    seed: int = 0,
) -> Restored:
    """Restore every subject's prediction of each clip by a prior fitted to other clips' pairs.

    Parameters
    ----------
    kind, options
        See :func:`brainflix.prior.catalogue.make_prior`.
    pairs : Pairs
    clips : TrainingClips
    folds : int
        Of clips: all predictions of a clip lie in one.
    seed : int
        Of the folds, and of each row's draw together with its place.
    """
    rows = list(dict.fromkeys(zip(pairs.subject.tolist(), pairs.clip.tolist(), strict=True)))
    subject, clip = (np.array(part) for part in zip(*rows, strict=True))
    own = [np.flatnonzero((pairs.subject == s) & (pairs.clip == c)) for s, c in rows]
    weights = [pairs.repeats[part] / pairs.repeats[part].sum() for part in own]
    predicted = np.stack(
        [np.tensordot(w, pairs.predicted[part], 1) for w, part in zip(weights, own, strict=True)]
    ).astype(np.float32)  # (pair, ...) -> (row, ...)
    repeats = np.array([int(pairs.repeats[part].sum()) for part in own])
    fold = group_folds(clip, folds, seed)
    restored = np.empty_like(predicted)
    for held in np.unique(fold):
        others = ~np.isin(pairs.clip, clip[fold == held])
        prior = make_prior(kind, options).fit(pairs.take(others), clips)
        for count in np.unique(repeats[fold == held]):
            part = np.flatnonzero((fold == held) & (repeats == count))
            seeds = [seed + int(row) for row in part]
            restored[part] = prior.apply(predicted[part], int(count), seeds)
    true = pairs.true[[int(part[0]) for part in own]]
    return Restored(subject, clip, predicted, restored, true)
