"""NIfTI and CIFTI-2 through nibabel, with errors that say what is wrong with a file."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brainflix.errors import BrainflixError, StudyError
from brainflix.formats.volumes import (
    check_extent,
    check_integers,
    read_values,
    read_volumes,
    scaled,
)
from brainflix.formats.voxel_space import VoxelSpace

AFFINE_TOLERANCE = 1e-3
HEADER_FAULTS = 25  # nibabel's levels above: it would mend such a header by a guess


@dataclass(frozen=True)
class SeriesHeader:
    """What a time series says about itself, without its values.

    Parameters
    ----------
    n_volumes : int
        Number of volumes.
    repetition_time : float or None
        TR in s as the header has it; None when it has none.
    shape : tuple of int
        Shape of the grid, or (number of grayordinates,).
    affine : ndarray, shape (4, 4), or None
        From indices to mm; None for CIFTI.
    """

    n_volumes: int
    repetition_time: float | None
    shape: tuple[int, ...]
    affine: np.ndarray | None


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn the many ways in which a damaged image fails into one :class:`StudyError`."""
    try:
        yield
    except BrainflixError:
        raise
    except Exception as error:  # nibabel raises many kinds for a damaged file
        if "CIFTI-2" in str(error):
            raise StudyError(
                "the file is CIFTI-1, which cannot be read",
                expected="CIFTI-2",
                found=str(error),
                where=path,
                remedy="convert it with Connectome Workbench: wb_command -file-convert "
                f"-cifti-version-convert {path.name} 2 {path.name}",
            ) from error
        size = f"{path.stat().st_size} bytes" if path.is_file() else "no file"
        raise StudyError(
            "the image cannot be read; it is truncated or damaged",
            expected="a whole NIfTI or CIFTI-2 file",
            found=f"{size}: {type(error).__name__}: {str(error)[:300]}",
            where=path,
            remedy="copy or preprocess it again",
        ) from error


def open_image(path: Path) -> Any:
    """Open an image without reading its values, its header checked against its file."""
    import nibabel
    from nibabel.imageglobals import ErrorLevel

    with readable(path):
        with ErrorLevel(HEADER_FAULTS):
            image = nibabel.load(path)
        if nibabel.is_proxy(getattr(image, "dataobj", None)):
            check_extent(image, path)
        return image


def is_cifti(path: Path) -> bool:
    """Return whether a file name is that of a CIFTI file."""
    return path.name.endswith((".dtseries.nii", ".dlabel.nii", ".dscalar.nii"))


def plausible_seconds(value: float) -> float:
    """Return a repetition time in s; values above 100 are milliseconds."""
    return value / 1000.0 if value > 100 else value


def read_header(path: Path) -> SeriesHeader:
    """Return the length, TR and grid of a time series."""
    image = open_image(path)
    with readable(path):
        return _header(image, path)


def _header(image: Any, path: Path) -> SeriesHeader:
    if is_cifti(path):
        return _cifti_header(image, path)
    if len(image.shape) != 4:
        raise StudyError(
            "the image is not a time series", expected="4 axes", found=image.shape, where=path
        )
    unit = image.header.get_xyzt_units()[1]
    scale = {"msec": 1e-3, "usec": 1e-6}.get(unit, 1.0)
    repetition_time = plausible_seconds(float(image.header.get_zooms()[3]) * scale)
    return SeriesHeader(
        n_volumes=image.shape[3],
        repetition_time=repetition_time if math.isfinite(repetition_time) else None,
        shape=tuple(image.shape[:3]),
        affine=_affine(image, path),
    )


def _affine(image: Any, path: Path) -> np.ndarray:
    """Return an image's affine, float64 (4, 4), or refuse what is not one."""
    affine = np.asarray(image.affine, dtype=np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine)) < 1e-9:
        raise StudyError(
            "the image does not say where its voxels lie; its header is damaged",
            expected="a finite, invertible affine",
            found=affine.tolist(),
            where=path,
            remedy="copy or preprocess it again",
        )
    return affine


def cifti_axes(image: Any, path: Path) -> tuple[Any, Any]:
    """Return the first axis and the brain models of a CIFTI-2 image."""
    import nibabel

    if not isinstance(image, nibabel.Cifti2Image):
        raise StudyError(
            "the file has the name of a CIFTI file, but is not one",
            expected="a CIFTI-2 extension in the header",
            found=type(image).__name__,
            where=path,
        )
    first, second = (image.header.get_axis(axis) for axis in range(2))
    if not isinstance(second, nibabel.cifti2.BrainModelAxis):
        raise StudyError(
            "the CIFTI file has no grayordinates",
            expected="brain models along the second axis",
            found=type(second).__name__,
            where=path,
        )
    if tuple(image.shape) != (len(first), len(second)):
        raise StudyError(
            "the CIFTI file's axes do not fit its values; its header is damaged",
            expected=(len(first), len(second)),
            found=tuple(image.shape),
            where=path,
            remedy="copy or preprocess it again",
        )
    return first, second


def _cifti_header(image: Any, path: Path) -> SeriesHeader:
    return _axes_header(*cifti_axes(image, path), path)


def _axes_header(first: Any, models: Any, path: Path) -> SeriesHeader:
    step = getattr(first, "step", None)
    if step and first.unit != "SECOND":
        raise StudyError(
            "the CIFTI file is not a time series",
            expected="steps in s",
            found=first.unit,
            where=path,
        )
    repetition_time = plausible_seconds(float(step)) if step else None
    return SeriesHeader(len(first), repetition_time, (len(models),), None)


def read_grayordinates(path: Path, space: str) -> VoxelSpace:
    """Return the grayordinates of a CIFTI-2 file: index, structure and vertex of each."""
    image = open_image(path)
    with readable(path):
        _, models = cifti_axes(image, path)
        _check_vertices(models, path)
    return VoxelSpace(
        position=np.arange(len(models), dtype=np.int32)[:, None],
        shape=(len(models),),
        space=space,
        structure=np.asarray(models.name, dtype=str),
        vertex=np.asarray(models.vertex, dtype=np.int32),
    )


def _check_vertices(models: Any, path: Path) -> None:
    """Raise :class:`StudyError` when a vertex lies beyond its surface, or occurs twice."""
    for structure, part, model in models.iter_structures():
        vertices = model.vertex[model.vertex >= 0]
        beyond = vertices >= models.nvertices.get(structure, 0)
        if beyond.any() or len(np.unique(vertices)) < len(vertices):
            raise StudyError(
                "the CIFTI file puts values at impossible vertices; its header is damaged",
                expected=f"different vertices below {models.nvertices.get(structure, 0)}",
                found=f"{structure}, values {part.start} to {part.stop}: some twice or beyond",
                where=path,
                remedy="copy or preprocess it again",
            )


def _check_grayordinates(models: Any, voxels: VoxelSpace, path: Path) -> None:
    """Raise :class:`StudyError` when a run's grayordinates lie at other places."""
    chosen = voxels.position[:, 0]
    whole = len(chosen) == len(models)
    for known, here in ((voxels.vertex, models.vertex), (voxels.structure, models.name)):
        if known is not None and not np.array_equal(known, here if whole else here[chosen]):
            raise StudyError(
                "the runs of a subject put their grayordinates at different places",
                expected="the same structures and vertices in the same order in all runs",
                found="others",
                where=path,
                remedy="preprocess the runs into one space of one density",
            )


def read_mask(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return a mask, bool (i, j, k), and its affine, (4, 4)."""
    image = open_image(path)
    with readable(path):
        values = read_values(image, path)
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    if values.ndim != 3:
        raise StudyError(
            "the mask is not a volume", expected="3 axes", found=values.shape, where=path
        )
    return values > 0, _affine(image, path)


def check_grid(
    path: Path,
    shape: tuple[int, ...],
    affine: np.ndarray | None,
    header: SeriesHeader,
    series: Path,
) -> None:
    """Raise :class:`StudyError` when a mask or atlas does not lie on the grid of a series."""
    remedy = f"resample it to the grid of {series.name}, or name another file"
    if tuple(shape) != header.shape:
        raise StudyError(
            "a mask or atlas has another shape than the data",
            expected=header.shape,
            found=tuple(shape),
            where=path,
            remedy=remedy,
        )
    if affine is None or header.affine is None:
        return
    if not np.allclose(affine, header.affine, atol=AFFINE_TOLERANCE):
        raise StudyError(
            "a mask or atlas lies elsewhere than the data",
            expected=header.affine.tolist(),
            found=affine.tolist(),
            where=path,
            remedy=remedy,
        )


def read_rows(path: Path, voxels: VoxelSpace) -> np.ndarray:
    """Return the values of a series at some voxels, float32 (volume, voxel).

    A NIfTI is read one volume at a time, so that only one is held in addition to the result, and
    to its end, so that the CRC of a compressed one is compared; an uncompressed CIFTI-2 file of
    float32 is mapped, not copied.

    Raises
    ------
    StudyError
        When the file is truncated, damaged or on another grid.
    """
    image = open_image(path)
    with readable(path):
        if is_cifti(path):
            first, models = cifti_axes(image, path)
            _check_runs_agree(_axes_header(first, models, path), voxels, path)
            _check_grayordinates(models, voxels, path)
            rows = np.asarray(image.dataobj)
            check_integers(rows)
            rows = np.asarray(rows, dtype=np.float32)
            chosen = voxels.position[:, 0]
            return rows if len(chosen) == rows.shape[1] else rows[:, chosen]
        header = _header(image, path)
        _check_runs_agree(header, voxels, path)
        flat = np.ravel_multi_index(tuple(voxels.position.T), voxels.shape, order="F")
        rows = np.empty((header.n_volumes, len(voxels)), dtype=np.float32)
        for row, volume in zip(rows, read_volumes(image, path), strict=True):
            row[:] = scaled(volume[flat], image)
        return rows


def _check_runs_agree(header: SeriesHeader, voxels: VoxelSpace, path: Path) -> None:
    """Raise :class:`StudyError` when a run has another grid, or lies elsewhere, than the others."""
    if header.shape != voxels.shape:
        raise StudyError(
            "the runs of a subject lie on different grids",
            expected=voxels.shape,
            found=header.shape,
            where=path,
            remedy="choose one resolution by the reader's option entities, such as {res: '2'}",
        )
    here, there = header.affine, voxels.affine
    if here is None or there is None:
        return
    if not np.allclose(here, there, atol=AFFINE_TOLERANCE):
        raise StudyError(
            "the runs of a subject lie at different places",
            expected=there.tolist(),
            found=here.tolist(),
            where=path,
            remedy="preprocess the runs into one space, or name it by the reader's option space",
        )
