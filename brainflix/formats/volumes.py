"""The values of an image file, read once from beginning to end and checked on the way.

What a header claims is compared with the file before anything is reserved for it: an uncompressed
file has exactly the bytes that its header gives, a compressed one cannot hold more than DEFLATE can
expand it to. A compressed file is read to its end, where its CRC is compared, so that damage
anywhere in it is found even where the stream still decodes.

Why not nibabel's proxies alone: they stop at the last value that is asked for, so neither the CRC
nor surplus bytes are seen, and they reserve what the header claims. Headers and scaling are
nibabel's; the stream is ours, with one volume in memory.
"""

from __future__ import annotations

import contextlib
import gzip
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from brainflix.errors import StudyError

DEFLATE = 1032  # the most by which DEFLATE expands
SUSPICIOUS = 250  # times; no recording is compressed so far
SUSPICIOUS_SIZE = 2**30  # bytes above which such a ratio is refused
LARGEST_INTEGER = 2**28  # stored; read as an integer, nearly every float is above
_REMEDY = "copy or preprocess it again"


def check_extent(image: Any, path: Path) -> None:
    """Compare the size that a NIfTI or CIFTI header claims with the file.

    Parameters
    ----------
    image : nibabel image
        Opened, its values not read.
    path : Path
        Its file.

    Raises
    ------
    StudyError
        When an axis is empty, the values are not numbers, or the file cannot hold them.
    """
    proxy, shape = image.dataobj, tuple(int(size) for size in image.shape)
    if not shape or min(shape) < 1:
        raise StudyError(
            "the image has an empty axis; its header is damaged",
            expected="sizes of 1 or more",
            found=shape,
            where=path,
            remedy=_REMEDY,
        )
    dtype = np.dtype(proxy.dtype)
    header = getattr(image, "nifti_header", image.header)  # of a CIFTI, of a NIfTI
    bits = _stored_bits(header, path)
    if dtype.kind not in "iuf" or bits != 8 * dtype.itemsize:
        raise StudyError(
            "the image's values are not plain numbers, or its header is damaged",
            expected="integers or floats, as many bits as their type has",
            found=f"{dtype}, {bits} bits",
            where=path,
            remedy=_REMEDY,
        )
    if dtype.kind == "f" and (proxy.slope, proxy.inter) != (1.0, 0.0):
        raise StudyError(
            "the image holds floats with a scale; its header is damaged",
            expected="no scl_slope and scl_inter, which serve to store floats as integers",
            found=f"scl_slope {proxy.slope:g}, scl_inter {proxy.inter:g}",
            where=path,
            remedy="copy it again; if it was written like that, write it with the scale applied",
        )
    claimed = int(proxy.offset) + math.prod(shape) * dtype.itemsize
    size = path.stat().st_size
    if path.name.endswith(".gz"):
        _check_ratio(path, claimed, size)
    elif claimed != size:
        raise StudyError(
            "the image is truncated or damaged"
            if claimed > size
            else "the image holds more than its header says; the header is damaged",
            expected=f"{claimed} bytes for {shape} of {dtype}",
            found=f"{size} bytes",
            where=path,
            remedy=_REMEDY,
        )


def _stored_bits(header: Any, path: Path) -> int:
    """Return the bits a value as the file has them; nibabel replaces them by those of the type."""
    with open_stream(path) as stream:
        start = stream.read(74)
    offset = 14 if header["sizeof_hdr"] == 540 else 72  # NIfTI-2, NIfTI-1
    return int(np.frombuffer(start, header.endianness + "i2", 1, offset)[0])


@contextlib.contextmanager
def open_stream(path: Path) -> Iterator[Any]:
    """Open a file for reading from its beginning, decompressed where its name ends in .gz."""
    with open(path, "rb") as raw:
        yield gzip.GzipFile(fileobj=raw) if path.name.endswith(".gz") else raw


def _check_ratio(path: Path, claimed: int, size: int) -> None:
    ratio = claimed / max(size, 1)
    if ratio > DEFLATE or (claimed > SUSPICIOUS_SIZE and ratio > SUSPICIOUS):
        raise StudyError(
            "the image claims far more values than its file can hold",
            expected=f"at most {SUSPICIOUS} times the {size} bytes of the file",
            found=f"{claimed} bytes by its header, {ratio:.0f} times as many",
            where=path,
            remedy="copy or preprocess it again; do not open it with other programs",
        )


def read_volumes(image: Any, path: Path) -> Iterator[np.ndarray]:
    """Yield the volumes of a NIfTI, a three-dimensional one as its only volume.

    Parameters
    ----------
    image : nibabel image
        Opened, its values not read.
    path : Path
        Its file, ``.nii`` or ``.nii.gz``.

    Yields
    ------
    ndarray, shape (voxel,)
        Stored values in the order of the file, the first axis fastest; see :func:`scaled`.

    Raises
    ------
    StudyError
        When the file ends early or late.
    OSError, EOFError, zlib.error
        When it is damaged; the last volume has been yielded before the CRC is compared.
    """
    proxy = image.dataobj
    dtype, shape = np.dtype(proxy.dtype), image.shape
    n_bytes = math.prod(shape[:3]) * dtype.itemsize
    with open_stream(path) as stream:
        _exactly(stream, int(proxy.offset), path)
        for _ in range(math.prod(shape[3:])):
            yield np.frombuffer(_exactly(stream, n_bytes, path), dtype)
        if stream.read(1):
            raise StudyError(
                "the image holds more than its header says; the header is damaged",
                expected=f"the end of the file behind {shape} of {dtype}",
                found="further values",
                where=path,
                remedy=_REMEDY,
            )


def _exactly(stream: BinaryIO, size: int, path: Path) -> bytearray:
    """Return the next ``size`` bytes, reserved piece by piece as they turn out to exist."""
    content = bytearray()
    while len(content) < size:
        piece = stream.read(min(size - len(content), 2**24))
        if not piece:
            raise StudyError(
                "the image cannot be read; it is truncated or damaged",
                expected=f"{size} bytes more",
                found=f"{len(content)} bytes, then the end",
                where=path,
                remedy=_REMEDY,
            )
        content += piece
    return content


def scaled(values: np.ndarray, image: Any) -> np.ndarray:
    """Return stored values as float32, multiplied and shifted as the header says.

    Raises
    ------
    ValueError
        When integers are so large that they are the bits of floats.
    """
    slope, inter = float(image.dataobj.slope), float(image.dataobj.inter)
    check_integers(values)
    if slope == 1.0 and inter == 0.0:
        return values.astype(np.float32)
    return (values * slope + inter).astype(np.float32)


def check_integers(stored: np.ndarray) -> None:
    """Raise ValueError when integers are so large that they are the bits of floats."""
    if stored.dtype.kind in "iu" and stored.dtype.itemsize > 2 and stored.size:
        largest = max(abs(int(stored.min())), abs(int(stored.max())))
        if largest > LARGEST_INTEGER:
            raise ValueError(f"integers up to {largest}: their type in the header is wrong")


def read_values(image: Any, path: Path) -> np.ndarray:
    """Return all values of a NIfTI, float32, in the shape of its header."""
    volumes = [scaled(volume, image) for volume in read_volumes(image, path)]
    return np.stack(volumes, axis=-1).reshape(image.shape, order="F")
