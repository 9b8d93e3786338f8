"""Agreement of vectors: each score against its definition, and paired intervals."""

import numpy as np
import pytest
from scipy.stats import pearsonr

from brainflix.errors import DataError
from brainflix.metrics.agreement import SCORES, agreement, best_factor, compare_agreement
from brainflix.statistics.bootstrap import bootstrap_interval


def vectors(seed=0, clips=12, shape=(3, 4), noise=1.0):
    rng = np.random.default_rng(seed)
    true = rng.standard_normal((clips, *shape))
    return (true + noise * rng.standard_normal(true.shape)).astype(np.float32), true


def test_each_score_is_its_definition():
    predicted, true = vectors()
    found = agreement(predicted, true)
    assert tuple(found) == SCORES
    x, y = predicted.reshape(12, -1).astype(float), true.reshape(12, -1)
    r = np.mean([pearsonr(x[:, d], y[:, d]).statistic for d in range(12)])
    assert found["r"].mean() == pytest.approx(r)
    total = ((y - y.mean(axis=0)) ** 2).sum()
    assert found["r2"].mean() == pytest.approx(1 - ((y - x) ** 2).sum() / total)
    factors = np.linspace(-1, 3, 4001)
    centre = y.mean(axis=0)
    best = max(1 - ((y - centre - a * (x - centre)) ** 2).sum() / total for a in factors)
    assert found["r2_best_scaled"].mean() == pytest.approx(best, abs=1e-6)
    similarity = np.array([[pearsonr(a, b).statistic for b in y] for a in x])
    assert found["top1"].mean() == np.mean(similarity.argmax(axis=1) == np.arange(12))
    pairs = [
        np.mean([similarity[i, i] > similarity[i, j] for j in range(12) if j != i])
        for i in range(12)
    ]
    assert np.allclose(found["identification"], pairs)


def test_a_perfect_prediction_and_one_of_half_length():
    _, true = vectors()
    assert {name: float(v.mean()) for name, v in agreement(true, true).items()} == pytest.approx(
        dict.fromkeys(SCORES, 1.0)
    )
    mean = true.mean(axis=0)
    half = agreement(mean + 0.5 * (true - mean), true)
    assert half["r"].mean() == pytest.approx(1)
    assert half["r2"].mean() == pytest.approx(0.75)  # half of each deviation missing: 1 - 1/4
    assert half["r2_best_scaled"].mean() == pytest.approx(1)


def test_the_factor_scales_deviations_from_the_centre_given():
    predicted, true = vectors()
    x, y = predicted.reshape(12, -1).astype(float), true.reshape(12, -1)
    centre = np.full(12, 0.3)
    deviations, wanted = (x - centre).ravel(), (y - centre).ravel()
    slope = np.linalg.lstsq(deviations[:, None], wanted, rcond=None)[0][0]
    assert best_factor(x, y, centre) == pytest.approx(slope)
    found = agreement(predicted, true, centre.reshape(3, 4))["r2_best_scaled"].mean()
    total = ((y - y.mean(axis=0)) ** 2).sum()
    expected = 1 - np.square(y - centre - slope * (x - centre)).sum() / total
    assert found == pytest.approx(expected)
    assert best_factor(np.zeros((4, 2)), np.ones((4, 2)), np.zeros(2)) == 0.0


def test_a_constant_prediction_scores_zero_and_ties_share():
    _, true = vectors()
    constant = np.broadcast_to(true.mean(axis=0), true.shape)
    found = agreement(constant, true)
    assert found["r"].mean() == 0
    assert found["r2"].mean() == pytest.approx(0)
    assert found["r2_best_scaled"].mean() == pytest.approx(0)
    flat = agreement(np.ones_like(true), true)  # constant over entries: similar to nothing
    assert np.allclose(flat["top1"], 1 / 12)
    assert np.allclose(flat["identification"], 0.5)


def test_dimensions_that_do_not_vary_are_left_out_of_r():
    predicted, true = vectors(shape=(5,))
    true[:, 2] = 7.0
    kept = [0, 1, 3, 4]
    expected = np.mean([pearsonr(predicted[:, d], true[:, d]).statistic for d in kept])
    assert agreement(predicted, true)["r"].mean() == pytest.approx(expected)


def test_vectors_that_do_not_belong_together_are_refused():
    predicted, true = vectors()
    with pytest.raises(DataError, match="do not belong together"):
        agreement(predicted[:-1], true)
    with pytest.raises(DataError, match="do not belong together"):
        agreement(predicted[:1], true[:1])
    with pytest.raises(DataError, match="all clips are equal"):
        agreement(predicted, np.ones_like(true))


def scores(noise, seed=0, subjects=("s/1", "s/2", "s/3"), clips=30):
    return {
        name: agreement(*vectors(seed=k + seed, clips=clips, noise=noise))
        for k, name in enumerate(subjects)
    }


UNITS = {name: tuple(f"c{k}" for k in range(30)) for name in ("s/1", "s/2", "s/3")}


def test_differences_are_paired_by_clip_and_subject():
    better, worse = scores(0.5), scores(2.0)
    found = compare_agreement(better, worse, UNITS, draws=500)
    for name in SCORES:
        values = found[name]
        first = np.mean([better[s][name].mean() for s in better])
        second = np.mean([worse[s][name].mean() for s in worse])
        assert (values.first, values.second) == pytest.approx((first, second))
        assert values.difference == pytest.approx(first - second)
        low, high = values.over_clips
        assert low <= values.difference <= high
        assert values.over_subjects[0] <= values.difference <= values.over_subjects[1]
    assert found["r2"].over_clips[0] > 0
    # of one study: the bootstrap of the clips' differences, averaged over its subjects
    mean = np.mean([better[s]["r"] - worse[s]["r"] for s in better], axis=0)
    expected = bootstrap_interval(mean, UNITS["s/1"], 500, 0.95, 0)
    assert found["r"].over_clips == pytest.approx(expected)


def test_a_system_equals_itself():
    same = scores(1.0)
    for values in compare_agreement(same, same, UNITS, draws=200).values():
        assert values.difference == 0
        assert values.over_clips == (0, 0)
        assert values.over_subjects == (0, 0)


def test_subjects_add_uncertainty_and_one_subject_has_no_interval_over_people():
    first, second = scores(1.0), scores(1.0)
    for k, name in enumerate(first):
        first[name] = dict(first[name], r=second[name]["r"] + 0.1 * (k - 0.5))  # people differ
    found = compare_agreement(first, second, UNITS, draws=2000)["r"]
    assert found.over_clips == pytest.approx((0.05, 0.05))
    assert found.over_subjects[0] < 0.0 < 0.1 < found.over_subjects[1]
    single = compare_agreement(
        {"s/1": first["s/1"]}, {"s/1": second["s/1"]}, {"s/1": UNITS["s/1"]}, draws=200
    )
    assert single["r"].over_subjects is None


def test_studies_with_clips_of_their_own_are_drawn_apart():
    first = scores(0.5) | scores(0.5, seed=5, subjects=("t/1",), clips=20)
    second = scores(1.5) | scores(1.5, seed=5, subjects=("t/1",), clips=20)
    units = UNITS | {"t/1": tuple(f"d{k}" for k in range(20))}
    found = compare_agreement(first, second, units, draws=500)["r"]
    assert found.over_clips[0] <= found.difference <= found.over_clips[1]


def test_other_subjects_or_clips_are_refused():
    first = scores(1.0)
    with pytest.raises(DataError, match="different subjects"):
        compare_agreement(first, scores(1.0, subjects=("s/1", "s/2")), UNITS)
    with pytest.raises(DataError, match="different clips of s/1"):
        compare_agreement(first, scores(1.0, clips=29), UNITS)
