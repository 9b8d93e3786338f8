"""Batches: every trial once an epoch, every subject in proportion."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from brainflix.learning.batches import (
    SubjectRows,
    TrialLoader,
    ValidationLoader,
    proportional_batches,
)


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(1, 200), min_size=1, max_size=6),
    batch_size=st.integers(2, 100),
)
def test_each_trial_once_and_each_subject_in_proportion(counts, batch_size):
    batches = proportional_batches(counts, batch_size, np.random.default_rng(0))
    for subject, count in enumerate(counts):
        seen = np.concatenate([batch[subject] for batch in batches])
        assert sorted(seen) == list(range(count))
        sizes = [len(batch[subject]) for batch in batches]
        assert max(sizes) - min(sizes) <= 1
    assert len(batches) == max(1, -(-sum(counts) // batch_size))


def rows(count, width, clips, training):
    return SubjectRows(
        torch.arange(count, dtype=torch.float32)[:, None].expand(count, width).contiguous(),
        np.arange(count) % clips,
        np.arange(training),
        np.arange(training, count),
    )


def loader(batch_size=8, seed=0):
    subjects = {"a": rows(20, 3, 5, 16), "b": rows(9, 2, 5, 6)}
    return TrialLoader(subjects, torch.arange(5.0)[:, None], batch_size, seed)


def test_a_batch_holds_each_clip_once_and_points_to_it():
    for batch in loader():
        assert len(batch.targets.unique()) == len(batch.targets)
        trials = torch.cat([part[:, 0] for part in batch.rows.values()])
        assert torch.equal(batch.targets[batch.clip, 0], trials % 5)
        assert {name: part.shape[1] for name, part in batch.rows.items()} == {"a": 3, "b": 2}


def test_validation_trials_are_in_no_training_batch():
    seen = [float(v) for batch in loader() for v in batch.rows["a"][:, 0]]
    assert sorted(seen) == list(range(16))


def test_a_batch_larger_than_the_data_holds_everything():
    (batch,) = list(loader(batch_size=1000))
    assert len(batch.clip) == 22


def test_the_order_depends_on_seed_and_epoch():
    def order(found):
        return [batch.rows["a"][:, 0].tolist() for batch in found]

    first, second = loader(), loader()
    epochs = [order(first), order(first)]
    assert epochs == [order(second), order(second)]
    assert epochs[0] != epochs[1]
    assert epochs[0] != order(loader(seed=1))


def test_validation_batches_are_one_a_subject():
    base = loader()
    batches = list(ValidationLoader(base.subjects, base.targets))
    assert [list(batch.rows) for batch in batches] == [["a"], ["b"]]
    assert [len(batch.clip) for batch in batches] == [4, 3]
