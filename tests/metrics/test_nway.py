"""n-way success in closed form against enumeration and the published trials."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest

from brainflix.clips.clips import VideoClips
from brainflix.errors import ConfigError, DataError
from brainflix.metrics.catalogue import lookup, note, usable, why_skipped
from brainflix.metrics.identification import identification_matrix
from brainflix.metrics.models import MetricModels
from brainflix.metrics.nway_classification import (
    chance,
    nway_exact,
    nway_matrix,
    nway_trials,
    success_table,
    top_classes,
)


def enumerated(true: np.ndarray, predicted: np.ndarray, ways: int, k: int) -> float:
    """Return the share of all draws in which the best true class beats the others drawn."""
    classes = np.argsort(true)[-k:]
    others = [c for c in range(len(true)) if c not in classes]
    draws = [*combinations(others, ways - 1)]
    wins = sum(predicted[classes].max() > predicted[[*draw]].max() for draw in draws)
    return wins / len(draws)


@pytest.mark.parametrize("ways", [2, 3, 5])
@pytest.mark.parametrize("k", [1, 3])
def test_closed_form_equals_enumeration(ways: int, k: int) -> None:
    rng = np.random.default_rng(ways + k)
    true = rng.normal(size=(12, 9))
    predicted = 0.5 * true + rng.normal(size=true.shape)
    expected = [enumerated(t, p, ways, k) for t, p in zip(true, predicted, strict=True)]
    np.testing.assert_allclose(nway_exact(true, predicted, ways, k), expected, atol=1e-12)
    matrix = nway_matrix(true, predicted, ways, k)
    np.testing.assert_allclose(np.diagonal(matrix), expected, atol=1e-12)
    assert matrix[2, 5] == pytest.approx(enumerated(true[5], predicted[2], ways, k))


@pytest.mark.parametrize("k", [1, 3])
def test_closed_form_lies_within_the_error_of_the_trials(k: int) -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=(40, 60))
    predicted = 0.4 * true + rng.normal(size=true.shape)
    exact = nway_exact(true, predicted, 10, k)
    drawn = nway_trials(true, predicted, 10, k, 100, seed=1)
    error = np.sqrt((exact * (1 - exact)).sum() / 100) / 40
    assert abs(drawn.mean() - exact.mean()) < 3 * error


@pytest.mark.parametrize(("ways", "k", "known"), [(2, 3, 0.75), (50, 3, 3 / 52), (2, 1, 0.5)])
def test_chance_under_independent_ranks(ways: int, k: int, known: float) -> None:
    assert chance(k, ways) == pytest.approx(known)
    rng = np.random.default_rng(0)
    true, predicted = rng.normal(size=(2, 4000, 70))
    assert nway_exact(true, predicted, ways, k).mean() == pytest.approx(known, abs=0.02)


def test_ties_are_broken_at_random() -> None:
    true = np.array([[9.0, 8, 7, 0, 0, 0, 0]])
    constant = np.zeros((1, 7))
    assert nway_exact(true, constant, 3, 1)[0] == pytest.approx(chance(1, 3))
    assert nway_exact(true, constant, 3, 3)[0] == pytest.approx(chance(3, 3))
    partly = np.array([[1.0, 1, 0, 1, 2, 0, 0]])  # beaten by one, tied with another, two true
    broken = []
    for order in permutations(range(3)):
        ranked = partly[0].copy()
        ranked[[0, 1, 3]] += np.array(order) * 0.1
        broken.append(enumerated(true[0], ranked, 2, 3))
    assert nway_exact(true, partly, 2, 3)[0] == pytest.approx(np.mean(broken))


def test_frames_are_classified_one_by_one() -> None:
    rng = np.random.default_rng(1)
    true, predicted = rng.normal(size=(2, 4, 3, 20))
    frames = [nway_exact(true[:, f], predicted[:, f], 5, 3) for f in range(3)]
    np.testing.assert_allclose(nway_exact(true, predicted, 5, 3), np.mean(frames, axis=0))
    matrix = nway_matrix(true, predicted, 5, 3)
    np.testing.assert_allclose(np.diagonal(matrix), np.mean(frames, axis=0))


def test_the_top_classes_are_the_highest() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 2, 8))
    expected = np.argsort(-logits, axis=-1)[..., :3]
    np.testing.assert_array_equal(top_classes(logits, 3), expected)


def test_too_few_classes_are_refused() -> None:
    with pytest.raises(DataError, match="50-way needs 49 others"):
        success_table(10, 50)
    with pytest.raises(DataError, match="1-way"):
        success_table(10, 1)


@pytest.mark.parametrize("ways", [2, 3, 6])
def test_identification_equals_enumeration(ways: int) -> None:
    similarity = np.random.default_rng(2).normal(size=(6, 6))
    matrix = identification_matrix(similarity, ways)
    for i, j in ((0, 0), (2, 2), (3, 1)):
        others = [k for k in range(6) if k != j]
        draws = [*combinations(others, ways - 1)]
        wins = [similarity[i, j] > similarity[i, [*draw]].max() for draw in draws]
        assert matrix[i, j] == pytest.approx(np.mean(wins))
    np.testing.assert_allclose(matrix.mean(axis=1), 1 / ways)
    np.testing.assert_allclose(identification_matrix(np.ones((6, 6)), ways), 1 / ways)


def clips(n: int = 8, seed: int = 0) -> VideoClips:
    frames = np.random.default_rng(seed).integers(0, 256, (n, 3, 8, 8, 3), dtype=np.uint8)
    return VideoClips(frames, tuple(map(str, range(n))), ("g",) * n)


def stripes(frames: np.ndarray) -> np.ndarray:
    """Return logits a frame that follow the picture: the mean of each row and column."""
    flat = frames.astype(np.float64).mean(axis=-1)
    return np.concatenate([flat.mean(axis=2), flat.mean(axis=3)], axis=-1)


MODELS = MetricModels(frame_logits=stripes, video_logits=lambda f: stripes(f).mean(axis=1))


@pytest.mark.parametrize("judge", ["frame", "video"])
@pytest.mark.parametrize(("rule", "k"), [("top3", 3), ("argmax", 1)])
def test_metrics_take_their_n_from_the_name(judge: str, rule: str, k: int) -> None:
    name = f"{judge}-4way@{rule}"
    chosen, skipped = usable((name,), MODELS)
    assert skipped == []
    true, predicted = clips(), clips(seed=1)
    (scores,) = chosen[name](MODELS).score(true, predicted, pairs=True).values()
    logits = stripes if judge == "frame" else MODELS.video_logits
    expected = nway_exact(logits(true.frames), logits(predicted.frames), 4, k)
    np.testing.assert_allclose(scores.own, expected)
    assert scores.facts["independent_ranks"] == pytest.approx(k / (k + 3))
    assert note(name).title.startswith("4-way")
    perfect = chosen[name](MODELS).score(true, true, pairs=False)[name]
    assert perfect.own.tolist() == [1.0] * 8


def test_what_cannot_be_computed_is_said_in_words() -> None:
    assert usable(("frame-2way@top3",), MetricModels())[1] == ["frame-2way@top3"]
    assert "one set of classes" in why_skipped("frame-50way@argmax", MetricModels())
    assert why_skipped("frame-50way@argmax", MODELS) == ""
    with pytest.raises(ConfigError, match="unknown metric"):
        lookup("frame-3way@top4")
    with pytest.raises(ConfigError, match="classifier of frames"):
        lookup("frame-2way@top3")(MetricModels()).score(clips(), clips(), pairs=False)
