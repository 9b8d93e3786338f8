"""Files of a simulated study: NIfTI, mp4, TSV and JSON, each whole or absent, bytes by seed."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import nibabel
import numpy as np
from numpy.typing import NDArray

from brainflix.artifacts.store import atomic_path
from brainflix.errors import DataError

SLOPE = 0.25  # scanner units per step of the stored integers; a fiftieth of a voxel's noise
QUALITY = "12"  # constant rate factor of libx264: hardly visible loss


def write_nifti(
    path: Path,
    volume: NDArray[Any],
    affine: NDArray[np.float64],
    *,
    slope: float = 1.0,
    repetition_time: float | None = None,
) -> None:
    """Write integers as a gzipped NIfTI-1 image without a time stamp.

    Parameters
    ----------
    path : Path
        Ends in .nii.gz.
    volume : ndarray of an integer type, shape (x, y, z) or (x, y, z, volume)
        The stored integers.
    affine : ndarray, shape (4, 4)
        From indices to mm.
    slope : float
        What one step of the integers is worth.
    repetition_time : float, optional
        Repetition time in s, for a four-dimensional image.
    """
    header = nibabel.Nifti1Header()
    header.set_data_dtype(volume.dtype)
    header.set_data_shape(volume.shape)
    header.set_sform(affine, code="scanner")
    header.set_qform(affine, code="scanner")
    edges = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    header.set_zooms((*edges, repetition_time) if repetition_time is not None else edges)
    header.set_xyzt_units("mm", "sec")
    header.set_slope_inter(slope, 0.0)
    # One file that holds header and data, which begin after the header's 348 bytes and 4 more; gzip
    # writes neither a name nor a time, so that equal data give equal bytes.
    header["magic"], header["vox_offset"] = b"n+1", 352
    with atomic_path(path) as temporary, open(temporary, "wb") as raw:
        with gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=raw, mtime=0) as packed:
            packed.write(header.binaryblock + b"\0" * 4)
            packed.write(volume.tobytes(order="F"))


def write_bold(
    path: Path,
    signal: NDArray[np.float64],
    mask: NDArray[np.bool_],
    affine: NDArray[np.float64],
    repetition_time: float,
) -> None:
    """Write a run as int16 with a slope; voxels outside the mask are 0.

    Parameters
    ----------
    path : Path
        Ends in .nii.gz.
    signal : ndarray, shape (volume, voxel)
        In scanner units; the voxels are those of the mask, in C order.
    mask : ndarray of bool, shape (x, y, z)
        The brain.
    affine : ndarray, shape (4, 4)
        From indices to mm.
    repetition_time : float
        Repetition time, in s.
    """
    if signal.shape[1] != np.count_nonzero(mask):
        raise DataError(
            "the signal does not fit the mask",
            expected=np.count_nonzero(mask),
            found=signal.shape,
            where=path,
        )
    # (volume, voxel) into the mask's places of (volume, x, y, z), then volumes last, as in NIfTI.
    limits = np.iinfo(np.int16)
    stored = np.zeros((len(signal), *mask.shape), dtype=np.int16)
    stored[:, mask] = np.clip(np.rint(signal / SLOPE), limits.min, limits.max).astype(np.int16)
    volume = np.moveaxis(stored, 0, -1)
    write_nifti(path, volume, affine, slope=SLOPE, repetition_time=repetition_time)


def write_video(path: Path, frames: NDArray[np.uint8], rate: int) -> None:
    """Encode frames as h264 in mp4 by one thread, so that the same frames give the same bytes.

    Parameters
    ----------
    path : Path
        Ends in .mp4.
    frames : ndarray of uint8, shape (frame, height, width, 3)
        RGB; height and width even.
    rate : int
        Frames per second.
    """
    with atomic_path(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        options = {"crf": QUALITY, "preset": "fast", "bf": "0"}
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a BIDS table: tab-separated, unquoted; a float has three decimals.

    Raises
    ------
    DataError
        When a row has another length or a value holds a tab or a line break.
    """
    lines = ["\t".join(columns)]
    for row in rows:
        values = [f"{value:.3f}" if isinstance(value, float) else str(value) for value in row]
        if len(values) != len(columns) or any(set(value) & set("\t\n\r") for value in values):
            raise DataError("a row does not fit its table", expected=columns, found=row, where=path)
        lines.append("\t".join(values))
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
