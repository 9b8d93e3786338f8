"""Named numeric arrays in npy, npz, mat and HDF5 files; nothing in them is ever unpickled."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from brainflix.errors import StudyError

HDF5 = (".h5", ".hdf5", ".hdf")


def inside(text: str, what: str, where: object, remedy: str) -> PurePosixPath:
    """Return a path relative to a study's folder.

    Raises
    ------
    StudyError
        When it is absolute or leads out of the folder.
    """
    path = PurePosixPath(text.replace("\\", "/"))
    if path.is_absolute() or PureWindowsPath(text).drive or ".." in path.parts:
        raise StudyError(
            f"{what} lies outside of the study",
            expected="a relative path without ..",
            found=text,
            where=where,
            remedy=remedy,
        )
    return path


def read_array(path: Path, key: str | None) -> np.ndarray:
    """Return an array of a file.

    Parameters
    ----------
    path : Path
        A file .npy (mapped, not read), .npz, .mat (any version) or .h5.
    key : str or None
        Name of the array; None for .npy.

    Raises
    ------
    StudyError
        When the file is missing, damaged or of an unknown kind, lacks the array, or the array
        holds Python objects.
    """
    if not path.is_file():
        raise StudyError("an array file does not exist", expected="a file", where=path)
    try:
        values = _read(path, key)
    except StudyError:
        raise
    except Exception as error:  # the readers raise many kinds for a damaged file
        raise StudyError(
            "the arrays cannot be read; the file is truncated, damaged or holds Python objects",
            expected="numeric arrays in npy, npz, mat or HDF5",
            found=f"{type(error).__name__}: {error}",
            where=path,
        ) from error
    if values.dtype.kind not in "biuf":
        raise StudyError(
            "an array holds no numbers", expected="integers, floats", found=values.dtype, where=path
        )
    return values


def _read(path: Path, key: str | None) -> np.ndarray:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return np.load(path, mmap_mode="r", allow_pickle=False)
    if key is None:
        raise StudyError(
            "a file of several arrays needs a name", expected=f"{path.name}:NAME", where=path
        )
    if suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return arrays[_known(key, list(arrays), path)]
    if suffix == ".mat":
        return _read_mat(path, key)
    if suffix in HDF5:
        return _read_hdf5(path, key)
    raise StudyError(
        "unknown kind of array file", expected=".npy, .npz, .mat or .h5", found=suffix, where=path
    )


def _known(key: str, names: list[str], path: Path) -> str:
    if key not in names:
        raise StudyError(
            "the file lacks an array", expected=key, found=", ".join(sorted(names)), where=path
        )
    return key


def _read_mat(path: Path, key: str) -> np.ndarray:
    import scipy.io

    try:
        names = [name for name, *_ in scipy.io.whosmat(path)]
        _known(key, names, path)
        return np.asarray(scipy.io.loadmat(path, variable_names=[key])[key])
    except NotImplementedError:  # version 7.3 is HDF5, with the axes reversed
        return _read_hdf5(path, key).T


def _read_hdf5(path: Path, key: str) -> np.ndarray:
    import h5py

    with h5py.File(path, "r") as file:
        found: Any = file.get(key)
        if not isinstance(found, h5py.Dataset):
            names: list[str] = []
            file.visit(names.append)
            _known(key, [name for name in names if name != key], path)
        return found[()]
