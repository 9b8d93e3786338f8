"""From watched videos to frames: clips are cut out of movies by time stamp and put into stimuli.h5.

A clip of ``frames`` frames is sampled at ``onset + (k + 0.5) * duration / frames``. The frame taken
is the one that is on screen at that time: the last whose time stamp is not later. Times count from
the container's start, as in a player. A movie is decoded once, in one pass, for all of its clips.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainflix.artifacts.store import create, reserve_dataset, write_dataset
from brainflix.config.studies import StimuliConfig, StudySource
from brainflix.console import announce, track
from brainflix.errors import StudyError, VideoError
from brainflix.formats.video import frames_at, read_picture, resize_frame
from brainflix.provenance import code_digest
from brainflix.studies.readers import open_study
from brainflix.studies.study import Clip, Study

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})

Frames = NDArray[np.uint8]


def frame_times(onset: float, duration: float, frames: int) -> NDArray[np.float64]:
    """Return the times in s at which a clip is sampled: the middles of ``frames`` equal parts."""
    return onset + (np.arange(frames) + 0.5) * duration / frames


@dataclass(frozen=True)
class Excerpt:
    """A stretch of a video: onset and duration in s."""

    onset: float
    duration: float


def decode_excerpts(
    path: str | Path, excerpts: Sequence[Excerpt], options: StimuliConfig
) -> Iterator[tuple[int, Frames]]:
    """Decode stretches of one video in a single pass.

    Parameters
    ----------
    path : path-like
        Any file PyAV reads.
    excerpts : sequence of Excerpt
        In any order; they may overlap.
    options : StimuliConfig
        Frames per clip, height and width.

    Yields
    ------
    (int, ndarray of uint8, shape (frame, height, width, 3))
        The excerpt's index and its RGB frames, as soon as its last frame is decoded.

    Raises
    ------
    VideoError
        When the file does not decode, or has no frame at a time asked for.
    """
    count = options.frames
    times = np.array([frame_times(e.onset, e.duration, count) for e in excerpts])
    open_clips: dict[int, Frames] = {}
    filled: dict[int, int] = defaultdict(int)
    last: tuple[object, Frames] = (None, np.empty(0, np.uint8))
    # (excerpt, frame) times in one list: the video is decoded once, and a clip is passed on as soon
    # as its last frame is decoded, so few are held
    for index, frame in frames_at(path, times.reshape(-1)):
        if frame is not last[0]:
            last = (frame, resize_frame(frame, options.height, options.width))
        clip, k = divmod(index, count)
        if clip not in open_clips:
            open_clips[clip] = np.empty((count, *last[1].shape), np.uint8)
        open_clips[clip][k] = last[1]
        filled[clip] += 1
        if filled[clip] == count:
            yield clip, open_clips.pop(clip)


def sample_array(frames: ArrayLike, options: StimuliConfig, where: object = None) -> Frames:
    """Bring a clip that a study holds as an array into the configured form.

    Parameters
    ----------
    frames : array-like of uint8, shape (frame, height, width, 3)
        Frames evenly spaced over the clip; a single one is a picture and becomes a still.
    options : StimuliConfig
        Frames per clip, height and width.
    where : object, optional
        The clip, for the error message.

    Returns
    -------
    ndarray of uint8, shape (frame, height, width, 3)
    """
    array = np.asarray(frames)
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] != 3 or len(array) == 0:
        raise StudyError(
            "a clip's frames have another form",
            expected="uint8, (frame, height, width, 3)",
            found=f"{array.dtype}, {array.shape}",
            where=where,
        )
    # the stored frames on screen at the middles of equal parts; each is resized once
    chosen = np.floor(frame_times(0.0, len(array), options.frames)).astype(int)
    small = {k: resize_frame(array[k], options.height, options.width) for k in set(chosen.tolist())}
    return np.stack([small[k] for k in chosen.tolist()])


def _decode_all(
    study: Study, clips: Sequence[Clip], options: StimuliConfig
) -> Iterator[tuple[int, Frames]]:
    """Yield every clip's index and frames, one source file at a time."""
    by_file: dict[Path, list[int]] = defaultdict(list)
    for index, clip in enumerate(clips):
        held = study.frames(clip)
        if held is not None:
            yield index, sample_array(held, options, where=f"clip {clip.id}")
        elif clip.path is None:
            raise StudyError("a clip has neither a file nor frames", where=f"clip {clip.id}")
        elif Path(clip.path).suffix.lower() in PICTURES:
            yield index, sample_array(read_picture(clip.path)[None], options, where=clip.path)
        else:
            by_file[Path(clip.path)].append(index)
    for path, indices in by_file.items():
        excerpts = [Excerpt(clips[index].onset, clips[index].duration) for index in indices]
        for position, frames in decode_excerpts(path, excerpts, options):
            yield indices[position], frames


def _check(clips: Sequence[Clip], where: object) -> float:
    """Return the clips' common duration in s, or raise when they cannot be one artifact."""
    if not clips:
        raise StudyError("the study has no clips", expected="at least one", where=where)
    ids = [clip.id for clip in clips]
    if len(set(ids)) < len(ids):
        twice = sorted({name for name in ids if ids.count(name) > 1})
        raise StudyError("two clips have one name", found=", ".join(twice[:5]), where=where)
    return float(np.median([clip.duration for clip in clips]))


def _write_labels(file: h5py.File, clips: Sequence[Clip]) -> None:
    """Write what is known of each clip next to its frames."""
    write_dataset(file, "clip", [clip.id for clip in clips], ["clip"])
    captions = [json.dumps(list(clip.captions), ensure_ascii=False) for clip in clips]
    write_dataset(file, "captions", captions, ["clip"])
    write_dataset(file, "split", [clip.split for clip in clips], ["clip"])
    write_dataset(file, "group", [clip.group for clip in clips], ["clip"])
    for name in sorted({name for clip in clips for name in clip.attributes}):
        labels = [str(clip.attributes.get(name, "")) for clip in clips]
        write_dataset(file, f"attributes/{name}", labels, ["clip"])


def write_stimuli(study: Study, options: StimuliConfig, out: Path, *, where: object = None) -> int:
    """Decode every clip of a study into a "stimuli" artifact; return how many there are.

    The artifact is written clip by clip, so memory does not grow with the study.

    Raises
    ------
    StudyError
        When the study has no clips, or two of one name.
    VideoError
        When a file does not decode, or has no frame at a time asked for.
    """
    clips = list(study.clips())
    duration = _check(clips, where)
    files = sorted({str(clip.path) for clip in clips if clip.path is not None})
    for name in files:
        if not Path(name).is_file():
            raise VideoError("a stimulus file does not exist", found="nothing", where=name)
    with create(
        out,
        "stimuli",
        configuration=options.model_dump(mode="json"),
        inputs=files,
        code=code_digest(__name__),
    ) as file:
        file.attrs["fps"] = options.frames / duration
        file.attrs["duration"] = duration
        _write_labels(file, clips)
        shape = (len(clips), options.frames, options.height, options.width, 3)
        dims = ("clip", "frame", "height", "width", "channel")
        dataset = reserve_dataset(file, "frames", shape, np.uint8, dims)
        for index, frames in track(_decode_all(study, clips, options), "decode", len(clips)):
            dataset[index] = frames
    return len(clips)


def decode_study(source: StudySource, options: StimuliConfig, out: Path) -> None:
    """Decode a study's stimuli: the stage ``decode``."""
    study = open_study(source)
    study.checked_files()
    announce("decode", f"reads the clips of {source.root} ({source.reader})")
    count = write_stimuli(study, options, Path(out), where=source.root)
    size = f"{options.frames} frames of {options.height} x {options.width}"
    announce("decode", f"writes {count} clips of {size} in {out}")
