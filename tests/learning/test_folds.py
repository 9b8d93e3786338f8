"""Validation clips and folds: whole groups of training clips, the same for all subjects."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brainflix.artifacts.stimuli import Clips
from brainflix.errors import DataError
from brainflix.learning.folds import group_folds, validation_clips


def study(sizes, test=5, name="movie"):
    group = [f"seg{k}" for k, size in enumerate(sizes) for _ in range(size)] + ["held"] * test
    split = ["train"] * sum(sizes) + ["test"] * test
    ids = [f"clip{k}" for k in range(len(group))]
    return Clips(name, np.array(ids), np.array(split), np.array(group))


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=2, max_size=20),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 1000),
)
def test_validation_takes_whole_training_groups_and_leaves_some(sizes, fraction, seed):
    clips = study(sizes)
    chosen = np.isin(clips.clip, validation_clips(clips, fraction, seed))
    assert chosen.any()
    assert (clips.training & ~chosen).any()
    assert not (chosen & ~clips.training).any()
    assert not set(clips.group[chosen]) & set(clips.group[~chosen])


def test_the_share_is_near_the_one_asked_for():
    clips = study([50] * 18)
    for seed in range(10):
        assert len(validation_clips(clips, 0.1, seed)) == 100  # 90 wanted; groups of 50
        assert len(validation_clips(clips, 0.25, seed)) in (200, 250)


def test_the_choice_depends_on_seed_and_study_alone():
    chosen = [
        validation_clips(study([5] * 12, name=name), 0.2, seed).tolist()
        for name, seed in (("movie", 0), ("movie", 0), ("movie", 1), ("events", 0))
    ]
    assert chosen[0] == chosen[1]
    assert chosen[0] != chosen[2]
    assert chosen[0] != chosen[3]


def test_pictures_are_groups_of_their_own():
    assert len(validation_clips(study([1] * 90), 0.1, 0)) == 9


def test_a_single_training_group_is_refused():
    with pytest.raises(DataError, match="too few training groups") as caught:
        validation_clips(study([20]), 0.1, 0)
    assert caught.value.remedy
    with pytest.raises(DataError, match="too few groups"):
        group_folds(np.array(["a", "a"]), 5, 0)


@settings(max_examples=50, deadline=None)
@given(
    labels=st.lists(st.sampled_from("abcdefgh"), min_size=9, max_size=80),
    folds=st.integers(2, 12),
)
def test_folds_hold_whole_groups_and_none_is_empty(labels, folds):
    groups = np.array(["x", *labels])
    if len(set(groups)) < 2:
        return
    found = group_folds(groups, folds, 0)
    assert set(found) == set(range(min(folds, len(set(groups)))))
    for group in set(groups):
        assert len(set(found[groups == group])) == 1


def test_a_group_in_both_splits_is_refused():
    with pytest.raises(DataError, match="lies in training and test"):
        Clips("movie", np.array(["a", "b"]), np.array(["train", "test"]), np.array(["g", "g"]))


def test_two_clips_of_one_name_are_refused():
    with pytest.raises(DataError, match="one id"):
        Clips("movie", np.array(["a", "a"]), np.array(["train"] * 2), np.array(["g", "h"]))
