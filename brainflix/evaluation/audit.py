"""Audits: whether test clips leaked into what was fitted, and how near they lie to it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.errors import DataError
from brainflix.evaluation.identification import cosine_pairs


def split_audit(
    ids: Sequence[str], splits: Sequence[str], groups: Sequence[str], frames: Any
) -> dict[str, Any]:
    """Compare the clips that may be fitted with those that are tested.

    Parameters
    ----------
    ids, splits, groups : sequence of str, length n
        Name, "train" or "test", and group of each clip.
    frames : h5py.Dataset or ndarray of uint8, shape (n, frame, height, width, 3)
        Compared byte by byte, a clip at a time.

    Returns
    -------
    dict
        train_clips, test_clips; shared_clips, shared_groups and identical_frames: the test clips
        whose name, group or frames occur in training too; disjoint: whether all three are 0.
    """
    train, test = ([k for k, found in enumerate(splits) if found == s] for s in ("train", "test"))
    train_ids, train_groups = {ids[k] for k in train}, {groups[k] for k in train}
    seen = {_digest(frames[k]) for k in train}
    counts = {
        "shared_clips": sum(ids[k] in train_ids for k in test),
        "shared_groups": sum(groups[k] in train_groups for k in test),
        "identical_frames": sum(_digest(frames[k]) in seen for k in test),
    }
    return {
        "train_clips": len(train),
        "test_clips": len(test),
        **counts,
        "disjoint": not any(counts.values()),
    }


def _digest(clip: NDArray[np.uint8]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(clip).tobytes()).digest()


def nearest_training(test: NDArray[Any], train: NDArray[Any]) -> NDArray[np.float64]:
    """Return the cosine of each test clip's embedding with its nearest training clip's, (test,)."""
    if len(train) == 0:
        raise DataError("no training clips to compare with", expected="at least one", found=0)
    return np.asarray(cosine_pairs(test, train).max(axis=1))


def similarity_effect(similarity: NDArray[Any], scores: NDArray[Any]) -> float | None:
    """Return Spearman's rho of a score with the similarity to training, None where one is constant.

    Well above 0, the score is earned on clips that resemble training clips.
    """
    from scipy.stats import spearmanr

    if np.ptp(similarity) == 0 or np.ptp(scores) == 0:
        return None
    return float(spearmanr(similarity, scores).statistic)
