"""NIfTI and CIFTI-2 through nibabel, with errors that say what is wrong with a file."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brainflix.errors import StudyError
from brainflix.studies.study import VoxelSpace

_DAMAGE = (OSError, EOFError, ValueError, zlib.error)
AFFINE_TOLERANCE = 1e-3


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
    from nibabel.filebasedimages import ImageFileError

    try:
        yield
    except (*_DAMAGE, ImageFileError) as error:
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
            found=f"{size}: {error}",
            where=path,
            remedy="copy or preprocess it again",
        ) from error


def open_image(path: Path) -> Any:
    """Open an image without reading its values."""
    import nibabel

    with readable(path):
        return nibabel.load(path, keep_file_open=True)


def is_cifti(path: Path) -> bool:
    """Return whether a file name is that of a CIFTI file."""
    return path.name.endswith((".dtseries.nii", ".dlabel.nii", ".dscalar.nii"))


def plausible_seconds(value: float) -> float:
    """Return a repetition time in s; values above 100 are milliseconds."""
    return value / 1000.0 if value > 100 else value


def read_header(path: Path) -> SeriesHeader:
    """Return the length, TR and grid of a time series."""
    return _header(open_image(path), path)


def _header(image: Any, path: Path) -> SeriesHeader:
    if is_cifti(path):
        return _cifti_header(image, path)
    if len(image.shape) != 4:
        raise StudyError(
            "the image is no time series", expected="4 axes", found=image.shape, where=path
        )
    unit = image.header.get_xyzt_units()[1]
    scale = {"msec": 1e-3, "usec": 1e-6}.get(unit, 1.0)
    repetition_time = plausible_seconds(float(image.header.get_zooms()[3]) * scale)
    return SeriesHeader(
        n_volumes=image.shape[3],
        repetition_time=repetition_time or None,
        shape=tuple(image.shape[:3]),
        affine=np.asarray(image.affine, dtype=np.float64),
    )


def cifti_axes(image: Any, path: Path) -> tuple[Any, Any]:
    """Return the first axis and the brain models of a CIFTI-2 image."""
    import nibabel

    if not isinstance(image, nibabel.Cifti2Image):
        raise StudyError(
            "the file is named like CIFTI and is none",
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
    return first, second


def _cifti_header(image: Any, path: Path) -> SeriesHeader:
    first, models = cifti_axes(image, path)
    step = getattr(first, "step", None)
    repetition_time = plausible_seconds(float(step)) if step else None
    return SeriesHeader(len(first), repetition_time, (len(models),), None)


def read_grayordinates(path: Path, space: str) -> VoxelSpace:
    """Return the grayordinates of a CIFTI-2 file: index, structure and vertex of each."""
    _, models = cifti_axes(open_image(path), path)
    return VoxelSpace(
        position=np.arange(len(models), dtype=np.int32)[:, None],
        shape=(len(models),),
        space=space,
        structure=np.asarray(models.name, dtype=str),
        vertex=np.asarray(models.vertex, dtype=np.int32),
    )


def read_mask(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return a mask, bool (i, j, k), and its affine, (4, 4)."""
    image = open_image(path)
    with readable(path):
        values = np.asanyarray(image.dataobj)
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    if values.ndim != 3:
        raise StudyError("the mask is no volume", expected="3 axes", found=values.shape, where=path)
    return values > 0, np.asarray(image.affine, dtype=np.float64)


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

    A NIfTI is read a volume at a time, so that beside the result only one volume is held; an
    uncompressed CIFTI-2 file of float32 is mapped, not copied.

    Raises
    ------
    StudyError
        When the file is truncated, damaged or on another grid.
    """
    image = open_image(path)
    header = _header(image, path)
    if header.shape != voxels.shape:
        raise StudyError(
            "the runs of a subject lie on different grids",
            expected=voxels.shape,
            found=header.shape,
            where=path,
            remedy="choose one resolution by the reader's option entities, such as {res: '2'}",
        )
    with readable(path):
        if is_cifti(path):
            rows = np.asarray(image.dataobj, dtype=np.float32)
            chosen = voxels.position[:, 0]
            return rows if len(chosen) == rows.shape[1] else rows[:, chosen]
        flat = np.ravel_multi_index(tuple(voxels.position.T), voxels.shape, order="F")
        rows = np.empty((header.n_volumes, len(voxels)), dtype=np.float32)
        for volume in range(header.n_volumes):
            rows[volume] = np.asanyarray(image.dataobj[..., volume]).ravel(order="F")[flat]
        return rows
