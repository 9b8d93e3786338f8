"""Clips to look at: which are shown, and strips of frames that a page can play."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brainflix.artifacts.store import atomic_path
from brainflix.errors import DataError

Frames = NDArray[np.uint8]
MAX_SIDE = 16_000  # pixels; WebP ends at 16,383


@dataclass(frozen=True)
class Choice:
    """Which clips a gallery shows, as positions among the test clips.

    Attributes
    ----------
    random : tuple of int
        Drawn by the seed alone, in the order of the test clips.
    best, worst : tuple of int
        By score, the extreme ones first.
    """

    random: tuple[int, ...]
    best: tuple[int, ...]
    worst: tuple[int, ...]


def choose_clips(
    scores: Sequence[NDArray[np.float64]], n: int, seed: int, random: int = 6, extreme: int = 3
) -> Choice:
    """Choose clips: a random sample, and the best and worst by score.

    Parameters
    ----------
    scores : sequence of ndarray, shape (n,)
        The first decides, the following ones break ties. Empty: no best and worst.
    n : int
        Number of clips.
    seed : int
        Seed of the sample.
    random, extreme : int
        How many are drawn at random, and how many from either end.
    """
    rng = np.random.default_rng(seed)
    sample = np.sort(rng.choice(n, size=min(random, n), replace=False))
    if not scores:
        return Choice(tuple(sample.tolist()), (), ())
    order = np.lexsort([*reversed(scores)])  # ascending; lexsort takes the deciding key last
    count = min(extreme, n // 2)
    return Choice(
        tuple(sample.tolist()),
        tuple(order[::-1][:count].tolist()),
        tuple(order[:count].tolist()),
    )


def fit(frames: Frames, side: int) -> Frames:
    """Shrink clips whose longer side exceeds ``side`` by Pillow's box filter; keep the others."""
    height, width = frames.shape[-3:-1]
    if max(height, width) <= side:
        return frames
    from PIL import Image

    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    shape = frames.shape[:-3]
    flat = frames.reshape(-1, height, width, 3)
    shrunk = [Image.fromarray(frame).resize(size, Image.Resampling.BOX) for frame in flat]
    return np.stack([np.asarray(each) for each in shrunk]).reshape(*shape, size[1], size[0], 3)


def strip(clip: Frames) -> Frames:
    """Lay a clip's frames side by side.

    Parameters
    ----------
    clip : ndarray of uint8, shape (frame, height, width, 3)

    Returns
    -------
    ndarray of uint8, shape (height, frame x width, 3)
        Even frames of a clip that would be wider than an image file may be.
    """
    frames, height, width = clip.shape[:3]
    fitting = max(1, MAX_SIDE // width)
    if frames > fitting:
        clip = clip[np.rint(np.linspace(0, frames - 1, fitting)).astype(int)]
    return clip.transpose(1, 0, 2, 3).reshape(height, -1, 3)


def data_url(image: Frames, quality: int) -> str:
    """Return an image (height, width, 3) as WebP in a data URL."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(
        buffer, "WEBP", quality=quality, method=4, exact=True
    )
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def png_url(image: Frames) -> str:
    """Return an image (height, width, 3 or 4) as PNG in a data URL."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def filmstrip(
    true: Frames,
    predicted: Frames,
    path: Path,
    columns: int = 2,
    frames: int = 8,
    scale: int = 1,
) -> None:
    """Write a PNG of several clips as strips of frames, each true one above its reconstruction.

    Parameters
    ----------
    true, predicted : ndarray of uint8, shape (clip, frame, height, width, 3)
    path : Path
        Where the PNG goes.
    columns : int
        Clips next to each other.
    frames : int
        Evenly chosen frames of each clip, at most as many as it has.
    scale : int
        Every pixel becomes scale x scale pixels.
    """
    from PIL import Image

    if true.shape != predicted.shape or len(true) == 0:
        raise DataError("clips differ in shape", expected=true.shape, found=predicted.shape)
    chosen = np.unique(np.rint(np.linspace(0, true.shape[1] - 1, frames)).astype(int))
    line, gap = max(1, true.shape[2] // 32), max(4, true.shape[2] // 4)
    margin = ((0, 0), (0, 0), (0, line), (0, line), (0, 0))  # white below and right of a frame
    blocks = [
        np.concatenate([strip(shown), strip(seen)])[:-line, :-line]
        for shown, seen in zip(
            np.pad(true[:, chosen], margin, constant_values=255),
            np.pad(predicted[:, chosen], margin, constant_values=255),
            strict=True,
        )
    ]
    height, width = blocks[0].shape[:2]
    count = -(-len(blocks) // columns)
    sheet = np.full((count * (height + gap) + gap, columns * (width + gap) + gap, 3), 255, np.uint8)
    for k, block in enumerate(blocks):
        y, x = gap + (k // columns) * (height + gap), gap + (k % columns) * (width + gap)
        sheet[y : y + height, x : x + width] = block
    sheet = np.repeat(np.repeat(sheet, scale, axis=0), scale, axis=1)
    with atomic_path(path) as temporary:
        Image.fromarray(sheet).save(temporary, "PNG", optimize=True)


@dataclass(frozen=True)
class StripEncoding:
    """How the strips of a page are stored."""

    side: int
    quality: int


ENCODINGS = (
    StripEncoding(256, 90),
    StripEncoding(128, 88),
    StripEncoding(128, 70),
    StripEncoding(96, 60),
    StripEncoding(64, 50),
)
