from __future__ import annotations

import numpy as np
import pytest
from support.toy_priors import (
    COLOURS,
    FORM,
    OBJECTS,
    descriptions,
    encode,
    held_out,
    noisy,
    pairs,
    training_clips,
)

from brainflix.prior.atoms import caption_spread
from brainflix.prior.captions import Captions
from brainflix.prior.catalogue import load_prior, make_prior
from brainflix.prior.composition import learn_grammar, split
from brainflix.prior.data import Pairs, TrainingClips
from brainflix.prior.options import SearchOptions
from brainflix.prior.sentence_search import SentenceSearch
from brainflix.regression.target_space import make_space

OPTIONS = {"components": 0}


@pytest.fixture(scope="module")
def fitted():
    clips = training_clips()
    return make_prior("captions", OPTIONS).fit(pairs(clips), clips)


def test_a_prediction_becomes_the_encoding_of_one_sentence(fitted):
    clips = training_clips()
    predictions = noisy(clips.values[:12], np.random.default_rng(1), 0.1)
    restored = fitted.apply(predictions, 1)
    for row, texts in enumerate(clips.captions[:12]):
        assert fitted.sentence(predictions[row]) in texts
        np.testing.assert_array_equal(restored[row], encode([fitted.sentence(predictions[row])])[0])


def test_unseen_combinations_survive(fitted):
    rng = np.random.default_rng(2)
    unseen = [(o, c) for o in OBJECTS for c in COLOURS if held_out(o, c)]
    known = {text for texts in training_clips().captions for text in texts}
    for thing, colour in unseen:
        texts = descriptions(thing, colour, "falls")
        assert not known & set(texts)
        prediction = noisy(encode(texts).mean(axis=0)[None], rng, 0.1)[0]
        assert fitted.sentence(prediction) in texts


def test_the_spread_is_that_of_captions_about_their_clips_mean():
    clips = training_clips()
    space = make_space(clips.values, 0)
    scores = np.stack([space.scores(encode(texts)) for texts in clips.captions])
    half = (scores[:, 0] - scores[:, 1]).astype(np.float64) / np.sqrt(2)
    np.testing.assert_allclose(
        caption_spread(clips, encode, space), half.T @ half / len(half), rtol=1e-4, atol=1e-5
    )


def test_clips_with_one_caption_have_no_spread():
    clips = training_clips()
    one = TrainingClips(FORM, clips.values, tuple(t[:1] for t in clips.captions), encode)
    assert not caption_spread(one, encode, make_space(clips.values, 0)).any()


PEOPLE = (
    "a brown dog runs across the grass",
    "two kids play football in the street",
    "some dog sleeps on a sofa",
    "a woman cooks soup in the kitchen",
    "a man reads the paper on a sofa",
    "birds fly over the sea at dawn",
    "a cat jumps over the fence",
    "a white boat drifts across the sea",
    "an old man walks along the street",
    "a child eats soup at the table",
    "horses run across the beach",
    "a cyclist rides along the beach at dusk",
)


def test_where_nothing_is_composed_a_search_goes_on_from_the_nearest_captions(tmp_path):
    captions = tuple((text,) for text in PEOPLE)
    values = encode(PEOPLE)
    clips = TrainingClips(FORM, values, captions, encode)
    rng = np.random.default_rng(0)
    row = np.repeat(np.arange(len(PEOPLE)), 8)
    fit = Pairs(
        np.array([f"c{k}" for k in row]),
        np.full(len(row), "s"),
        np.ones(len(row), np.int64),
        noisy(values[row], rng, 0.1),
        values[row],
    )
    seen = "a brown dog runs across the beach"
    prediction = noisy(encode([seen]), rng, 0.02)[0]
    prior = make_prior("captions", OPTIONS).fit(fit, clips)
    assert prior.sentences == sorted(PEOPLE)
    assert prior.search is not None
    assert prior.sentence(prediction) == seen
    prior.save(tmp_path)
    loaded = load_prior(tmp_path, FORM, encode)
    assert isinstance(loaded, Captions)
    assert loaded.sentence(prediction) == seen
    without = make_prior("captions", OPTIONS | {"search": None}).fit(fit, clips)
    assert without.sentence(prediction) in PEOPLE


def test_a_penalty_keeps_the_search_at_the_captions():
    options = SearchOptions(penalty=1e6)
    search = SentenceSearch(PEOPLE, learn_grammar(PEOPLE), options)
    log = np.linspace(0, -1, len(PEOPLE)).astype(np.float32)
    found = search.run(log, lambda texts: np.zeros(len(texts), dtype=np.float32))
    assert found == PEOPLE[0]


def test_neighbours_begin_with_what_minimal_pairs_show():
    known = ["the ball is red and rises", "the ball is blue and rises", "the star is red and falls"]
    search = SentenceSearch(known, learn_grammar(known), SearchOptions())
    near = search.neighbours(split(known[2]), [split(text) for text in known])
    assert near[0] == split("the star is blue and falls")
    assert split(known[2]) not in near
    assert len(near) == len(set(near))
