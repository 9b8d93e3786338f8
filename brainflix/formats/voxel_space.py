"""Where voxels lie: on a grid, on a surface, or nowhere known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from brainflix.errors import _require


@dataclass(frozen=True)
class VoxelSpace:
    """Where the voxels (or vertices) of a subject lie.

    Parameters
    ----------
    position : ndarray of int32, shape (voxel, 3) or (voxel, 1)
        Indices i, j, k into the volume, or the index of a grayordinate or column.
    shape : tuple of int
        Shape of the volume, or (number of grayordinates or columns,).
    affine : ndarray of float64, shape (4, 4), or None
        From indices to mm; None for voxels without a volume.
    space : str
        Name of the space, such as "T1w" or "fsLR"; may be empty.
    structure : ndarray of str, shape (voxel,), or None
        CIFTI structure of each grayordinate.
    vertex : ndarray of int32, shape (voxel,), or None
        Vertex of each grayordinate on its surface, -1 for voxels.
    """

    position: np.ndarray
    shape: tuple[int, ...]
    affine: np.ndarray | None = None
    space: str = ""
    structure: np.ndarray | None = None
    vertex: np.ndarray | None = None

    def __post_init__(self) -> None:
        _require(
            self.position.ndim == 2 and self.position.shape[1] == len(self.shape),
            "voxel positions do not fit their space",
            expected=f"(voxel, {len(self.shape)})",
            found=self.position.shape,
        )
        inside = (self.position >= 0) & (self.position < np.asarray(self.shape))
        _require(
            bool(inside.all()), "voxel positions lie outside of their space", expected=self.shape
        )
        _require(len(self) > 0, "no voxel is left in the mask")
        for name in ("structure", "vertex"):
            values = getattr(self, name)
            _require(
                values is None or len(values) == len(self),
                f"{name} does not name every voxel",
                expected=len(self),
                found=None if values is None else len(values),
            )

    def __len__(self) -> int:
        return len(self.position)

    def take(self, rows: np.ndarray) -> VoxelSpace:
        """Return the places of some voxels, by index or boolean mask."""
        return VoxelSpace(
            self.position[rows],
            self.shape,
            self.affine,
            self.space,
            None if self.structure is None else self.structure[rows],
            None if self.vertex is None else self.vertex[rows],
        )
