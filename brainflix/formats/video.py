"""Frames of videos and pictures: files are opened, decoded by time stamp, and resized here alone.

PyAV decodes. A video is decoded in one pass from its start, and only containers of pictures are
opened, by the file protocol: a playlist that is named like a film leads nowhere.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainflix.errors import VideoError

_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,m4v,h264,hevc,ogg,flv,asf,"
    "gif,apng,ivf,nut,dv,mxf,yuv4mpegpipe,wav,mp3,flac"
)
_OPENING = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS}
MAX_PIXELS = 2**26  # of one frame, 8192 x 8192

Frame = NDArray[np.uint8]
_REMEDY = "copy or download the file again; `ffmpeg -v error -i FILE -f null -` shows its damage"


def open_video(path: str | Path) -> Any:
    """Return an open PyAV container of a file on disk, to be closed by the caller.

    Raises
    ------
    VideoError
        When a frame would have more than ``MAX_PIXELS``, or its codec is unknown.
    av.FFmpegError
        When the file is not a recording, or is damaged.
    """
    import av

    container = av.open(str(path), options=_OPENING)
    for stream in container.streams.video:
        codec = stream.codec_context  # None where the stream's description is damaged
        if codec is None:
            container.close()
            raise VideoError(
                "the video cannot be decoded",
                expected="a whole video file",
                found="a stream without a known codec",
                where=path,
                remedy="copy the file again",
            )
        width, height = codec.width, codec.height
        if width * height > MAX_PIXELS:
            container.close()
            raise VideoError(
                "the video claims frames of an impossible size",
                expected=f"at most {MAX_PIXELS} pixels",
                found=f"{width} x {height}",
                where=path,
                remedy="copy the file again, or make it smaller",
            )
    return container


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    """Open a video for decoding; whatever PyAV objects to becomes a VideoError."""
    import av

    if not Path(path).is_file():
        raise VideoError("no such video", found="nothing", where=path)
    size = f"{Path(path).stat().st_size} bytes"
    try:
        with open_video(path) as container:
            if not container.streams.video:
                raise VideoError("the file holds no video", found="no video stream", where=path)
            container.streams.video[0].thread_type = "AUTO"
            yield container
    except (av.FFmpegError, UnicodeDecodeError) as error:
        raise VideoError(
            "the video cannot be decoded",
            expected="a whole video file",
            found=f"{size}: {error}",
            where=path,
            remedy=_REMEDY,
        ) from error


@dataclass(frozen=True)
class _TimedFrame:
    """A decoded frame and the stretch of time, in s, for which it is on screen."""

    frame: Any
    start: float
    end: float


def _timeline(path: str | Path) -> Iterator[_TimedFrame]:
    """Yield frames in order of presentation, each with its stretch of time on screen.

    A frame lasts until the next one's time stamp. Boundaries are put one tick of the stream's clock
    (1 ms at most) early, because coarse clocks such as Matroska's round time stamps up.
    """
    previous: _TimedFrame | None = None
    with _opened(path) as container:
        stream = container.streams.video[0]
        tick = min(float(stream.time_base), 1e-3)
        rate = stream.average_rate or stream.guessed_rate
        usual = 1.0 / float(rate) if rate else 0.04
        zero = 0.0
        for frame in container.decode(stream):
            if frame.pts is None:
                raise VideoError(
                    "the video's frames have no time stamps",
                    where=path,
                    remedy="put the stream into a container: ffmpeg -i FILE -c copy FILE.mp4",
                )
            stamp = float(frame.pts * frame.time_base)
            lasts = float((frame.duration or 0) * frame.time_base) or usual
            if previous is None:
                zero = _time_zero(container.start_time, stamp, usual)
                previous = _TimedFrame(frame, stamp - zero - tick, stamp - zero + lasts)
            elif stamp - zero - tick > previous.start:
                yield _TimedFrame(previous.frame, previous.start, stamp - zero - tick)
                previous = _TimedFrame(frame, stamp - zero - tick, stamp - zero + lasts)
        if previous is not None:
            yield _TimedFrame(previous.frame, previous.start, previous.end + tick)


def _time_zero(container_start: int | None, first: float, usual: float) -> float:
    """Return the time stamp, in s, that counts as zero.

    It is the container's start, in microseconds as PyAV gives it; a first frame within two frames
    of it is itself the start, as such offsets come from the coder's delay (B-frames in AVI).
    """
    start = first if container_start is None else container_start / 1e6
    return first if abs(first - start) <= 2 * usual else start


def frames_at(path: str | Path, times: ArrayLike) -> Iterator[tuple[int, Frame]]:
    """Yield the frame that is on screen at each of ``times``.

    One pass from the start to the last time asked for: no seeking, so B-frames, variable rates and
    missing indices do not matter. Two frames are held in memory.

    Parameters
    ----------
    path : path-like
        A video file.
    times : array-like, shape (time,)
        Seconds from the container's start, in any order.

    Yields
    ------
    (int, ndarray of uint8, shape (height, width, 3))
        The position in ``times``, in order of time, and the frame as RGB, upright. Where one frame
        serves several times, it is the same object.

    Raises
    ------
    VideoError
        When the file cannot be opened or decoded, or has no frame at a time asked for.
    """
    wanted = np.asarray(times, dtype=np.float64)
    order = np.argsort(wanted, kind="stable").tolist()
    next_up = 0
    reached: float | None = None
    for timed in _timeline(path):
        picture: Frame | None = None
        while next_up < len(order) and wanted[order[next_up]] < timed.end:
            time = float(wanted[order[next_up]])
            if time < timed.start:
                raise _no_frame(path, time, f"the first frame at {timed.start:.3f} s")
            if picture is None:
                picture = _to_rgb(timed.frame, path, timed.start)
            yield order[next_up], picture
            next_up += 1
        if next_up == len(order):
            return
        reached = timed.end
    time = float(wanted[order[next_up]])
    frames = "no frame at all" if reached is None else f"frames up to {reached:.3f} s"
    raise _no_frame(path, time, frames)


def _no_frame(path: str | Path, time: float, frames: str) -> VideoError:
    return VideoError(
        "the video has no frame at a time asked for",
        expected=f"a frame at {time:.3f} s",
        found=frames,
        where=path,
        remedy=f"check the clip's onset and duration; if right, the file is cut: {_REMEDY}",
    )


@dataclass(frozen=True)
class Timeline:
    """What a video is made of, found by decoding all of it.

    Attributes
    ----------
    start, end : ndarray of float64, shape (frame,)
        When each frame appears on screen and disappears, in s from the container's start.
    height, width : int
        In pixels, upright.
    """

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    height: int
    width: int

    def __len__(self) -> int:
        return len(self.start)


def read_timeline(path: str | Path) -> Timeline:
    """Decode a whole video and return its frames' times, without the pictures.

    Raises
    ------
    VideoError
        When the file cannot be opened or decoded, is cut, or has no frames, damaged ones or some
        of another size.
    """
    spans, sizes = [], set()
    for timed in _timeline(path):
        _check_whole(timed, path)
        spans.append((timed.start, timed.end))
        turned = round(getattr(timed.frame, "rotation", 0) / 90) % 2
        size = timed.frame.height, timed.frame.width
        sizes.add(size[::-1] if turned else size)
    if len(sizes) != 1:
        raise VideoError(
            "the video has no frames" if not sizes else "the video's frames change their size",
            expected="frames of one size",
            found=f"sizes {sorted(sizes)}" if sizes else "none",
            where=path,
            remedy=_REMEDY,
        )
    _check_length(path, spans[-1][1])
    start, end = np.array(spans, dtype=np.float64).T
    return Timeline(start, end, *sizes.pop())


def pick_frames(path: str | Path, indices: ArrayLike) -> Iterator[Frame]:
    """Yield frames by their place in :func:`read_timeline`.

    Parameters
    ----------
    path : path-like
        A video file.
    indices : array-like of int
        In ascending order; an index that occurs twice gives the same object twice.
    """
    wanted = np.asarray(indices, dtype=np.int64).tolist()
    next_up = 0
    for k, timed in enumerate(_timeline(path)):
        if next_up == len(wanted):
            return
        if wanted[next_up] == k:
            picture = _to_rgb(timed.frame, path, timed.start)
            while next_up < len(wanted) and wanted[next_up] == k:
                yield picture
                next_up += 1
    if next_up < len(wanted):
        raise VideoError(
            "the video has fewer frames than before",
            expected=f"a frame {wanted[next_up]}",
            where=path,
        )


def _check_length(path: str | Path, reached: float) -> None:
    """Raise where the picture ends well before the container says: the file is cut."""
    with _opened(path) as container:
        stream = container.streams.video[0]
        alone = len(container.streams) == 1  # other streams may last longer than the picture
        if stream.duration:
            expected = float(stream.duration * stream.time_base)
        else:
            expected = (container.duration or 0) / 1e6 if alone else 0.0
        slack = max(0.5, 0.1 * expected) if len(container.streams) > 1 else 0.1 * expected
    if reached < expected - slack or not _has_trailer(Path(path)):
        short = reached < expected - slack
        raise VideoError(
            "the video is cut",
            expected=f"{expected:.2f} s, by its own header" if short else "a GIF's end mark",
            found=f"frames up to {reached:.2f} s",
            where=path,
            remedy=_REMEDY,
        )


def _has_trailer(path: Path) -> bool:
    """Return whether a GIF ends as a GIF must; other formats say their length in a header."""
    if path.suffix.lower() != ".gif":
        return True
    return path.read_bytes()[-64:].rstrip(b"\0").endswith(b";")


def _check_whole(timed: _TimedFrame, path: str | Path) -> None:
    """Raise :class:`VideoError` where a frame is damaged."""
    if timed.frame.is_corrupt:
        raise VideoError(
            "a frame of the video is damaged",
            found=f"damage at {timed.start:.3f} s",
            where=path,
            remedy=_REMEDY,
        )


def _to_rgb(frame: Any, path: str | Path, time: float) -> Frame:
    """Return a frame as upright RGB (height, width, 3)."""
    _check_whole(_TimedFrame(frame, time, time), path)
    rgb = frame.to_ndarray(format="rgb24")
    quarter_turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(rgb, quarter_turns)) if quarter_turns else rgb


def read_picture(path: str | Path) -> Frame:
    """Read a picture file as RGB uint8 (height, width, 3)."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise VideoError(
            "the picture cannot be read", expected="a whole picture", found=str(error), where=path
        ) from error


def resize_frame(frame: Frame, height: int, width: int) -> Frame:
    """Resize one RGB frame: area average where it shrinks, bilinear where it grows.

    Parameters
    ----------
    frame : ndarray of uint8, shape (height, width, 3)
    height, width : int
        The new size; the frame is stretched to it.
    """
    from PIL import Image

    if frame.shape[:2] == (height, width):
        return frame
    image = Image.fromarray(np.ascontiguousarray(frame))
    for size, grows in (
        ((width, image.height), width > image.width),
        ((width, height), height > image.height),
    ):
        if size != image.size:
            image = image.resize(size, Image.Resampling.BILINEAR if grows else Image.Resampling.BOX)
    return np.asarray(image)
