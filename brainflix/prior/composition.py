"""Sentences that training captions compose: spans that minimal pairs show to be exchangeable.

Two captions that differ in one span ("a red ball rises", "a blue ball rises") show that the spans
can replace each other. A span replaces another in a further caption where it has been seen between
the same two neighbours. Repeated, this reaches combinations that no training clip shows, in those
phrasings that do not put the new pair side by side ("a heart that is red").
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

Words = tuple[str, ...]

_EDGE = ""  # the neighbour of a sentence's first and last word


def split(sentence: str) -> Words:
    """Return a sentence's words."""
    return tuple(sentence.split())


def join(words: Words) -> str:
    """Return the sentence of some words."""
    return " ".join(words)


@dataclass(frozen=True)
class Grammar:
    """Which spans replace which, and between which neighbours each has been seen.

    Parameters
    ----------
    exchanges : dict of words to tuple of words
        By span, the spans that replace it in a minimal pair; sorted.
    contexts : dict of (str, str) to frozenset of words
        By left and right neighbour, the spans seen between them.
    longest : int
        Words of a span, at most.
    """

    exchanges: dict[Words, tuple[Words, ...]]
    contexts: dict[tuple[str, str], frozenset[Words]]
    longest: int
    _allowed: dict[tuple[Words, str, str], tuple[Words, ...]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def replacements(self, span: Words, left: str, right: str) -> tuple[Words, ...]:
        """Return what replaces a span between two neighbours, sorted."""
        key = (span, left, right)
        if key not in self._allowed:
            seen = self.contexts.get((left, right), frozenset())
            others = self.exchanges.get(span, ())
            self._allowed[key] = tuple(other for other in others if other in seen)
        return self._allowed[key]

    def spans(self, words: Words) -> Iterator[tuple[int, int]]:
        """Yield start and end of each exchangeable span of a sentence, from left to right."""
        for start in range(len(words)):
            for end in range(start + 1, min(start + self.longest, len(words)) + 1):
                if words[start:end] in self.exchanges:
                    yield start, end

    def variants(self, words: Words) -> Iterator[Words]:
        """Yield the sentences that one exchange makes of a sentence, in a fixed order."""
        for start, end in self.spans(words):
            for other in self.replacements(words[start:end], *_neighbours(words, start, end)):
                yield words[:start] + other + words[end:]


def _neighbours(words: Words, start: int, end: int) -> tuple[str, str]:
    left = words[start - 1] if start else _EDGE
    return left, words[end] if end < len(words) else _EDGE


def learn_grammar(captions: Iterable[str], longest: int = 4) -> Grammar:
    """Learn exchanges and contexts from captions.

    Parameters
    ----------
    captions : iterable of str
        Of training clips.
    longest : int
        Words of a span, at most.
    """
    sentences = sorted({split(caption) for caption in captions} - {()})
    frames: dict[tuple[Words, Words], set[Words]] = defaultdict(set)
    contexts: dict[tuple[str, str], set[Words]] = defaultdict(set)
    for words in sentences:
        for start in range(len(words)):
            for end in range(start + 1, min(start + longest, len(words)) + 1):
                span = words[start:end]
                frames[words[:start], words[end:]].add(span)
                contexts[_neighbours(words, start, end)].add(span)

    # captions in one frame are minimal pairs; spans that share an edge word differ in less
    exchanges: dict[Words, set[Words]] = defaultdict(set)
    for found in frames.values():
        for one in found if len(found) > 1 else ():
            exchanges[one] |= {o for o in found if o[0] != one[0] and o[-1] != one[-1]}
    return Grammar(
        {span: tuple(sorted(others)) for span, others in exchanges.items() if others},
        {key: frozenset(found) for key, found in contexts.items()},
        longest,
    )


def compose(grammar: Grammar, captions: Iterable[str], limit: int) -> list[str]:
    """Return captions and all sentences that exchanges make of them, sorted.

    The nearest come first: where there are more than ``limit``, those of fewest exchanges are kept.

    Parameters
    ----------
    grammar : Grammar
    captions : iterable of str
        Where to begin; kept even beyond the limit.
    limit : int
        Sentences wanted, at most.
    """
    start = sorted({split(caption) for caption in captions} - {()})
    reached = set(start)
    waiting = deque(start)
    while waiting and len(reached) < limit:
        for words in grammar.variants(waiting.popleft()):
            if words not in reached and len(reached) < limit:
                reached.add(words)
                waiting.append(words)
    return sorted(map(join, reached))


def exchange_together(
    grammar: Grammar, captions: Sequence[str], limit: int
) -> list[tuple[str, ...]]:
    """Exchange single words in all captions of a clip at once: what another clip would be called.

    A word is exchanged for another of a minimal pair where every caption holds it exactly once. So
    each set describes one clip, whatever words mean. Neighbours do not matter here, or a pair that
    no clip shows ("a red heart") could never come to be.

    Parameters
    ----------
    grammar : Grammar
    captions : sequence of str
        Of one clip.
    limit : int
        Sets of captions wanted, at most.

    Returns
    -------
    list of tuple of str
        Sets of captions in the order of ``captions``; the first is the clip's own.
    """
    start = tuple(split(caption) for caption in captions)
    reached = {start: None}
    waiting = deque([start])
    while waiting and len(reached) < limit:
        current = waiting.popleft()
        for word in sorted(set.intersection(*map(set, current))):
            for exchanged in _exchange_word(grammar, current, word):
                if exchanged not in reached and len(reached) < limit:
                    reached[exchanged] = None
                    waiting.append(exchanged)
    return [tuple(map(join, found)) for found in reached]


def _exchange_word(
    grammar: Grammar, sentences: tuple[Words, ...], word: str
) -> Iterator[tuple[Words, ...]]:
    """Yield the captions with one word exchanged in all of them."""
    if any(words.count(word) != 1 for words in sentences):
        return
    for other in grammar.exchanges.get((word,), ()):
        if len(other) == 1:
            yield tuple(
                tuple(other[0] if one == word else one for one in words) for words in sentences
            )


def cross(one: Words, other: Words) -> list[Words]:
    """Return what two sentences make when their ends are exchanged at a word that both hold.

    A person's own captions seldom form minimal pairs; where two of them share a word, the beginning
    of one goes with the end of the other. The sentences are sorted and differ from both.
    """
    made = set()
    for k, word in enumerate(one):
        for j, same in enumerate(other):
            if word == same:
                made |= {one[:k] + other[j:], other[:j] + one[k:]}
    made -= {one, other}
    return sorted(words for words in made if all(a != b for a, b in pairwise(words)))
