"""SSIM of clips: ours beside a loop over scikit-image, one core, equal values."""

import time

import numpy as np
from skimage.metrics import structural_similarity

from brainflix.evaluation.ssim import ssim

PAIRS, FRAMES, SIDE = 8, 6, 256


def reference(true, predicted):
    """Return the mean over frames a clip, by scikit-image."""
    return np.array(
        [
            np.mean(
                [
                    structural_similarity(a, b, channel_axis=-1, data_range=255)
                    for a, b in zip(x, y, strict=True)
                ]
            )
            for x, y in zip(true, predicted, strict=True)
        ]
    )


def timed(function, *arguments, repeats=3):
    """Return the result and the shortest of a few times, in s."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = function(*arguments)
        times.append(time.perf_counter() - start)
    return result, min(times)


def main():
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 256, (2, PAIRS, FRAMES, SIDE, SIDE, 3), dtype=np.uint8)
    ours, our_time = timed(ssim, true, predicted)
    theirs, their_time = timed(reference, true, predicted)
    frames = PAIRS * FRAMES
    print(f"scikit-image {1e3 * their_time / frames:.2f} ms a frame")
    print(f"brainflix    {1e3 * our_time / frames:.2f} ms a frame")
    print(f"ratio        {their_time / our_time:.1f}")
    print(f"difference   {np.abs(ours - theirs).max():.1e}")


if __name__ == "__main__":
    main()
