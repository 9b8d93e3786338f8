"""Chance, P values, intervals, paired differences and audits on cases with known answers."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from sklearn.metrics import r2_score

from brainflix.artifacts.predictions import Vectors
from brainflix.config.recipe import EvaluationConfig
from brainflix.errors import DataError
from brainflix.evaluation.audits.nearness import nearest, similarity_effect
from brainflix.evaluation.audits.splits import split_audit
from brainflix.evaluation.comparison import compare_vectors, paired_difference
from brainflix.evaluation.results import SystemComparison
from brainflix.evaluation.vectors import (
    mean_correlation,
    r_squared,
    vector_identification,
    vector_scores,
)
from brainflix.statistics.bootstrap import (
    SubjectScores,
    bootstrap_interval,
    false_discovery,
    hierarchical_interval,
    independent_units,
    sign_flip_p,
)
from brainflix.statistics.chance import PairBlocks, Scores, block_sample, chance_level

OPTIONS = EvaluationConfig(permutations=999, bootstrap=999)


def units(n: int) -> tuple[str, ...]:
    return tuple(f"clip{k}" for k in range(n))


def test_chance_agrees_with_all_permutations() -> None:
    matrix = np.random.default_rng(0).normal(size=(5, 5)) + 0.8 * np.eye(5)
    means = np.array([matrix[range(5), order].mean() for order in permutations(range(5))])
    exact = (means >= np.diagonal(matrix).mean() - 1e-12).mean()
    chance = chance_level(Scores(np.diagonal(matrix).copy(), matrix), 40_000, seed=1)
    assert chance.mean == pytest.approx(means.mean(), abs=0.01)
    assert chance.p == pytest.approx(exact, abs=0.005)


def test_a_perfect_score_has_the_smallest_p() -> None:
    scores = Scores(np.ones(30), np.eye(30))
    chance = chance_level(scores, 999, seed=0)
    assert chance.p == 1 / 1000
    assert chance.mean == pytest.approx(1 / 30, abs=0.01)


def test_a_constant_reconstruction_is_at_chance_with_p_one() -> None:
    scores = Scores(np.full(10, 0.3), np.full((10, 10), 0.3))
    chance = chance_level(scores, 99, seed=0)
    assert chance.mean == pytest.approx(0.3)
    assert chance.p == 1.0


def test_p_values_are_uniform_under_the_null() -> None:
    rng = np.random.default_rng(2)
    p = []
    for seed in range(300):
        matrix = rng.normal(size=(12, 12))
        p.append(chance_level(Scores(np.diagonal(matrix).copy(), matrix), 99, seed).p)
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.035)
    assert np.mean(p) == pytest.approx(0.5, abs=0.05)


def in_blocks(matrix: np.ndarray, size: int, seed: int = 0) -> Scores:
    rows = block_sample(len(matrix), size, seed)
    parts = tuple(PairBlocks(r, matrix[r[:, :, None], r[:, None, :]]) for r in rows)
    return Scores(np.diagonal(matrix).copy(), blocks=parts)


@pytest.mark.parametrize("size", [3, 7])
def test_blocks_of_pairs_agree_with_all_pairs(size: int) -> None:
    n = 61
    matrix = np.random.default_rng(3).normal(size=(n, n)) + 0.15 * np.eye(n)
    sampled = chance_level(in_blocks(matrix, size), 5000, 0)
    every = chance_level(Scores(np.diagonal(matrix).copy(), matrix), 5000, 0)
    assert sampled.mean == pytest.approx(every.mean, abs=0.2)
    assert sampled.p == pytest.approx(every.p, abs=0.25)
    scores = in_blocks(np.ones((n, n)) + np.eye(n), size)
    assert scores.mismatched() == 1.0
    assert chance_level(scores, 999, 0).p == 1 / 1000


def test_the_permutations_of_a_block_are_those_of_its_clips() -> None:
    matrix = np.random.default_rng(1).normal(size=(7, 7))
    found = in_blocks(matrix, 3).permuted_means(20_000, seed=0)
    blocks = [r for rows in block_sample(7, 3, 0) for r in rows]
    sums = [[matrix[rows, order].sum() for order in permutations(rows)] for rows in blocks]
    exact = np.array([sum(choice) for choice in product(*sums)]) / 7
    assert found.mean() == pytest.approx(exact.mean(), abs=0.01)
    assert found.std() == pytest.approx(exact.std(), rel=0.02)
    assert found.min() >= exact.min() - 1e-12


def test_less_may_be_better() -> None:
    distances = 1 - np.eye(20)
    own = np.zeros(20)
    assert chance_level(Scores(own, distances, lower=True), 999, 0).p == 1 / 1000
    assert chance_level(Scores(own, distances), 999, 0).p == 1.0


def test_blocks_hold_every_clip_once() -> None:
    for n, size in ((12, 3), (11, 4), (7, 7), (5, 2)):
        blocks = block_sample(n, size, seed=5)
        rows = np.concatenate([part.ravel() for part in blocks])
        assert sorted(rows) == list(range(n))
        assert len(blocks) <= 2
    with pytest.raises(DataError, match="impossible size"):
        block_sample(4, 5, seed=0)


def test_scores_refuse_another_shape() -> None:
    with pytest.raises(DataError, match="scores of pairs"):
        Scores(np.zeros(3), np.zeros((3, 2)))
    with pytest.raises(DataError, match="scores of pairs"):
        PairBlocks(np.zeros((2, 3), dtype=np.int64), np.zeros((2, 3, 2)))
    with pytest.raises(DataError, match="chance needs scores"):
        chance_level(Scores(np.zeros(3)), 99, seed=0)


def test_the_interval_of_independent_clips_has_its_textbook_width() -> None:
    values = np.random.default_rng(0).normal(2.0, 1.0, 200)
    low, high = bootstrap_interval(values, units(200), 4000, 0.95, seed=1)
    error = values.std() / np.sqrt(200)
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.03)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.03)


def test_an_interval_stays_within_the_values() -> None:
    low, high = bootstrap_interval(np.array([0.0, 1.0, 1.0]), units(3), 999, 0.95, seed=0)
    assert 0 <= low < high <= 1


def test_clips_of_one_group_are_drawn_together() -> None:
    group_means = np.random.default_rng(1).normal(size=20)
    values, groups = np.repeat(group_means, 10), tuple(np.repeat(units(20), 10).tolist())
    low, high = bootstrap_interval(values, groups, 4000, 0.95, seed=0)
    assert high - low == pytest.approx(2 * 1.96 * group_means.std() / np.sqrt(20), rel=0.12)
    narrow = bootstrap_interval(values, units(200), 4000, 0.95, seed=0)
    assert narrow[1] - narrow[0] < 0.5 * (high - low)


def test_intervals_cover_the_mean() -> None:
    rng = np.random.default_rng(5)
    hits = 0
    for seed in range(200):
        groups = np.repeat(np.arange(25), 4)
        values = rng.normal(size=25)[groups] + rng.normal(size=100)
        low, high = bootstrap_interval(values, [str(g) for g in groups], 400, 0.95, seed)
        hits += low <= 0 <= high
    assert 0.87 <= hits / 200 <= 0.99


def test_subjects_widen_the_interval_by_how_they_differ() -> None:
    rng = np.random.default_rng(0)
    effects = rng.normal(size=8)
    subjects = [SubjectScores(e + 0.1 * rng.normal(size=40), units(40)) for e in effects]
    low, high = hierarchical_interval(subjects, 4000, 0.95, seed=0)
    assert high - low == pytest.approx(2 * 1.96 * effects.std(ddof=1) / np.sqrt(8), rel=0.15)
    within = hierarchical_interval(subjects, 4000, 0.95, seed=0, resample_subjects=False)
    assert within[1] - within[0] == pytest.approx(2 * 1.96 * 0.1 / np.sqrt(320), rel=0.15)
    alone = hierarchical_interval(subjects[:1], 4000, 0.95, seed=0)
    assert alone[1] - alone[0] == pytest.approx(2 * 1.96 * 0.1 / np.sqrt(40), rel=0.3)


def test_q_is_benjamini_and_hochbergs() -> None:
    p = [0.01, 0.04, 0.03, 0.005, 0.9]
    assert false_discovery(p) == pytest.approx([0.025, 0.05, 0.05, 0.025, 0.9])
    assert false_discovery([]) == []
    rng = np.random.default_rng(0)
    random = rng.random(200)
    ranked = np.sort(random)
    expected = [min(ranked[k:] * 200 / np.arange(k + 1, 201)) for k in range(200)]
    found = np.array(false_discovery(random))[np.argsort(random)]
    np.testing.assert_allclose(found, np.minimum(expected, 1))


def test_one_group_alone_falls_apart_into_clips() -> None:
    assert independent_units(("a", "a"), ("x", "y")) == ("x", "y")
    assert independent_units(("a", "b"), ("x", "y")) == ("a", "b")
    with pytest.raises(DataError, match="too few units"):
        bootstrap_interval(np.zeros(2), ("a", "a"), 100, 0.95, seed=0)


def test_sign_flips_agree_with_all_flips() -> None:
    differences = np.array([0.5, 0.1, -0.2, 0.4, 0.3, 0.6, -0.1])
    flips = np.array([*product([-1, 1], repeat=7)]) @ differences
    exact = (np.abs(flips) >= differences.sum() - 1e-12).mean()
    p = sign_flip_p(differences, units(7), 50_000, seed=0)
    assert p == pytest.approx(exact, abs=0.005)


def test_a_grouped_sign_flip_cannot_be_more_certain_than_its_groups() -> None:
    groups = ("a",) * 50 + ("b",) * 50
    assert sign_flip_p(np.full(100, 1.0), groups, 999, seed=0) == pytest.approx(0.5, abs=0.06)


def test_the_better_system_is_named_only_when_shown() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(size=40)
    better = paired_difference(base + 0.5 + 0.1 * rng.normal(size=40), base, units(40), OPTIONS)
    assert better.better == "this"
    assert better.interval[0] > 0
    worse = paired_difference(base, base + 0.5 + 0.1 * rng.normal(size=40), units(40), OPTIONS)
    assert worse.better == "other"
    same = paired_difference(base, base[::-1].copy(), units(40), OPTIONS)
    assert same.better == "neither"
    assert same.p > 0.5


def test_r2_and_r_equal_independent_ones() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=(20, 3, 4)) * np.array([1, 2, 3, 0.5])
    predicted = 0.5 * true + rng.normal(size=true.shape)
    flat = true.reshape(20, -1), predicted.reshape(20, -1)
    expected = r2_score(*flat, multioutput="variance_weighted")
    assert r_squared(predicted, true) == pytest.approx(expected)
    r = np.mean([np.corrcoef(flat[0][:, k], flat[1][:, k])[0, 1] for k in range(12)])
    assert mean_correlation(predicted, true) == pytest.approx(r)


def test_r2_is_negative_where_r_is_perfect() -> None:
    true = np.random.default_rng(0).normal(size=(15, 4))
    assert mean_correlation(3 * true, true) == pytest.approx(1.0)
    worse = r_squared(3 * true, true)
    assert worse is not None
    assert worse < -2
    assert r_squared(true, np.ones_like(true)) is None
    assert mean_correlation(np.zeros_like(true), true) == 0.0


def test_cosine_and_squared_error_equal_their_loops() -> None:
    rng = np.random.default_rng(0)
    true, predicted = rng.normal(size=(2, 6, 2, 5))
    pairs = [(a.ravel(), b.ravel()) for a, b in zip(true, predicted, strict=True)]
    cosines = [a @ b / np.sqrt((a @ a) * (b @ b)) for a, b in pairs]
    found = vector_scores(predicted, true)
    assert found.cosine == pytest.approx(np.mean(cosines))
    assert found.mse == pytest.approx(np.mean([(a - b) ** 2 for a, b in pairs]))
    assert vector_scores(np.zeros_like(true), true).cosine == 0.0


def test_vectors_identify_their_own_clip_and_refuse_other_shapes() -> None:
    true = np.random.default_rng(0).normal(size=(8, 6))
    assert vector_identification(2 * true + 5, true).tolist() == [1.0] * 8
    assert vector_identification(true[[3, 3]], true, np.array([3, 3])).tolist() == [1.0, 1.0]
    with pytest.raises(DataError, match="vectors differ in shape"):
        vector_identification(true[:, :5], true)


def readers(noise: float, other_noise: float) -> tuple:
    """Return two systems of two subjects on the same ten clips, in different orders."""
    rng = np.random.default_rng(4)
    ids = units(10)
    true = rng.normal(size=(10, 30))
    order = rng.permutation(10)
    mine, others = {}, {}
    for name in ("movie/sub-01", "movie/sub-02"):
        predicted = true + noise * rng.normal(size=true.shape)
        mine[name] = Vectors(ids, predicted, true)
        predicted = true + other_noise * rng.normal(size=true.shape)
        shuffled = tuple(ids[k] for k in order)
        others[name] = Vectors(shuffled, predicted[order], true[order])
    return (lambda name, target: mine[name]), (lambda name, target: others[name])


def compared(noise: float, other_noise: float) -> SystemComparison:
    groups = {"movie": dict.fromkeys(units(10), "run")}
    return compare_vectors(
        *readers(noise, other_noise),
        ["movie/sub-01", "movie/sub-02"],
        {"movie": ["clip_image"]},
        groups,
        OPTIONS,
    )


def test_systems_are_compared_on_the_same_clips_whatever_their_order() -> None:
    found = compared(0.2, 6.0).metrics["identification@vector:clip_image"]
    assert found.subjects["movie/sub-02"].value == 1.0
    assert found.pooled is not None
    assert found.pooled.better == "this"
    assert found.pooled.n == 10
    means = [each.other for each in found.subjects.values()]
    assert found.pooled.other == pytest.approx(np.mean(means))
    same = compared(0.2, 0.2).metrics["identification@vector:clip_image"]
    assert same.pooled is not None
    assert same.pooled.better == "neither"


def test_systems_tested_on_different_clips_are_refused() -> None:
    ours, theirs = readers(1, 1)

    def fewer(name: str, target: str) -> Vectors:
        found = theirs(name, target)
        return Vectors(found.ids[:9], found.averaged[:9], found.true[:9])

    groups = {"movie": dict.fromkeys(units(10), "run")}
    with pytest.raises(DataError, match="tested on different clips"):
        compare_vectors(ours, fewer, ["movie/sub-01"], {"movie": ["clip_image"]}, groups, OPTIONS)


def test_the_audit_finds_a_copied_clip_and_a_straddling_group() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (6, 1, 8, 8, 3), dtype=np.uint8)
    splits, groups = ["train"] * 4 + ["test"] * 2, ["a", "a", "b", "b", "c", "c"]
    ids = list("uvwxyz")
    clean = split_audit(ids, splits, groups, frames)
    assert clean.disjoint
    assert (clean.train_clips, clean.test_clips) == (4, 2)
    frames[5] = frames[1]
    leaky = split_audit(ids, splits, ["a", "a", "b", "c", "c", "c"], frames)
    assert not leaky.disjoint
    assert leaky.identical_frames == 1
    assert leaky.shared_groups == 2
    assert leaky.shared_clips == 0


def test_nearness_to_training() -> None:
    test, train = np.eye(3), np.array([[1.0, 0, 0], [0, 1, 1]])
    np.testing.assert_allclose(nearest(test, train, "clip")[1], [1, 0.5**0.5, 0.5**0.5])
    assert similarity_effect(np.array([1, 2, 3]), np.array([10, 20, 40])) == pytest.approx(1.0)
    assert similarity_effect(np.array([1, 2, 3]), np.ones(3)) is None
    with pytest.raises(DataError, match="no training clips"):
        nearest(test, train[:0], "clip")


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [0, 3, 4, 7])
def test_p_values_of_null_data_are_uniform(blocks: int) -> None:
    from scipy.stats import kstest

    rng = np.random.default_rng(11)
    n, p = 36, []
    for seed in range(1500):
        # clips and reconstructions that are easy or hard for all others, as brightness is
        matrix = rng.normal(size=(n, n)) + rng.normal(size=n) + 2 * rng.normal(size=(n, 1))
        scores = in_blocks(matrix, blocks, seed) if blocks else Scores(matrix.diagonal(), matrix)
        p.append(chance_level(scores, 499, seed).p)
    jitter = rng.uniform(0, 1 / 500, len(p))  # P values are multiples of 1 / 500
    assert kstest(np.array(p) - jitter, "uniform").pvalue > 0.01


@pytest.mark.slow
def test_intervals_cover_the_mean_of_clustered_clips() -> None:
    rng = np.random.default_rng(12)
    hits = 0
    for seed in range(500):
        sizes = rng.integers(2, 7, 40)
        groups = np.repeat(np.arange(40), sizes)
        values = rng.normal(size=40)[groups] + rng.normal(size=len(groups))
        low, high = bootstrap_interval(values, [str(g) for g in groups], 2000, 0.95, seed)
        hits += low <= 0 <= high
    assert 0.92 <= hits / 500 <= 0.97


@pytest.mark.slow
def test_intervals_over_subjects_cover_the_mean_of_all_people() -> None:
    rng = np.random.default_rng(13)
    hits = 0
    for seed in range(500):
        subjects = [SubjectScores(rng.normal() + rng.normal(size=30), units(30)) for _ in range(20)]
        low, high = hierarchical_interval(subjects, 1000, 0.95, seed)
        hits += low <= 0 <= high
    assert 0.92 <= hits / 500 <= 0.98


@pytest.mark.slow
def test_sign_flips_of_null_differences_are_uniform() -> None:
    from scipy.stats import kstest

    rng = np.random.default_rng(14)
    p = [sign_flip_p(rng.normal(size=40), units(40), 499, seed) for seed in range(1500)]
    assert kstest(np.array(p) - rng.uniform(0, 1 / 500, len(p)), "uniform").pvalue > 0.01


def test_draws_kept_for_the_next_metric_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from brainflix.statistics import bootstrap as inference
    from brainflix.statistics import chance

    matrix = np.random.default_rng(0).normal(size=(20, 20))
    scores = Scores(np.diagonal(matrix).copy(), matrix)

    def found() -> tuple:
        return (
            chance_level(scores, 999, 3),
            bootstrap_interval(scores.own, units(20), 999, 0.95, 3),
        )

    kept = found()
    assert found() == kept
    for module in (chance, inference):
        monkeypatch.setattr(module, "_KEPT", 0)
    assert found() == kept
    for module in (chance, inference):
        monkeypatch.setattr(module, "_BLOCK", 1000)
    assert found()[0].mean == kept[0].mean
