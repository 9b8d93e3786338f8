"""Reconstructions that use nothing from the brain: grey, stills, training clips, shuffled clips."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.store import Frames, FrameSource
from brainflix.errors import DataError

GREY = 128


def grey_clip(shape: tuple[int, ...]) -> Frames:
    """Return a clip of middle grey, shape (frame, height, width, 3)."""
    return np.full(shape, GREY, dtype=np.uint8)


def mean_clip(frames: FrameSource, rows: NDArray[np.int64], block: int = 64) -> Frames:
    """Return the mean of some clips, rounded, read one block at a time.

    Parameters
    ----------
    frames : FrameSource of uint8, shape (clip, frame, height, width, 3)
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
    """Return a clip as the reconstruction of each of ``n`` clips, without copies."""
    return np.broadcast_to(clip, (n, *clip.shape))


class FirstFrames:
    """Clips that do not move: the first frame of each, as often as the clip has frames.

    Parameters
    ----------
    frames : FrameSource of uint8, shape (clip, frame, height, width, 3)
    """

    def __init__(self, frames: FrameSource) -> None:
        self.source, self.shape, self.dtype = frames, tuple(frames.shape), np.dtype(np.uint8)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, rows: Any) -> Frames:
        clips = np.asarray(self.source[rows])
        first = clips[..., :1, :, :, :]
        return np.ascontiguousarray(np.broadcast_to(first, clips.shape))


def random_training(n: int, training: int, seed: int) -> NDArray[np.int64]:
    """Return a training clip for each of ``n`` clips, drawn with replacement."""
    if training == 0:
        raise DataError("no training clips to draw from", expected="at least one", found=0)
    return np.random.default_rng(seed).integers(training, size=n)


def thumbnails(frames: Frames, side: int = 16) -> NDArray[np.float32]:
    """Return small versions of clips as rows, for comparisons of many clips with many.

    Parameters
    ----------
    frames : ndarray of uint8, shape (clip, frame, height, width, 3)
    side : int
        Pixels of the longer side; a side that is shorter than that is kept.

    Returns
    -------
    ndarray of float32, shape (clip, frame x height x width x 3)
        Averages over rectangles, in grey levels 0 to 255.
    """
    height, width = frames.shape[2:4]
    rows, columns = (np.linspace(0, n, min(side, n) + 1).astype(np.int64) for n in (height, width))
    summed = _summed(_summed(frames, rows, 2), columns, 3)
    area = np.outer(np.diff(rows), np.diff(columns))
    return np.asarray((summed / area[:, :, None]).astype(np.float32).reshape(len(frames), -1))


def _summed(values: NDArray[Any], edges: NDArray[np.int64], axis: int) -> NDArray[np.uint32]:
    """Return sums between edges along an axis."""
    parts = [
        values[(slice(None),) * axis + (slice(a, b),)].sum(axis=axis, dtype=np.uint32)
        for a, b in itertools.pairwise(edges.tolist())
    ]
    return np.stack(parts, axis=axis)
