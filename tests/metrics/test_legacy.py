"""Published metrics against straightforward implementations of the published code."""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np
import pytest
from skimage.color import rgb2gray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from brainflix.clips.clips import VideoClips, even_frames
from brainflix.errors import ConfigError, DataError
from brainflix.metrics.catalogue import MODEL_FREE, lookup, usable, why_skipped
from brainflix.metrics.colour import luma
from brainflix.metrics.hue import opencv_hue
from brainflix.metrics.models import MetricModels
from brainflix.metrics.optical_flow import farneback_flow

Array = np.ndarray


def noise(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def soft(n: int, frames: int, height: int, width: int, seed: int = 0) -> Array:
    """Return clips of gradients in three colours, whose local variance is small."""
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 6, (n, frames, 1, 1, 3))
    y, x = np.linspace(0, 4, height)[:, None, None], np.linspace(0, 3, width)[None, :, None]
    waves = np.sin(y + phase) + np.cos(x + 2 * phase)
    return np.rint(127 + 60 * waves).clip(0, 255).astype(np.uint8)


def edge_cases() -> dict[str, tuple[Array, Array]]:
    plain, gradients = noise(3, 4, 20, 27), soft(3, 5, 40, 33)
    black = np.zeros_like(gradients)
    longer = soft(3, 8, 16, 16)
    return {
        "random": (plain, noise(3, 4, 20, 27, seed=1)),
        "identical": (plain, plain.copy()),
        "gradients": (gradients, gradients // 2 + 3),
        "black": (gradients, black),
        "both black": (black, black),
        "white on black": (np.full_like(black, 255), black),
        "flat greys": (np.full_like(black, 50), np.full_like(black, 200)),
        "one frame": (plain[:, :1], noise(3, 1, 20, 27, seed=2)),
        "other length, by even frames": (longer, soft(3, 3, 16, 16, 4)[:, even_frames(3, 8)]),
        "floats": (gradients + 0.25, gradients[::-1] * 0.75),
    }


def a_frame(score: Callable[[Array, Array], float]) -> Callable[[Array, Array], Array]:
    """Return the mean of a score over the frames of each clip."""

    def clips(true: Array, predicted: Array) -> Array:
        pairs = zip(true, predicted, strict=True)
        return np.array(
            [np.mean([score(a, b) for a, b in zip(x, y, strict=True)]) for x, y in pairs]
        )

    return clips


def of_gray(**options: object) -> Callable[[Array, Array], float]:
    def score(a: Array, b: Array) -> float:
        a, b = (rgb2gray(f if f.dtype == np.uint8 else f / 255) for f in (a, b))
        options_of_all = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        return structural_similarity(a, b, data_range=1.0, **options_of_all, **options)

    return score


def of_luma(a: Array, b: Array) -> float:
    return structural_similarity(
        luma(a), luma(b), data_range=255, gaussian_weights=True, use_sample_covariance=False
    )


def published_psnr(a: Array, b: Array) -> float:
    error = np.mean((a / 1.0 - b / 1.0) ** 2)
    return 100.0 if error < 1e-10 else 20 * np.log10(255 / np.sqrt(error))


def pixel_correlation(a: Array, b: Array) -> float:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return np.corrcoef(a.reshape(1, -1), b.reshape(1, -1))[0, 1]


def published_hue(a: Array, b: Array) -> float:
    x, y = (loop_hue(frame) / 360.0 for frame in (a, b))
    scale = np.sqrt(np.sum(x**2)) * np.sqrt(np.sum(y**2))
    return float(np.sum(x * y) / scale) if scale > 0 else 0.0


def loop_hue(frame: Array) -> Array:
    """Return OpenCV's 8-bit hue with red and blue exchanged, pixel by pixel."""
    pixels = np.rint(frame).clip(0, 255).astype(int).reshape(-1, 3)
    return np.array([one_hue(*pixel) for pixel in pixels.tolist()])


def one_hue(b: int, g: int, r: int) -> int:
    top = max(b, g, r)
    spread = top - min(b, g, r)
    if spread == 0:
        return 0
    if top == r:
        turned = g - b
    elif top == g:
        turned = b - r + 2 * spread
    else:
        turned = r - g + 4 * spread
    hue = (turned * round((180 << 12) / (6 * spread)) + 2048) >> 12
    return hue + 180 if hue < 0 else hue


def centred_hue(a: Array, b: Array) -> float:
    planes = []
    for frame in (a, b):
        r, g, blue = np.moveaxis(frame.astype(float), -1, 0)
        plane = (r - (g + blue) / 2) + 1j * (np.sqrt(3) / 2) * (g - blue)
        planes.append(plane - plane.mean())
    scale = np.sqrt((abs(planes[0]) ** 2).sum() * (abs(planes[1]) ** 2).sum())
    return float((planes[0] * planes[1].conj()).sum().real / scale) if scale > 1e-6 else 0.0


def luma_psnr(true: Array, predicted: Array) -> Array:
    error = np.square(luma(true) - luma(predicted)).mean(axis=(1, 2, 3))
    return 10 * np.log10(255**2 / np.maximum(error, 1 / 12))


REFERENCES: dict[str, Callable[[Array, Array], Array]] = {
    "ssim@rgb": a_frame(lambda a, b: structural_similarity(a, b, data_range=255, channel_axis=-1)),
    "ssim@gray": a_frame(of_gray()),
    "ssim@column": a_frame(of_gray(channel_axis=-1)),
    "ssim@luma": a_frame(of_luma),
    "psnr": a_frame(published_psnr),
    "psnr@luma": luma_psnr,
    "mse": lambda a, b: np.square(a / 255.0 - b / 255.0).mean(axis=(1, 2, 3, 4)),
    "correlation@pixel": a_frame(pixel_correlation),
    "hue@cosine": a_frame(published_hue),
    "hue@centred": a_frame(centred_hue),
}


def as_clips(frames: Array) -> VideoClips:
    names = tuple(str(k) for k in range(len(frames)))
    return VideoClips(frames, names, names)


@pytest.mark.parametrize("case", edge_cases())
@pytest.mark.parametrize("name", REFERENCES)
def test_published_values_are_reproduced(name: str, case: str) -> None:
    true, predicted = edge_cases()[case]
    expected = REFERENCES[name](true, predicted)
    metric = lookup(name)(MetricModels())
    own = metric.score(as_clips(true), as_clips(predicted), pairs=False)[name]
    np.testing.assert_allclose(own.own, expected, atol=1e-6)
    every = metric.score(as_clips(true), as_clips(predicted), pairs=True)[name]
    assert every.others is not None
    np.testing.assert_allclose(every.own, expected, atol=1e-6)
    np.testing.assert_allclose(np.diagonal(every.others), every.own)
    shifted = REFERENCES[name](true[[1, 2, 0]], predicted)
    np.testing.assert_allclose(every.others[[0, 1, 2], [1, 2, 0]], shifted, atol=1e-6)
    assert every.lower == (lookup(name).note(name).better == "lower")


def test_psnr_is_scikit_images_where_there_is_error() -> None:
    true, predicted = soft(2, 3, 12, 14), soft(2, 3, 12, 14, seed=1)
    expected = a_frame(lambda a, b: peak_signal_noise_ratio(a, b, data_range=255))(true, predicted)
    found = lookup("psnr")(MetricModels()).score(as_clips(true), as_clips(predicted), pairs=False)
    np.testing.assert_allclose(found["psnr"].own, expected, rtol=1e-12)


def test_hue_is_that_of_the_fixed_point_formula() -> None:
    levels = np.arange(0, 256, 15)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    found = opencv_hue(colours.astype(np.uint8))[0]
    np.testing.assert_array_equal(found, loop_hue(colours[0]))
    red_as_blue = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [7, 7, 7]]], dtype=np.uint8)
    assert opencv_hue(red_as_blue).tolist() == [[120, 60, 0, 0]]
    exact = [colorsys.rgb_to_hsv(*(c[::-1] / 255))[0] * 180 for c in colours[0]]
    distance = np.abs(found - exact)
    assert np.minimum(distance, 180 - distance).max() < 0.6


OPENCV_FLOW = [  # cv2.calcOpticalFlowFarneback of the frames below, every 16th row, 20th column
    [[-0.8483, 1.0815], [-2.2101, 2.0941], [-2.2151, 2.1066], [-2.1960, 2.0866]],
    [[-1.9925, 1.8259], [-2.4751, 2.3074], [-2.4827, 2.3199], [-2.4810, 2.3048]],
    [[-1.8943, 2.1425], [-2.4633, 2.3026], [-2.4703, 2.2943], [-2.4639, 2.3107]],
]


def test_optical_flow_has_the_published_values() -> None:
    y, x = np.mgrid[:48, :80]
    frames = [127 + 60 * np.sin(x / 5 + k / 2) + 60 * np.cos(y / 7 - k / 3) for k in range(2)]
    grey = np.repeat(np.rint(frames).astype(np.uint8)[..., None], 3, axis=-1)
    flow = farneback_flow(grey)
    np.testing.assert_allclose(flow[0, ::16, ::20], OPENCV_FLOW, atol=2e-4)
    assert farneback_flow(grey[:1]).shape == (0, 48, 80, 2)


def test_the_flow_of_channels_is_that_of_blue_green_red() -> None:
    x = np.mgrid[:48, :80][1]
    moving = np.rint([127 + 90 * np.sin(x / 5 + k / 2) for k in range(2)])
    in_one = [np.zeros((2, 48, 80, 3), np.uint8) for _ in range(3)]
    for channel, frames in enumerate(in_one):
        frames[..., channel] = moving
    # grey is .114 of the first channel, .587 of the second and .299 of the last
    for frames, weight in zip(in_one, (0.114, 0.587, 0.299), strict=True):
        grey = np.repeat(np.rint(weight * moving).astype(np.uint8)[..., None], 3, axis=-1)
        np.testing.assert_allclose(farneback_flow(frames), farneback_flow(grey), atol=0.05)


def test_without_opencv_its_metrics_are_skipped_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "cv2", None)
    models = MetricModels()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    chosen, skipped = usable(MODEL_FREE, models)
    assert skipped == ["hue@cosine", "epe"]
    assert "hue@centred" in chosen
    assert "'brainflix[opencv]'" in why_skipped("epe", models)
    clips = as_clips(noise(2, 2, 16, 16))
    for name in skipped:
        with pytest.raises(ConfigError, match="needs OpenCV") as raised:
            lookup(name)(models).score(clips, clips, pairs=False)
        assert "brainflix[opencv]" in str(raised.value)


def test_end_point_error_is_that_of_the_fields() -> None:
    true, predicted = moving(0, 2), moving(1, 0)
    found = lookup("epe")(MetricModels()).score(as_clips(true), as_clips(predicted), pairs=True)[
        "epe"
    ]
    expected = []
    for x, y in zip(true, predicted, strict=True):
        difference = farneback_flow(x) - farneback_flow(y)
        expected.append(np.linalg.norm(difference, axis=-1).mean())
    np.testing.assert_allclose(found.own, expected, rtol=1e-5)
    assert found.lower
    still = np.repeat(true[:, :1], true.shape[1], axis=1)
    same = lookup("epe")(MetricModels()).score(as_clips(true), as_clips(true), pairs=False)["epe"]
    assert same.own.tolist() == [0.0, 0.0]
    stays = lookup("epe")(MetricModels()).score(as_clips(true), as_clips(still), pairs=False)["epe"]
    assert stays.value == pytest.approx(2.0, abs=0.5)


def moving(down: int, right: int, size: int = 48) -> Array:
    """Return two clips of coarse texture that moves by whole pixels a frame."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(3)
    clips = []
    for _ in range(2):
        texture = gaussian_filter(rng.normal(size=(size, size, 3)), (3, 3, 0), mode="wrap")
        picture = np.rint(127 + 90 * texture / abs(texture).max()).astype(np.uint8)
        clips.append([np.roll(picture, (k * down, k * right), axis=(0, 1)) for k in range(4)])
    return np.array(clips)


def test_large_sets_score_the_flow_of_some_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    from brainflix.metrics import optical_flow

    frames = np.concatenate([moving(0, 2, 32), moving(1, 0, 32), moving(2, 1, 32)])
    monkeypatch.setattr(optical_flow, "_FLOW_PIXELS", 8 * 3 * 32 * 32)
    true = as_clips(frames)
    scores = lookup("epe")(MetricModels()).score(true, as_clips(frames[::-1]), pairs=True)["epe"]
    assert scores.facts["scored_clips"] == 4
    assert scores.rows is not None
    assert len(scores.own) == len(scores.rows) == 4
    again = lookup("epe")(MetricModels()).score(
        true.subset(scores.rows), as_clips(frames[::-1][scores.rows]), pairs=False
    )["epe"]
    np.testing.assert_allclose(again.own, scores.own)


@pytest.mark.parametrize("name", [name.replace("50way", "3way") for name in MODEL_FREE])
def test_blocks_score_as_all_pairs_do(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from brainflix.metrics import pairwise as pairs

    true, predicted = soft(7, 3, 24, 20), soft(7, 3, 24, 20, seed=1)
    metric = lookup(name)
    full = metric(MetricModels()).score(as_clips(true), as_clips(predicted), pairs=True)[name]
    monkeypatch.setattr(pairs, "_AFFORDABLE", 0)
    some = metric(MetricModels()).score(as_clips(true), as_clips(predicted), pairs=True)[name]
    np.testing.assert_allclose(some.own, full.own, atol=1e-9)
    for block in some.blocks:
        for rows, scores in zip(block.rows, block.scores, strict=True):
            whole = full.blocks[0].scores[0] if full.others is None else full.others
            np.testing.assert_allclose(scores, whole[np.ix_(rows, rows)], atol=1e-9)


def test_frames_too_small_for_a_window_are_refused() -> None:
    small = as_clips(noise(2, 1, 10, 40))
    for name in ("ssim@gray", "ssim@luma"):
        with pytest.raises(DataError, match="smaller than the SSIM window"):
            lookup(name)(MetricModels()).score(small, small, pairs=False)
    narrow = as_clips(noise(2, 1, 40, 5))
    assert lookup("ssim@column")(MetricModels()).score(narrow, narrow, pairs=False)[
        "ssim@column"
    ].own == pytest.approx([1, 1])


def test_all_metrics_without_a_model_are_usable_without_one() -> None:
    chosen, skipped = usable(MODEL_FREE, MetricModels())
    assert [*chosen] == [*MODEL_FREE]
    assert skipped == []
