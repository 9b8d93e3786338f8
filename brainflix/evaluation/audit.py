"""Audits: whether test clips leaked into what was fitted, and whether reconstructions differ."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import VideoClips as Clips
from brainflix.clips.clips import even_frames
from brainflix.clips.store import Frames, FrameSource, blocks
from brainflix.errors import DataError
from brainflix.evaluation.baselines import thumbnails
from brainflix.metrics.models import MetricModels as Judges
from brainflix.metrics.models import clip_embedding
from brainflix.metrics.similarity import correlation_pairs, cosine_pairs

NEAR = 4.0  # grey levels, root mean square over a thumbnail: a copy that was encoded again
_BLOCK = 512  # rows of a matrix of pairs held at a time
Floats = NDArray[np.float64]


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


def digests(frames: FrameSource) -> list[bytes]:
    """Return a digest of each clip's frames; equal clips have equal ones."""
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


def nearest_training(test: NDArray[Any], train: NDArray[Any]) -> NDArray[np.float64]:
    """Return the cosine of each test clip's embedding with its nearest training clip's, (test,)."""
    if len(train) == 0:
        raise DataError("no training clips to compare with", expected="at least one", found=0)
    return np.asarray(cosine_pairs(test, train).max(axis=1))


def nearest(rows: NDArray[Any], others: NDArray[Any], space: str) -> tuple[NDArray[Any], Floats]:
    """Return the most similar of other clips for each clip, and how similar it is.

    Parameters
    ----------
    rows, others : ndarray, shape (n, dim) and (m, dim)
        Embeddings or thumbnails.
    space : str
        "clip": by the cosine; "pixels": by Pearson's r.
    """
    if len(others) == 0:
        raise DataError("no clips to compare with", expected="at least one", found=0)
    compare = cosine_pairs if space == "clip" else correlation_pairs
    places, similar = [], []
    for start in range(0, len(rows), _BLOCK):
        matrix = compare(rows[start : start + _BLOCK], others)
        places.append(matrix.argmax(axis=1))
        similar.append(matrix.max(axis=1))
    return np.concatenate(places), np.concatenate(similar)


def similarity_effect(similarity: NDArray[Any], scores: NDArray[Any]) -> float | None:
    """Return Spearman's rho of a score with the similarity to training, None where one is constant.

    Well above 0, the score is earned on clips that resemble training clips. Scores that are not
    finite, such as the PSNR of a perfect clip, are left out.
    """
    from scipy.stats import spearmanr

    finite = np.isfinite(scores) & np.isfinite(similarity)
    similarity, scores = similarity[finite], scores[finite]
    if len(scores) < 3 or np.ptp(similarity) == 0 or np.ptp(scores) == 0:
        return None
    return float(spearmanr(similarity, scores).statistic)


def duplicates(
    names: Sequence[str],
    splits: Sequence[str],
    exact: Sequence[bytes],
    small: NDArray[Any],
    threshold: float = NEAR,
) -> dict[str, Any]:
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

    Returns
    -------
    dict
        "threshold", and "exact" and "near" (exact ones not among them): each with the number of
        pairs "within" each split and "across", and the first few of them by name.
    """
    pairs = [*_near_pairs(np.asarray(small, dtype=np.float32), threshold)]
    same = [(i, j) for i, j in _equal_pairs(exact)]
    known = set(same)
    return {
        "threshold": threshold,
        "exact": _sorted_pairs(same, names, splits),
        "near": _sorted_pairs([pair for pair in pairs if pair not in known], names, splits),
    }


def _equal_pairs(exact: Sequence[bytes]) -> Iterable[tuple[int, int]]:
    seen: dict[bytes, list[int]] = {}
    for k, digest in enumerate(exact):
        seen.setdefault(digest, []).append(k)
    for places in seen.values():
        yield from ((i, j) for a, i in enumerate(places) for j in places[a + 1 :])


def _near_pairs(small: NDArray[np.float32], threshold: float) -> Iterable[tuple[int, int]]:
    """Yield pairs of near rows; distances from scalar products, so that the pairs fit in memory."""
    limit = threshold**2 * small.shape[1]
    squares = np.einsum("ij,ij->i", small, small, dtype=np.float64)
    for start in range(0, len(small), _BLOCK):
        part = small[start : start + _BLOCK]
        distance = squares[start : start + len(part), None] + squares - 2.0 * (part @ small.T)
        for i, j in zip(*np.nonzero(distance <= limit * 1.02 + 1.0), strict=True):
            a, b = start + int(i), int(j)
            if a < b and float(np.square(small[a] - small[b]).sum()) <= limit:
                yield a, b


def _sorted_pairs(
    pairs: Sequence[tuple[int, int]], names: Sequence[str], splits: Sequence[str], shown: int = 20
) -> dict[str, Any]:
    within = dict.fromkeys(sorted(set(splits)), 0)
    across: list[tuple[int, int]] = []
    for i, j in pairs:
        if splits[i] == splits[j]:
            within[splits[i]] += 1
        else:
            across.append((i, j))
    first = [*across, *(pair for pair in pairs if splits[pair[0]] == splits[pair[1]])][:shown]
    return {
        "within": within,
        "across": len(across),
        "examples": [[names[i], names[j]] for i, j in first],
    }


@dataclass(frozen=True)
class Window:
    """The volumes from which a clip is reconstructed, or on which something is fitted.

    Attributes
    ----------
    run, split : str
    first, last : int
        Volumes, both included.
    clip : str
    """

    run: str
    split: str
    first: int
    last: int
    clip: str = ""


def shared_volumes(windows: Sequence[Window]) -> dict[str, Any]:
    """Find windows of a run that share a volume across splits: leakage in continuous movies.

    Parameters
    ----------
    windows : sequence of Window
        Of all subjects' trials, or of one's; a run is one recording.

    Returns
    -------
    dict
        windows, runs; "test_windows": how many test windows share a volume with a training window
        of their run; "volumes": how many volumes both use; "gap": the smallest number of volumes
        between a test and a training window of one run (negative: shared), None where no run holds
        both; "examples": the first few by clip.
    """
    runs: dict[str, dict[str, list[Window]]] = {}
    for window in windows:
        if window.last < window.first:
            raise DataError("a window ends before it begins", found=window)
        runs.setdefault(window.run, {}).setdefault(window.split, []).append(window)
    touched, volumes, gaps, examples = 0, 0, [], []
    for by_split in runs.values():
        test, train = by_split.get("test", []), by_split.get("train", [])
        volumes += len(_volumes(test) & _volumes(train))
        for window in test:
            distances = [max(o.first - window.last, window.first - o.last) - 1 for o in train]
            gaps += distances
            nearest_one = min(distances, default=0)
            if distances and nearest_one < 0:
                touched += 1
                examples.append([window.clip, train[distances.index(nearest_one)].clip])
    return {
        "windows": len(windows),
        "runs": len(runs),
        "test_windows": touched,
        "volumes": volumes,
        "gap": min(gaps) if gaps else None,
        "examples": examples[:20],
    }


def _volumes(windows: Sequence[Window]) -> set[int]:
    return {volume for w in windows for volume in range(w.first, w.last + 1)}


def effective_rank(rows: NDArray[Any]) -> float:
    """Return in how many directions rows differ: exp of the entropy of their singular values.

    Roy and Vetterli 2007. The mean is taken off; 1 where all lie on a line, 0 where all are equal.

    Parameters
    ----------
    rows : ndarray, shape (n, dim)
    """
    wide = np.asarray(rows, dtype=np.float64).reshape(len(rows), -1)
    centred = wide - wide.mean(axis=0)
    gram = centred @ centred.T if centred.shape[0] <= centred.shape[1] else centred.T @ centred
    values = np.linalg.eigvalsh(gram)
    values = np.sqrt(np.clip(values, 0.0, None))
    if values.max() <= 1e-6 * max(1.0, float(np.abs(wide).max())):
        return 0.0
    share = values[values > values.max() * 1e-7] / values[values > values.max() * 1e-7].sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def collapse(predicted: NDArray[Any], true: NDArray[Any], space: str) -> dict[str, Any]:
    """Tell whether a set of reconstructions has collapsed to a few outputs.

    A decoder that ignores the brain, or picks among a few training examples, gives reconstructions
    that differ in fewer directions than the clips do and that are nearest to the same few of them
    (spurious reconstruction: Shirakawa et al. 2025, doi 10.1016/j.neunet.2025.107515).

    Parameters
    ----------
    predicted, true : ndarray, shape (n, dim)
        Embeddings or thumbnails.
    space : str
        "clip" or "pixels".

    Returns
    -------
    dict
        space; n; effective_rank and effective_rank_true; distinct_nearest: how many true clips are
        the nearest of some reconstruction; distinct_expected: how many would be, if each chose at
        random; ratio: of the ranks; collapsed: both below a half of what they are compared with.
    """
    n = len(true)
    if n != len(predicted):
        raise DataError("a reconstruction a clip", expected=n, found=len(predicted))
    places, _ = nearest(predicted, true, space)
    distinct = len(np.unique(places))
    expected = n * (1 - (1 - 1 / n) ** n)
    ranks = effective_rank(predicted), effective_rank(true)
    ratio = ranks[0] / ranks[1] if ranks[1] > 0 else None
    return {
        "space": space,
        "n": n,
        "effective_rank": ranks[0],
        "effective_rank_true": ranks[1],
        "distinct_nearest": distinct,
        "distinct_expected": expected,
        "ratio": ratio,
        "collapsed": ratio is not None and ratio < 0.5 and distinct < 0.5 * expected,
    }


def effects(
    similarity: Mapping[str, float], rows: Iterable[tuple[str, str, str, float]], variant: str
) -> dict[str, float | None]:
    """Return Spearman's rho of every metric with the similarity to training.

    Parameters
    ----------
    similarity : mapping of str to float
        Clip to the similarity of its nearest training clip.
    rows : iterable of (clip, metric, variant, value)
    variant : str
        Whose scores count. A clip's scores of several subjects are averaged.
    """
    scores: dict[str, dict[str, list[float]]] = {}
    for clip, metric, found, value in rows:
        if found == variant and clip in similarity:
            scores.setdefault(metric, {}).setdefault(clip, []).append(value)
    return {
        metric: similarity_effect(
            np.array([similarity[clip] for clip in by_clip]),
            np.array([np.mean(values) for values in by_clip.values()]),
        )
        for metric, by_clip in scores.items()
    }


Rows = NDArray[np.float32]


_THUMBNAIL_FRAMES = 8


class Space:
    """The space that the models at hand allow.

    Parameters
    ----------
    judges : Judges

    Attributes
    ----------
    name : str
        "clip", or "pixels" without a CLIP.
    """

    def __init__(self, judges: Judges) -> None:
        self._embed = judges.image_embedding
        self.name = "pixels" if self._embed is None else "clip"

    def rows(self, clips: Clips) -> Rows:
        """Return a row a clip, (clip, dim); computed once for one set of clips."""
        if self._embed is None:
            return clips.feature("thumbnails", small_rows)
        return clip_embedding(clips.seen("clip_frames", self._embed))


def small_rows(frames: Frames) -> Rows:
    """Return thumbnails of at most eight evenly chosen frames of each clip."""
    chosen = even_frames(frames.shape[1], min(frames.shape[1], _THUMBNAIL_FRAMES))
    return thumbnails(frames[:, chosen])


def collapse_audit(true: Clips, predicted: Clips, space: Space) -> dict[str, Any]:
    """Tell whether reconstructions have collapsed, see :func:`brainflix.evaluation.audit.collapse`.

    Returns
    -------
    dict
        Also distinct_reconstructions, how many differ in any pixel, and identical_to_true.
    """
    found = collapse(space.rows(predicted), space.rows(true), space.name)
    made, shown = digests(predicted.frames), digests(true.frames)
    return found | {
        "distinct_reconstructions": len(set(made)),
        "identical_to_true": sum(a == b for a, b in zip(made, shown, strict=True)),
    }
