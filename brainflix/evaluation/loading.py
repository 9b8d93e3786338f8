"""Clips from their files into stores of one shape, a clip at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brainflix.console import track
from brainflix.errors import VideoError
from brainflix.evaluation.clips import even_frames
from brainflix.evaluation.frames import FrameStore
from brainflix.evaluation.sources import ClipSource, Form
from brainflix.targets.video import resize_frame

Indices = NDArray[np.int64]
Wanted = tuple[ClipSource, Indices]


def load_store(
    path: Path, wanted: Sequence[Wanted], shape: tuple[int, int, int, int], label: str
) -> tuple[FrameStore, Indices]:
    """Read clips into a store; what is wanted twice is read and kept once.

    Parameters
    ----------
    path : Path
        The store's file.
    wanted : sequence of (ClipSource, ndarray of int64)
        Clips and which of their stored frames.
    shape : tuple of int
        (frame, height, width, 3) of every clip afterwards.
    label : str
        What the progress bar says.

    Returns
    -------
    store : FrameStore of uint8, shape (distinct clip, frame, height, width, 3)
    rows : ndarray of int64, shape (len(wanted),)
        Where each clip wanted lies.
    """
    place: dict[tuple[str, str, bytes], int] = {}
    distinct: list[Wanted] = []
    rows = []
    for clip, indices in wanted:
        key = (clip.where, clip.name, indices.tobytes())
        if key not in place:
            place[key] = len(distinct)
            distinct.append((clip, indices))
        rows.append(place[key])
    store = FrameStore.create(path, (len(distinct), *shape))
    for clip, indices in track(distinct, label, len(distinct)):
        store.append(read_clip(clip, indices, shape)[None])
    return store, np.array(rows, dtype=np.int64)


def read_clip(
    clip: ClipSource, indices: Indices, shape: tuple[int, int, int, int]
) -> NDArray[np.uint8]:
    """Return the frames of a clip by their places in the file, resized to a shape."""
    found = np.empty(shape, dtype=np.uint8)
    count = 0
    for count, frame in enumerate(clip.frames(indices), start=1):
        repeated = count > 1 and indices[count - 1] == indices[count - 2]
        if repeated:
            found[count - 1] = found[count - 2]
        else:
            found[count - 1] = resize_frame(frame, shape[1], shape[2])
    if count != shape[0]:
        raise VideoError(
            "the clip changed while it was read", expected=shape[0], found=count, where=clip.where
        )
    return found


def even_places(form: Form, frames: int) -> Indices:
    """Return evenly spaced frames of a clip that has no partner, as places in its file."""
    return form.stored[even_frames(len(form), frames)]
