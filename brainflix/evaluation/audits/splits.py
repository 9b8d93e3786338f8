"""Whether test clips are separate from training clips, and whether a clip occurs twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.store import Frames, FrameSource, blocks

NEAR = 4.0  # grey levels, root mean square over a thumbnail: a copy that was encoded again
_BLOCK = 512  # rows of a matrix of pairs held at a time
_EXAMPLES = 20  # pairs of clips that are named


@dataclass(frozen=True)
class SplitAudit:
    """What training clips and test clips of a study have in common.

    Attributes
    ----------
    train_clips, test_clips : int
    shared_clips, shared_groups, identical_frames : int
        Test clips whose name, group or frames occur in training too.
    disjoint : bool
        Whether all three are 0.
    """

    train_clips: int
    test_clips: int
    shared_clips: int
    shared_groups: int
    identical_frames: int
    disjoint: bool


@dataclass(frozen=True)
class PairCounts:
    """Pairs of clips that are alike.

    Attributes
    ----------
    within : mapping of str to int
        Split to the number of pairs within it.
    across : int
        Pairs of a training and a test clip.
    examples : tuple of (str, str)
        The first few pairs by name, those across splits first.
    """

    within: Mapping[str, int]
    across: int
    examples: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class DuplicateAudit:
    """Clips that occur twice.

    Attributes
    ----------
    threshold : float
        Root mean square difference of thumbnails, in grey levels, up to which clips are near.
    exact, near : PairCounts
        Clips with identical frames, and nearly identical clips without those.
    """

    threshold: float
    exact: PairCounts
    near: PairCounts


def split_audit(
    ids: Sequence[str], splits: Sequence[str], groups: Sequence[str], frames: Any
) -> SplitAudit:
    """Compare the clips that may be fitted with those that are tested.

    Parameters
    ----------
    ids, splits, groups : sequence of str, length n
        Name, "train" or "test", and group of each clip.
    frames : h5py.Dataset or ndarray of uint8, shape (n, frame, height, width, 3)
        Compared byte by byte, one clip at a time.
    """
    train, test = ([k for k, found in enumerate(splits) if found == s] for s in ("train", "test"))
    train_ids, train_groups = {ids[k] for k in train}, {groups[k] for k in train}
    seen = {_digest(frames[k]) for k in train}
    counts = {
        "shared_clips": sum(ids[k] in train_ids for k in test),
        "shared_groups": sum(groups[k] in train_groups for k in test),
        "identical_frames": sum(_digest(frames[k]) in seen for k in test),
    }
    return SplitAudit(len(train), len(test), **counts, disjoint=not any(counts.values()))


def _digest(clip: NDArray[np.uint8]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(clip).tobytes()).digest()


def digests(frames: FrameSource) -> list[bytes]:
    """Return a digest of each clip's frames; equal clips have equal digests."""
    return [_digest(clip) for part in blocks(frames) for clip in frames[part]]


def fingerprints(
    frames: FrameSource, compute: Callable[[Frames], NDArray[Any]]
) -> tuple[list[bytes], NDArray[Any]]:
    """Return a digest and a row of ``compute`` for each clip, in one pass."""
    found: list[bytes] = []
    rows = []
    for part in blocks(frames):
        clips = frames[part]
        found += [_digest(clip) for clip in clips]
        rows.append(compute(clips))
    return found, np.concatenate(rows)


def duplicates(
    names: Sequence[str],
    splits: Sequence[str],
    exact: Sequence[bytes],
    small: NDArray[Any],
    threshold: float = NEAR,
) -> DuplicateAudit:
    """Find clips that are the same, or nearly, within and across splits.

    Parameters
    ----------
    names, splits : sequence of str, length n
    exact : sequence of bytes, length n
        See :func:`digests`.
    small : ndarray, shape (n, dim)
        Thumbnails in grey levels.
    threshold : float
        Root mean square difference of thumbnails, in grey levels, up to which clips are near.
    """
    pairs = [*_near_pairs(np.asarray(small, dtype=np.float32), threshold)]
    same = [*_equal_pairs(exact)]
    known = set(same)
    return DuplicateAudit(
        threshold,
        _counted_pairs(same, names, splits),
        _counted_pairs([pair for pair in pairs if pair not in known], names, splits),
    )


def _equal_pairs(exact: Sequence[bytes]) -> Iterable[tuple[int, int]]:
    seen: dict[bytes, list[int]] = {}
    for k, digest in enumerate(exact):
        seen.setdefault(digest, []).append(k)
    for places in seen.values():
        yield from ((i, j) for a, i in enumerate(places) for j in places[a + 1 :])


def _near_pairs(small: NDArray[np.float32], threshold: float) -> Iterable[tuple[int, int]]:
    """Yield pairs of near rows, (n, dim), a block of rows against all at a time."""
    # |a - b|^2 = |a|^2 + |b|^2 - 2 ab from one matrix product per block; its rounding error is
    # allowed for by 2 %, and the few candidates are compared again exactly.
    limit = threshold**2 * small.shape[1]
    squares = np.einsum("ij,ij->i", small, small, dtype=np.float64)
    for start in range(0, len(small), _BLOCK):
        part = small[start : start + _BLOCK]
        distance = squares[start : start + len(part), None] + squares - 2.0 * (part @ small.T)
        for i, j in zip(*np.nonzero(distance <= limit * 1.02 + 1.0), strict=True):
            a, b = start + int(i), int(j)
            if a < b and float(np.square(small[a] - small[b]).sum()) <= limit:
                yield a, b


def _counted_pairs(
    pairs: Sequence[tuple[int, int]], names: Sequence[str], splits: Sequence[str]
) -> PairCounts:
    within = dict.fromkeys(sorted(set(splits)), 0)
    inside, across = [], []
    for i, j in pairs:
        if splits[i] == splits[j]:
            within[splits[i]] += 1
            inside.append((i, j))
        else:
            across.append((i, j))
    first = [*across, *inside][:_EXAMPLES]
    return PairCounts(within, len(across), tuple((names[i], names[j]) for i, j in first))
