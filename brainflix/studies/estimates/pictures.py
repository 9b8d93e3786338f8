"""Stored values of a stimulus, and the frames that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from brainflix.config.base import Positive, Section
from brainflix.errors import StudyError


class PictureOptions(Section):
    """How a clip's values become frames."""

    height: int | None = Field(default=None, ge=1, description="needed for flat pictures")
    width: int | None = Field(default=None, ge=1)
    order: Literal["C", "F"] = Field(
        default="C", description="F: stored column by column, or transposed"
    )
    scale: Positive = Field(default=1.0, description="factor that leads to 0-255")
    channels: Literal["last", "first"] = Field(
        default="last", description="first: (clip[, frame], 3, height, width), as torch has it"
    )


def picture_frames(values: np.ndarray, options: PictureOptions, where: str) -> np.ndarray:
    """Return the frames that one clip's stored values stand for.

    Parameters
    ----------
    values : ndarray
        (pixel,), (height, width), (height, width, 3) or (frame, height, width, 3).
    options : PictureOptions
        Size, order and scale.
    where : str
        For messages.

    Returns
    -------
    ndarray of uint8, shape (frame, height, width, 3)

    Raises
    ------
    StudyError
        When the values do not fit the described size, or leave 0-255 after scaling.
    """
    # order of axes: channels last, then rows before columns
    if options.channels == "first" and values.ndim >= 3:
        values = np.moveaxis(values, -3, -1)
    size = (options.height, options.width)
    if values.ndim == 1 and None not in size:
        values = _unflatten(values, int(size[0] or 0), int(size[1] or 0), options.order, where)
    elif options.order == "F" and values.ndim >= 2:
        values = values.swapaxes(-2, -1) if values.ndim == 2 else values.swapaxes(-3, -2)
    # (height, width) -> (height, width, 3) -> (frame, height, width, 3)
    if values.ndim == 2:
        values = np.repeat(values[..., None], 3, axis=-1)
    if values.ndim == 3:
        values = values[None]
    if values.ndim != 4 or values.shape[-1] != 3:
        raise StudyError(
            "a stimulus is not a picture",
            expected="(pixel) with height and width, (height, width[, 3]) or (frame, h, w, 3)",
            found=values.shape,
            where=where,
            remedy="give height, width and order under the reader's option picture",
        )
    scaled = np.rint(values.astype(np.float64) * options.scale)
    if not np.isfinite(scaled).all() or scaled.min() < 0 or scaled.max() > 255:
        raise StudyError(
            "a stimulus leaves the range of pixels",
            expected="0 to 255 after scaling",
            found=f"{scaled.min():g} to {scaled.max():g}",
            where=where,
            remedy="set scale under the reader's option picture, such as 255 for values in 0-1",
        )
    return np.ascontiguousarray(scaled, dtype=np.uint8)


def _unflatten(
    values: np.ndarray, height: int, width: int, order: Literal["C", "F"], where: str
) -> np.ndarray:
    """Return (height, width) or, for three values per pixel, (height, width, 3)."""
    shapes: Sequence[tuple[int, ...]] = ((height, width), (height, width, 3))
    for shape in shapes:
        if values.size == np.prod(shape):
            return values.reshape(shape, order=order)
    raise StudyError(
        "a flat picture has another size",
        expected=f"{height} x {width} values, or three times as many",
        found=values.size,
        where=where,
    )
