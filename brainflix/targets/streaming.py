"""Datasets that are filled part by part, so that memory does not grow with their length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import h5py
from numpy.typing import DTypeLike


def reserve_dataset(
    parent: h5py.Group,
    name: str,
    shape: Sequence[int],
    dtype: DTypeLike,
    dims: Sequence[str],
    *,
    units: str = "",
) -> h5py.Dataset:
    """Create a contiguous dataset with named dimensions, to be filled row by row.

    Parameters
    ----------
    parent : h5py.Group
        Where the dataset goes; groups in ``name`` are made.
    name : str
        The dataset's name, with slashes for groups.
    shape : sequence of int
        Its shape.
    dtype : dtype
        Of numbers.
    dims : sequence of str
        The name of each axis.
    units : str
        The unit, empty for none.
    """
    dataset = parent.create_dataset(name, shape=tuple(shape), dtype=dtype)
    for axis, label in enumerate(dims):
        dataset.dims[axis].label = label
    dataset.attrs["units"] = units
    return dataset


def chunks(length: int, size: int) -> Iterator[slice]:
    """Yield slices of at most ``size`` that cover ``range(length)`` in order."""
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))
