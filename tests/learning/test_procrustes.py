"""Procrustes: subjects that are rotations of each other meet; those without common clips do not."""

import numpy as np
import pytest

from brainflix.errors import DataError
from brainflix.learning.procrustes import fit_procrustes


def study(seed=0, clips=40, rank=6, noise=0.0):
    """Subjects whose responses are images of one latent response to each clip."""
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((clips, rank)) * np.array([3, 2.5, 2, 1.6, 1.3, 1.0][:rank])
    names = np.array([f"clip{k:02d}" for k in range(clips)])
    responses, labels = {}, {}
    for subject, (voxels, repeats) in {"a": (30, 2), "b": (50, 1), "c": (12, 3)}.items():
        basis = np.linalg.qr(rng.standard_normal((voxels, rank)))[0].T
        rows = np.repeat(latent @ basis, repeats, axis=0) + 5.0
        rows = rows + noise * rng.standard_normal(rows.shape)
        order = rng.permutation(len(rows))
        responses[subject] = rows[order].astype(np.float32)
        labels[subject] = np.repeat(names, repeats)[order]
    return responses, labels


def placed(maps, responses, labels, subject, clip):
    rows = maps[subject].apply(responses[subject])
    return rows[labels[subject] == clip].mean(axis=0)


def test_the_map_is_orthogonal_and_the_best_of_all_rotations():
    responses, labels = study(noise=0.3)
    maps = fit_procrustes(responses, labels, 4, reference="a")
    shared = np.unique(labels["a"])
    target = np.stack([placed(maps, responses, labels, "a", c) for c in shared])
    for subject, found in maps.items():
        assert np.allclose(found.rotation @ found.rotation.T, np.eye(4), atol=1e-10)
        assert found.shared_clips == 40
        own = np.stack([placed(maps, responses, labels, subject, c) for c in shared])
        error = np.square(own - target).sum()
        centred = own - own.mean(axis=0)
        rng = np.random.default_rng(0)
        for _ in range(20):  # no small further rotation brings them nearer
            skew = rng.standard_normal((4, 4)) * 0.05
            turned = centred @ np.linalg.qr(np.eye(4) + skew - skew.T)[0] + own.mean(axis=0)
            assert np.square(turned - target).sum() >= error - 1e-3
    assert np.array_equal(maps["a"].rotation, np.eye(4))


def test_rotated_subjects_meet_on_clips_that_took_no_part():
    """Without noise, clips left out of the fit land on each other."""
    rng = np.random.default_rng(1)
    names = np.array([f"clip{k:02d}" for k in range(60)])
    seen = np.arange(60) < 45
    base = rng.standard_normal((60, 8))
    # White over the clips seen, so that every rotation of it is standardised by one number.
    base -= base[seen].mean(axis=0)
    base = base @ np.linalg.inv(np.linalg.cholesky(np.cov(base[seen].T, bias=True))).T
    rows = {"a": base, "b": base @ np.linalg.qr(rng.standard_normal((8, 8)))[0]}
    rows = {subject: part.astype(np.float32) for subject, part in rows.items()}
    fitted = {subject: part[seen] for subject, part in rows.items()}
    maps = fit_procrustes(fitted, dict.fromkeys(rows, names[seen]), 8, reference="a")
    a, b = (maps[subject].apply(part[~seen]) for subject, part in rows.items())
    assert np.allclose(a, b, atol=1e-4)
    assert np.square(rows["a"][~seen] - rows["b"][~seen]).mean() > 0.5


def test_shared_clips_alone_count_and_components_follow_them():
    responses, labels = study()
    mask = np.isin(labels["b"], ["clip00", "clip01", "clip02", "clip03"])
    responses["b"], labels["b"] = responses["b"][mask], labels["b"][mask]
    maps = fit_procrustes(responses, labels, 6, reference="a")
    assert maps["b"].shared_clips == 4
    assert {found.rotation.shape for found in maps.values()} == {(3, 3)}
    assert maps["b"].apply(responses["b"]).shape == (4, 3)


def test_the_reference_is_the_one_that_shares_most_with_everybody():
    responses, labels = study()
    for subject, wanted in {"a": range(20), "b": range(10, 30), "c": range(20, 40)}.items():
        mask = np.isin(labels[subject], [f"clip{k:02d}" for k in wanted])
        responses[subject], labels[subject] = responses[subject][mask], labels[subject][mask]
    maps = fit_procrustes(responses, labels, 3)
    assert np.array_equal(maps["b"].rotation, np.eye(3))
    with pytest.raises(DataError, match="c shares too few") as caught:
        fit_procrustes(responses, labels, 3, reference="a")
    error = caught.value
    assert "0 of 20 and 20" in error.found
    assert error.expected
    assert error.remedy
    assert error.where == "c"


def test_an_unknown_reference_is_refused():
    responses, labels = study()
    with pytest.raises(DataError, match="is no subject") as caught:
        fit_procrustes(responses, labels, 3, reference="d")
    assert "a, b, c" in caught.value.expected


def test_the_affine_form_is_the_map():
    responses, labels = study(noise=0.5)
    found = fit_procrustes(responses, labels, 4)["c"]
    weights, bias = found.affine()
    expected = found.statistics.apply(responses["c"]) @ weights + bias
    assert np.allclose(found.apply(responses["c"]), expected)
    manual = (found.statistics.apply(responses["c"]) @ found.basis - found.origin) @ found.rotation
    assert np.allclose(expected, manual + found.offset, atol=1e-5)
