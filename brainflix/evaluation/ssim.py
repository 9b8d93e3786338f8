"""SSIM of clips, equal to scikit-image's, over whole sets of clips at once.

The sums over windows of the true clips and of the reconstructions are kept, so that the score of
each reconstruction against other clips, which chance is computed from, costs one sum a pair.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.errors import DataError
from brainflix.evaluation.clips import check_clips

Floats = NDArray[np.float64]
WINDOW = 7  # pixels a side of scikit-image's default window
_RANGE = 255.0
# the two constants of Wang et al. 2004 (doi 10.1109/TIP.2003.819861), on the scale of window sums
_C1 = (0.01 * _RANGE) ** 2 * WINDOW**4
_C2 = (0.03 * _RANGE) ** 2 * WINDOW**2 * (WINDOW**2 - 1)
_STRIP = 50_000  # samples worked on at a time, a few hundred kilobytes


def _window_sums(values: NDArray[Any]) -> NDArray[Any]:
    """Sum over each whole WINDOW x WINDOW neighbourhood; axes (frame, height, width x 3)."""
    return _sums_of_seven(_sums_of_seven(values, axis=1, stride=1), axis=2, stride=3)


def _sums_of_seven(values: NDArray[Any], axis: int, stride: int) -> NDArray[Any]:
    """Sum seven neighbours ``stride`` apart, by doubling: 1, 2, 4 and then 4 + 2 + 1 of them."""

    def view(array: NDArray[Any], first: int, length: int) -> NDArray[Any]:
        place = [slice(None)] * array.ndim
        place[axis] = slice(first * stride, first * stride + length)
        return array[tuple(place)]

    length = values.shape[axis]
    two = view(values, 0, length - stride) + view(values, 1, length - stride)
    four = view(two, 0, length - 3 * stride) + view(two, 2, length - 3 * stride)
    length -= (WINDOW - 1) * stride
    seven = view(four, 0, length) + view(two, 4, length)
    seven += view(values, 6, length)
    return np.asarray(seven)


def _check_size(clips: NDArray[Any]) -> None:
    if min(clips.shape[-3:-1]) < WINDOW:
        raise DataError(
            "frames are smaller than the SSIM window",
            expected=f"at least {WINDOW} x {WINDOW} pixels",
            found=clips.shape[-3:-1],
        )


class SsimReference:
    """Clips whose window sums are kept, so that scoring many others against them is quick.

    Parameters
    ----------
    clips : ndarray of uint8 or float, shape (clip, frame, height, width, 3)
        RGB on the scale 0-255. Unsigned bytes are summed exactly, in 32-bit integers, and SSIM is
        formed from the sums in single precision; anything else is computed in double precision.
    """

    def __init__(self, clips: NDArray[Any]) -> None:
        _check_size(clips)
        exact = clips.dtype == np.uint8
        working: Any = np.int32 if exact else np.float64
        real: Any = np.float32 if exact else np.float64
        n = WINDOW**2
        self.values: NDArray[Any] = clips.reshape(*clips.shape[:3], -1).astype(working)
        self.sums = np.stack([_window_sums(clip) for clip in self.values])
        squares = np.stack([_window_sums(clip**2) for clip in self.values])
        self.level: NDArray[Any] = (self.sums**2).astype(real) + real(_C1 / 2)
        # n times the sum of squares minus the square of the sum: n (n - 1) sample variances
        self.spread: NDArray[Any] = (n * squares - self.sums**2).astype(real) + real(_C2 / 2)

    def __len__(self) -> int:
        return len(self.values)

    def score(self, mine: int, other: SsimReference, theirs: int) -> float:
        """Return the SSIM of clip ``mine`` with clip ``theirs`` of ``other``."""
        real: Any = self.level.dtype.type
        product = self.sums[mine] * other.sums[theirs]
        cross = _window_sums(self.values[mine] * other.values[theirs])
        cross *= WINDOW**2
        cross -= product
        # n^2 (2 mean mean + c1) times n (n - 1) (2 covariance + c2), over its bound
        top = product.astype(real)
        top *= real(2)
        top += real(_C1)
        covariance = cross.astype(real)
        covariance *= real(2)
        covariance += real(_C2)
        top *= covariance
        bottom = self.level[mine] + other.level[theirs]
        bottom *= self.spread[mine] + other.spread[theirs]
        top /= bottom
        return float(top.mean(dtype=np.float64))


def ssim(true: NDArray[Any], predicted: NDArray[Any]) -> Floats:
    """Return SSIM a clip: a frame at a time, then the mean over frames.

    Equal to ``skimage.metrics.structural_similarity(a, b, data_range=255, channel_axis=-1)``
    averaged over frames: 7 x 7 uniform windows that lie wholly inside the frame, sample
    covariance, mean over windows and channels.

    Parameters
    ----------
    true, predicted : ndarray of uint8 or float, shape (clip, frame, height, width, 3)
        RGB on the scale 0-255.

    Returns
    -------
    ndarray of float64, shape (clip,)
        -1 to 1; 1 for identical clips.
    """
    check_clips(true, predicted)
    _check_size(true)
    shape = (*true.shape[:3], -1)
    pairs = zip(true.reshape(shape), predicted.reshape(shape), strict=True)
    return np.array([_ssim_clip(x, y) for x, y in pairs])


def _ssim_clip(x: NDArray[Any], y: NDArray[Any]) -> float:
    """Return SSIM over (frame, height, width x 3), by pieces that fit a processor's cache."""
    exact = x.dtype == np.uint8 and y.dtype == np.uint8
    kernel = _ssim_strip_bytes if exact else _ssim_strip
    frames, height, width = x.shape
    rows = max(WINDOW, _STRIP // width)
    together = max(1, rows // height)  # small frames are worked on several at a time
    positions = height - WINDOW + 1
    pieces = [
        (slice(f, f + together), slice(k, k + rows + WINDOW - 1))
        for f in range(0, frames, together)
        for k in range(0, positions, rows)
    ]
    total = sum(kernel(x[piece], y[piece]) for piece in pieces)
    return total / (frames * positions * (width - 3 * (WINDOW - 1)))


def _ssim_strip(x: NDArray[Any], y: NDArray[Any]) -> float:
    """Return the sum of SSIM over a strip's windows, in double precision."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    sum_x, sum_y = _window_sums(x), _window_sums(y)
    level = sum_x**2 + sum_y**2
    product = sum_x * sum_y
    cross = WINDOW**2 * _window_sums(x * y) - product
    spread = WINDOW**2 * _window_sums(x * x + y * y) - level
    ratio = (2 * product + _C1) * (2 * cross + _C2) / ((level + _C1) * (spread + _C2))
    return float(ratio.sum())


def _ssim_strip_bytes(x: NDArray[np.uint8], y: NDArray[np.uint8]) -> float:
    """Return the sum of SSIM over a strip's windows: sums exact in integers, the ratio single."""
    sum_x = _window_sums(x.astype(np.int16)).astype(np.int32)  # at most 49 x 255 < 2^15
    sum_y = _window_sums(y.astype(np.int16)).astype(np.int32)
    x_wide, y_wide = x.astype(np.int32), y.astype(np.int32)
    cross = _window_sums(x_wide * y_wide)
    x_wide *= x_wide
    y_wide *= y_wide
    x_wide += y_wide
    spread = _window_sums(x_wide)
    product = sum_x * sum_y
    sum_x *= sum_x
    sum_y *= sum_y
    sum_x += sum_y  # the squared level
    cross *= WINDOW**2
    cross -= product
    spread *= WINDOW**2
    spread -= sum_x
    top = _affine(product, 2.0, _C1)
    top *= _affine(cross, 2.0, _C2)
    bottom = _affine(sum_x, 1.0, _C1)
    bottom *= _affine(spread, 1.0, _C2)
    top /= bottom
    return float(top.sum(dtype=np.float64))


def _affine(values: NDArray[np.int32], scale: float, shift: float) -> NDArray[np.float32]:
    scaled = values.astype(np.float32)
    if scale != 1.0:
        scaled *= np.float32(scale)
    scaled += np.float32(shift)
    return scaled


def ssim_pairs(
    true: SsimReference, predicted: SsimReference, partners: NDArray[np.int64]
) -> Floats:
    """Return SSIM of each prediction with chosen true clips.

    Parameters
    ----------
    true, predicted : SsimReference
        n clips each.
    partners : ndarray of int, shape (n, k)
        The true clips that prediction i is set against.

    Returns
    -------
    ndarray of float64, shape (n, k)
    """
    return np.array([[predicted.score(i, true, j) for j in row] for i, row in enumerate(partners)])


def ssim_every(true: NDArray[Any], predicted: NDArray[Any]) -> Floats:
    """Return SSIM of every prediction with every true clip, (prediction, true clip).

    Clips are cut into pieces that fit a processor's cache with all that is kept of them.
    """
    check_clips(true, predicted)
    _check_size(true)
    count, frames, height, width = (*true.shape[:3], true.shape[3] * 3)
    positions = height - WINDOW + 1
    rows = max(2 * WINDOW, _STRIP // width)
    together = max(1, rows // height)  # small frames are worked on several at a time
    total = np.zeros((len(predicted), count))
    every = np.tile(np.arange(count), (len(predicted), 1))
    for frame in range(0, frames, together):
        for k in range(0, positions, rows):
            piece = np.s_[:, frame : frame + together, k : k + rows + WINDOW - 1]
            used = min(rows, positions - k) * min(together, frames - frame)
            part = ssim_pairs(SsimReference(true[piece]), SsimReference(predicted[piece]), every)
            total += part * used
    return total / (frames * positions)
