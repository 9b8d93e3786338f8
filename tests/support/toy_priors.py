"""A toy target for priors: sentences as sums of word vectors, and noisy predictions of clips."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import product

import numpy as np

from brainflix.artifacts.stimuli import Array
from brainflix.prior.data import Pairs, TargetForm, TrainingClips

SHAPE = (3, 8)
FORM = TargetForm("text", "text_conditioning", "toy", SHAPE)
OBJECTS, COLOURS = ("ball", "box", "star", "ring"), ("red", "blue", "green", "white")
ACTIONS = ("rises", "falls", "rests")


def encode(sentences: Sequence[str]) -> Array:
    """Return the sum of a sentence's word vectors, float32 (sentence, 3, 8)."""
    found = np.zeros((len(sentences), *SHAPE), dtype=np.float32)
    for row, sentence in enumerate(sentences):
        for word in sentence.split():
            rng = np.random.default_rng(zlib.crc32(word.encode()))
            found[row] += rng.normal(size=SHAPE).astype(np.float32)
    return found


def descriptions(thing: str, colour: str, action: str) -> tuple[str, str]:
    """Return two captions of a clip."""
    return f"a {colour} {thing} {action}", f"the {thing} is {colour} and {action}"


def held_out(thing: str, colour: str) -> bool:
    """Return whether a pair is kept from training clips."""
    return (OBJECTS.index(thing) + COLOURS.index(colour)) % 4 == 1


def training_clips() -> TrainingClips:
    """Return clips of all combinations but the held-out pairs of thing and colour."""
    captions = tuple(
        descriptions(thing, colour, action)
        for thing, colour, action in product(OBJECTS, COLOURS, ACTIONS)
        if not held_out(thing, colour)
    )
    values = np.stack([encode(texts).mean(axis=0) for texts in captions])
    return TrainingClips(FORM, values, captions, encode)


def noisy(true: Array, rng: np.random.Generator, scale: float) -> Array:
    """Return predictions: shrunk to a half and shifted, with noise."""
    return (0.5 * true + 0.3 + scale * rng.normal(size=true.shape)).astype(np.float32)


def pairs(clips: TrainingClips, scale: float = 0.1, repeats: int = 2, seed: int = 0) -> Pairs:
    """Return single-trial predictions of the training clips by two subjects."""
    rng = np.random.default_rng(seed)
    count = len(clips.values)
    row = np.tile(np.repeat(np.arange(count), repeats), 2)
    true = clips.values[row]
    subject = np.repeat(["sub-01", "sub-02"], count * repeats)
    clip = np.array([f"clip-{k:03d}" for k in row])
    return Pairs(clip, subject, np.ones(len(row), np.int64), noisy(true, rng, scale), true)
