from __future__ import annotations

from itertools import product

import numpy as np

from brainflix.prior.composition import (
    compose,
    cross,
    exchange_together,
    join,
    learn_grammar,
    split,
)
from brainflix.simulation.world import Scene, captions, sample_scenes


def test_an_unseen_combination_is_composed_from_minimal_pairs():
    known = ["the ball is red and rises", "the ball is blue and rises", "the star is red and falls"]
    found = compose(learn_grammar(known), known, 100)
    assert set(found) - set(known) == {"the star is blue and falls"}
    # nothing shows that ball and star, or rising and falling, replace each other


def test_a_span_replaces_another_only_between_neighbours_that_it_was_seen_between():
    known = ["the red sea", "the dead sea", "red paint dries"]
    assert "dead paint dries" not in compose(learn_grammar(known), known, 100)


def test_spans_of_several_words_replace_each_other():
    known = ["a ball drifts left", "a ball rests", "the ball rests"]
    grammar = learn_grammar(known)
    assert grammar.exchanges["rests",] == (("drifts", "left"),)
    assert set(compose(grammar, known, 100)) == {*known, "the ball drifts left"}
    assert ("rests",) not in learn_grammar(known, longest=1).exchanges


def test_the_limit_keeps_the_known_captions_and_the_nearest():
    words = ("red", "blue", "green")
    known = [f"{a} x {b}" for a, b in product(words, words) if a != b]
    found = compose(learn_grammar(known), known, len(known) + 1)
    assert len(found) == len(known) + 1
    assert set(known) < set(found)


def test_words_are_exchanged_in_all_captions_of_a_clip_at_once():
    clips = [
        ("a red ball rises", "the ball is red"),
        ("a blue ball rises", "the ball is blue"),
        ("a red star rises", "the star is red"),
    ]
    grammar = learn_grammar(text for texts in clips for text in texts)
    found = exchange_together(grammar, clips[0], 100)
    assert found[0] == clips[0]
    # neither caption of the blue star puts words together that were seen together
    assert set(found) == {
        (f"a {colour} {thing} rises", f"the {thing} is {colour}")
        for colour in ("red", "blue")
        for thing in ("ball", "star")
    }


def test_a_word_that_one_caption_lacks_stays():
    clips = [("a red ball rises", "something rises"), ("a blue ball rises", "something rises")]
    grammar = learn_grammar(text for texts in clips for text in texts)
    assert exchange_together(grammar, clips[0], 100) == [clips[0]]


def test_ends_are_exchanged_at_shared_words():
    found = cross(split("a dog runs on grass"), split("two cats sleep on sand"))
    assert {join(words) for words in found} == {"a dog runs on sand", "two cats sleep on grass"}


def test_unseen_combinations_of_the_simulated_world_are_composed():
    rng = np.random.default_rng(0)

    def scenes(count: int, held_out: bool) -> list[Scene]:
        """Draw scenes of a smaller world, in which closures are quick."""
        some = sample_scenes(count, rng, held_out)
        return [s for s in some if s.background in ("sky", "sea") and s.motion in ("up", "left")]

    known = sorted({text for scene in scenes(4000, False) for text in captions(scene)})
    unseen = scenes(700, True)
    pair = {(scene.object, scene.colour) for scene in unseen}
    assert not any(f"{colour} {thing}" in text for thing, colour in pair for text in known)
    composed = set(compose(learn_grammar(known), known, 20_000))
    assert len(unseen) > 20
    for scene in unseen:
        every = set(captions(scene, 16))
        assert not every & set(known)
        assert composed & every
