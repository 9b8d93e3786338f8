"""The artifact "voxels": which voxels respond reliably, and where they lie."""

from __future__ import annotations

import h5py
import numpy as np

from brainflix.artifacts.store import write_dataset
from brainflix.formats.voxel_space import VoxelSpace


def write_space(file: h5py.File, voxels: VoxelSpace, keep: np.ndarray | None = None) -> None:
    """Write where voxels lie (those of ``keep``, bool (voxel,)) into an open artifact."""
    chosen = slice(None) if keep is None else keep
    write_dataset(file, "position", voxels.position[chosen], ("voxel", "axis"))
    if voxels.structure is not None and voxels.vertex is not None:
        write_dataset(file, "structure", voxels.structure[chosen], ("voxel",))
        write_dataset(file, "vertex", voxels.vertex[chosen], ("voxel",))
    file.attrs["shape"] = np.asarray(voxels.shape, dtype=np.int64)
    file.attrs["space"] = voxels.space
    if voxels.affine is not None:
        file.attrs["affine"] = voxels.affine


def read_space(file: h5py.File) -> VoxelSpace:
    """Return where the voxels of an open artifact lie, as :func:`write_space` wrote it."""
    has_vertices = "vertex" in file
    return VoxelSpace(
        position=file["position"][()],
        shape=tuple(int(size) for size in file.attrs["shape"]),
        affine=file.attrs.get("affine"),
        space=str(file.attrs["space"]),
        structure=file["structure"].asstr()[()].astype(str) if has_vertices else None,
        vertex=file["vertex"][()] if has_vertices else None,
    )
