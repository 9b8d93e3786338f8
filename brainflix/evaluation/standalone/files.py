"""Clips to be evaluated: videos and GIFs, numbered pictures, arrays, rows of HDF5 datasets.

A clip is probed first (:meth:`ClipSource.probe`: how many frames, of what size, at what times) and
read afterwards, only the frames that are wanted. Nothing is written here.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from brainflix.artifacts.store import file_digest
from brainflix.errors import ArtifactError, VideoError
from brainflix.formats.video import pick_frames, read_picture, read_timeline

Frame = NDArray[np.uint8]
Indices = NDArray[np.int64]
Floats = NDArray[np.float64]

VIDEOS = frozenset(
    {".mp4", ".m4v", ".mkv", ".avi", ".webm", ".mov", ".mpg", ".mpeg", ".ogv", ".gif"}
)
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
ARRAYS = frozenset({".npy"})


@dataclass(frozen=True)
class ProbedClip:
    """What a clip is made of, before its frames are read.

    Attributes
    ----------
    stored : ndarray of int64, shape (frame,)
        Where each frame lies in the file, ascending. A frame that a GIF shows for several turns
        occurs several times.
    height, width : int
        In pixels.
    times : ndarray of float64, shape (frame, 2), or None
        When each frame comes on screen and when it goes, in s; None where that is not known.
    """

    stored: Indices
    height: int
    width: int
    times: Floats | None = None

    def __len__(self) -> int:
        return len(self.stored)

    @property
    def duration(self) -> float | None:
        """Seconds from the start to the end of the last frame."""
        return None if self.times is None else float(self.times[-1, 1])


class ClipSource(Protocol):
    """One clip, not yet read."""

    @property
    def name(self) -> str:
        """The name by which it is paired."""

    @property
    def where(self) -> str:
        """The file or folder, for messages."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it is read from."""

    def probe(self) -> ProbedClip:
        """Return the clip's form, or raise :class:`VideoError` where it is empty or damaged."""

    def frames(self, stored: Indices) -> Iterator[Frame]:
        """Yield RGB frames uint8 (height, width, 3) by their place in the file, ascending."""


@dataclass(frozen=True)
class VideoFileClip:
    """A video file or an animated GIF, through PyAV."""

    name: str
    path: Path

    @property
    def where(self) -> str:
        """The file."""
        return str(self.path)

    @property
    def files(self) -> tuple[Path, ...]:
        """The file."""
        return (self.path,)

    def probe(self) -> ProbedClip:
        """Decode the file once without keeping pictures."""
        found = read_timeline(self.path)
        times = np.stack([found.start, found.end], axis=1)
        return ProbedClip(np.arange(len(found)), found.height, found.width, times)

    def frames(self, stored: Indices) -> Iterator[Frame]:
        """Decode the file up to the last frame wanted."""
        return pick_frames(self.path, stored)


@dataclass(frozen=True)
class PictureClip:
    """A folder of numbered pictures, without times."""

    name: str
    folder: Path
    files: tuple[Path, ...]

    @property
    def where(self) -> str:
        """The folder."""
        return str(self.folder)

    def probe(self) -> ProbedClip:
        """Read the pictures' sizes."""
        sizes = {_picture_size(path): path.name for path in reversed(self.files)}
        if len(sizes) != 1:
            raise VideoError(
                "the frames of one clip differ in size",
                expected="pictures of one size",
                found=", ".join(f"{w} x {h} ({name})" for (h, w), name in sizes.items()),
                where=self.folder,
            )
        ((height, width),) = sizes
        return ProbedClip(np.arange(len(self.files)), height, width)

    def frames(self, stored: Indices) -> Iterator[Frame]:
        """Read the pictures wanted."""
        last: tuple[int, Frame] | None = None
        for k in stored.tolist():
            if last is None or last[0] != k:
                last = (k, read_picture(self.files[k]))
            yield last[1]


@dataclass(frozen=True)
class ArrayClip:
    """A clip in an array: a ``.npy`` file, one of its rows, or a row of an HDF5 dataset.

    Attributes
    ----------
    dataset : str or None
        The dataset's name where ``path`` is HDF5.
    row : int or None
        The clip's place along the first axis; None where the whole array is one clip.
    rate : float or None
        Frames per second, where the file says so.
    """

    name: str
    path: Path
    dataset: str | None = None
    row: int | None = None
    rate: float | None = None

    @property
    def where(self) -> str:
        """The file, with the dataset and the row."""
        place = f"::{self.dataset}" if self.dataset is not None else ""
        return f"{self.path}{place}" + (f"[{self.row}]" if self.row is not None else "")

    @property
    def files(self) -> tuple[Path, ...]:
        """The file."""
        return (self.path,)

    def probe(self) -> ProbedClip:
        """Check the array's shape and type."""
        shape, dtype = self._facts()
        check_array(shape, dtype, self.where)
        count, height, width = shape[:3]
        if self.rate is None:
            return ProbedClip(np.arange(count), height, width)
        start = np.arange(count) / self.rate
        times = np.stack([start, start + 1 / self.rate], axis=1)
        return ProbedClip(np.arange(count), height, width, times)

    def frames(self, stored: Indices) -> Iterator[Frame]:
        """Read the clip, and yield the frames wanted."""
        clip = as_pixels(self._values(), self.where)
        for k in stored.tolist():
            yield clip[k]

    def _facts(self) -> tuple[tuple[int, ...], Any]:
        if self.dataset is None:
            array = load_array(self.path)
            return (array.shape if self.row is None else array.shape[1:]), array.dtype
        with opened_hdf5(self.path) as file:
            found = file[self.dataset]
            return found.shape[1:], found.dtype

    def _values(self) -> NDArray[Any]:
        if self.dataset is None:
            array = load_array(self.path)
            return np.asarray(array if self.row is None else array[self.row])
        with opened_hdf5(self.path) as file:
            return np.asarray(file[self.dataset][self.row])


def check_array(shape: Sequence[int], dtype: Any, where: object) -> None:
    """Raise :class:`VideoError` unless an array can be one clip: (frame, height, width, 3)."""
    if len(shape) == 4 and shape[-1] == 3 and 0 not in shape and np.dtype(dtype).kind in "uf":
        return
    first = len(shape) == 4 and 3 in shape[:2]
    raise VideoError(
        "the array is not a clip",
        expected="(frame, height, width, 3), uint8 or floats from 0 to 1",
        found=f"{tuple(shape)}, {np.dtype(dtype)}",
        where=where,
        remedy="put the colour channels last, such as by numpy.moveaxis" if first else None,
    )


def as_pixels(clip: NDArray[Any], where: object) -> Frame:
    """Return a clip as uint8; floats from 0 to 1 are multiplied by 255 and rounded."""
    if clip.dtype == np.uint8:
        return clip
    low, high = float(np.min(clip)), float(np.max(clip))
    if clip.dtype.kind != "f" or not (low >= 0 and high <= 1):
        raise VideoError(
            "the clip's values are not pixels",
            expected="uint8, or floats from 0 to 1",
            found=f"{clip.dtype} from {low:g} to {high:g}",
            where=where,
            remedy="save uint8 from 0 to 255",
        )
    return np.rint(clip * 255).astype(np.uint8)


@contextlib.contextmanager
def opened_hdf5(path: Path) -> Iterator[Any]:
    """Open an HDF5 file for reading; what h5py objects to becomes an error that names the file.

    Raises
    ------
    ArtifactError
        When the file is cut, damaged or not an HDF5 file.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise ArtifactError(
            "the HDF5 file cannot be read",
            expected="a whole HDF5 file",
            found=f"{path.stat().st_size} bytes: {error}",
            where=path,
        ) from error


def load_array(path: Path) -> NDArray[Any]:
    """Open a ``.npy`` file without reading all of it; nothing in it is executed."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
    except (OSError, ValueError, EOFError) as error:
        raise VideoError(
            "the array cannot be read", expected="a whole .npy file", found=str(error), where=path
        ) from error


def _picture_size(path: Path) -> tuple[int, int]:
    from PIL import Image

    try:
        with Image.open(path) as image:
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            width, height = image.size
    except (OSError, ValueError, SyntaxError) as error:
        raise VideoError(
            "the picture cannot be read",
            expected="a whole picture",
            found=f"{path.stat().st_size} bytes: {error}",
            where=path,
        ) from error
    return (width, height) if turned else (height, width)


def natural_key(text: str) -> tuple[Any, ...]:
    """Return a key that sorts numbers in names by value: 2 before 10."""
    parts = re.split(r"(\d+)", text)
    return tuple((int(p), "") if p.isdigit() else (-1, p) for p in parts)


def combined_digest(files: Sequence[Path]) -> str:
    """Return 16 hexadecimal digits over names and contents of files, in any order."""
    digest = hashlib.sha256()
    for path in sorted(set(files)):
        digest.update(f"{path.name}\0{file_digest(path)}\0".encode())
    return digest.hexdigest()[:16]


_SHOWN = 10  # files named in a message


def listed(items: Iterable[object]) -> str:
    """Return the first few items as text, one per line, and how many more there are."""
    texts = [str(item) for item in items]
    if len(texts) < 2:
        return "".join(texts)
    more = [f"... and {len(texts) - _SHOWN} more"] if len(texts) > _SHOWN else []
    return "".join(f"\n    {text}" for text in [*texts[:_SHOWN], *more])
