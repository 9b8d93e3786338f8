"""Clips as mp4 files: the same frames give the same bytes."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brainflix.errors import VideoError

_CRF = "12"  # quality of libx264: 0 is lossless, 18 looks lossless


def safe_name(clip: str) -> str:
    """Return a clip's id as a file name: unchanged where it is harmless, else with a digest.

    The digest keeps apart names that become equal when characters are replaced.
    """
    name = re.sub(r"[^A-Za-z0-9._+-]", "_", clip).lstrip(".-")[:80]
    if name and name == clip:
        return name
    return f"{name or 'clip'}-{hashlib.sha256(clip.encode()).hexdigest()[:8]}"


def write_mp4(path: str | Path, frames: NDArray[np.uint8], fps: float) -> None:
    """Encode frames by libx264 with one thread, so that the bytes are stable.

    Parameters
    ----------
    path : path-like
        The file; it is overwritten.
    frames : ndarray of uint8, shape (frame, height, width, 3)
        RGB. An odd side is lengthened by one pixel, because 4:2:0 needs even ones.
    fps : float
        Frames a second.
    """
    import av

    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not len(frames):
        raise VideoError(
            "frames cannot be written as a video",
            expected="uint8, (frame, height, width, 3)",
            found=f"{frames.dtype}, {frames.shape}",
            where=path,
        )
    rows, columns = frames.shape[1] % 2, frames.shape[2] % 2
    even = np.pad(frames, ((0, 0), (0, rows), (0, columns), (0, 0)), mode="edge")
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream(
            "libx264",
            rate=Fraction(fps).limit_denominator(1001),
            options={"crf": _CRF, "preset": "medium", "threads": "1"},
        )
        stream.height, stream.width = even.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        for picture in even:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_folder(
    folder: Path, clips: Iterable[tuple[str, NDArray[np.uint8]]], fps: float
) -> list[Path]:
    """Write clips as ``{id}.mp4`` into a folder that appears whole, in place of an older one."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        made = Path(temporary) / folder.name
        made.mkdir()
        names = []
        for clip, frames in clips:
            names.append(f"{safe_name(clip)}.mp4")
            write_mp4(made / names[-1], frames, fps)
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)
    return [folder / name for name in names]
