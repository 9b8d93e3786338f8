"""The prior ``empirical_bayes``: the probable vector among those of training or pseudo-clips."""

from __future__ import annotations

from typing import Any

import numpy as np

from brainflix.artifacts.stimuli import Array
from brainflix.errors import ArtifactError
from brainflix.prior.atoms import PseudoClips, make_pseudo_clips
from brainflix.prior.base import Prior
from brainflix.prior.data import Encode, Pairs, Tensors, TrainingClips
from brainflix.prior.noise import Observation, observe
from brainflix.prior.options import EmpiricalBayesOptions, PriorOptions
from brainflix.prior.posterior import AtomPosterior, choose_temper

TEMPERS = (1.0, 0.5, 0.3, 0.2, 0.1)


class EmpiricalBayes(Prior):
    """Posterior mean or mode over atoms, under linear Gaussian noise fitted to pairs.

    A nonparametric empirical Bayes estimate in the sense of Robbins (1956): the prior is the
    empirical distribution of true vectors.
    """

    kind = "empirical_bayes"
    Options = EmpiricalBayesOptions
    options: EmpiricalBayesOptions

    def __init__(self, options: PriorOptions) -> None:
        super().__init__(options)
        self.needs_captions = self.options.atoms == "pseudo_clips"

    def _fit(self, pairs: Pairs, clips: TrainingClips) -> None:
        options = self.options
        self.observation, averages = observe(pairs, clips, options.components)
        self.pseudo: PseudoClips | None = None
        if options.atoms == "pseudo_clips":
            self.pseudo = make_pseudo_clips(
                clips.captions, options.longest, options.limit, options.seed
            )
        scores = self._scores(self.observation, clips.values, clips.encode)
        tempers = TEMPERS if options.temper is None else (options.temper,)
        if options.estimate == "map":
            tempers = (1.0,)  # a power does not move the mode
        self.temper = choose_temper(averages, scores, None, tempers, options.seed)
        self.posterior = AtomPosterior(self.observation.noise, scores)

    def _scores(
        self, observation: Observation, values: Array | None, encode: Encode | None
    ) -> Array:
        if self.pseudo is not None and encode is not None:
            return self.pseudo.scores(encode, observation.space)
        assert values is not None
        return observation.space.scores(values)

    def _restore(self, prediction: Array, repeats: int, seed: int) -> Array:
        scores = self.observation.scores(prediction)
        if self.options.estimate == "mean":
            return self.observation.vector(self.posterior.mean(scores, repeats, self.temper))
        best = self.posterior.best(scores, repeats)
        return self.observation.vector(self.posterior.scores[best].astype(np.float64))

    def _state(self) -> tuple[Tensors, dict[str, Any]]:
        tensors, facts = self.observation.tensors(), {"temper": self.temper}
        if self.pseudo is None:
            return tensors | {"atoms": self.posterior.scores}, facts
        # scores of pseudo-clips are many; their captions are few, and are encoded again
        tensors["members"] = self.pseudo.members
        tensors["probe"] = self.posterior.scores[:4]
        return tensors, facts | {"sentences": list(self.pseudo.sentences)}

    def _set_state(self, tensors: Tensors, facts: dict[str, Any], encode: Encode | None) -> None:
        assert self.target is not None
        self.observation = Observation.of(tensors, self.target.shape)
        self.temper, self.pseudo = float(facts["temper"]), None
        if "members" in tensors:
            self.pseudo = PseudoClips(tuple(facts["sentences"]), tensors["members"])
            scores = self._scores(self.observation, None, encode)
            check_probe(scores[:4], tensors["probe"])
        else:
            scores = tensors["atoms"]
        self.posterior = AtomPosterior(self.observation.noise, scores)


def check_probe(found: Array, expected: Array) -> None:
    """Raise :class:`ArtifactError` when a text encoder gives other vectors than at the fit."""
    if found.shape != expected.shape or not np.allclose(found, expected, rtol=1e-2, atol=1e-2):
        raise ArtifactError(
            "the text encoder is not the one that the prior was fitted with",
            expected="the same encodings of the prior's first sentences",
            found="others",
            where="prior.safetensors: probe",
            remedy="load the prior with the text encoder of its target's model",
        )
