"""The loss of a regressed target: squared error and contrast between clips, weighted."""

from __future__ import annotations

import torch
from torch import Tensor

from brainflix.alignment.losses import contrastive_loss
from brainflix.config import HeadConfig


def head_loss(predicted: Tensor, targets: Tensor, clip: Tensor, options: HeadConfig) -> Tensor:
    """Weigh the losses of one head.

    Parameters
    ----------
    predicted : Tensor, shape (trial, component)
        Predicted scores.
    targets : Tensor, shape (clip, component)
        True scores of each different clip, of mean square 1, so that predicting zero costs 1.
    clip : Tensor of int64, shape (trial,)
        The row of ``targets`` that each trial shows.
    options : HeadConfig
        Weights of the two losses and the temperature of the second.

    Returns
    -------
    Tensor, shape (), float32
    """
    loss = predicted.new_zeros((), dtype=torch.float32)
    if options.mse:
        loss = loss + options.mse * (predicted.float() - targets[clip].float()).square().mean()
    if options.contrastive:
        scale = torch.tensor(1.0 / options.temperature, device=predicted.device)
        loss = loss + options.contrastive * contrastive_loss(predicted, targets, clip, scale)
    return loss
