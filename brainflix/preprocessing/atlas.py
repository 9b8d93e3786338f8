"""Regions of interest: the label that an atlas gives each voxel, by file or by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brainflix.errors import ConfigError, StudyError
from brainflix.formats import images
from brainflix.formats.tsv import read_table
from brainflix.formats.volumes import read_values
from brainflix.formats.voxel_space import VoxelSpace
from brainflix.preprocessing.standard_atlases import (
    FILES,
    PRESETS,
    STRUCTURES,
    standard_files,
    standard_labels,
)

HEMISPHERES = ("L", "R")
_WHERE = "preprocessing.selection.regions"


@dataclass(frozen=True)
class Atlas:
    """The labels of a subject's voxels.

    Parameters
    ----------
    labels : ndarray of int64, shape (voxel,)
        0 for no label.
    names : dict of str to int
        The labels' names; empty where the atlas has only numbers.
    where : str
        The atlas, for messages.
    """

    labels: np.ndarray
    names: dict[str, int]
    where: str

    def named(self) -> np.ndarray:
        """Return the name of each voxel's label, str (voxel,), empty for 0 or no name."""
        texts = {number: name for name, number in self.names.items()}
        found, inverse = np.unique(self.labels, return_inverse=True)
        shown = [
            texts.get(int(number), "" if number == 0 else str(int(number))) for number in found
        ]
        return np.asarray(shown, dtype=str)[inverse]

    def mask(self, regions: Sequence[str | int]) -> np.ndarray:
        """Return which voxels lie in some regions, bool (voxel,); in any for no regions.

        A name stands for the area of both hemispheres (``V1`` for ``L_V1`` and ``R_V1``) unless it
        names one; a preset stands for its areas.

        Raises
        ------
        ConfigError
            For a region that the atlas lacks, or regions in which no voxel lies.
        """
        if not regions:
            return self._some(self.labels != 0, "any label")
        wanted = [part for region in regions for part in PRESETS.get(str(region), (region,))]
        numbers = [number for region in wanted for number in self._numbers(region)]
        return self._some(np.isin(self.labels, numbers), list(regions))

    def _some(self, chosen: np.ndarray, regions: object) -> np.ndarray:
        if not chosen.any():
            raise ConfigError(
                "no voxel of the subject lies in the regions", found=regions, where=self.where
            )
        return chosen

    def _numbers(self, region: str | int) -> list[int]:
        if isinstance(region, str):
            if region in self.names:
                return [self.names[region]]
            both = [number for name, number in self.names.items() if area(name) == region]
            if both:
                return both
        known = {int(value) for value in np.unique(self.labels)} | set(self.names.values())
        if str(region).lstrip("-").isdigit() and int(region) in known:
            return [int(region)]
        listed = ", ".join(dict.fromkeys(area(name) for name in [*self.names][:400]))
        raise ConfigError(
            "the atlas lacks a region",
            expected=listed or ", ".join(str(value) for value in sorted(known)[:60]),
            found=region,
            where=f"{_WHERE}, {self.where}",
        )


def area(name: str) -> str:
    """Return a region's name without its hemisphere: "L_V1_ROI" and "R_V1": "V1"."""
    for prefix in ("L_", "R_", "lh_", "rh_", "lh.", "rh."):
        if name.startswith(prefix):
            return name.removeprefix(prefix).removesuffix("_ROI")
    return name


def read_atlas(voxels: VoxelSpace, atlas: str | Path) -> Atlas:
    """Read an atlas for a subject's voxels.

    Parameters
    ----------
    voxels : VoxelSpace
        Where they lie.
    atlas : str or Path
        ``hcp_mmp``, ``yeo7`` or ``yeo17``; a NIfTI of integers on the voxels' grid, its names in a
        table next to it with the columns ``index`` and ``name`` (``X_dseg.tsv``); a CIFTI-2
        dlabel; or a GIFTI label file, ``{hemi}`` in its name standing for L and R.

    Raises
    ------
    ConfigError
        When a named atlas is not installed.
    StudyError
        When the atlas cannot be read or does not fit the voxels.
    """
    name = str(atlas)
    if name in FILES:
        labels, names = standard_labels(voxels, name)
    elif name.endswith(".gii"):
        labels, names = _gifti(voxels, name)
    elif images.is_cifti(Path(name)):
        labels, names = _cifti(voxels, Path(name))
    else:
        labels, names = _nifti(voxels, Path(name))
    return Atlas(labels, names, name)


def atlas_files(atlas: str) -> list[Path]:
    """Return the files that an atlas is read from."""
    if atlas in FILES:
        return standard_files(atlas)
    if "{hemi}" in atlas:
        paths = [Path(atlas.replace("{hemi}", hemisphere)) for hemisphere in HEMISPHERES]
        return [path for path in paths if path.is_file()]
    return [Path(atlas)]


def region_mask(voxels: VoxelSpace, atlas: str | Path, regions: Sequence[str | int]) -> np.ndarray:
    """Return which voxels lie in some regions of an atlas, bool (voxel,).

    See :func:`read_atlas` and :meth:`Atlas.mask`.
    """
    return read_atlas(voxels, atlas).mask(regions)


def _nifti(voxels: VoxelSpace, atlas: Path) -> tuple[np.ndarray, dict[str, int]]:
    """Return the label of each voxel and the labels' names of a volume."""
    image = images.open_image(atlas)
    header = images.SeriesHeader(0, None, voxels.shape, voxels.affine)
    images.check_grid(atlas, image.shape[:3], image.affine, header, Path("the responses"))
    with images.readable(atlas):
        values = read_values(image, atlas).reshape(voxels.shape)
    # The voxels' places in the volume: (voxel, 3) -> (voxel,).
    labels = np.rint(values[tuple(voxels.position.T)]).astype(np.int64)
    table = atlas.with_name(atlas.name.removesuffix(".gz").removesuffix(".nii") + ".tsv")
    if not table.is_file():
        return labels, {}
    rows = read_table(table, ("index", "name")).rows
    return labels, {row["name"]: int(row["index"]) for row in rows}


def _cifti(voxels: VoxelSpace, atlas: Path) -> tuple[np.ndarray, dict[str, int]]:
    """Return the label of each grayordinate and the labels' names of the first map."""
    image = images.open_image(atlas)
    with images.readable(atlas):
        first, models = images.cifti_axes(image, atlas)
    table = getattr(first, "label", None)
    if table is None:
        raise _unfit("an atlas *.dlabel.nii", "a CIFTI file without labels", atlas)
    with images.readable(atlas):
        values = np.asarray(image.dataobj)[0]
    names = {str(name): int(key) for key, (name, _) in table[0].items() if int(key)}
    places = [
        (str(structure), models.vertex[part], values[part])
        for structure, part, _ in models.iter_structures()
    ]
    return _at_vertices(voxels, places, atlas), names


def _gifti(voxels: VoxelSpace, atlas: str) -> tuple[np.ndarray, dict[str, int]]:
    """Return the label of each vertex and the labels' names, from a file for each hemisphere."""
    places, names = [], {}
    files = atlas_files(atlas)
    if not files:
        raise StudyError("the atlas does not exist", expected="label files", where=atlas)
    for path in files:
        image: Any = images.open_image(path)
        with images.readable(path):
            values = np.asarray(image.darrays[0].data).astype(np.int64)
            meta = {**dict(image.meta), **dict(image.darrays[0].meta)}
            table = image.labeltable.get_labels_as_dict()
        side = _side(str(meta.get("AnatomicalStructurePrimary", "")), atlas, path)
        places.append((side, np.arange(len(values)), values))
        names.update({str(name): int(key) for key, name in table.items() if int(key)})
    return _at_vertices(voxels, places, Path(atlas)), names


def _side(structure: str, atlas: str, path: Path) -> str:
    """Return the CIFTI structure that a GIFTI file covers."""
    for letter, name, full in zip(HEMISPHERES, ("Left", "Right"), STRUCTURES, strict=True):
        if name in structure or atlas.replace("{hemi}", letter) == str(path) != atlas:
            return full
    raise StudyError(
        "it is unclear which hemisphere a label file covers",
        expected="AnatomicalStructurePrimary in the file, or {hemi} in the atlas' name",
        found=structure or "nothing",
        where=path,
    )


def _at_vertices(
    voxels: VoxelSpace, places: Sequence[tuple[str, np.ndarray, np.ndarray]], atlas: Path
) -> np.ndarray:
    """Return the label of each voxel from (structure, vertices, labels) of an atlas."""
    if voxels.structure is None or voxels.vertex is None:
        raise _unfit("responses with vertices (CIFTI-2, GIFTI)", "responses of another kind", atlas)
    labels = np.zeros(len(voxels), dtype=np.int64)
    for structure, vertices, values in places:
        here = np.flatnonzero((voxels.structure == structure) & (voxels.vertex >= 0))
        if not len(here) or not (vertices >= 0).any():
            continue
        # A table from vertex to label, which the voxels' vertices index; 0 for unlabelled vertices.
        surface = np.zeros(max(int(vertices.max()), int(voxels.vertex[here].max())) + 1, np.int64)
        known = vertices >= 0
        surface[vertices[known]] = values[known]
        labels[here] = surface[voxels.vertex[here]]
    return labels


def _unfit(expected: str, found: str, atlas: Path) -> StudyError:
    return StudyError(
        "the atlas does not fit the responses", expected=expected, found=found, where=atlas
    )
