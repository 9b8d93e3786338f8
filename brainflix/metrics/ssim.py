"""SSIM of clips, equal to scikit-image's, over whole sets of clips at once.

The sums over windows of the true clips and of the reconstructions are kept, so that the score of
each reconstruction against other clips, which chance is computed from, costs one sum a pair.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import check_clips
from brainflix.errors import DataError
from brainflix.metrics.base import METRICS, Note, PairMetric
from brainflix.metrics.colour import GRAY, LUMA, weighted
from brainflix.metrics.pixels import _NOT_SEEN, _SAMPLES, DATA_RANGE, _Kernel

Singles = NDArray[np.float32]


SIGMA = 1.5


RADIUS = 5  # scikit-image's int(3.5 * SIGMA + 0.5)


WINDOW = 7  # pixels a side of scikit-image's default window


WINDOW = 2 * RADIUS + 1


_CHUNK = 48  # outputs a band matrix


Floats = NDArray[np.float64]


_RANGE = 255.0


# the two constants of Wang et al. 2004 (doi 10.1109/TIP.2003.819861), on the scale of window sums
_C1 = (0.01 * _RANGE) ** 2 * WINDOW**4


_C2 = (0.03 * _RANGE) ** 2 * WINDOW**2 * (WINDOW**2 - 1)


_STRIP = 50_000  # samples worked on at a time, a few hundred kilobytes


@lru_cache(maxsize=8)
def _band(outputs: int) -> Singles:
    """Return the matrix (outputs + 10, outputs) that forms Gaussian means of 11 neighbours."""
    offsets = np.arange(-RADIUS, RADIUS + 1)
    weights = np.exp(-0.5 * (offsets / SIGMA) ** 2)
    weights /= weights.sum()
    band = np.zeros((outputs + 2 * RADIUS, outputs))
    for k, weight in enumerate(weights):
        band[np.arange(outputs) + k, np.arange(outputs)] = weight
    return band.astype(np.float32)


def _down(images: Singles) -> Singles:
    """Form Gaussian means along the height, where the window lies inside; (..., height, width)."""
    height = images.shape[-2] - 2 * RADIUS
    found = np.empty((*images.shape[:-2], height, images.shape[-1]), np.float32)
    for k in range(0, height, _CHUNK):
        n = min(_CHUNK, height - k)
        np.matmul(_band(n).T, images[..., k : k + n + 2 * RADIUS, :], out=found[..., k : k + n, :])
    return found


def _across(images: Singles) -> Singles:
    """Form Gaussian means along the width, where the window lies inside; (..., height, width)."""
    width = images.shape[-1] - 2 * RADIUS
    found = np.empty((*images.shape[:-1], width), np.float32)
    for k in range(0, width, _CHUNK):
        n = min(_CHUNK, width - k)
        found[..., k : k + n] = images[..., k : k + n + 2 * RADIUS] @ _band(n)
    return found


def check_gaussian_size(clips: NDArray[Any], *, columns: bool = False) -> None:
    """Raise :class:`DataError` where the window does not fit into a frame, or into a column."""
    height, width = clips.shape[-3:-1]
    if min(height, height if columns else width) < WINDOW:
        raise DataError(
            "frames are smaller than the SSIM window",
            expected=f"at least {WINDOW} pixels",
            found=(height, width),
        )


class GaussianWindows:
    """Gaussian means and variances of some frames, of whole windows and of windows in columns.

    Parameters
    ----------
    brightness : ndarray of float32 or float64, shape (frame, height, width)
    data_range : float
        The largest possible difference.
    whole, columns : bool
        Which windows are wanted.
    """

    def __init__(
        self,
        brightness: NDArray[Any],
        data_range: float,
        *,
        whole: bool = True,
        columns: bool = False,
    ) -> None:
        self.c1, self.c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
        centre = brightness.mean(axis=(1, 2), keepdims=True, dtype=np.float64)
        centre = centre.astype(brightness.dtype)
        self.values: Singles = (brightness - centre).astype(np.float32, copy=False)
        mean, square = _down(self.values), _down(self.values**2)
        shift = centre.astype(np.float32)
        self.window = _moments(_across(mean), _across(square), shift) if whole else None
        self.column = _moments(mean, square, shift) if columns else None

    def score(self, other: GaussianWindows) -> tuple[float, float]:
        """Return mean SSIM by whole windows and by columns, NaN for what was not wanted."""
        cross = _down(self.values * other.values)
        window = column = np.nan
        if self.window is not None and other.window is not None:
            window = _ratio(self.window, other.window, _across(cross), self.c1, self.c2)
        if self.column is not None and other.column is not None:
            column = _ratio(self.column, other.column, cross, self.c1, self.c2)
        return window, column


def _moments(
    mean: Singles, square: Singles, shift: Singles
) -> tuple[Singles, Singles, Singles, Singles]:
    """Return the mean about the frame's, the mean, its square and the population variance."""
    square -= mean * mean
    level = mean + shift
    return mean, level, level * level, square


def _ratio(
    mine: tuple[Singles, ...], other: tuple[Singles, ...], cross: Singles, c1: float, c2: float
) -> float:
    covariance = mine[0] * other[0]
    np.subtract(cross, covariance, out=covariance)
    covariance *= 2
    covariance += np.float32(c2)
    product = mine[1] * other[1]
    product *= 2
    product += np.float32(c1)
    product *= covariance
    bottom = mine[2] + other[2]
    bottom += np.float32(c1)
    spread = np.add(mine[3], other[3], out=covariance)
    spread += np.float32(c2)
    bottom *= spread
    product /= bottom
    return float(product.mean(dtype=np.float64))


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


class UniformSsim(_Kernel):
    """``ssim@rgb``."""

    def own(self, true: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Floats]:
        return {"ssim@rgb": ssim(true, predicted)}

    def every(self, true: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Floats]:
        return {"ssim@rgb": ssim_every(true, predicted)}


class _GaussianSsim(_Kernel, ABC):
    """SSIM of one brightness channel; the subclass says which."""

    whole, columns = "", ""
    data_range = 1.0

    @abstractmethod
    def brightness(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Return the channel that is compared."""

    def own(self, true: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Floats]:
        pairs = zip(true, predicted, strict=True)
        found = [self.every(x[None], y[None]) for x, y in pairs]
        return {name: np.array([one[name][0, 0] for one in found]) for name in self.names}

    def every(self, true: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Floats]:
        check_clips(true, predicted)
        check_gaussian_size(true, columns=self.whole not in self.names)
        frames, height, width = true.shape[1:4]
        together = max(1, _SAMPLES // (height * width))
        total = np.zeros((2, len(predicted), len(true)))
        for start in range(0, frames, together):
            part = slice(start, min(start + together, frames))
            mine, theirs = (self._windows(clips[:, part]) for clips in (predicted, true))
            for i, j in np.ndindex(total.shape[1:]):
                total[:, i, j] += np.multiply(mine[i].score(theirs[j]), part.stop - part.start)
        total /= frames
        found = {self.whole: total[0], self.columns: total[1]}
        return {name: found[name] for name in self.names}

    def _windows(self, clips: NDArray[Any]) -> list[GaussianWindows]:
        whole, columns = self.whole in self.names, self.columns in self.names
        return [
            GaussianWindows(self.brightness(clip), self.data_range, whole=whole, columns=columns)
            for clip in clips
        ]


class GraySsim(_GaussianSsim):
    """``ssim@gray`` and ``ssim@column``."""

    whole, columns = "ssim@gray", "ssim@column"

    def brightness(self, frames: NDArray[Any]) -> NDArray[Any]:
        return weighted(frames, GRAY / DATA_RANGE)


class LumaSsim(_GaussianSsim):
    """``ssim@luma``."""

    whole = "ssim@luma"
    data_range = DATA_RANGE

    def brightness(self, frames: NDArray[Any]) -> NDArray[Any]:
        return weighted(frames, LUMA)


@METRICS.register("ssim@rgb")
class SsimRgb(PairMetric):
    """SSIM by scikit-image's defaults, a frame, then the mean over frames."""

    name, kernel = "ssim@rgb", UniformSsim

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "SSIM",
            shows="Local brightness, contrast and structure in 7 x 7 windows of each RGB channel, "
            "a frame at a time, averaged over frames (scikit-image's defaults, data range 255). So "
            "computed by MinD-Video, Mind-Animator and Brain Netflix.",
            hides=_NOT_SEEN,
        )


@METRICS.register("ssim@gray")
class SsimGray(PairMetric):
    """SSIM of grey frames with Gaussian windows (sigma 1.5) and population covariance."""

    name, kernel = "ssim@gray", GraySsim

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "SSIM, grey",
            shows="Local brightness, contrast and structure of grey frames (scikit-image's "
            "rgb2gray, 0 to 1) in Gaussian windows of sigma 1.5, population covariance: the call "
            "made by much work on images from fMRI.",
            hides="All colour. " + _NOT_SEEN,
            short="SSIM grey",
        )


@METRICS.register("ssim@column")
class SsimColumn(PairMetric):
    """The grey SSIM called with channel_axis=-1 on a picture without channels: a column each."""

    name, kernel = "ssim@column", GraySsim

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "SSIM, by pixel columns",
            shows="The grey SSIM, called with channel_axis=-1 on a picture that has no channels, "
            "as in NEURONS: every column of pixels is taken for a channel and compared along its "
            "height alone. Reported so that published values can be compared.",
            hides="Everything across the width of a frame. Values lie far above those of the "
            "two-dimensional SSIM, for no other reason. " + _NOT_SEEN,
            short="SSIM columns",
        )


@METRICS.register("ssim@luma")
class SsimLuma(PairMetric):
    """SSIM as Wang et al. defined it: luma, Gaussian windows of 11 x 11."""

    name, kernel = "ssim@luma", LumaSsim

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "SSIM of luma",
            shows="SSIM as first defined (Wang et al. 2004): BT.601 luma, 0 to 255, 11 x 11 "
            "Gaussian windows of sigma 1.5 inside the frame, mean over frames.",
            hides="Colour. " + _NOT_SEEN,
            short="SSIM luma",
        )
