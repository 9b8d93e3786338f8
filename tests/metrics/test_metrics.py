"""Metrics of clips against independent implementations and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from brainflix.clips.clips import VideoClips, even_frames, reconcile
from brainflix.errors import ConfigError, DataError
from brainflix.evaluation.baselines import grey_clip, mean_clip, repeated
from brainflix.metrics.catalogue import FAMILIES, lookup, note, usable
from brainflix.metrics.identification import (
    identification,
    identification_pairs,
    pixel_correlation_pairs,
)
from brainflix.metrics.models import ClassProbabilities, MetricModels, attribute_columns, softmax
from brainflix.metrics.similarity import correlation_pairs, cosine_pairs
from brainflix.metrics.ssim import DEFINITIONS, ssim, ssim_pairs

RGB = DEFINITIONS["ssim@rgb"]


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def smooth(n: int, frames: int, size: int, seed: int = 0) -> np.ndarray:
    """Return clips of soft gradients, on which the windows' variances are small."""
    rng = np.random.default_rng(seed)
    axis = np.linspace(0, 1, size)
    phase = rng.uniform(0, 6, (n, frames, 1, 1, 3))
    waves = np.sin(3 * axis[:, None, None] + phase) + np.cos(2 * axis[None, :, None] + phase)
    return np.rint(127 + 60 * waves).clip(0, 255).astype(np.uint8)


def scikit_ssim(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return np.array(
        [
            np.mean(
                [
                    structural_similarity(a, b, data_range=255, channel_axis=-1)
                    for a, b in zip(x, y, strict=True)
                ]
            )
            for x, y in zip(true, predicted, strict=True)
        ]
    )


def pairs_of_clips() -> list[tuple[str, np.ndarray, np.ndarray]]:
    plain, soft = noise(3, 4, 30, 41), smooth(3, 5, 64)
    dim = np.clip(soft.astype(int) // 2 + 3, 0, 255).astype(np.uint8)
    black = np.zeros_like(soft)
    return [
        ("noise", plain, noise(3, 4, 30, 41, seed=1)),
        ("identical", plain, plain.copy()),
        ("smooth", soft, dim),
        ("black", soft, black),
        ("both black", black, black),
        ("white on black", np.full_like(soft, 255), black),
        ("one frame, smallest", noise(2, 1, 7, 7), noise(2, 1, 7, 7, seed=3)),
        ("more than one strip", noise(2, 1, 300, 260), noise(2, 1, 300, 260, seed=4)),
        ("several frames at a time", noise(2, 9, 40, 33), noise(2, 9, 40, 33, seed=5)),
        ("floats", soft.astype(np.float64) + 0.25, dim.astype(np.float64)),
    ]


@pytest.mark.parametrize(("name", "true", "predicted"), pairs_of_clips())
def test_ssim_equals_scikit_image(name: str, true: np.ndarray, predicted: np.ndarray) -> None:
    expected = scikit_ssim(true, predicted)
    np.testing.assert_allclose(ssim(true, predicted, RGB), expected, atol=1e-6)
    matrix = ssim_pairs(true, predicted, RGB)
    np.testing.assert_allclose(np.diagonal(matrix), expected, atol=1e-6)


def test_ssim_of_pairs_puts_predictions_in_rows() -> None:
    true, predicted = smooth(3, 2, 16), smooth(3, 2, 16, seed=9)
    matrix = ssim_pairs(true, predicted, RGB)
    expected = np.stack([scikit_ssim(true, np.repeat(p[None], 3, 0)) for p in predicted])
    np.testing.assert_allclose(matrix, expected, atol=1e-6)
    assert abs(matrix - matrix.T).max() > 1e-3  # or rows and columns could be swapped unnoticed


def test_ssim_refuses_frames_below_its_window() -> None:
    with pytest.raises(DataError, match="smaller than the SSIM window"):
        ssim(noise(2, 1, 6, 20), noise(2, 1, 6, 20), RGB)


def test_pixel_correlation_equals_numpy() -> None:
    true, predicted = smooth(4, 3, 12), noise(4, 3, 12, 12)
    matrix = pixel_correlation_pairs(true, predicted)
    stacked = np.corrcoef(predicted.reshape(4, -1), true.reshape(4, -1))[:4, 4:]
    np.testing.assert_allclose(matrix, stacked, atol=1e-12)


def test_pixel_correlation_of_a_constant_is_zero() -> None:
    true = noise(3, 2, 8, 8)
    grey = repeated(grey_clip(true.shape[1:]), 3)
    np.testing.assert_array_equal(pixel_correlation_pairs(true, grey), 0)
    assert identification(pixel_correlation_pairs(true, grey)).tolist() == [0.5, 0.5, 0.5]


def test_identification_counts_the_clips_that_are_less_similar() -> None:
    similarity = np.random.default_rng(0).normal(size=(6, 6))
    similarity[2, 4] = similarity[2, 2]  # a tie
    expected = [
        np.mean(
            [
                (similarity[i, i] > similarity[i, j]) + 0.5 * (similarity[i, i] == similarity[i, j])
                for j in range(6)
                if j != i
            ]
        )
        for i in range(6)
    ]
    np.testing.assert_allclose(identification(similarity), expected)
    np.testing.assert_allclose(identification_pairs(similarity).mean(axis=1), 0.5)


def test_identification_of_trials_uses_the_clip_each_belongs_to() -> None:
    similarity = np.array([[3.0, 1, 2], [3.0, 1, 2], [1.0, 3, 2]])
    own = np.array([0, 2, 0])
    assert identification(similarity, own).tolist() == [1.0, 0.5, 0.0]
    with pytest.raises(DataError, match="unclear which clip is whose"):
        identification(similarity[:2])


def test_cosine_and_correlation_equal_their_definitions() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(3, 2, 5)), rng.normal(size=(4, 2, 5)) + 3
    r = correlation_pairs(x, y)
    assert r[1, 3] == pytest.approx(np.corrcoef(x[1].ravel(), y[3].ravel())[0, 1])
    cosine = (x[0] * y[2]).sum() / np.linalg.norm(x[0]) / np.linalg.norm(y[2])
    assert cosine_pairs(x, y)[0, 2] == pytest.approx(cosine)
    assert cosine_pairs(np.zeros((1, 3)), np.ones((1, 3))).tolist() == [[0.0]]


def test_outputs_are_grouped_by_attribute_in_any_order() -> None:
    labels = ["motion:left", "object:ball", "motion:up", "unnamed", "object:a:b"]
    columns = attribute_columns(labels)
    assert columns["motion"][0].tolist() == [0, 2]
    assert columns["motion"][1] == ("left", "up")
    assert columns["object"][1] == ("ball", "a:b")
    assert set(columns) == {"motion", "object"}


def test_softmax_survives_large_logits() -> None:
    np.testing.assert_allclose(softmax(np.array([[1000.0, 1000.0, -1000.0]])), [[0.5, 0.5, 0]])


class Painter:
    """A stand-in for a classifier: the brightest channel of the first frame is the colour."""

    attributes = ("colour",)
    names = ("red", "green", "blue")

    def __call__(self, frames: np.ndarray) -> dict[str, ClassProbabilities]:
        means = frames[:, 0].mean(axis=(1, 2))
        return {"colour": ClassProbabilities(self.names, softmax(means))}


def coloured(channels: list[int], labels: dict[str, tuple[str, ...]] | None = None) -> VideoClips:
    frames = np.full((len(channels), 2, 8, 8, 3), 20, dtype=np.uint8)
    for k, channel in enumerate(channels):
        frames[k, ..., channel] = 200
    ids = tuple(f"clip{k}" for k in range(len(channels)))
    return VideoClips(frames, ids, ("run",) * len(ids), labels or {})


def test_attributes_are_scored_against_the_studys_labels() -> None:
    models = MetricModels(attribute_classifiers=(Painter(),))
    labels = {"colour": ("red", "blue", "blue", "green")}  # the third clip looks red
    true, predicted = coloured([0, 2, 0, 1], labels), coloured([0, 1, 2, 1])
    found = lookup("attributes")(models).score(true, predicted, pairs=True)
    scores = found["attribute@colour"]
    assert scores.own.tolist() == [1, 0, 1, 1]
    assert scores.facts == {"truth": "labels of the study", "classes": 3}
    assert scores.others is not None
    assert scores.others[2].tolist() == [0, 1, 1, 0]  # blue was seen


@pytest.mark.parametrize("labels", [{}, {"colour": ("red", "mauve", "red")}])
def test_unknown_labels_fall_back_to_the_classifier(labels: dict[str, tuple[str, ...]]) -> None:
    models = MetricModels(attribute_classifiers=(Painter(),))
    true, predicted = coloured([0, 2, 1], labels), coloured([0, 2, 0])
    scores = lookup("attributes")(models).score(true, predicted, pairs=False)["attribute@colour"]
    assert scores.own.tolist() == [1, 1, 0]
    assert scores.facts["truth"] == "classifier on the true clip"


def test_the_first_classifier_that_knows_an_attribute_is_asked() -> None:
    class Second(Painter):
        attributes = ("colour", "motion")

        def __call__(self, frames: np.ndarray) -> dict[str, ClassProbabilities]:
            even = np.full((len(frames), 2), 0.5)
            return {
                "colour": ClassProbabilities(("a", "b"), even),
                "motion": ClassProbabilities(("c", "d"), even),
            }

    probabilities = MetricModels(attribute_classifiers=(Painter(), Second())).classify(
        coloured([0, 1]).frames[:]
    )
    assert probabilities["colour"].names == Painter.names
    assert probabilities["motion"].names == ("c", "d")
    assert [*probabilities] == ["colour", "motion"]


def test_metrics_without_their_models_are_left_out_by_name() -> None:
    chosen, skipped = usable(("psnr", "identification@clip", "attributes"), MetricModels())
    assert [*chosen] == ["psnr"]
    assert skipped == ["identification@clip", "attributes"]
    with pytest.raises(ConfigError, match="unknown metric 'ssim'"):
        usable(("ssim",), MetricModels())
    with pytest.raises(ConfigError, match="needs a CLIP"):
        lookup("identification@clip")(MetricModels()).score(
            coloured([0, 1]), coloured([0, 1]), pairs=False
        )


@pytest.mark.parametrize("name", [*FAMILIES, "attribute@object"])
def test_every_metric_says_what_it_shows_and_hides(name: str) -> None:
    if name == "attributes":
        return
    name = name.replace("nway", "5way")
    words = note(name)
    assert words.title
    assert len(words.shows) > 40
    assert len(words.hides) > 40


def test_identification_in_clip_space_knows_a_collapsed_set() -> None:
    models = MetricModels(image_embedding=lambda frames: frames.mean(axis=(2, 3)))
    true = coloured([0, 1, 2])
    same = true.showing(np.repeat(true.frames[:1], 3, axis=0))
    scores = lookup("identification@clip")(models).score(true, same, pairs=True)
    assert scores["identification@clip"].facts["distinct_nearest"] == 1
    assert scores["identification@clip"].value == pytest.approx(0.5)


def test_large_sets_sample_the_pairs_of_ssim(monkeypatch: pytest.MonkeyPatch) -> None:
    from brainflix.metrics import pairwise as module

    true = VideoClips(smooth(12, 1, 8), tuple(map(str, range(12))), ("g",) * 12)
    predicted = true.showing(smooth(12, 1, 8, seed=2))
    full = lookup("ssim@rgb")(MetricModels()).score(true, predicted, pairs=True)["ssim@rgb"]
    monkeypatch.setattr(module, "_AFFORDABLE", 0)
    few = lookup("ssim@rgb")(MetricModels()).score(true, predicted, pairs=True)["ssim@rgb"]
    assert few.others is None
    assert full.others is not None
    np.testing.assert_allclose(few.own, full.own)
    (block,) = few.blocks
    assert sorted(block.rows.ravel()) == list(range(12))
    for rows, scores in zip(block.rows, block.scores, strict=True):
        np.testing.assert_allclose(scores, full.others[np.ix_(rows, rows)], atol=1e-6)
    assert few.facts["sampled_pairs"] == 12 * 2


def test_clips_refuse_what_does_not_fit_together() -> None:
    frames = noise(2, 1, 8, 8)
    with pytest.raises(DataError, match="groups needs one entry for each clip"):
        VideoClips(frames, ("a", "b"), ("g",))
    with pytest.raises(DataError, match="not clips"):
        VideoClips(frames[..., :2], ("a", "b"), ("g", "g"))
    with pytest.raises(DataError, match="too few clips"):
        VideoClips(frames[:1], ("a",), ("g",))
    with pytest.raises(DataError, match="differ in shape"):
        ssim(noise(2, 1, 8, 8), noise(2, 1, 8, 9), RGB)


def test_reconcile_takes_even_frames_and_one_size() -> None:
    assert even_frames(8, 3).tolist() == [0, 4, 7]
    assert even_frames(3, 6).tolist() == [0, 0, 1, 1, 2, 2]
    frames = repeated(grey_clip((8, 16, 16, 3)), 2).copy()
    frames[:, 7] = 10
    changed = reconcile(frames, (3, 8, 12, 3))
    assert changed.shape == (2, 3, 8, 12, 3)
    assert (changed[:, :2] == 128).all()
    assert (changed[:, 2] == 10).all()
    assert reconcile(frames, frames.shape[1:]) is frames


def test_mean_clip_rounds_the_mean_of_the_chosen_rows() -> None:
    frames = noise(150, 2, 4, 4)
    rows = np.arange(0, 150, 2)
    expected = np.rint(frames[rows].astype(np.float64).mean(axis=0)).astype(np.uint8)
    np.testing.assert_array_equal(mean_clip(frames, rows, block=7), expected)
    with pytest.raises(DataError, match="no training clips"):
        mean_clip(frames, rows[:0])
