"""Weights of trials: what counts the same adds up to the same."""

import numpy as np
import pytest

from brainflix.errors import ConfigError
from brainflix.learning.weighting import trial_weights

# movie/s1: clip a twice and b once; movie/s2: a once; events/s1: a three times, c once
CLIP = np.array(["a", "a", "b", "a", "a", "a", "a", "c"])
SUBJECT = np.array(["s1", "s1", "s1", "s2", "s1", "s1", "s1", "s1"])
STUDY = np.array(["movie"] * 4 + ["events"] * 4)


def total(weights, **labels):
    mask = np.ones(len(weights), dtype=bool)
    for name, value in labels.items():
        mask &= {"clip": CLIP, "subject": SUBJECT, "study": STUDY}[name] == value
    return float(weights[mask].sum())


def test_by_default_every_trial_counts_the_same():
    assert np.array_equal(trial_weights(CLIP, SUBJECT, STUDY), np.ones(8, np.float32))


def test_clips_count_the_same_however_often_they_were_repeated():
    found = trial_weights(CLIP, SUBJECT, STUDY, repeats="clips")
    assert found.mean() == pytest.approx(1)
    shown = [
        total(found, clip=c, subject=s, study=t)
        for c, s, t in [
            ("a", "s1", "movie"),
            ("b", "s1", "movie"),
            ("a", "s2", "movie"),
            ("a", "s1", "events"),
            ("c", "s1", "events"),
        ]
    ]
    assert shown == pytest.approx([8 / 5] * 5)


def test_subjects_and_studies_count_the_same():
    found = trial_weights(CLIP, SUBJECT, STUDY, subjects="equal")
    assert total(found, subject="s1", study="movie") == pytest.approx(8 / 3)
    assert total(found, subject="s2", study="movie") == pytest.approx(8 / 3)
    assert total(found, study="events") == pytest.approx(8 / 3)
    found = trial_weights(CLIP, SUBJECT, STUDY, subjects="equal", studies="equal")
    assert total(found, study="events") == pytest.approx(4)
    assert total(found, subject="s2", study="movie") == pytest.approx(2)


def test_relative_weights_by_name():
    found = trial_weights(CLIP, SUBJECT, STUDY, studies={"events": 3.0})
    assert total(found, study="events") == pytest.approx(3 * total(found, study="movie"))
    found = trial_weights(CLIP, SUBJECT, STUDY, subjects={"movie/s2": 0.0})
    assert total(found, subject="s2") == 0


@pytest.mark.parametrize("wrong", [{"sleep": 1.0}, {"movie": -1.0}, {"movie": float("nan")}])
def test_wrong_weights_are_refused(wrong):
    with pytest.raises(ConfigError, match="weights of studies") as caught:
        trial_weights(CLIP, SUBJECT, STUDY, studies=wrong)
    assert "movie" in caught.value.expected


def test_all_zero_is_refused():
    with pytest.raises(ConfigError, match="weight 0"):
        trial_weights(CLIP, SUBJECT, STUDY, studies={"movie": 0.0, "events": 0.0})
