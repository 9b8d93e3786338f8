"""Regions of interest: the voxels that an atlas gives some labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from brainflix.errors import ConfigError, StudyError
from brainflix.studies import images
from brainflix.studies.study import VoxelSpace
from brainflix.studies.tables import read_table
from brainflix.studies.volumes import read_values


def region_mask(voxels: VoxelSpace, atlas: Path, regions: Sequence[str | int]) -> np.ndarray:
    """Return which voxels have one of the labels.

    Parameters
    ----------
    voxels : VoxelSpace
        Where the subject's voxels lie.
    atlas : Path
        A NIfTI of integers on the voxels' grid, its names in a table of the columns ``index`` and
        ``name`` beside it (``X_dseg.tsv``), or a CIFTI-2 dlabel of the same vertices.
    regions : sequence of str or int
        Names or numbers; empty for all labels but 0.

    Returns
    -------
    ndarray of bool, shape (voxel,)

    Raises
    ------
    ConfigError
        For a label that the atlas lacks, or labels that no voxel has.
    StudyError
        When the atlas cannot be read or lies on another grid.
    """
    labels, names = _cifti(voxels, atlas) if images.is_cifti(atlas) else _nifti(voxels, atlas)
    if not regions:
        return _some(labels != 0, atlas, "any label")
    numbers = [_number(region, names, labels, atlas) for region in regions]
    return _some(np.isin(labels, numbers), atlas, regions)


def _some(chosen: np.ndarray, atlas: Path, regions: object) -> np.ndarray:
    if not chosen.any():
        raise ConfigError("no voxel of the subject lies in the regions", found=regions, where=atlas)
    return chosen


def _number(region: str | int, names: Mapping[str, int], labels: np.ndarray, atlas: Path) -> int:
    if isinstance(region, str) and region in names:
        return names[region]
    known = {int(value) for value in np.unique(labels)} | set(names.values())
    if str(region).lstrip("-").isdigit() and int(region) in known:
        return int(region)
    listed = ", ".join([*names][:60]) or ", ".join(str(value) for value in sorted(known)[:60])
    raise ConfigError(
        "the atlas lacks a region",
        expected=listed,
        found=region,
        where=f"preprocessing.selection.regions, {atlas}",
    )


def _nifti(voxels: VoxelSpace, atlas: Path) -> tuple[np.ndarray, dict[str, int]]:
    """Return the label of each voxel and the labels' names of a volume."""
    image = images.open_image(atlas)
    header = images.SeriesHeader(0, None, voxels.shape, voxels.affine)
    images.check_grid(atlas, image.shape[:3], image.affine, header, Path("the responses"))
    with images.readable(atlas):
        values = read_values(image, atlas).reshape(voxels.shape)
    labels = np.rint(values[tuple(voxels.position.T)]).astype(np.int64)
    table = atlas.with_name(atlas.name.removesuffix(".gz").removesuffix(".nii") + ".tsv")
    if not table.is_file():
        return labels, {}
    rows = read_table(table, ("index", "name")).rows
    return labels, {row["name"]: int(row["index"]) for row in rows}


def _cifti(voxels: VoxelSpace, atlas: Path) -> tuple[np.ndarray, dict[str, int]]:
    """Return the label of each grayordinate and the labels' names of the first map."""
    first, models = images.cifti_axes(images.open_image(atlas), atlas)
    table = getattr(first, "label", None)
    if voxels.structure is None or voxels.vertex is None or table is None:
        raise StudyError(
            "the atlas does not fit the responses",
            expected="responses in CIFTI-2 and an atlas *.dlabel.nii",
            found="responses of another kind" if table is not None else "a CIFTI without labels",
            where=atlas,
        )
    with images.readable(atlas):
        values = np.asarray(images.open_image(atlas).dataobj)[0]
    names = {str(name): int(key) for key, (name, _) in table[0].items()}
    places = {
        (str(structure), int(vertex)): label
        for structure, vertex, label in zip(models.name, models.vertex, values, strict=True)
        if vertex >= 0
    }
    labels = [
        places.get((str(structure), int(vertex)), 0)
        for structure, vertex in zip(voxels.structure, voxels.vertex, strict=True)
    ]
    return np.asarray(labels, dtype=np.int64), names
