"""Datasets of HDF5 files of any origin; links out of the file and false sizes are refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from brainflix.errors import StudyError
from brainflix.formats.archives import SWELL, SWELL_FREE

HDF5 = (".h5", ".hdf5", ".hdf", ".mat")


@contextlib.contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """Open an HDF5 file for reading; whatever fails inside becomes one :class:`StudyError`."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except StudyError:
        raise
    except Exception as error:  # h5py raises many kinds for a damaged file
        raise StudyError(
            "the HDF5 file cannot be read; it is truncated or damaged",
            expected="a whole HDF5 file",
            found=f"{type(error).__name__}: {error}",
            where=path,
            remedy="copy or download the file again",
        ) from error


def dataset(file: Any, key: str) -> Any:
    """Return a dataset of an open file by its path, checked.

    Raises
    ------
    StudyError
        When it is missing, when it lies in another file, or when it declares a size that it does
        not have.
    """
    import h5py

    item = file
    for part in [part for part in key.split("/") if part]:
        link = item.get(part, getlink=True) if isinstance(item, h5py.Group) else None
        if isinstance(link, h5py.ExternalLink):
            raise _elsewhere(file, key, f"a link to {link.filename}")
        item = item.get(part) if isinstance(item, h5py.Group) else None
    if not isinstance(item, h5py.Dataset):
        raise StudyError(
            "the file lacks an array",
            expected=key,
            found=", ".join(dataset_names(file)[:20]) or "no array",
            where=file.filename,
        )
    if item.external or item.is_virtual:
        raise _elsewhere(file, key, "a dataset stored in other files")
    size = item.size * item.dtype.itemsize if item.shape is not None else 0
    if size > max(SWELL_FREE, SWELL * item.id.get_storage_size()):
        raise StudyError(
            "a dataset declares a size that it does not have",
            expected=f"at most {SWELL} times the {item.id.get_storage_size()} bytes it takes",
            found=f"{key} {item.shape} {item.dtype}, {size} bytes",
            where=file.filename,
            remedy="if it really holds next to nothing, save it without compression",
        )
    return item


def _elsewhere(file: Any, key: str, target: str) -> StudyError:
    return StudyError(
        "an array of the file lies in another file",
        expected="values in the file itself",
        found=f"{key}: {target}",
        where=file.filename,
        remedy="copy the values into one file (h5repack), where you trust it",
    )


def dataset_names(file: Any) -> list[str]:
    """Return the paths of all datasets of an open file."""
    import h5py

    names: list[str] = []

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            names.append(name)

    file.visititems(add)
    return names


def take_rows(values: Any, index: np.ndarray) -> np.ndarray:
    """Return rows of a dataset along its first axis, reading no more than the stretches they span.

    Parameters
    ----------
    values : h5py.Dataset
        The dataset.
    index : ndarray of int, shape (row,)
        Any order, repeats allowed.
    """
    # each stretch of consecutive rows is one read into its place; the asked order comes last
    wanted, back = np.unique(index, return_inverse=True)
    rows = np.empty((len(wanted), *values.shape[1:]), dtype=values.dtype)
    breaks = np.flatnonzero(np.diff(wanted) > 1) + 1
    first = 0
    for stretch in np.split(wanted, breaks) if len(wanted) else []:
        values.read_direct(
            rows,
            np.s_[int(stretch[0]) : int(stretch[-1]) + 1],
            np.s_[first : first + len(stretch)],
        )
        first += len(stretch)
    return rows if np.array_equal(wanted, index) else rows[back]
