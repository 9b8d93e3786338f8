from __future__ import annotations

import numpy as np
from support.toy_priors import pairs, training_clips

from brainflix.prior import heldout
from brainflix.prior.catalogue import make_prior
from brainflix.prior.heldout import restore_heldout


def test_each_clip_is_restored_by_a_prior_that_never_saw_it(monkeypatch):
    clips, found = training_clips(), pairs(training_clips(), scale=0.4)
    fits = []

    def recorded(kind, options):
        prior = make_prior(kind, options)
        fit = prior.fit

        def record(some, every):
            fits.append(set(some.clip))
            return fit(some, every)

        prior.fit = record
        return prior

    monkeypatch.setattr(heldout, "make_prior", recorded)
    result = restore_heldout("none", {}, found, clips, folds=3)
    every = set(found.clip)
    assert len(fits) == 3
    assert set().union(*(every - fit for fit in fits)) == every
    assert sum(len(every - fit) for fit in fits) == len(every)
    assert len(result.clip) == 2 * len(every)
    rows = (found.subject == result.subject[3]) & (found.clip == result.clip[3])
    np.testing.assert_allclose(
        result.restored[3], found.predicted[rows].mean(axis=0), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(result.true[3], found.true[rows][0])


def test_a_prior_explains_more_than_the_prediction_does():
    clips, found = training_clips(), pairs(training_clips(), scale=0.4)
    options = {"atoms": "clips", "components": 0}
    result = restore_heldout("empirical_bayes", options, found, clips)
    assert result.r2(result.restored) > result.r2(result.predicted) + 0.2
    assert result.r2(result.true) == 1
