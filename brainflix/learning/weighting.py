"""Weights of trials, so that repeats, subjects and studies count as a configuration says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from brainflix.artifacts.stimuli import Labels
from brainflix.errors import ConfigError

Share = Literal["trials", "equal"] | Mapping[str, float]


def trial_weights(
    clip: Labels,
    subject: Labels,
    study: Labels,
    *,
    repeats: Literal["trials", "clips"] = "trials",
    subjects: Share = "trials",
    studies: Share = "trials",
) -> NDArray[np.float32]:
    """Return a weight for each trial, 1 on average.

    Parameters
    ----------
    clip, subject, study : ndarray of str, shape (trial,)
        Labels of each trial; subjects of different studies may have one name.
    repeats : str
        "trials": each trial counts the same. "clips": each clip that a subject saw counts the
        same, however often it was repeated.
    subjects : str or mapping
        "trials": a subject counts by its trials (or clips). "equal": the subjects of a study count
        the same. A mapping gives relative weights by "study/subject"; others have 1.
    studies : str or mapping
        The same for studies; a mapping is by study.

    Raises
    ------
    ConfigError
        When a weight is negative or names an unknown subject or study, or when all are 0.
    """
    clip, subject, study = (np.asarray(labels, dtype=str) for labels in (clip, subject, study))
    name = np.char.add(np.char.add(study, "/"), subject)
    weights = np.ones(len(clip))
    if repeats == "clips":
        shown = np.char.add(np.char.add(name, "\n"), clip)
        _, place, counts = np.unique(shown, return_inverse=True, return_counts=True)
        weights /= counts[place]
    weights = _shared(weights, name, subjects, "subjects")
    weights = _shared(weights, study, studies, "studies")
    total = weights.sum()
    if not total > 0:
        raise ConfigError("all trials have weight 0", expected="a weight above 0", found=0)
    return (weights * (len(weights) / total)).astype(np.float32)


def _shared(
    weights: NDArray[np.float64], label: Labels, share: Share, key: str
) -> NDArray[np.float64]:
    """Give each label's trials the total weight that ``share`` says."""
    if share == "trials":
        return weights
    names, place = np.unique(label, return_inverse=True)
    if share == "equal":
        # Relative to the label's present total, so that every label has the same one.
        return np.asarray(weights / np.bincount(place, weights=weights)[place])
    assert not isinstance(share, str)
    unknown = sorted(set(share) - set(names.tolist()))
    if unknown or any(not value >= 0 for value in share.values()):
        raise ConfigError(
            f"weights of {key}",
            expected=f"numbers of at least 0, by any of {', '.join(names)}",
            found=dict(share),
            where=key,
        )
    return weights * np.array([share.get(name, 1.0) for name in names.tolist()])[place]
