"""Reconstructions that know nothing of the brain: flat grey and the mean training clip."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.errors import DataError
from brainflix.evaluation.clips import Frames

GREY = 128


def grey_clip(shape: tuple[int, ...]) -> Frames:
    """Return a clip of middle grey, shape (frame, height, width, 3)."""
    return np.full(shape, GREY, dtype=np.uint8)


def mean_clip(frames: Any, rows: NDArray[np.int64], block: int = 64) -> Frames:
    """Return the mean of some clips, rounded, read a block at a time.

    Parameters
    ----------
    frames : h5py.Dataset or ndarray of uint8, shape (clip, frame, height, width, 3)
        All clips of a study.
    rows : ndarray of int
        Those to average, in ascending order: the training clips.
    block : int
        Clips in memory at a time.

    Returns
    -------
    ndarray of uint8, shape (frame, height, width, 3)
    """
    if len(rows) == 0:
        raise DataError("no training clips to average", expected="at least one", found=0)
    total = np.zeros(frames.shape[1:], dtype=np.int64)
    for start in range(0, len(rows), block):
        total += frames[rows[start : start + block]].sum(axis=0, dtype=np.int64)
    return np.rint(total / len(rows)).astype(np.uint8)


def repeated(clip: Frames, n: int) -> Frames:
    """Return a clip as the reconstruction of each of ``n`` clips, a view that takes no memory."""
    return np.broadcast_to(clip, (n, *clip.shape))
