"""Artifacts with a planted fault: changed as HDF5, and sealed again."""

import contextlib

import h5py

from brainflix.artifacts import store as artifacts


@contextlib.contextmanager
def edited(path):
    """Open an artifact to be changed; its checksum is right again when the block ends."""
    with h5py.File(path, "r+") as file:
        yield file
    artifacts.seal(path)
