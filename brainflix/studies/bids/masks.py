"""The voxels of a subject: those in the brain masks of its runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from brainflix.errors import StudyError
from brainflix.formats import images
from brainflix.formats.voxel_space import VoxelSpace
from brainflix.studies.bids.recordings import Recording


def masked_voxels(recordings: Sequence[Recording], space: str) -> VoxelSpace:
    """Return the voxels that lie in the masks of all of these recordings.

    Raises
    ------
    StudyError
        When a mask lies on another grid than its run, runs differ in grid, or no voxel is common.
    """
    common: np.ndarray | None = None
    affine = None
    read: set[Path] = set()
    for recording in recordings:
        if recording.mask is None:
            continue
        header = images.read_header(recording.series.path)
        mask, mask_affine = images.read_mask(recording.mask)
        images.check_grid(recording.mask, mask.shape, mask_affine, header, recording.series.path)
        if common is not None and common.shape != mask.shape:
            raise StudyError(
                "the runs of a subject lie on different grids",
                expected=common.shape,
                found=mask.shape,
                where=recording.series.path,
            )
        # a mask that several runs share is combined once, but compared with the grid of each
        if recording.mask not in read:
            common = mask if common is None else common & mask
            read.add(recording.mask)
        affine = header.affine
    if common is None or not common.any():
        raise StudyError(
            "no voxel lies in the masks of all runs",
            expected="masks that overlap",
            where=", ".join(sorted(str(path) for path in read)),
        )
    return VoxelSpace(np.argwhere(common).astype(np.int32), common.shape, affine, space)
