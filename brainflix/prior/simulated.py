"""Training data for network priors: true scores, and predictions of them as regression errs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from brainflix.artifacts.stimuli import Array
from brainflix.prior.atoms import make_pseudo_clips
from brainflix.prior.data import TrainingClips
from brainflix.prior.noise import Observation
from brainflix.prior.options import Atoms

_LONGEST_SPAN, _MOST = 4, 150_000
_MOST_REPEATS = 16.0


def atom_scores(clips: TrainingClips, observation: Observation, atoms: Atoms, seed: int) -> Array:
    """Return scores of training clips or pseudo-clips, float32 (atom, component)."""
    if atoms == "clips" or clips.encode is None:
        return observation.space.scores(clips.values)
    pseudo = make_pseudo_clips(clips.captions, _LONGEST_SPAN, _MOST, seed)
    return pseudo.scores(clips.encode, observation.space)


@dataclass(frozen=True)
class SimulatedPredictions:
    """Draws of a true vector and a prediction of it.

    Parameters
    ----------
    scores : Tensor of float32, shape (atom, component)
        True vectors to draw from.
    observation : Observation
        How predictions err.
    """

    scores: Tensor
    observation: Observation

    def draw(self, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw true scores, predicted scores and repeats, from 1 to 16 on a logarithmic scale.

        Returns
        -------
        true, predicted : Tensor, shape (batch, component)
        repeats : Tensor, shape (batch,)
        """
        noise = self.observation.noise
        true = self.scores[torch.randint(len(self.scores), (batch,), generator=generator)]
        repeats = _MOST_REPEATS ** torch.rand(batch, generator=generator)
        mean, slope, clip, trial = (
            torch.from_numpy(part).float()
            for part in (noise.mean, noise.slope, noise.clip_variance, noise.trial_variance)
        )
        deviation = (clip + trial / repeats[:, None]).sqrt()  # (batch, component)
        error = torch.randn(true.shape, generator=generator)
        return true, mean + slope * true + deviation * error, repeats
