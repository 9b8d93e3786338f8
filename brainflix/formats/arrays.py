"""Named numeric arrays in npy, npz, mat, HDF5, pt, pkl and safetensors files, whole or by rows.

Nothing in them is ever run. What a format allows to be mapped is mapped, so that a reader that asks
for some rows costs no more memory than those.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brainflix.errors import StudyError
from brainflix.formats.archives import SWELL, SWELL_FREE, list_members, verify_member
from brainflix.formats.hdf5 import HDF5, dataset, dataset_names, open_hdf5, take_rows
from brainflix.formats.pickle import read_object_npy, read_pickle
from brainflix.formats.torch import open_tensors, tensor_names

SAFETENSORS = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}


def read_array(path: Path, key: str | None) -> np.ndarray:
    """Return an array of a file, mapped where the format allows it.

    Parameters
    ----------
    path : Path
        A file .npy, .npz, .mat (any version), .h5, .pt, .pkl or .safetensors.
    key : str or None
        Name of the array; keys and numbers that lead to it, joined by "/", in nested containers.
        None where the file holds one array.

    Raises
    ------
    StudyError
        When the file is missing, damaged or of an unknown kind, lacks the array, or the array
        holds anything but numbers.
    """
    values = _guarded(path, key, lambda: _open(path, key))
    if isinstance(values, Hdf5Rows):
        return values.whole()
    return values


class Hdf5Rows:
    """Rows of a dataset; ``columns`` when a row is stored as a column (MATLAB 7.3)."""

    def __init__(self, path: Path, key: str, columns: bool = False) -> None:
        self.path, self.key, self.columns = path, key, columns
        with open_hdf5(path) as file:
            values = dataset(file, key)
            self.dtype = values.dtype
            self.shape = values.shape[::-1] if columns else values.shape

    def whole(self) -> np.ndarray:
        """Return all values."""
        with open_hdf5(self.path) as file:
            values = dataset(file, self.key)[()]
        return values.T if self.columns else values

    def take(self, index: np.ndarray) -> np.ndarray:
        """Return some rows."""
        if self.columns:
            return self.whole()[index]
        with open_hdf5(self.path) as file:
            return take_rows(dataset(file, self.key), index)

    def take_each(self, places: Sequence[np.ndarray]) -> np.ndarray:
        """Return the rows of a (.., .., column) dataset at some places, a row at a time."""
        if self.columns:
            return self.whole()[tuple(places)]
        with open_hdf5(self.path) as file:
            values = dataset(file, self.key)
            rows = np.empty((len(places[0]), self.shape[-1]), dtype=self.dtype)
            for row, place in enumerate(zip(*(axis.tolist() for axis in places), strict=True)):
                values.read_direct(rows, place, np.s_[row])
        return rows


@dataclass(frozen=True)
class ArrayRows:
    """An array of which rows are read when they are asked for.

    Parameters
    ----------
    source : ndarray or Hdf5Rows
        Mapped, held, or left in its file.
    """

    source: np.ndarray | Hdf5Rows

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole array."""
        return tuple(self.source.shape)

    def take(self, index: np.ndarray) -> np.ndarray:
        """Return some rows, in the order of ``index``."""
        if isinstance(self.source, Hdf5Rows):
            return self.source.take(index)
        return self.source[index]


def open_rows(path: Path, key: str | None) -> ArrayRows:
    """Return an array of a file for reading a few rows at a time.

    Raises
    ------
    StudyError
        As :func:`read_array` does.
    """
    return ArrayRows(_guarded(path, key, lambda: _open(path, key)))


def _guarded(path: Path, key: str | None, read: Callable[[], Any]) -> Any:
    if not path.is_file():
        raise StudyError("an array file does not exist", expected="a file", where=path)
    try:
        values = read()
    except StudyError:
        raise
    except Exception as error:  # the readers raise many kinds for a damaged file
        raise StudyError(
            "the arrays cannot be read; the file is truncated, damaged or holds Python objects",
            expected="numeric arrays in npy, npz, mat, HDF5, pt, pkl or safetensors",
            found=f"{type(error).__name__}: {error}",
            where=path,
        ) from error
    if values.dtype.kind not in "biuf":
        raise StudyError(
            "an array holds no numbers",
            expected="integers, floats",
            found=values.dtype,
            where=path if key is None else f"{path}, {key}",
        )
    return values


def _open(path: Path, key: str | None) -> np.ndarray | Hdf5Rows:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return _read_npy(path, key)
    if suffix in (".pt", ".pth"):
        return _chosen(dict(tensor_names(open_tensors(path))), key, path)
    if suffix in (".pkl", ".pickle"):
        return _chosen(dict(tensor_names(read_pickle(path))), key, path)
    if suffix == ".safetensors":
        return _read_safetensors(path, key)
    if suffix not in (".npz", *HDF5):
        raise StudyError(
            "unknown kind of array file",
            expected=".npy, .npz, .mat, .h5, .pt, .pkl or .safetensors",
            found=suffix,
            where=path,
        )
    if key is None:
        raise StudyError(
            "a file of several arrays needs a name", expected=f"{path.name}:NAME", where=path
        )
    if suffix == ".npz":
        return read_npz(path, key)
    return _read_mat(path, key) if suffix == ".mat" else Hdf5Rows(path, key)


def _known(key: str, names: list[str], path: Path) -> str:
    if key not in names:
        raise StudyError(
            "the file lacks an array",
            expected=key,
            found=", ".join(sorted(names)[:20]),
            where=path,
        )
    return key


def _chosen(arrays: Mapping[str, np.ndarray], key: str | None, path: Path) -> np.ndarray:
    """Return the array of a name; without a name the only one in the file."""
    if key is None and len(arrays) == 1:
        return next(iter(arrays.values()))
    return arrays[_known(key or "a name, since there are several", list(arrays), path)]


def _read_npy(path: Path, key: str | None) -> np.ndarray:
    values = read_object_npy(path)
    if isinstance(values, np.ndarray) and values.dtype.kind != "O" and not key:
        return values
    return _chosen(dict(tensor_names(values)), key, path)


def npz_names(path: Path) -> list[str]:
    """Return the names of the arrays of an .npz file."""
    return [name.removesuffix(".npy") for name in list_members(path) if name.endswith(".npy")]


def read_npz(path: Path, key: str) -> np.ndarray:
    """Return an array of an .npz file; mapped when it is stored uncompressed.

    Raises
    ------
    StudyError
        When the archive is damaged (checksums are compared) or lacks the array.
    """
    members = list_members(path)
    member = members[_known(key, npz_names(path), path) + ".npy"]
    if not member.stored:
        with np.load(path, allow_pickle=False) as arrays:
            return arrays[key]
    verify_member(path, member)
    with open(path, "rb") as stream:
        stream.seek(member.offset)
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): "read_array_header_1_0", (2, 0): "read_array_header_2_0"}[version]
        shape, fortran, dtype = getattr(np.lib.format, read)(stream)
        start = stream.tell()
    count = int(np.prod(shape, dtype=object))
    if dtype.hasobject or count * dtype.itemsize != member.offset + member.size - start:
        raise StudyError(
            "an array of the archive has another size than declared, or holds Python objects",
            expected=f"{member.offset + member.size - start} bytes of numbers",
            found=f"{shape} {dtype}",
            where=f"{path}, {key}",
        )
    if not count:
        return np.empty(shape, dtype)
    mapped = np.memmap(path, dtype, "r", start, count).view(np.ndarray)
    return mapped.reshape(shape, order="F" if fortran else "C")


def _read_mat(path: Path, key: str) -> np.ndarray | Hdf5Rows:
    import scipy.io

    try:
        arrays = {name: (shape, kind) for name, shape, kind in scipy.io.whosmat(path)}
    except NotImplementedError:  # version 7.3 is HDF5, with the axes reversed
        return Hdf5Rows(path, key, columns=True)
    shape, kind = arrays[_known(key, list(arrays), path)]
    values = int(np.prod(shape, dtype=object))
    if values > max(SWELL_FREE, SWELL * path.stat().st_size):
        raise StudyError(
            "an array declares a size that the file does not have",
            expected=f"a file of {path.stat().st_size} bytes holds less",
            found=f"{key} {shape} {kind}",
            where=path,
        )
    return np.asarray(scipy.io.loadmat(path, variable_names=[key])[key])


def _read_safetensors(path: Path, key: str | None) -> np.ndarray:
    size = path.stat().st_size
    with open(path, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > size - 8:
            raise ValueError(f"a header of {length} bytes in a file of {size}")
        header = json.loads(stream.read(length))
    header.pop("__metadata__", None)
    if key is None and len(header) == 1:
        key = next(iter(header))
    entry = header[_known(key or "a name, since there are several", list(header), path)]
    kind, shape = entry["dtype"], tuple(int(n) for n in entry["shape"])
    dtype = np.dtype(SAFETENSORS[kind])
    first, last = (int(place) for place in entry["data_offsets"])
    count = int(np.prod(shape, dtype=object))
    if not 0 <= first <= last <= size - 8 - length or last - first != count * dtype.itemsize:
        raise ValueError(f"tensor {key} of shape {shape} at {first}-{last} of {size} bytes")
    if not count:
        return np.empty(shape, dtype)
    values = np.memmap(path, dtype, "r", 8 + length + first, count).view(np.ndarray).reshape(shape)
    if kind != "BF16":
        return values
    return (values.astype(np.uint32) << 16).view(np.float32)  # its bits are float32's upper half


def list_arrays(path: Path) -> list[str]:
    """Return the names of the arrays of a file; none for a file of one array without a name."""
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return npz_names(path)
    if suffix in HDF5 and suffix != ".mat":
        with open_hdf5(path) as file:
            return dataset_names(file)
    if suffix in (".pt", ".pth"):
        return [name for name, _ in tensor_names(open_tensors(path)) if name]
    if suffix in (".pkl", ".pickle"):
        return [name for name, _ in tensor_names(read_pickle(path)) if name]
    return []
