"""Contrastive losses by name: InfoNCE, SoftCLIP, MixCo and BiMixCo.

All compare the predictions of a batch's trials with the targets of its different clips. Repeats of
a clip are never each other's negatives; clips of another study need not be negatives either, since
telling studies apart is easy and says nothing about clips; and trials can be weighted.

With logits S (trial, clip) and weights w, a loss is the mean of two directions: from a trial to
the clips, sum_i w_i sum_j P_ij (-log softmax_j S_ij) / sum_i w_i, and from a clip to the trials,
sum_ij Q_ij (-log softmax_i S_ij) / sum_j v_j, where v_j is the mean weight of the clip's trials.
The losses differ in P and Q alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from brainflix.errors import DataError
from brainflix.learning.losses import cosines
from brainflix.learning.options import SoftClipOptions

_FORBIDDEN = -1e9  # logit of a pair that is not compared: finite, so that 0 times it is 0


@dataclass(frozen=True)
class Mix:
    """Which trial each trial is mixed with, and how much of it is left.

    Parameters
    ----------
    partner : Tensor of int64, shape (trial,)
        The row that is mixed in; a row can be its own partner.
    share : Tensor of float32, shape (trial,)
        Share lambda of the trial itself; 1 where it is not mixed.
    """

    partner: Tensor
    share: Tensor

    def apply(self, rows: Tensor) -> Tensor:
        """Return lambda x + (1 - lambda) x_partner of rows (trial, ...)."""
        share = self.share.to(rows.dtype).reshape(-1, *[1] * (rows.ndim - 1))
        return share * rows + (1 - share) * rows[self.partner]

    def apply_by_subject(self, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Mix each subject's rows (trial, feature), in the order of :func:`draw_mix`'s sizes."""
        mixed, first = {}, 0
        for subject, part in rows.items():
            own = slice(first, first + len(part))
            mixed[subject] = Mix(self.partner[own] - first, self.share[own]).apply(part)
            first += len(part)
        return mixed


def draw_mix(
    sizes: Sequence[int],
    generator: torch.Generator,
    *,
    probability: float = 0.5,
    concentration: float = 0.15,
) -> Mix:
    """Draw which trials of a batch are mixed (MixCo; Kim et al. 2020, arXiv:2010.06300).

    Parameters
    ----------
    sizes : sequence of int
        Trials of each subject, in order. Responses of different subjects have no voxels in common,
        so a trial is mixed with one of the same subject.
    generator : torch.Generator
        Of a CPU.
    probability : float
        Probability that a trial is mixed.
    concentration : float
        a of the Beta(a, a) distribution of the shares; 0.15 as NeuroClips and MindEye have it.
    """
    partners, first = [], 0
    for size in sizes:
        partners.append(first + torch.randperm(size, generator=generator))
        first += size
    # A Beta variate as a ratio of Gamma variates; in float64, since Gamma(0.15) can underflow.
    shape = torch.full((2, first), concentration, dtype=torch.float64)
    gamma = torch._standard_gamma(shape, generator=generator).clamp(min=1e-300)
    share = gamma[0] / gamma.sum(dim=0)
    mixed = torch.rand(first, generator=generator) < probability
    share = torch.where(mixed, share, torch.ones_like(share)).float()
    return Mix(torch.cat(partners) if partners else torch.empty(0, dtype=torch.int64), share)


@dataclass(frozen=True)
class Comparison:
    """What the predictions of a batch are compared with.

    Parameters
    ----------
    targets : Tensor, shape (clip, dim)
        The vector of each different clip; their length does not matter.
    clip : Tensor of int64, shape (trial,)
        The row of ``targets`` that each trial shows; every row has at least one trial.
    study : Tensor of int64, shape (clip,), optional
        The study of each clip: pairs of different studies are not compared. By default all are.
    weights : Tensor, shape (trial,), optional
        Weight of each trial, at least 0; by default 1. See :func:`trial_weights`.
    mix : Mix, optional
        How the trials' inputs were mixed; MixCo and BiMixCo need it.
    reference : Tensor, shape (clip, dim), optional
        What SoftCLIP compares predictions and targets with, such as the vectors of augmented
        clips; by default the targets.
    """

    targets: Tensor
    clip: Tensor
    study: Tensor | None = None
    weights: Tensor | None = None
    mix: Mix | None = None
    reference: Tensor | None = None

    def logits(self, predicted: Tensor, targets: Tensor, scale: Tensor | float) -> Tensor:
        """Return scaled cosines (trial, clip), with pairs of different studies forbidden."""
        logits = scale * cosines(predicted, targets)
        if self.study is None:
            return logits
        return logits.masked_fill(self.study[self.clip][:, None] != self.study, _FORBIDDEN)


ContrastiveLoss = Callable[[Tensor, Comparison, "Tensor | float"], Tensor]


def info_nce(predicted: Tensor, comparison: Comparison, scale: Tensor | float) -> Tensor:
    """Compare with the own clip as the one right answer, in both directions.

    With one trial for each clip, no studies and no weights this is the loss of CLIP (Radford et al.
    2021, arXiv:2103.00020, figure 3); without studies and weights it is
    :func:`brainflix.learning.losses.contrastive_loss`.

    Parameters
    ----------
    predicted : Tensor, shape (trial, dim)
        Predictions; their length does not matter.
    comparison : Comparison
    scale : Tensor, shape (), or float
        Inverse temperature.

    Returns
    -------
    Tensor, shape (), float32
        In nats, computed in float32 whatever the precision.
    """
    with torch.autocast(predicted.device.type, enabled=False):
        right = F.one_hot(comparison.clip, len(comparison.targets)).float()
        logits = comparison.logits(predicted, comparison.targets, scale)
        return 0.5 * sum(_directions(logits, right, comparison), predicted.new_zeros(()).float())


def soft_clip(predicted: Tensor, comparison: Comparison, scale: Tensor | float) -> Tensor:
    """Compare with answers as right as the targets are alike (SoftCLIP, as in MindEye).

    With R the reference and all rows of unit length, the mean of the cross-entropies of
    softmax(S R') with softmax(T R') over clips, and of softmax(R S') with softmax(R T') over
    trials, at one temperature (Scotti et al. 2023, arXiv:2305.18274, equation 3; NeuroClips). A
    clip's trials have equal shares of what is right.

    Parameters and the return value are those of :func:`info_nce`.
    """
    with torch.autocast(predicted.device.type, enabled=False):
        reference = comparison.targets if comparison.reference is None else comparison.reference
        logits = comparison.logits(predicted, reference, scale)
        alike = comparison.logits(comparison.targets[comparison.clip], reference, scale).detach()
        weights, counts, total = _weighting(comparison, logits)
        rows = -(F.softmax(alike, dim=1) * F.log_softmax(logits, dim=1)).sum(dim=1)
        # From a clip: trials are right in proportion to their weight and to exp(similarity).
        log_weights = weights.clamp(min=1e-30).log()[:, None]
        right = F.softmax(alike + log_weights, dim=0)
        columns = -(right * F.log_softmax(logits, dim=0)).sum(dim=0)  # (clip,)
        mass = torch.zeros_like(counts).index_add(0, comparison.clip, weights) / counts
        of_trials = (weights * rows).sum() / weights.sum()
        return 0.5 * (of_trials + (mass * columns).sum() / total)


def soft_clip_of_scores(
    predicted: Tensor, targets: Tensor, clip: Tensor, options: SoftClipOptions
) -> Tensor:
    """Return SoftCLIP of scores at a fixed temperature, as a loss of a target head.

    Parameters
    ----------
    predicted : Tensor, shape (trial, component)
    targets : Tensor, shape (clip, component)
    clip : Tensor of int64, shape (trial,)
        The row of ``targets`` that each trial shows.
    options : SoftClipOptions
    """
    return soft_clip(predicted, Comparison(targets, clip), 1.0 / options.temperature)


def mixco(predicted: Tensor, comparison: Comparison, scale: Tensor | float) -> Tensor:
    """Compare mixed trials with their two clips, from trials to clips alone (MixCo).

    Parameters and the return value are those of :func:`info_nce`.

    Raises
    ------
    DataError
        Without ``comparison.mix``.
    """
    with torch.autocast(predicted.device.type, enabled=False):
        logits = comparison.logits(predicted, comparison.targets, scale)
        return _directions(logits, mixed_answers(comparison), comparison)[0]


def bi_mixco(predicted: Tensor, comparison: Comparison, scale: Tensor | float) -> Tensor:
    """Compare mixed trials with their two clips, in both directions (BiMixCo).

    As in MindEye (arXiv:2305.18274, equation 2), with W_i,i = lambda_i and W_i,pi(i) increased by
    1 - lambda_i: the mean of -sum W log softmax(S) over rows, and the same of W' and S'. Where a
    trial is its own partner the two add up to 1, whereas the released code overwrites lambda.

    Parameters, the return value and errors are those of :func:`mixco`.
    """
    with torch.autocast(predicted.device.type, enabled=False):
        logits = comparison.logits(predicted, comparison.targets, scale)
        return 0.5 * sum(
            _directions(logits, mixed_answers(comparison), comparison),
            predicted.new_zeros(()).float(),
        )


CONTRASTIVE: dict[str, ContrastiveLoss] = {
    "infonce": info_nce,
    "softclip": soft_clip,
    "mixco": mixco,
    "bimixco": bi_mixco,
}


def mixed_answers(comparison: Comparison) -> Tensor:
    """Return how right each clip is for each mixed trial, (trial, clip); rows add up to 1."""
    if comparison.mix is None:
        raise DataError(
            "MixCo and BiMixCo compare mixed trials",
            expected="the mix by which the inputs were mixed",
            found="none",
            remedy="draw one by draw_mix and apply it to the inputs, or use infonce",
        )
    share, partner = comparison.mix.share, comparison.mix.partner
    one_hot = F.one_hot(comparison.clip, len(comparison.targets)).to(share.dtype)
    return share[:, None] * one_hot + (1 - share)[:, None] * one_hot[partner]


def _directions(logits: Tensor, right: Tensor, comparison: Comparison) -> tuple[Tensor, Tensor]:
    """Return the loss from trials to clips and from clips to trials.

    ``right`` (trial, clip) is P; Q is P times the trial's weight over the clip's number of trials.
    """
    weights, counts, total = _weighting(comparison, logits)
    of_trials = -(right * F.log_softmax(logits, dim=1)).sum(dim=1)  # (trial,)
    evidence = right * weights[:, None] / counts
    of_clips = -(evidence * F.log_softmax(logits, dim=0)).sum()
    return (weights * of_trials).sum() / weights.sum(), of_clips / total


def _weighting(comparison: Comparison, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the trials' weights, each clip's number of trials, and the sum of clip weights."""
    clip = comparison.clip
    weights = comparison.weights
    weights = logits.new_ones(len(clip)) if weights is None else weights.to(logits)
    counts = torch.bincount(clip, minlength=len(comparison.targets)).to(logits).clamp(min=1)
    return weights, counts, (weights / counts[clip]).sum()


def cosine_annealing(start: float, end: float, steps: int) -> list[float]:
    """Return values from ``start`` towards ``end`` along half a cosine, one for each step.

    NeuroClips and MindEye let the temperature of SoftCLIP rise from 0.004 to 0.0075 so.
    """
    return [
        end + (start - end) / 2 * (1 + math.cos(math.pi * step / max(1, steps)))
        for step in range(steps)
    ]
