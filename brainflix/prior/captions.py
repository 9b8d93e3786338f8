"""The prior ``captions``: the most probable sentence that training captions compose, re-encoded.

The output is what the text encoder makes of one sentence, so it always lies where the generator was
trained, and a combination that no clip shows is as good a sentence as any other. The sentence is
sought among all that span exchanges compose; where people's own captions compose few, by a search
that starts from the nearest captions.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field

from brainflix.artifacts.stimuli import Array
from brainflix.config.base import Positive
from brainflix.prior.atoms import caption_spread, sentence_scores
from brainflix.prior.base import PRIORS, Encode, Pairs, Prior, PriorOptions, Tensors, TrainingClips
from brainflix.prior.composition import compose, learn_grammar
from brainflix.prior.empirical_bayes import TEMPERS, check_probe
from brainflix.prior.noise import Observation, observe
from brainflix.prior.posterior import AtomPosterior, choose_temper
from brainflix.prior.sentence_search import SearchOptions, SentenceSearch


class CaptionsOptions(PriorOptions):
    """Of the prior ``captions``."""

    estimate: Literal["map", "mean"] = Field(
        default="map", description="the most probable sentence, or the mean over all sentences"
    )
    components: int = Field(
        default=256, ge=0, description="principal components of the target; 0 for all dimensions"
    )
    temper: Positive | None = Field(
        default=None,
        description="power of the likelihood for the mean; null: chosen by held-out pairs",
    )
    longest: int = Field(default=4, ge=1, description="words of an exchangeable span, at most")
    limit: int = Field(default=100_000, ge=1, description="composed sentences, at most")
    search: SearchOptions | Literal["auto"] | None = Field(
        default="auto",
        description="search on from the most probable sentences, one change at a time; auto: where "
        "exchanges compose less than twice as many sentences as there are captions; null: never",
    )


@PRIORS.register("captions")
class Captions(Prior):
    """Posterior mode (or mean) over sentences, under linear Gaussian noise fitted to pairs.

    The regressed target is a mean over a clip's captions, and one caption's encoding lies about it
    with a covariance that training captions show; the likelihood adds it to the noise.
    """

    kind = "captions"
    Options = CaptionsOptions
    needs_captions = True
    options: CaptionsOptions

    def _fit(self, pairs: Pairs, clips: TrainingClips) -> None:
        options, encode = self.options, clips.encode
        assert encode is not None
        self.observation, averages = observe(pairs, clips, options.components)
        captions = sorted({text for texts in clips.captions for text in texts})
        self.grammar = learn_grammar(captions, options.longest)
        self.sentences = compose(self.grammar, captions, options.limit)
        self.known = len(captions)
        self.spread = caption_spread(clips, encode, self.observation.space)
        scores = sentence_scores(self.sentences, encode, self.observation.space)
        tempers = TEMPERS if options.temper is None else (options.temper,)
        if options.estimate == "map":
            tempers = (1.0,)  # a power does not move the mode
        self.temper = choose_temper(averages, scores, self.spread, tempers, options.seed)
        self._take(scores, encode)

    def _take(self, scores: Array, encode: Encode) -> None:
        """Keep what restoring needs."""
        self.encode = encode
        self.posterior = AtomPosterior(self.observation.noise, scores, self.spread)
        options = self.options.search
        if options == "auto":
            options = SearchOptions() if len(self.sentences) < 2 * self.known else None
        self.search = None
        if options is not None:
            self.search = SentenceSearch(self.sentences, self.grammar, options)

    def sentence(self, prediction: Array, repeats: int = 1) -> str:
        """Return the most probable sentence of one clip's prediction, shape (...)."""
        scores = self.observation.scores(prediction)
        if self.search is None:
            return self.sentences[self.posterior.best(scores, repeats)]
        log = self.posterior.log_likelihood(scores, repeats)

        def likelihood(sentences: list[str]) -> Array:
            found = sentence_scores(sentences, self.encode, self.observation.space)
            atoms = AtomPosterior(self.observation.noise, found, self.spread)
            return atoms.log_likelihood(scores, repeats)

        return self.search.run(log, likelihood)

    def _restore(self, prediction: Array, repeats: int, seed: int) -> Array:
        if self.options.estimate == "mean":
            scores = self.observation.scores(prediction)
            return self.observation.vector(self.posterior.mean(scores, repeats, self.temper))
        return np.asarray(self.encode([self.sentence(prediction, repeats)]))[0]

    def _state(self) -> tuple[Tensors, dict[str, Any]]:
        tensors = self.observation.tensors()
        tensors |= {"spread": self.spread, "probe": self.posterior.scores[:4]}
        facts = {"temper": self.temper, "known": self.known, "sentences": self.sentences}
        return tensors, facts

    def _set_state(self, tensors: Tensors, facts: dict[str, Any], encode: Encode | None) -> None:
        assert self.target is not None
        assert encode is not None
        self.observation = Observation.of(tensors, self.target.shape)
        self.spread, self.temper = tensors["spread"], float(facts["temper"])
        self.sentences, self.known = list(facts["sentences"]), int(facts["known"])
        self.grammar = learn_grammar(self.sentences, self.options.longest)
        scores = sentence_scores(self.sentences, encode, self.observation.space)
        check_probe(scores[:4], tensors["probe"])
        self._take(scores, encode)
