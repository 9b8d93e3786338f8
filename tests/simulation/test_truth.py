"""Simulated data are as reproducible, as recoverable and as decodable as they claim to be.

Everything here is computed by scipy and numpy from the simulated signals, apart from the
pipeline: cleaning by a polynomial, correlation of repeats, a t-test, ridge in its dual form.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from brainflix.config.studies import SimulationConfig
from brainflix.simulation.bold import evoked_signal, run_signal
from brainflix.simulation.brain import AREAS, draw_brain, neural_drive
from brainflix.simulation.features import labels, scene_maps
from brainflix.simulation.study import generator, study_clips, study_runs
from brainflix.simulation.world import ATTRIBUTES, DURATION


@dataclass
class Recorded:
    """Cleaned trials of a subject, in the order of the clips: (repeat, clip, window, voxel)."""

    clips: list
    driven: np.ndarray
    area: np.ndarray
    train: dict
    test: np.ndarray


def cleaned(signal):
    time = np.linspace(-1, 1, len(signal))
    residual = (
        signal
        - np.polynomial.legendre.legvander(time, 4)
        @ np.linalg.lstsq(np.polynomial.legendre.legvander(time, 4), signal, rcond=None)[0]
    )
    return residual / residual.std(axis=0)


def record(options, subject):
    clips = study_clips(options)
    scenes = [clip.scene for clip in clips]
    training = np.array([clip.split == "train" for clip in clips])
    brain = draw_brain(options, subject)
    drive = neural_drive(brain.tuning, scene_maps(scenes), labels(scenes), training)
    TR, groups = options.repetition_time, {}
    for run in study_runs(options, clips, subject):
        rng = generator(options, "noise", subject, run.task, run.index)
        shown = drive[list(run.clips)]
        peak = brain.physics.peak
        evoked = evoked_signal(shown, run.onsets, DURATION, run.volumes, TR, peak)
        rows = cleaned(run_signal(evoked, brain.physics, TR, options.noise, rng)[0])
        first = np.floor((np.array(run.onsets) + 4.0) / TR + 0.5 + 1e-6).astype(int)
        trials = np.stack([rows[first], rows[first + 1]], axis=1)  # (clip, window, voxel)
        groups.setdefault(run.group, []).append(trials[np.argsort(run.clips)])
    sets = {group: np.stack(repeats) for group, repeats in groups.items()}
    test = sets.pop("test")
    return Recorded(clips, brain.tuning.driven, brain.anatomy.area, sets, test)


@pytest.fixture(
    scope="module", params=[("movie", 2.0, 1), ("event_related", 1.75, 2)], ids=lambda p: p[0]
)
def recorded(request):
    kind, TR, seed = request.param
    options = SimulationConfig(kind=kind, repetition_time=TR, seed=seed, voxels=1000)
    return record(options, "sub-01")


def repeat_correlations(recorded):
    """Correlation between the two repeats of each training set: (set, voxel)."""
    rows = []
    for first, second in recorded.train.values():
        a, b = (part.mean(axis=1) - part.mean(axis=(0, 1)) for part in (first, second))
        rows.append((a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0)))
    return np.array(rows)


def selected(recorded):
    z = np.arctanh(repeat_correlations(recorded))
    p = stats.ttest_1samp(z, 0, alternative="greater").pvalue
    return stats.false_discovery_control(p) <= 0.01


def test_single_trials_are_as_reproducible_as_at_3_tesla(recorded):
    r = repeat_correlations(recorded).mean(axis=0)
    visual = r[recorded.driven]
    assert 0.15 < np.median(visual) < 0.35
    assert np.quantile(visual, 0.9) - np.quantile(visual, 0.1) > 0.15
    assert abs(r[~recorded.driven].mean()) < 0.03


def test_the_default_selection_recovers_the_driven_voxels(recorded):
    chosen = selected(recorded)
    assert len(recorded.train) == 18
    assert recorded.driven[chosen].mean() >= 0.95
    assert chosen[recorded.driven].mean() >= 0.8
    for index, area in enumerate(AREAS[:-1]):
        assert chosen[recorded.area == index].mean() > 0.5, area


def test_averaging_repeats_raises_reliability(recorded):
    trials = recorded.test[:, :, :, recorded.driven].mean(axis=2)  # (repeat, clip, voxel)
    single = stats.zscore(trials, axis=1)
    halves = stats.zscore(np.stack([trials[::2].mean(axis=0), trials[1::2].mean(axis=0)]), axis=1)
    one = np.mean([(single[k] * single[k + 1]).mean() for k in range(0, 10, 2)])
    assert (halves[0] * halves[1]).mean() > 2 * one > 0.2


def predict(recorded, targets, alpha=1000.0):
    """Ridge from single training trials to targets, predicted from averaged test trials."""
    chosen = selected(recorded)
    blocks, rows = [], []
    for group, repeats in recorded.train.items():
        members = [k for k, clip in enumerate(recorded.clips) if clip.group == group]
        for trials in repeats:
            blocks.append(trials[:, :, chosen].reshape(len(members), -1))
            rows += members
    X, Y = np.concatenate(blocks), targets[rows]
    mean = X.mean(axis=0)
    X = X - mean
    dual = np.linalg.solve(X @ X.T + alpha * np.eye(len(X)), Y - Y.mean(axis=0))
    test = recorded.test.mean(axis=0)[:, :, chosen].reshape(recorded.test.shape[1], -1) - mean
    return test @ X.T @ dual + Y.mean(axis=0)


def test_every_attribute_is_decodable_from_averaged_repeats(recorded):
    shown = [k for k, clip in enumerate(recorded.clips) if clip.split == "test"]
    names = {a: [getattr(clip.scene, a) for clip in recorded.clips] for a in ATTRIBUTES}
    for attribute, values in names.items():
        found = sorted(set(values))
        codes = np.array([[value == name for name in found] for value in values], dtype=float)
        guess = predict(recorded, codes).argmax(axis=1)
        right = np.mean([found[g] == values[k] for g, k in zip(guess, shown, strict=True)])
        assert right > 0.6, attribute


def test_the_place_is_decodable(recorded):
    places = np.array([[clip.scene.x, clip.scene.y] for clip in recorded.clips])
    shown = np.array([clip.split == "test" for clip in recorded.clips])
    guess = predict(recorded, places)
    for axis in range(2):
        assert stats.pearsonr(guess[:, axis], places[shown, axis]).statistic > 0.3
