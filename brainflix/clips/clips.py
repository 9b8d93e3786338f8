"""Clips as the metrics see them: frames, labels, and what has been computed from them once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.store import Frames, FrameSource, blocks, take, threaded
from brainflix.errors import DataError

T = TypeVar("T")
_READ = 8 * 2**20  # bytes read at a time
Feature = Callable[[NDArray[Any]], NDArray[Any]]  # some clips to one row for each


@dataclass(frozen=True)
class VideoClips:
    """A set of clips of one shape.

    Attributes
    ----------
    frames : FrameSource of uint8, shape (clip, frame, height, width, 3)
        RGB; an array, or clips on disk that are read a few at a time (:class:`FrameStore`).
    ids : tuple of str
        The clips' names, in the order of ``frames``.
    groups : tuple of str
        The segment or run a clip belongs to; clips of one group are not independent.
    labels : mapping of str to tuple of str
        What is known to be in each clip, by attribute; empty where nothing is known.
    """

    frames: FrameSource
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    _computed: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    _by_id: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_frames(self.frames)
        n = len(self.frames)
        for name, column in (("ids", self.ids), ("groups", self.groups), *self.labels.items()):
            if len(column) != n:
                raise DataError(
                    f"{name} needs one entry for each clip", expected=n, found=len(column)
                )
        if n < 2:
            raise DataError(
                "too few clips to evaluate",
                expected="at least 2, so that chance is defined",
                found=n,
            )

    def __len__(self) -> int:
        return len(self.frames)

    def subset(self, rows: NDArray[np.int64]) -> VideoClips:
        """Return some of the clips; what has been computed of them is taken along."""
        chosen = VideoClips(
            take(self.frames, rows),
            tuple(self.ids[k] for k in rows),
            tuple(self.groups[k] for k in rows),
            {name: tuple(column[k] for k in rows) for name, column in self.labels.items()},
            _by_id=self._by_id,
        )
        for name, values in self._computed.items():
            if isinstance(values, np.ndarray):
                chosen._computed[name] = values[rows]
        return chosen

    def feature(self, name: str, compute: Feature) -> NDArray[Any]:
        """Return one row for each clip, computed a few clips at a time and kept under ``name``."""
        self.gather({name: compute})
        return self._computed[name]  # type: ignore[no-any-return]

    def gather(self, features: Mapping[str, Feature]) -> None:
        """Compute several features in one pass over the frames, except those already known."""
        wanted = {name: f for name, f in features.items() if name not in self._computed}
        if wanted:
            self._computed.update(_in_parts(self.frames, wanted))

    def seen(self, name: str, model: Feature) -> NDArray[Any]:
        """Return rows as :meth:`feature` does, from a model that threads cannot share."""
        if name not in self._computed:
            self._computed.update(_in_parts(self.frames, {name: model}, threads=False))
        return self._computed[name]  # type: ignore[no-any-return]

    def remembered(self, name: str, row: int, compute: Callable[[], T]) -> T:
        """Return what was computed of one clip, of this set or of one that it is a subset of."""
        key = (name, self.ids[row])
        if key not in self._by_id:
            self._by_id[key] = compute()
        return self._by_id[key]  # type: ignore[no-any-return]

    def remembers(self, name: str, row: int) -> bool:
        """Return whether :meth:`remembered` has something of a clip."""
        return (name, self.ids[row]) in self._by_id

    def kept(self, name: str, compute: Callable[[], T]) -> T:
        """Return what ``compute`` returned when first called under this name."""
        if name not in self._computed:
            self._computed[name] = compute()
        return self._computed[name]  # type: ignore[no-any-return]

    def derived(self, name: str, source: NDArray[Any], compute: Feature) -> NDArray[Any]:
        """Return one row for each clip from another feature's rows, kept under ``name``."""
        if name not in self._computed:
            self._computed.update(_in_parts(source, {name: compute}))
        return self._computed[name]  # type: ignore[no-any-return]

    def showing(self, frames: FrameSource) -> VideoClips:
        """Return other frames under the same names: reconstructions of these clips."""
        shape = self.frames.shape[1:]
        same = tuple(frames.shape[1:]) == tuple(shape)
        return VideoClips(frames if same else Reconciled(frames, shape), self.ids, self.groups)


def _in_parts(
    source: FrameSource | NDArray[Any], wanted: Mapping[str, Feature], *, threads: bool = True
) -> dict[str, NDArray[Any]]:
    """Compute one row for each clip; a broadcast clip is computed once."""
    n = len(source)
    # A stride of 0 means that every row is the same clip, such as the grey baseline.
    if isinstance(source, np.ndarray) and n > 1 and source.strides[0] == 0:
        one = _in_parts(source[:1].copy(), wanted, threads=threads)
        return {name: np.broadcast_to(row[0], (n, *row.shape[1:])) for name, row in one.items()}

    def compute(part: slice) -> list[NDArray[Any]]:
        frames = source[part]
        return [feature(frames) for feature in wanted.values()]

    parts = [*blocks(source, _READ)]
    rows = list(threaded(compute, parts) if threads else map(compute, parts))
    return {name: np.concatenate([part[k] for part in rows]) for k, name in enumerate(wanted)}


class Reconciled:
    """Clips brought to another number of frames and size as they are read, see `reconcile`.

    Parameters
    ----------
    frames : FrameSource of uint8, shape (clip, frame, height, width, 3)
    shape : sequence of int
        (frame, height, width, 3) wanted.
    """

    def __init__(self, frames: FrameSource, shape: Sequence[int]) -> None:
        check_frames(frames)
        self.source, self.shape = frames, (len(frames), *map(int, shape))
        self.dtype = np.dtype(np.uint8)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, rows: Any) -> Frames:
        if isinstance(rows, int | np.integer):
            return reconcile(self.source[[rows]], self.shape[1:])[0]
        return reconcile(self.source[rows], self.shape[1:])


def check_frames(frames: FrameSource) -> None:
    """Raise :class:`DataError` unless frames are (clip, frame, height, width, 3)."""
    if len(frames.shape) != 5 or frames.shape[-1] != 3 or 0 in frames.shape[1:]:
        raise DataError("not clips", expected="(clip, frame, height, width, 3)", found=frames.shape)


def check_clips(true: NDArray[Any], predicted: NDArray[Any]) -> None:
    """Raise :class:`DataError` unless both are clips, of one shape."""
    check_frames(true)
    if true.shape[1:] != predicted.shape[1:]:
        raise DataError(
            "true and reconstructed clips differ in shape",
            expected=true.shape[1:],
            found=predicted.shape[1:],
            remedy="bring them to one shape with brainflix.clips.clips.reconcile",
        )


def random_rows(n: int, count: int, seed: int) -> NDArray[np.int64]:
    """Draw clips, in ascending order; with one seed, a smaller draw is a subset of a larger."""
    return np.sort(np.random.default_rng(seed).permutation(n)[:count])


def even_frames(n: int, m: int) -> NDArray[np.int64]:
    """Return the indices of ``m`` evenly spaced frames of ``n``: round(linspace(0, n - 1, m))."""
    return np.rint(np.linspace(0, n - 1, m)).astype(np.int64)


def reconcile(frames: Frames, shape: Sequence[int]) -> Frames:
    """Bring clips to a number of frames and a size: even frames, then bilinear resizing.

    Parameters
    ----------
    frames : ndarray of uint8, shape (clip, frame, height, width, 3)
        The clips to be changed.
    shape : sequence of int
        (frame, height, width, 3) wanted.

    Returns
    -------
    ndarray of uint8, shape (clip, *shape)
        The same array where nothing differs.
    """
    check_frames(frames)
    if frames.shape[1:] == tuple(shape):
        return frames
    if frames.shape[1] != shape[0]:
        # Frames are chosen before they are resized.
        frames = frames[:, even_frames(frames.shape[1], shape[0])]
    height, width = int(shape[1]), int(shape[2])
    if frames.shape[2:4] != (height, width):
        frames = resize(frames, height, width)
    return frames


def resize(frames: Frames, height: int, width: int, method: str = "bilinear") -> Frames:
    """Resize every frame with a filter of Pillow's; "bilinear" and "box" average when shrinking."""
    from PIL import Image

    resized = np.empty((*frames.shape[:2], height, width, 3), dtype=np.uint8)
    for place in np.ndindex(*frames.shape[:2]):
        image = Image.fromarray(np.ascontiguousarray(frames[place]))
        resized[place] = image.resize((width, height), Image.Resampling[method.upper()])
    return resized


def shrink(frames: Frames, longest: int) -> Frames:
    """Average frames down until the longer side has ``longest`` pixels; smaller ones stay.

    Parameters
    ----------
    frames : ndarray of uint8, shape (clip, frame, height, width, 3)
    longest : int
        Pixels.
    """
    height, width = frames.shape[2:4]
    side = max(height, width)
    if side <= longest:
        return frames
    return resize(
        frames, max(1, round(height * longest / side)), max(1, round(width * longest / side)), "box"
    )
