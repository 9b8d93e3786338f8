"""The contrastive loss between trials and clips, when a clip can have several trials."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from brainflix.components import LOSSES
from brainflix.config.recipe import HeadConfig
from brainflix.learning.options import ContrastiveOptions, LossOptions


def contrastive_loss(predicted: Tensor, targets: Tensor, clip: Tensor, scale: Tensor) -> Tensor:
    """Compare every trial of a batch with every clip, symmetrically.

    From a trial, its clip is the one right answer among the batch's clips (each counted once).
    From a clip, all of its trials are right answers of equal weight, so trials of the same clip
    are never each other's negatives. With one trial a clip this is the loss of CLIP (Radford et
    al. 2021, arXiv:2103.00020, figure 3).

    Parameters
    ----------
    predicted : Tensor, shape (trial, dim)
        Predictions; their length does not matter.
    targets : Tensor, shape (clip, dim)
        The vector of each different clip; their length does not matter.
    clip : Tensor of int64, shape (trial,)
        The row of ``targets`` that each trial belongs to; every row has at least one trial.
    scale : Tensor, shape ()
        Inverse temperature.

    Returns
    -------
    Tensor, shape (), float32
        Mean of the two directions, in nats. It is computed in float32 whatever the precision.
    """
    with torch.autocast(predicted.device.type, enabled=False):
        logits = scale.float() * cosines(predicted, targets)  # (trial, clip)
        of_trials = F.cross_entropy(logits, clip)
        right = F.one_hot(clip, len(targets)).to(logits.dtype)  # (trial, clip)
        evidence = (F.log_softmax(logits, dim=0) * right).sum(dim=0)
        of_clips = -(evidence / right.sum(dim=0).clamp(min=1)).mean()
        return 0.5 * (of_trials + of_clips)


def cosines(predicted: Tensor, targets: Tensor) -> Tensor:
    """Return the cosine of every pair, (trial, dim) and (clip, dim) -> (trial, clip), float32."""
    return F.normalize(predicted.float(), dim=-1) @ F.normalize(targets.float(), dim=-1).T


def squared_error(predicted: Tensor, targets: Tensor, clip: Tensor, options: LossOptions) -> Tensor:
    """Return the mean squared error of scores; predicting zero costs 1.

    Parameters
    ----------
    predicted : Tensor, shape (trial, component)
    targets : Tensor, shape (clip, component)
    clip : Tensor of int64, shape (trial,)
        The row of ``targets`` that each trial shows.
    options : LossOptions
        Not used.
    """
    return (predicted.float() - targets[clip].float()).square().mean()


def contrastive(
    predicted: Tensor, targets: Tensor, clip: Tensor, options: ContrastiveOptions
) -> Tensor:
    """Return the contrastive loss of scores at a fixed temperature; shapes as above."""
    scale = torch.tensor(1.0 / options.temperature, device=predicted.device)
    return contrastive_loss(predicted, targets, clip, scale)


def head_loss(predicted: Tensor, targets: Tensor, clip: Tensor, options: HeadConfig) -> Tensor:
    """Add up the weighted losses of one head.

    Parameters
    ----------
    predicted : Tensor, shape (trial, component)
        Predicted scores.
    targets : Tensor, shape (clip, component)
        True scores of each different clip, of mean square 1, so that predicting zero costs 1.
    clip : Tensor of int64, shape (trial,)
        The row of ``targets`` that each trial shows.
    options : HeadConfig
        Losses by name, with their weights and options.

    Returns
    -------
    Tensor, shape (), float32
    """
    total = predicted.new_zeros((), dtype=torch.float32)
    for name, values in options.losses.items():
        section = LOSSES.options(name)(**values)
        if section.weight:
            total = total + section.weight * LOSSES[name](predicted, targets, clip, section)
    return total
