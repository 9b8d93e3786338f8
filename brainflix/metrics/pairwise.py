"""Clips compared two at a time: every pair where that is affordable, pairs within blocks otherwise.

All metrics that compare frames directly are computed in one pass, so that a clip is read once for
all of them, and threads share the blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import VideoClips
from brainflix.clips.store import FrameSource, blocks, threaded
from brainflix.statistics.chance import PairBlocks, Scores, block_sample

Floats = NDArray[np.float64]
_AFFORDABLE = 2_500_000_000  # samples of all pairs: some ten seconds of SSIM
_HELD = 12_000_000  # samples of a block's clips that may be worked on at a time
_SMALLEST = 3  # clips in a block
_READ = 8 * 2**20  # bytes of clips read at a time where each is compared with its own only


class PairKernel(Protocol):
    """Compares clips' frames, for one metric or several that share work.

    Parameters
    ----------
    names : set of str
        The metrics wanted.
    """

    def __init__(self, names: frozenset[str]) -> None: ...

    def own(self, true: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Floats]:
        """Return scores of prediction i with clip i, (clip,), by metric."""

    def every(self, true: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Floats]:
        """Return scores of every prediction with every clip, (prediction, clip), by metric."""


Wanted = Mapping[Any, Mapping[str, bool]]  # kernel classes, or functions that make a kernel


def score_pairs(
    wanted: Wanted, true: VideoClips, predicted: VideoClips, *, pairs: bool, seed: int
) -> dict[str, Scores]:
    """Compute several kernels in one pass over the clips.

    Parameters
    ----------
    wanted : mapping
        Kernel to its metrics' names, each with whether less is better.
    true, predicted : VideoClips
    pairs : bool
        Whether to score each reconstruction against other clips too.
    seed : int
        Seed of the blocks, where not all pairs are affordable.
    """
    kernels = [kernel(frozenset(names)) for kernel, names in wanted.items()]
    lower = {name: less for names in wanted.values() for name, less in names.items()}
    if not pairs:
        found = _own_scores(kernels, true.frames, predicted.frames)
        return {name: Scores(found[name], lower=less) for name, less in lower.items()}
    # all pairs at once, or pairs within random blocks of clips
    size = block_size(true.frames)
    rows = block_sample(len(true), size, seed)
    parts = [part for same in rows for part in same]

    def every(part: NDArray[np.int64]) -> dict[str, Floats]:
        x, y = true.frames[part], predicted.frames[part]
        return {name: scores for kernel in kernels for name, scores in kernel.every(x, y).items()}

    found_parts = [*threaded(every, parts)]
    scores = {}
    for name, less in lower.items():
        scores[name] = assembled([found[name] for found in found_parts], rows, len(true), less)
    return scores


def block_size(frames: FrameSource) -> int:
    """Return how many clips a block may have: all of them where all pairs are affordable."""
    one, n = int(np.prod(frames.shape[1:])), len(frames)
    size = min(_AFFORDABLE // max(1, one * n), _HELD // one)
    return min(n, max(_SMALLEST, size))


def _own_scores(
    kernels: list[PairKernel], true: FrameSource, predicted: FrameSource
) -> dict[str, Floats]:
    def own(part: slice) -> dict[str, Floats]:
        x, y = true[part], predicted[part]
        return {name: scores for kernel in kernels for name, scores in kernel.own(x, y).items()}

    found = [*threaded(own, [*blocks(true, _READ)])]
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def assembled(parts: list[Floats], rows: list[NDArray[np.int64]], n: int, lower: bool) -> Scores:
    """Put blocks' scores together; one block of all clips is the matrix of all pairs."""
    own = np.empty(n)
    sampled, start = [], 0
    for same in rows:
        scores = np.stack(parts[start : start + len(same)])
        start += len(same)
        own[same] = np.einsum("gii->gi", scores)  # the diagonal of each block
        sampled.append(PairBlocks(same, scores))
    if len(parts) == 1:
        return Scores(own, parts[0], lower=lower)
    count = sum(block.scores.size - block.rows.size for block in sampled)
    return Scores(own, blocks=tuple(sampled), facts={"sampled_pairs": count}, lower=lower)
