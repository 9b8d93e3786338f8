"""Clips on disk that are read a few at a time, so that memory does not grow with their number.

Reads are plain ``pread`` calls rather than a memory map: mapped pages count as resident memory of
the process, and 1,200 clips of 6 x 256 x 256 are 1.4 GB.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from brainflix.errors import DataError

Frames = NDArray[np.uint8]
Rows = int | slice | Sequence[int] | NDArray[Any]
T = TypeVar("T")
R = TypeVar("R")
_BLOCK_BYTES = 24 * 2**20
_THREADS = 4


class FrameSource(Protocol):
    """Anything that holds clips: an array, or a :class:`FrameStore`.

    ``shape`` is (clip, frame, height, width, 3); an index, a slice or an integer array gives
    those clips as an array.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(clip, frame, height, width, 3)."""

    @property
    def dtype(self) -> Any:
        """The numpy type of a sample."""

    def __len__(self) -> int:
        """The number of clips."""

    def __getitem__(self, rows: Any, /) -> NDArray[Any]:
        """The clips asked for, as an array."""


def blocks(frames: FrameSource, bytes_held: int = _BLOCK_BYTES) -> Iterator[slice]:
    """Yield slices of whole clips that together cover all, each of at most ``bytes_held``."""
    one = int(np.prod(frames.shape[1:])) * np.dtype(frames.dtype).itemsize
    step = max(1, bytes_held // max(1, one))
    for start in range(0, len(frames), step):
        yield slice(start, min(start + step, len(frames)))


def threaded(work: Callable[[T], R], parts: Sequence[T]) -> Iterator[R]:
    """Yield the results of ``work``, in order, a few parts at a time on the processor's cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    count = min(_THREADS, cores or 1, len(parts))
    if count < 2:
        yield from map(work, parts)
        return
    with ThreadPoolExecutor(count) as pool:
        yield from pool.map(work, parts)


class FrameStore:
    """Clips in a flat file or an HDF5 dataset, read when they are indexed.

    Parameters
    ----------
    path : path-like
        The file.
    shape : tuple of int
        (clip, frame, height, width, 3) in the file.
    dtype : numpy dtype
    offset : int
        Bytes before the first clip.
    dataset : str, optional
        Name of a chunked or compressed HDF5 dataset; a contiguous one is read as a flat file.
    rows : ndarray of int, optional
        The clips that this store shows, in its order; all by default.
    """

    def __init__(
        self,
        path: str | Path,
        shape: Sequence[int],
        dtype: Any = np.uint8,
        *,
        offset: int = 0,
        dataset: str | None = None,
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        self.path, self.dtype = Path(path), np.dtype(dtype)
        self._stored, self._offset, self._dataset = tuple(map(int, shape)), offset, dataset
        self._rows = np.arange(self._stored[0]) if rows is None else rows
        self._bytes = int(np.prod(self._stored[1:])) * self.dtype.itemsize
        self._written = 0
        self._file: Any = None
        self._writable = False
        self._opening = Lock()

    @classmethod
    def create(cls, path: str | Path, shape: Sequence[int], dtype: Any = np.uint8) -> FrameStore:
        """Make a flat file of zeros for clips (clip, frame, height, width, 3), to be filled.

        Fill it with :meth:`append` or by assignment, ``store[rows] = clips``.
        """
        store = cls(path, shape, dtype)
        store.path.parent.mkdir(parents=True, exist_ok=True)
        with open(store.path, "wb") as stream:
            stream.truncate(store._stored[0] * store._bytes)
        store._writable = True
        return store

    @classmethod
    def open(
        cls, dataset: h5py.Dataset, rows: Sequence[int] | NDArray[Any] | None = None
    ) -> FrameStore:
        """Show a dataset (clip, frame, height, width, 3), or some rows of it.

        The store opens the file again by itself and stays usable when the caller's is closed.
        """
        # A contiguous dataset is read like a flat file, from its offset on.
        offset = dataset.id.get_offset()  # None where chunked, compressed or empty
        chosen = None if rows is None else np.asarray(rows, dtype=np.int64)
        flat = offset is not None and dataset.dtype.isnative
        return cls(
            dataset.file.filename,
            dataset.shape,
            dataset.dtype,
            offset=int(offset) if flat else 0,
            dataset=None if flat else str(dataset.name),
            rows=chosen,
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """(clip, frame, height, width, 3)."""
        return (len(self._rows), *self._stored[1:])

    @property
    def ndim(self) -> int:
        """5 for clips."""
        return len(self._stored)

    @property
    def size(self) -> int:
        """The number of samples in all clips."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, rows: Sequence[int] | NDArray[Any] | slice) -> FrameStore:
        """Return a store that shows some of the clips, in the order given; nothing is read."""
        return FrameStore(
            self.path,
            self._stored,
            self.dtype,
            offset=self._offset,
            dataset=self._dataset,
            rows=self._rows[rows if isinstance(rows, slice) else np.asarray(rows, np.int64)],
        )

    def __getitem__(self, rows: Rows) -> NDArray[Any]:
        if isinstance(rows, int | np.integer):
            return self._read(self._rows[[rows]])[0]
        if not isinstance(rows, slice):
            rows = np.asarray(rows)
            rows = rows if rows.dtype == bool else rows.astype(np.int64)
        return self._read(self._rows[rows])

    def __setitem__(self, rows: Rows, clips: NDArray[Any]) -> None:
        if not self._writable:
            raise DataError("these clips are read only", where=self.path)
        places = np.atleast_1d(self._rows[rows])
        wanted = (len(places), *self._stored[1:])
        values = np.ascontiguousarray(clips, dtype=self.dtype)
        values = values[None] if values.ndim == len(wanted) - 1 else values
        if values.shape != wanted:
            raise DataError(
                "clips of another shape", expected=wanted, found=values.shape, where=self.path
            )
        handle = self._handle()
        for place, clip in zip(places.tolist(), values, strict=True):
            _write_all(handle, clip.reshape(-1).view(np.uint8).data, place * self._bytes)

    def append(self, clips: NDArray[Any]) -> None:
        """Write clips (clip, frame, height, width, 3) behind those appended before."""
        n = len(clips)
        if self._written + n > len(self):
            raise DataError(
                "more clips than the store was made for",
                expected=len(self),
                found=self._written + n,
                where=self.path,
            )
        self[self._written : self._written + n] = clips
        self._written += n

    def close(self) -> None:
        """Close the file; the next access opens it again."""
        if isinstance(self._file, int):
            os.close(self._file)
        elif self._file is not None:
            self._file.close()
        self._file = None

    def __enter__(self) -> FrameStore:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        if isinstance(getattr(self, "_file", None), int):
            self.close()

    def _handle(self) -> int:
        with self._opening:
            if self._file is None:
                self._file = os.open(self.path, os.O_RDWR if self._writable else os.O_RDONLY)
            return int(self._file)

    def _read(self, places: NDArray[np.int64]) -> NDArray[Any]:
        found = np.empty((len(places), *self._stored[1:]), dtype=self.dtype)
        # Neighbouring clips are read by one call.
        for first, last in _runs(places):
            self._read_run(int(places[first]), found[first:last])
        return found

    def _read_run(self, place: int, into: NDArray[Any]) -> None:
        if self._dataset is not None:
            with self._opening:
                if self._file is None:
                    self._file = h5py.File(self.path, "r")
            self._file[self._dataset].read_direct(into, np.s_[place : place + len(into)])
            return
        buffer = into.reshape(-1).view(np.uint8).data
        position, done = self._offset + place * self._bytes, 0
        # preadv may return fewer bytes than asked for.
        while done < len(buffer):
            count = os.preadv(self._handle(), [buffer[done:]], position + done)
            if count == 0:
                raise DataError(
                    "the clips end before their last frame",
                    expected=f"{len(buffer)} bytes of clip {place} and following",
                    found=f"{done} bytes",
                    where=self.path,
                )
            done += count


def _runs(places: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield the ranges of an index within which places follow one another."""
    breaks = np.flatnonzero(np.diff(places) != 1) + 1
    edges = [0, *breaks.tolist(), len(places)]
    yield from ((a, b) for a, b in itertools.pairwise(edges) if b > a)


def _write_all(handle: int, data: memoryview, position: int) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(handle, data[done:], position + done)


class Selected:
    """Some clips of others, in an order of their own, read when they are indexed."""

    def __init__(self, source: FrameSource, rows: NDArray[np.int64]) -> None:
        self.source, self.rows = source, rows
        self.shape, self.dtype = (len(rows), *source.shape[1:]), source.dtype

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        return self.source[self.rows[rows]]


def take(frames: FrameSource, rows: Sequence[int] | NDArray[Any]) -> FrameSource:
    """Return some clips in the order given, without reading or copying any."""
    places = np.asarray(rows, dtype=np.int64)
    if isinstance(frames, FrameStore):
        return frames.take(places)
    if isinstance(frames, np.ndarray) and len(frames) > 1 and frames.strides[0] == 0:
        return np.broadcast_to(frames[0], (len(places), *frames.shape[1:]))
    return Selected(frames, places)
