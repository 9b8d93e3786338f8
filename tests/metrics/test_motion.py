"""Motion metrics: what wins and what does not, with motions that are known."""

from __future__ import annotations

import numpy as np
import pytest

from brainflix.clips.clips import VideoClips, shrink
from brainflix.metrics.catalogue import lookup
from brainflix.metrics.models import MetricModels
from brainflix.metrics.motion_energy import DIRECTIONS, GRID, brightness, motion_energy
from brainflix.metrics.optical_flow import agreement_pairs, optical_flow
from brainflix.metrics.temporal_consistency import change, relative


def texture(size: int, seed: int) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).normal(size=(size, size))
    smooth = gaussian_filter(noise, 1.5 * size / 32, mode="wrap")
    return 127 + 100 * smooth / abs(smooth).max()


def moving(speeds: list[tuple[float, float]], size: int = 32, frames: int = 6) -> np.ndarray:
    """Return clips (clip, frame, size, size, 3) of textures that move (down, right) a frame."""
    from scipy.ndimage import shift

    clips = [
        [
            shift(texture(size, seed), (k * y, k * x), order=1, mode="grid-wrap")
            for k in range(frames)
        ]
        for seed, (y, x) in enumerate(speeds)
    ]
    return np.rint(np.repeat(np.array(clips)[..., None], 3, axis=-1)).astype(np.uint8)


def as_clips(frames: np.ndarray) -> VideoClips:
    names = tuple(str(k) for k in range(len(frames)))
    return VideoClips(frames, names, names)


def score(name: str, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return (
        lookup(name)(MetricModels())
        .score(as_clips(true), as_clips(predicted), pairs=False)[name]
        .own
    )


SPEEDS = [(0.0, 1.0), (1.0, 0.0), (0.0, -1.0), (-1.0, 0.0), (0.7, 0.7)]


def test_energy_lies_in_the_direction_and_speed_of_a_grating() -> None:
    y, x = np.mgrid[:32, :32] / 32
    time = np.arange(8)[:, None, None]
    angles = np.arange(DIRECTIONS) * 2 * np.pi / DIRECTIONS
    clips = [
        127 + 60 * np.cos(2 * np.pi * (4 * (x * np.cos(a) + y * np.sin(a)) - cycles * time))
        for cycles in (0.125, 0.25)
        for a in angles
    ]
    energy = np.exp(motion_energy(np.array(clips, dtype=np.float32)))
    static = DIRECTIONS // 2
    channels = energy.reshape(len(clips), 3, -1, GRID**2).sum(axis=3)  # (clip, scale, channel)
    assert (channels.sum(axis=2).argmax(axis=1) == 1).all()  # of 2, 4 and 8 cycles
    assert (channels[:, 1].argmax(axis=1) == static + np.arange(len(clips))).all()
    opposite = static + (np.arange(DIRECTIONS) + DIRECTIONS // 2) % DIRECTIONS
    rows = np.arange(DIRECTIONS)
    assert (channels[rows, 1].max(axis=1) > 20 * channels[rows, 1, opposite]).all()


def test_energy_of_other_lengths_and_sizes_is_finite() -> None:
    for shape in ((2, 1, 32, 32), (2, 3, 18, 32), (1, 8, 32, 24), (2, 2, 5, 7)):
        values = motion_energy(np.random.default_rng(0).random(shape, dtype=np.float32) * 255)
        assert values.shape[0] == shape[0]
        assert np.isfinite(values).all()
    flat = motion_energy(np.full((1, 4, 32, 32), 7, dtype=np.float32))
    np.testing.assert_allclose(flat, np.log(1e-2), atol=1e-4)


def test_flow_is_the_motion_that_was_made() -> None:
    flow = optical_flow(brightness(moving(SPEEDS)))[..., 6:-6, 6:-6].mean(axis=(1, 3, 4)) * 32
    np.testing.assert_allclose(flow, SPEEDS, atol=0.1)


def test_flow_agreement_tells_direction_and_amount() -> None:
    true = moving([(0, 1), (1, 0), (0, 0)])
    assert score("flow-agreement", true, true) == pytest.approx([1, 1, 1])
    backwards = true[:, ::-1]
    assert (score("flow-agreement", true, backwards)[:2] < -0.8).all()
    still = np.repeat(true[:, :1], 6, axis=1)
    found = score("flow-agreement", true, still)
    assert (np.abs(found[:2]) < 0.05).all()
    assert found[2] == pytest.approx(1)
    fields = np.random.default_rng(0).normal(size=(3, 4, 2, 5, 5)).astype(np.float32)
    matrix = agreement_pairs(2 * fields, fields, 0.0)
    np.testing.assert_allclose(np.diagonal(matrix), 4 / 5, rtol=1e-6)


def test_a_still_image_does_not_win_temporal_consistency() -> None:
    true = moving(SPEEDS)
    still = np.repeat(true[:, :1], 6, axis=1)
    other_motion = moving([(y, -x) for y, x in SPEEDS])[[1, 2, 3, 4, 0]]
    flicker = np.random.default_rng(0).integers(0, 256, true.shape, dtype=np.uint8)
    name = "temporal-consistency@relative"
    assert score(name, true, true) == pytest.approx(np.ones(5))
    assert (score(name, true, still) < 0.1).all()
    assert (score(name, true, flicker) < 0.6).all()
    assert (score(name, true, other_motion) > 0.7).all()
    assert (score(name, still, still) == 1).all()
    assert (score(name, true[:, :1], still[:, :1]) == 1).all()


def test_a_still_image_wins_the_published_consistency_and_not_the_relative_one() -> None:
    def embed(frames: np.ndarray) -> np.ndarray:
        rows = frames.reshape(*frames.shape[:2], -1).astype(np.float64) - 100
        return rows / np.linalg.norm(rows, axis=-1, keepdims=True)

    true = moving(SPEEDS)
    still = np.repeat(true[:, :1], 6, axis=1)
    models = MetricModels(image_embedding=embed)

    def value(name: str, predicted: np.ndarray) -> float:
        metric = lookup(name)(models)
        return metric.score(as_clips(true), as_clips(predicted), pairs=True)[name].value

    for name in ("clip-pcc@adjacent", "clip-pcc@all-pairs"):
        assert value(name, still) == pytest.approx(1)
        assert value(name, true) < 0.99
    assert value("temporal-consistency@clip", true) == pytest.approx(1)
    assert value("temporal-consistency@clip", still) < 0.3


def test_energy_tells_what_moves_as_shown() -> None:
    true = moving(SPEEDS)
    noisy = np.clip(true + np.random.default_rng(1).normal(0, 8, true.shape), 0, 255)
    noisy = noisy.astype(np.uint8)
    assert (score("motion-energy", true, noisy) > 0.6).all()
    assert (score("identification@motion", true, noisy) == 1).all()
    shuffled = noisy[[1, 2, 3, 4, 0]]
    assert score("motion-energy", true, shuffled).mean() < 0.3


def test_change_and_its_comparison_equal_their_definitions() -> None:
    clips = np.random.default_rng(0).random((3, 4, 5, 6), dtype=np.float32) * 255
    expected = [
        np.sqrt(np.mean([(a - b) ** 2 for a, b in zip(clip[1:], clip, strict=False)]))
        for clip in clips.astype(np.float64)
    ]
    np.testing.assert_allclose(change(clips), expected)
    matrix = relative(np.array([2.0, 0.0]), np.array([1.0, 4.0]), 0.0)
    assert matrix.tolist() == [[0.5, 0.5], [0.0, 0.0]]


def test_shrinking_averages_and_keeps_the_ratio() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 1, 64, 128, 3), dtype=np.uint8)
    small = shrink(frames, 32)
    assert small.shape == (2, 1, 16, 32, 3)
    blocks = frames.reshape(2, 1, 16, 4, 32, 4, 3).mean(axis=(3, 5))
    assert np.abs(small - blocks).max() <= 1
    assert shrink(frames, 128) is frames
