"""What true vectors look like: those of training clips, of clips like them, or of sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brainflix.artifacts.stimuli import Array
from brainflix.prior.composition import exchange_together, learn_grammar
from brainflix.prior.data import Encode, TrainingClips
from brainflix.prior.noise import Floats
from brainflix.regression.target_space import TargetSpace

_CHUNK = 2048  # sentences encoded at a time


def sentence_scores(sentences: Sequence[str], encode: Encode, space: TargetSpace) -> Array:
    """Encode sentences and return their scores, float32 (sentence, component).

    Encodings of many sentences do not fit in memory; their scores do.
    """
    scores = np.empty((len(sentences), space.components), dtype=np.float32)
    for start in range(0, len(sentences), _CHUNK):
        part = slice(start, start + _CHUNK)
        scores[part] = space.scores(np.asarray(encode(list(sentences[part]))))
    return scores


@dataclass(frozen=True)
class PseudoClips:
    """Clips that were never shown, each known by its captions.

    Parameters
    ----------
    sentences : tuple of str
        All that occur, sorted.
    members : ndarray of int32, shape (clip, caption)
        Each clip's captions, by their place in ``sentences``; -1 fills rows of fewer captions.
    """

    sentences: tuple[str, ...]
    members: NDArray[np.int32]

    def scores(self, encode: Encode, space: TargetSpace) -> Array:
        """Return the score of each clip: the mean over its captions, float32 (clip, component)."""
        scores = sentence_scores(self.sentences, encode, space)
        present = self.members >= 0
        total = np.zeros((len(self.members), space.components), dtype=np.float32)
        for k in range(self.members.shape[1]):  # (clip, caption) -> (clip,), one caption at a time
            total += np.where(present[:, k, None], scores[self.members[:, k]], 0)
        return total / present.sum(axis=1, dtype=np.float32)[:, None]


def make_pseudo_clips(
    captions: Sequence[Sequence[str]], longest: int, limit: int, seed: int
) -> PseudoClips:
    """Exchange words in all captions of each training clip at once, for all that can be.

    Parameters
    ----------
    captions : sequence of sequence of str
        Of each training clip.
    longest : int
        Words of a span that minimal pairs are looked for in, at most.
    limit : int
        Pseudo-clips, at most: of more, the clips' own are kept and the others drawn.
    seed : int
        Of the draw.
    """
    grammar = learn_grammar((text for texts in captions for text in texts), longest)
    known = list(dict.fromkeys(tuple(texts) for texts in captions if texts))
    sets: dict[tuple[str, ...], None] = dict.fromkeys(known)
    for texts in known:
        sets.update(dict.fromkeys(exchange_together(grammar, texts, limit)))
    kept = list(sets)
    if len(kept) > limit:
        rng = np.random.default_rng(seed)
        drawn = rng.permutation(len(kept) - len(known))[: max(0, limit - len(known))]
        kept = kept[: len(known)] + [kept[len(known) + k] for k in np.sort(drawn)]
    sentences = sorted({text for texts in kept for text in texts})
    place = {text: k for k, text in enumerate(sentences)}
    members = np.full((len(kept), max(map(len, kept))), -1, dtype=np.int32)
    for row, texts in enumerate(kept):
        members[row, : len(texts)] = [place[text] for text in texts]
    return PseudoClips(tuple(sentences), members)


def caption_spread(clips: TrainingClips, encode: Encode, space: TargetSpace) -> Floats:
    """Return the covariance of a clip's captions about their mean, (component, component).

    Clips with one caption say nothing about it; without any other it is zero.
    """
    several = [texts for texts in clips.captions if len(texts) > 1]
    scores = sentence_scores([text for texts in several for text in texts], encode, space)
    spread = np.zeros((space.components, space.components))
    start = 0
    for texts in several:
        part = scores[start : start + len(texts)].astype(np.float64)
        deviation = part - part.mean(axis=0)
        spread += deviation.T @ deviation
        start += len(texts)
    return spread / max(1, start - len(several))
