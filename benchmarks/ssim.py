"""SSIM of clips: ours beside a loop over scikit-image, one core, equal values."""

import time

import numpy as np
from skimage.color import rgb2gray
from skimage.metrics import structural_similarity

from brainflix.metrics.ssim import SsimKernel

PAIRS, FRAMES, SIDE = 8, 6, 256
GAUSSIAN = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def of_rgb(a, b):
    """Return SSIM of two frames as MinD-Video calls it."""
    return structural_similarity(a, b, channel_axis=-1, data_range=255)


def of_gray(a, b):
    """Return SSIM of two grey frames."""
    return structural_similarity(rgb2gray(a), rgb2gray(b), data_range=1.0, **GAUSSIAN)


def of_columns(a, b):
    """Return SSIM of the pixel columns of two grey frames."""
    columns = {"channel_axis": -1, "data_range": 1.0, **GAUSSIAN}
    return structural_similarity(rgb2gray(a), rgb2gray(b), **columns)


def looped(score, true, predicted):
    """Return the mean over frames of each clip."""
    pairs = zip(true, predicted, strict=True)
    return np.array([np.mean([score(*ab) for ab in zip(x, y, strict=True)]) for x, y in pairs])


def timed(function, *arguments, repeats=3):
    """Return the result and the shortest of a few times of this process, in s."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        result = function(*arguments)
        times.append(time.process_time() - start)
    return result, min(times)


def main():
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 256, (2, PAIRS, FRAMES, SIDE, SIDE, 3), dtype=np.uint8)
    frames = PAIRS * FRAMES
    for name, reference in (
        ("ssim@rgb", of_rgb),
        ("ssim@gray", of_gray),
        ("ssim@column", of_columns),
    ):
        ours, our_time = timed(SsimKernel(frozenset([name])).own, true, predicted)
        theirs, their_time = timed(looped, reference, true, predicted, repeats=1)
        print(
            f"{name:12s} scikit-image {1e3 * their_time / frames:6.2f} ms per frame   "
            f"brainflix {1e3 * our_time / frames:5.2f} ms   ratio {their_time / our_time:4.1f}   "
            f"difference {np.abs(ours[name] - theirs).max():.1e}"
        )


if __name__ == "__main__":
    main()
