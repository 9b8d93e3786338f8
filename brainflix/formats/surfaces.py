"""GIFTI time series, one file per hemisphere, joined: the left hemisphere's vertices come first.

nibabel decodes every volume of a GIFTI file to find how many there are; the header is therefore
read from the file's first kilobytes, and the values only when they are asked for.
"""

from __future__ import annotations

import math
import xml.parsers.expat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from brainflix.errors import StudyError
from brainflix.formats.images import SeriesHeader, plausible_seconds, readable
from brainflix.formats.voxel_space import VoxelSpace

EXTENSION = ".func.gii"
STRUCTURES = {"L": "CIFTI_STRUCTURE_CORTEX_LEFT", "R": "CIFTI_STRUCTURE_CORTEX_RIGHT"}
_CHUNK = 1 << 14
_HEAD = 1 << 20  # bytes in which the first array must begin
_DEFLATE = 1100  # more than deflate can expand a file


def is_surface(path: Path) -> bool:
    """Return whether a file name is that of a GIFTI time series."""
    return path.name.endswith(EXTENSION)


@dataclass
class _Head:
    """What comes before the values of the first array."""

    arrays: int = 0
    dims: dict[str, str] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)
    whole: bool = False
    _tag: str = ""
    _texts: dict[str, str] = field(default_factory=dict)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "GIFTI":
            self.arrays = int(attributes.get("NumberOfDataArrays", 0))
        elif tag == "DataArray" and not self.dims:
            self.dims = attributes
        elif tag == "Data":
            self.whole = True
        self._tag = tag
        if tag == "MD":
            self._texts = {}

    def text(self, text: str) -> None:
        if self._tag in ("Name", "Value"):
            self._texts[self._tag] = (self._texts.get(self._tag, "") + text).strip()

    def end(self, tag: str) -> None:
        if tag == "MD":
            self.meta.setdefault(self._texts.get("Name", ""), self._texts.get("Value", ""))
        self._tag = ""


def _read_head(path: Path) -> _Head:
    head = _Head()
    parser = xml.parsers.expat.ParserCreate()
    parser.StartElementHandler = head.start
    parser.CharacterDataHandler = head.text
    parser.EndElementHandler = head.end
    with readable(path), open(path, "rb") as stream:
        try:
            while not head.whole and stream.tell() < _HEAD:
                part = stream.read(_CHUNK)
                parser.Parse(part, not part)
                if not part:
                    break
        except xml.parsers.expat.ExpatError as error:
            if not head.whole:
                raise ValueError(str(error)) from error
        if not head.whole:
            raise ValueError("no array of values")
    return head


def read_surface_header(path: Path) -> SeriesHeader:
    """Return the length, TR and number of vertices of a GIFTI time series.

    Raises
    ------
    StudyError
        When the file is truncated before its values, damaged, or no time series.
    """
    head = _read_head(path)
    with readable(path):
        sizes = [int(head.dims[f"Dim{k}"]) for k in range(int(head.dims.get("Dimensionality", 1)))]
        step = float(head.meta.get("TimeStep") or 0)  # in ms, as FreeSurfer writes it
        if head.dims.get("Encoding", "").startswith("External"):
            raise ValueError("the values lie in another file")
        if math.prod(sizes) * max(head.arrays, 1) > _DEFLATE * path.stat().st_size:
            raise ValueError(f"{head.arrays} arrays of {sizes}: more than the file can hold")
    if len(sizes) == 1 and head.arrays > 0:
        vertices, volumes = sizes[0], head.arrays
    elif len(sizes) == 2 and head.arrays == 1:
        vertices, volumes = sizes
    else:
        raise StudyError(
            "the surface file is not a time series",
            expected="an array (vertex) for each volume, or one array (vertex, volume)",
            found=f"{head.arrays} arrays, the first {tuple(sizes)}",
            where=path,
        )
    return SeriesHeader(volumes, plausible_seconds(step) or None, (vertices,), None)


def surface_space(paths: Sequence[Path], hemispheres: Sequence[str], space: str) -> VoxelSpace:
    """Return the vertices of a run's hemispheres, one behind the other.

    Parameters
    ----------
    paths : sequence of Path
        One file per hemisphere.
    hemispheres : sequence of {"L", "R"}
        Which hemisphere each file holds.
    space : str
        Name of the surface, such as "fsaverage".
    """
    counts = [read_surface_header(path).shape[0] for path in paths]
    names = [STRUCTURES[hemisphere] for hemisphere in hemispheres]
    return joined_vertices(counts, names, space)


def joined_vertices(counts: Sequence[int], structures: Sequence[str], space: str) -> VoxelSpace:
    """Return the space of whole surfaces, one behind the other, of ``counts`` vertices each."""
    total = sum(counts)
    return VoxelSpace(
        position=np.arange(total, dtype=np.int32)[:, None],
        shape=(total,),
        space=space,
        structure=np.repeat(np.asarray(structures, dtype=str), counts),
        vertex=np.concatenate([np.arange(count, dtype=np.int32) for count in counts]),
    )


def read_surface_rows(paths: Sequence[Path], voxels: VoxelSpace) -> np.ndarray:
    """Return the values of a run, float32 (volume, vertex), hemispheres side by side.

    Raises
    ------
    StudyError
        When a file is truncated or damaged, the hemispheres differ in length, or a run has
        another number of vertices than the subject's first.
    """
    headers = [read_surface_header(path) for path in paths]
    lengths = {header.n_volumes for header in headers}
    vertices = sum(header.shape[0] for header in headers)
    if len(lengths) != 1 or (vertices,) != voxels.shape:
        raise StudyError(
            "the surfaces of a run do not fit each other, or the subject's other runs",
            expected=f"hemispheres of one length, {voxels.shape[0]} vertices together",
            found=f"{sorted(lengths)} volumes, {vertices} vertices",
            where=paths[0],
            remedy="choose one space by the reader's option space, or preprocess the run again",
        )
    # (volume, vertex): each hemisphere fills its own columns, so no copy of the whole is made
    rows = np.empty((lengths.pop(), vertices), dtype=np.float32)
    first = 0
    for path, header in zip(paths, headers, strict=True):
        last = first + header.shape[0]
        _fill(rows[:, first:last], path)
        first = last
    return rows


def _fill(rows: np.ndarray, path: Path) -> None:
    """Read one file's values into a view, float32 (volume, vertex)."""
    import nibabel

    with readable(path):
        try:
            arrays: list[Any] = nibabel.load(path).darrays
        except (xml.parsers.expat.ExpatError, KeyError, TypeError) as error:
            raise ValueError(str(error)) from error
        if len(arrays) == 1 and arrays[0].data.ndim == 2:
            rows[:] = arrays[0].data.T  # (vertex, volume) -> (volume, vertex)
            return
        if len(arrays) != len(rows):
            raise ValueError(f"{len(arrays)} arrays, the header promises {len(rows)}")
        for volume, array in enumerate(arrays):
            rows[volume] = array.data
