"""Contrastive losses against loops over pairs; studies, weights and mixing."""

import math

import pytest
import torch
from torch.nn import functional as F

from brainflix.errors import DataError
from brainflix.learning.contrastive import (
    CONTRASTIVE,
    Comparison,
    Mix,
    bi_mixco,
    cosine_annealing,
    draw_mix,
    info_nce,
    mixco,
    soft_clip,
)
from brainflix.learning.losses import contrastive_loss

CLIP = torch.tensor([0, 1, 2, 3, 0, 0, 2, 1, 3])
STUDY = torch.tensor([0, 0, 1, 1])
PARTNER = torch.tensor([4, 1, 0, 7, 8, 5, 6, 3, 2])  # 1, 5 and 6 are their own partners
SHARE = torch.tensor([0.3, 0.6, 1.0, 0.5, 0.2, 0.9, 0.1, 1.0, 0.7])
WEIGHTS = torch.tensor([1.0, 2.0, 0.5, 1.5, 3.0, 0.0, 1.0, 2.5, 0.7])


@pytest.fixture
def vectors():
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(9, 5, generator=generator),
        torch.randn(4, 5, generator=generator),
        torch.randn(4, 5, generator=generator),
    )


def cosine(a, b):
    return float(F.cosine_similarity(a, b, dim=0))


def log_softmax(values, place, allowed):
    """The entry of a log-softmax over the allowed places."""
    return values[place] - math.log(sum(math.exp(values[k]) for k in allowed))


def by_loop(predicted, targets, clip, scale, right, weights, study):
    """Both directions of a loss with hard or mixed answers, a pair at a time."""
    n, m = len(predicted), len(targets)
    logit = [[scale * cosine(predicted[i], targets[j]) for j in range(m)] for i in range(n)]
    same = [[study[clip[i]] == study[j] for j in range(m)] for i in range(n)]
    counts = [sum(int(c) == j for c in clip) for j in range(m)]
    of_trials, of_clips = 0.0, 0.0
    for i in range(n):
        for j in range(m):
            if right[i][j] == 0:
                continue
            allowed = [k for k in range(m) if same[i][k]]
            of_trials -= weights[i] * right[i][j] * log_softmax(logit[i], j, allowed)
            column = [logit[k][j] for k in range(n)]
            allowed = [k for k in range(n) if same[k][j]]
            share = weights[i] * right[i][j] / counts[j]
            of_clips -= share * log_softmax(column, i, allowed)
    total = sum(weights[i] / counts[clip[i]] for i in range(n))
    return of_trials / sum(weights), of_clips / total


def one_hot(clip, m):
    return [[float(int(c) == j) for j in range(m)] for c in clip]


def test_info_nce_is_the_loss_of_the_package_without_studies_and_weights(vectors):
    predicted, targets, _ = vectors
    expected = contrastive_loss(predicted, targets, CLIP, torch.tensor(7.0))
    assert torch.allclose(info_nce(predicted, Comparison(targets, CLIP), 7.0), expected, atol=1e-6)
    ones = Comparison(targets, CLIP, torch.zeros(4, dtype=torch.int64), torch.ones(9))
    assert torch.allclose(info_nce(predicted, ones, 7.0), expected, atol=1e-6)


def test_info_nce_with_studies_and_weights_is_the_loop(vectors):
    predicted, targets, _ = vectors
    found = info_nce(predicted, Comparison(targets, CLIP, STUDY, WEIGHTS), 7.0)
    w = WEIGHTS.tolist()
    parts = by_loop(predicted, targets, CLIP, 7.0, one_hot(CLIP, 4), w, STUDY)
    assert found.item() == pytest.approx(sum(parts) / 2, rel=1e-5)


def test_mixco_and_bimixco_are_the_loop_and_a_fixed_point_keeps_its_target(vectors):
    predicted, targets, _ = vectors
    right = [[0.0] * 4 for _ in range(9)]
    for i in range(9):
        right[i][CLIP[i]] += float(SHARE[i])
        right[i][CLIP[PARTNER[i]]] += 1 - float(SHARE[i])
    assert right[1][1] == pytest.approx(1)  # lambda .6 of a trial mixed with itself
    # clips of different studies are never mixed: here all are of one
    everything = Comparison(targets, CLIP, None, WEIGHTS, Mix(PARTNER, SHARE))
    parts = by_loop(predicted, targets, CLIP, 4.0, right, WEIGHTS.tolist(), [0] * 4)
    assert mixco(predicted, everything, 4.0).item() == pytest.approx(parts[0], rel=1e-5)
    assert bi_mixco(predicted, everything, 4.0).item() == pytest.approx(sum(parts) / 2, rel=1e-5)


def test_bimixco_as_published_with_one_trial_for_each_clip():
    """S = c t' / tau; the mean of -sum W log softmax over the rows of S, and of S' with W'."""
    generator = torch.Generator().manual_seed(3)
    c, t = torch.randn(6, 8, generator=generator), torch.randn(6, 8, generator=generator)
    partner, share = torch.tensor([1, 0, 2, 4, 5, 3]), torch.tensor([0.2, 0.4, 0.3, 1.0, 0.5, 0.8])
    w = torch.zeros(6, 6)
    for i in range(6):
        w[i, i] += share[i]
        w[i, partner[i]] += 1 - share[i]
    s = F.normalize(c, dim=1) @ F.normalize(t, dim=1).T / 0.006
    rows = -(w * s.log_softmax(1)).sum(1).mean()
    columns = -(w.T * s.T.log_softmax(1)).sum(1).mean()
    found = bi_mixco(c, Comparison(t, torch.arange(6), mix=Mix(partner, share)), 1 / 0.006)
    assert torch.allclose(found, (rows + columns) / 2, rtol=1e-5)


def test_unmixed_bimixco_is_infonce(vectors):
    predicted, targets, _ = vectors
    mix = Mix(PARTNER, torch.ones(9))
    mixed = Comparison(targets, CLIP, STUDY, WEIGHTS, mix)
    plain = Comparison(targets, CLIP, STUDY, WEIGHTS)
    expected = info_nce(predicted, plain, 5.0)
    assert torch.allclose(bi_mixco(predicted, mixed, 5.0), expected, atol=1e-6)


@pytest.mark.parametrize("own_reference", [False, True])
def test_softclip_is_the_loop(vectors, own_reference):
    predicted, targets, reference = vectors
    other = reference if own_reference else targets
    scale, n, m, w = 3.0, 9, 4, WEIGHTS.tolist()
    logit = [[scale * cosine(predicted[i], other[j]) for j in range(m)] for i in range(n)]
    alike = [[scale * cosine(targets[CLIP[i]], other[j]) for j in range(m)] for i in range(n)]
    same = [[bool(STUDY[CLIP[i]] == STUDY[j]) for j in range(m)] for i in range(n)]
    of_trials = 0.0
    for i in range(n):
        allowed = [j for j in range(m) if same[i][j]]
        total = sum(math.exp(alike[i][j]) for j in allowed)
        for j in allowed:
            right = math.exp(alike[i][j]) / total
            of_trials -= w[i] * right * log_softmax(logit[i], j, allowed)
    counts = [sum(int(c) == j for c in CLIP) for j in range(m)]
    of_clips, mass = (
        0.0,
        [sum(w[i] for i in range(n) if CLIP[i] == j) / counts[j] for j in range(m)],
    )
    for j in range(m):
        allowed = [i for i in range(n) if same[i][j]]
        total = sum(w[i] * math.exp(alike[i][j]) for i in allowed)
        column = [logit[i][j] for i in range(n)]
        for i in allowed:
            right = w[i] * math.exp(alike[i][j]) / total
            of_clips -= mass[j] * right * log_softmax(column, i, allowed)
    expected = 0.5 * (of_trials / sum(w) + of_clips / sum(mass))
    comparison = Comparison(
        targets, CLIP, STUDY, WEIGHTS, reference=reference if own_reference else None
    )
    assert soft_clip(predicted, comparison, scale).item() == pytest.approx(expected, rel=1e-5)


def test_softclip_at_a_low_temperature_is_infonce(vectors):
    predicted, targets, _ = vectors
    comparison = Comparison(targets, CLIP, STUDY, WEIGHTS)
    expected = info_nce(predicted, comparison, 300.0)
    assert torch.allclose(soft_clip(predicted, comparison, 300.0), expected, rtol=1e-4)


def test_softclip_is_least_at_the_targets_themselves(vectors):
    _, targets, _ = vectors
    comparison = Comparison(targets, CLIP)
    best = targets[CLIP].clone().requires_grad_()
    soft_clip(best, comparison, 4.0).backward()
    assert best.grad.abs().max() < 1e-6


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_clips_of_another_study_neither_help_nor_hurt(vectors, name):
    """What one study's trials learn does not depend on the other study's clips."""
    predicted, targets, _ = vectors
    partner = torch.tensor([4, 1, 6, 8, 0, 5, 2, 7, 3])  # within studies
    both = Comparison(targets, CLIP, STUDY, None, Mix(partner, SHARE))
    changed = targets.clone()
    changed[2:] = torch.randn(2, 5, generator=torch.Generator().manual_seed(9))
    first = torch.isin(CLIP, torch.tensor([0, 1])).nonzero().flatten()

    def gradient(table):
        rows = predicted.clone().requires_grad_()
        CONTRASTIVE[name](rows, Comparison(table, CLIP, STUDY, None, both.mix), 6.0).backward()
        return rows.grad[first]

    assert torch.allclose(gradient(targets), gradient(changed), atol=1e-6)
    free = predicted.clone().requires_grad_()
    CONTRASTIVE[name](free, Comparison(targets, CLIP, None, None, both.mix), 6.0).backward()
    assert not torch.allclose(free.grad[first], gradient(targets), atol=1e-4)


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_a_trial_of_weight_zero_has_no_gradient_as_an_answer(vectors, name):
    predicted, targets, _ = vectors
    mix = Mix(torch.arange(9), torch.ones(9))
    weights = torch.ones(9)
    weights[CLIP == 3] = 0
    once = CONTRASTIVE[name](predicted, Comparison(targets, CLIP, STUDY, weights, mix), 5.0)
    twice = CONTRASTIVE[name](predicted, Comparison(targets, CLIP, STUDY, 2 * weights, mix), 5.0)
    assert torch.isfinite(once)
    assert torch.allclose(once, twice, rtol=1e-5)  # only relative weights count


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_half_precision_predictions_are_compared_in_single_precision(vectors, name):
    predicted, targets, _ = vectors
    comparison = Comparison(targets, CLIP, STUDY, None, Mix(PARTNER, torch.ones(9)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = CONTRASTIVE[name](predicted.bfloat16(), comparison, 5.0)
    assert found.dtype == torch.float32
    expected = CONTRASTIVE[name](predicted.bfloat16().float(), comparison, 5.0)
    assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("loss", [mixco, bi_mixco])
def test_mixco_without_a_mix_is_refused(vectors, loss):
    with pytest.raises(DataError, match="compare mixed trials") as caught:
        loss(vectors[0], Comparison(vectors[1], CLIP), 5.0)
    assert caught.value.remedy


def test_trials_are_mixed_within_a_subject_and_half_of_them():
    generator = torch.Generator().manual_seed(1)
    mix = draw_mix([4000, 1000], generator)
    assert sorted(mix.partner.tolist()) == list(range(5000))
    assert mix.partner[:4000].max() < 4000
    assert mix.partner[4000:].min() >= 4000
    mixed = mix.share < 1
    assert 0.45 < float(mixed.float().mean()) < 0.52  # some of Beta(.15, .15) round to 1
    # of Beta(a, a): mean 1/2 and variance 1 / (4 (2 a + 1)); unmixed trials have 1
    drawn = draw_mix([20000], generator, probability=1.0).share.double()
    assert float(drawn.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(drawn.var()) == pytest.approx(1 / (4 * 1.3), abs=0.005)
    assert torch.equal(draw_mix([5], generator, probability=0.0).share, torch.ones(5))


def test_mixing_inputs():
    rows = {"a": torch.arange(6.0).reshape(3, 2), "b": torch.tensor([[10.0], [20.0]])}
    mix = Mix(torch.tensor([1, 2, 0, 4, 3]), torch.tensor([0.5, 1.0, 0.25, 0.9, 0.0]))
    found = mix.apply_by_subject(rows)
    assert torch.allclose(found["a"], torch.tensor([[1.0, 2.0], [2.0, 3.0], [1.0, 2.0]]))
    assert torch.allclose(found["b"], torch.tensor([[11.0], [10.0]]))


def test_the_temperature_of_softclip_rises_along_half_a_cosine():
    values = cosine_annealing(0.004, 0.0075, 4)
    expected = [0.0075 - 0.00175 * (1 + math.cos(math.pi * k / 4)) for k in range(4)]
    assert values == pytest.approx(expected)
    assert values[0] == pytest.approx(0.004)
