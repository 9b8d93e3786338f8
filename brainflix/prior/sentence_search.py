"""A local search for a probable sentence, for captions that compose few by exchange alone.

People describe clips in words of their own, and two captions seldom differ in one span only. The
search starts from the most probable sentences, and changes one thing at a time: a word for another
that has been seen next to one of its neighbours, a word left out, or the end of the sentence for
the end of another probable one that shares a word. It keeps the best few and stops when no change
helps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice, pairwise

import numpy as np

from brainflix.artifacts.stimuli import Array
from brainflix.prior.composition import Grammar, Words, cross, join, split
from brainflix.prior.options import SearchOptions

_EDGE = ""


class SentenceSearch:
    """Neighbours of sentences, and the search among them.

    Parameters
    ----------
    sentences : sequence of str
        Where searches start: training captions and what they compose.
    grammar : Grammar
        Exchanges that minimal pairs show.
    options : SearchOptions
    """

    def __init__(self, sentences: Sequence[str], grammar: Grammar, options: SearchOptions) -> None:
        self.sentences, self.grammar, self.options = sentences, grammar, options
        followers: dict[str, set[str]] = defaultdict(set)
        leaders: dict[str, set[str]] = defaultdict(set)
        for sentence in sentences:
            words = (_EDGE, *split(sentence), _EDGE)
            for left, right in pairwise(words):
                followers[left].add(right)
                leaders[right].add(left)
        self.followers = {word: frozenset(found) for word, found in followers.items()}
        self.leaders = {word: frozenset(found) for word, found in leaders.items()}

    def neighbours(self, words: Words, others: Sequence[Words]) -> list[Words]:
        """Return sentences that one change makes, the better attested kinds first.

        Parameters
        ----------
        words : tuple of str
            The sentence.
        others : sequence of tuple of str
            Sentences whose ends it may take.
        """
        found: dict[Words, None] = dict.fromkeys(self.grammar.variants(words))
        for other in others:
            found.update(dict.fromkeys(cross(words, other)))
        found.update(dict.fromkeys(self._words_exchanged(words, others)))
        found.pop(words, None)
        return [sentence for sentence in found if sentence]

    def _words_exchanged(self, words: Words, others: Sequence[Words]) -> Iterator[Words]:
        """Yield the sentence with a word exchanged or left out, where neighbours have been seen."""
        vocabulary = sorted({word for other in others for word in other})
        for k in range(len(words)):
            left = words[k - 1] if k else _EDGE
            right = words[k + 1] if k + 1 < len(words) else _EDGE
            after = self.followers.get(left, frozenset())
            before = self.leaders.get(right, frozenset())
            if right in after and len(words) > 1:
                yield words[:k] + words[k + 1 :]
            for both in (True, False):  # a word seen next to both neighbours comes first
                for word in vocabulary:
                    seen = (word in after) + (word in before)
                    if word != words[k] and seen == (2 if both else 1):
                        yield words[:k] + (word,) + words[k + 1 :]

    def run(self, log: Array, likelihood: Callable[[list[str]], Array]) -> str:
        """Search from the most probable sentences.

        Parameters
        ----------
        log : ndarray of float32, shape (sentence,)
            Log-likelihood of each of the sentences to start from.
        likelihood : callable
            Sentences to their log-likelihoods, on the same scale.

        Returns
        -------
        str
            The best sentence, after what its changes cost.
        """
        options = self.options
        order = np.argsort(-log, kind="stable")[: options.starts]
        starts = [split(self.sentences[k]) for k in order]
        value = {words: float(log[k]) for words, k in zip(starts, order, strict=True)}
        beam = starts[: options.beam]
        for changes in range(1, options.rounds + 1):
            tried = self._candidates(beam, starts, value)
            if not tried:
                break
            found = likelihood([join(words) for words in tried])
            for words, each in zip(tried, found, strict=True):
                value[words] = float(each) - options.penalty * changes
            best = sorted({*beam, *tried}, key=lambda words: (-value[words], words))
            if best[: options.beam] == beam:
                break
            beam = best[: options.beam]
        return join(min(value, key=lambda words: (-value[words], words)))

    def _candidates(
        self, beam: Sequence[Words], starts: Sequence[Words], known: Mapping[Words, float]
    ) -> list[Words]:
        """Return new neighbours of the beam, as many of each sentence, up to the limit."""
        each = max(1, self.options.tries // len(beam))
        found: dict[Words, None] = {}
        for words in beam:
            new = (near for near in self.neighbours(words, starts) if near not in known)
            found.update(dict.fromkeys(islice(new, each)))
        return list(found)
