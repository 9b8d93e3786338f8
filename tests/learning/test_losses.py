"""The contrastive loss against a loop over pairs, and what repeats do to it."""

import math

import pytest
import torch
from torch.nn import functional as F

from brainflix.learning.losses import contrastive_loss


def by_loop(predicted, targets, clip, scale):
    """The definition, a pair at a time."""
    n, m = len(predicted), len(targets)
    cosine = [
        [float(F.cosine_similarity(predicted[i], targets[j], dim=0)) * scale for j in range(m)]
        for i in range(n)
    ]
    of_trials = sum(
        -cosine[i][clip[i]] + math.log(sum(math.exp(c) for c in cosine[i])) for i in range(n)
    )
    of_clips = 0.0
    for j in range(m):
        column = [cosine[i][j] for i in range(n)]
        normalizer = math.log(sum(math.exp(c) for c in column))
        own = [normalizer - column[i] for i in range(n) if clip[i] == j]
        of_clips += sum(own) / len(own)
    return 0.5 * (of_trials / n + of_clips / m)


def test_it_is_the_loop_over_pairs():
    torch.manual_seed(0)
    predicted, targets = torch.randn(9, 5), torch.randn(4, 5)
    clip = torch.tensor([0, 1, 2, 3, 0, 0, 2, 1, 3])
    found = contrastive_loss(predicted, targets, clip, torch.tensor(7.0))
    assert found.item() == pytest.approx(by_loop(predicted, targets, clip, 7.0), rel=1e-5)


def test_with_one_trial_a_clip_it_is_the_loss_of_clip():
    torch.manual_seed(0)
    predicted, targets = torch.randn(6, 8), torch.randn(6, 8)
    logits = 10.0 * F.normalize(predicted, dim=1) @ F.normalize(targets, dim=1).T
    label = torch.arange(6)
    expected = (F.cross_entropy(logits, label) + F.cross_entropy(logits.T, label)) / 2
    found = contrastive_loss(predicted, targets, label, torch.tensor(10.0))
    assert torch.allclose(found, expected, atol=1e-6)


def test_repeats_of_a_clip_are_no_negatives():
    targets = torch.eye(3)
    clip = torch.tensor([0, 0, 0, 1, 2])
    right = targets[clip]
    scale = torch.tensor(100.0)
    of_trials_alone = contrastive_loss(right, targets, clip, scale)
    # perfect predictions: from a clip, its three trials share the probability, ln 3 for one of 3
    assert of_trials_alone.item() == pytest.approx(0.5 * math.log(3) / 3, abs=1e-5)
    # and that is the least there is: pushing two repeats apart does not lower the loss
    apart = right.clone()
    apart[0] = torch.tensor([0.9, 0.3, -0.3])
    assert contrastive_loss(apart, targets, clip, scale) >= of_trials_alone


def test_half_precision_predictions_are_compared_in_single_precision():
    predicted = torch.randn(4, 6).bfloat16()
    targets, clip = torch.randn(4, 6), torch.arange(4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = contrastive_loss(predicted, targets, clip, torch.tensor(5.0))
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(by_loop(predicted.float(), targets, clip, 5.0), rel=1e-5)


def test_gradients_stay_finite_for_a_prediction_of_zero():
    predicted = torch.zeros(2, 3, requires_grad=True)
    contrastive_loss(predicted, torch.eye(3)[:2], torch.arange(2), torch.tensor(100.0)).backward()
    assert torch.isfinite(predicted.grad).all()
