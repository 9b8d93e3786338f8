"""The prior ``captions``: the most probable sentence that training captions compose, re-encoded.

The output is what the text encoder makes of one sentence, so it always lies where the generator was
trained, and a combination that no clip shows is as good a sentence as any other. The sentence is
sought among all that span exchanges compose; where people's own captions compose few, by a search
that starts from the nearest captions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from brainflix.artifacts.stimuli import Array
from brainflix.prior.atoms import caption_spread, sentence_scores
from brainflix.prior.base import Prior
from brainflix.prior.composition import compose, join, learn_grammar, split
from brainflix.prior.data import Encode, Pairs, Tensors, TrainingClips
from brainflix.prior.empirical_bayes import TEMPERS, check_probe
from brainflix.prior.noise import Observation, observe
from brainflix.prior.options import CaptionsOptions, SearchOptions
from brainflix.prior.posterior import AtomPosterior, choose_temper
from brainflix.prior.sentence_search import SentenceSearch


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
        self.sentences = compose(learn_grammar(captions, options.longest), captions, options.limit)
        place = {text: k for k, text in enumerate(self.sentences)}
        self.known = [place[text] for text in (join(split(one)) for one in captions) if text]
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
            options = SearchOptions() if len(self.sentences) < 2 * len(self.known) else None
        self.search = None
        if options is not None:
            known = [self.sentences[k] for k in self.known]
            grammar = learn_grammar(known, self.options.longest)
            self.search = SentenceSearch(self.sentences, grammar, options)

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
        self.sentences, self.known = list(facts["sentences"]), list(facts["known"])
        scores = sentence_scores(self.sentences, encode, self.observation.space)
        check_probe(scores[:4], tensors["probe"])
        self._take(scores, encode)
