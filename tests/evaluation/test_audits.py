"""Audits and baselines of an evaluation, against closed forms and planted cases."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from brainflix.errors import DataError
from brainflix.evaluation.audits.collapse import collapse, effective_rank
from brainflix.evaluation.audits.nearness import (
    nearest,
    rank_correlations,
    similarity_effect,
)
from brainflix.evaluation.audits.splits import digests, duplicates, fingerprints
from brainflix.evaluation.audits.volumes import VolumeWindow, shared_volumes
from brainflix.evaluation.baselines import (
    FirstFrames,
    mean_clip,
    random_training,
    thumbnails,
)
from brainflix.evaluation.clip_table import ClipScore

RNG = np.random.default_rng(4)


def noise(n: int, size: int = 32, frames: int = 3, seed: int = 0) -> np.ndarray:
    """Return smooth random clips that differ."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (n, frames, size // 8, size // 8, 3))
    return np.kron(coarse, np.ones((1, 1, 8, 8, 1))).astype(np.uint8)


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_equal_directions_count_as_many(rank: int) -> None:
    directions = np.linalg.qr(RNG.normal(size=(30, rank)))[0]
    points = np.concatenate([directions.T, -directions.T])  # mean 0, equal singular values
    assert effective_rank(points) == pytest.approx(rank)
    assert effective_rank(5 * points + 100) == pytest.approx(rank)


def test_equal_rows_have_no_direction() -> None:
    assert effective_rank(np.full((7, 4), 128.0)) == 0.0
    assert effective_rank(np.full((7, 3000), 0.1, dtype=np.float32)) == 0.0


def test_unequal_directions_follow_the_entropy() -> None:
    points = np.array([[3.0, 0], [-3, 0], [0, 1], [0, -1]])
    share = np.array([3, 1]) / 4
    assert effective_rank(points) == pytest.approx(np.exp(-(share * np.log(share)).sum()))


def test_a_collapsed_set_is_found_and_a_good_one_is_not() -> None:
    true = RNG.normal(size=(60, 40))
    good = true + 0.5 * RNG.normal(size=true.shape)
    found = collapse(good, true, "clip")
    assert not found.collapsed
    assert found.distinct_nearest > 50
    few = true[:3][RNG.integers(3, size=60)]
    found = collapse(few, true, "clip")
    assert found.collapsed
    assert found.distinct_nearest == 3
    assert found.effective_rank <= 2.0
    grey = collapse(np.ones((60, 40)), true, "clip")
    assert grey.collapsed
    assert grey.effective_rank == 0.0


def test_random_choice_is_expected_to_reach_so_many() -> None:
    n, rng = 50, np.random.default_rng(0)
    drawn = [len(np.unique(rng.integers(n, size=n))) for _ in range(4000)]
    found = collapse(RNG.normal(size=(n, 8)), RNG.normal(size=(n, 8)), "clip")
    assert found.distinct_expected == pytest.approx(np.mean(drawn), abs=0.2)
    assert not found.collapsed


def test_the_nearest_is_found_in_blocks_as_at_once() -> None:
    rows, others = RNG.normal(size=(1100, 6)), RNG.normal(size=(40, 6))
    places, similar = nearest(rows, others, "clip")
    lengths = np.linalg.norm(rows, axis=1)[:, None] * np.linalg.norm(others, axis=1)
    cosine = rows @ others.T / lengths
    np.testing.assert_array_equal(places, cosine.argmax(axis=1))
    np.testing.assert_allclose(similar, cosine.max(axis=1))
    _, r = nearest(rows, others, "pixels")
    assert r[0] == pytest.approx(max(np.corrcoef(rows[0], other)[0, 1] for other in others))
    with pytest.raises(DataError, match="no training clips to compare"):
        nearest(rows, others[:0], "clip")


def test_copies_are_found_within_and_across_splits() -> None:
    clips = noise(10)
    again = np.clip(clips[2].astype(int) + RNG.integers(-6, 7, clips[2].shape), 0, 255)
    frames = np.concatenate([clips, clips[[0]], again[None].astype(np.uint8), clips[[1]]])
    names = [*(f"c{k}" for k in range(10)), "copy0", "near2", "copy1"]
    splits = ["test"] * 6 + ["train"] * 5 + ["train", "test"]
    exact, small = fingerprints(frames, thumbnails)
    assert exact == digests(frames)
    found = duplicates(names, splits, exact, small)
    assert found.exact.across == 1  # c0 and copy0
    assert found.exact.within == {"test": 1, "train": 0}  # c1 and copy1
    assert found.exact.examples == (("c0", "copy0"), ("c1", "copy1"))
    assert found.near.across == 1
    assert found.near.examples == (("c2", "near2"),)


def test_different_clips_are_no_duplicates() -> None:
    frames = noise(40)
    found = duplicates(
        [str(k) for k in range(40)], ["test"] * 40, *fingerprints(frames, thumbnails)
    )
    assert found.exact.within == found.near.within == {"test": 0}


def test_windows_that_share_a_volume_are_found() -> None:
    windows = [
        VolumeWindow("r1", "train", 0, 4, "a"),
        VolumeWindow("r1", "test", 4, 8, "b"),  # volume 4 is shared
        VolumeWindow("r1", "test", 9, 12, "c"),
        VolumeWindow("r2", "train", 9, 12, "d"),  # another run
    ]
    found = shared_volumes(windows)
    assert (found.test_windows, found.volumes, found.gap) == (1, 1, -1)
    assert found.examples == (("b", "a"),)
    apart = shared_volumes([VolumeWindow("r", "train", 0, 4), VolumeWindow("r", "test", 7, 9)])
    assert (apart.test_windows, apart.volumes, apart.gap) == (0, 0, 2)
    touching = shared_volumes([VolumeWindow("r", "train", 5, 9), VolumeWindow("r", "test", 2, 4)])
    assert (touching.test_windows, touching.gap) == (0, 0)
    assert (
        shared_volumes([VolumeWindow("r", "test", 0, 1), VolumeWindow("s", "train", 0, 1)]).gap
        is None
    )
    with pytest.raises(DataError, match="ends before"):
        shared_volumes([VolumeWindow("r", "test", 3, 1)])


def test_an_effect_of_similarity_is_a_rank_correlation() -> None:
    similarity = {f"c{k}": float(k) for k in range(12)}
    rows = [(clip, "up", "reconstructed", value**2) for clip, value in similarity.items()]
    noisy = RNG.normal(size=24)
    rows += [(f"c{k % 12}", "noise", "reconstructed", v) for k, v in enumerate(noisy.tolist())]
    rows += [(clip, "up", "grey", 0.0) for clip in similarity]
    rows += [(clip, "flat", "reconstructed", 1.0) for clip in similarity]
    scores = [ClipScore("", "", *row) for row in rows]
    found = rank_correlations(similarity, scores, "reconstructed")
    assert found["up"] == pytest.approx(1.0)
    means = noisy.reshape(2, 12).mean(axis=0)
    assert found["noise"] == pytest.approx(spearmanr(np.arange(12), means).statistic)
    assert found["flat"] is None
    infinite = np.array([1.0, 2, np.inf, 3])
    assert similarity_effect(np.arange(4.0), infinite) == pytest.approx(1.0)


def test_thumbnails_are_averages_over_rectangles() -> None:
    frames = RNG.integers(0, 256, (2, 3, 32, 48, 3), dtype=np.uint8)
    small = thumbnails(frames, 16).reshape(2, 3, 16, 16, 3)
    np.testing.assert_allclose(small[1, 2, 3, 5], frames[1, 2, 6:8, 15:18].mean(axis=(0, 1)))
    odd = thumbnails(frames[:, :, :7, :33], 16).reshape(2, 3, 7, 16, 3)
    np.testing.assert_allclose(odd[0, 0, 3, 15], frames[0, 0, 3, 30:33].mean(axis=0), rtol=1e-6)


def test_stills_show_their_first_frame_however_they_are_indexed() -> None:
    frames = RNG.integers(0, 256, (5, 4, 6, 6, 3), dtype=np.uint8)
    still = FirstFrames(frames)
    wanted = np.repeat(frames[:, :1], 4, axis=1)
    np.testing.assert_array_equal(still[:], wanted)
    np.testing.assert_array_equal(still[2], wanted[2])
    np.testing.assert_array_equal(still[np.array([3, 1])], wanted[[3, 1]])
    assert len(still) == 5
    assert still.shape == frames.shape


def test_training_baselines_need_training_clips() -> None:
    assert set(random_training(500, 7, 0).tolist()) == set(range(7))
    with pytest.raises(DataError):
        random_training(5, 0, 0)
    with pytest.raises(DataError):
        mean_clip(np.zeros((3, 2, 4, 4, 3), np.uint8), np.array([], dtype=int))
