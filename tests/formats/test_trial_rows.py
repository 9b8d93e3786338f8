"""Responses as rows: any order of axes, parts side by side, repeats that were not recorded."""

import itertools

import h5py
import numpy as np
import pytest
from support.complaints import complains

from brainflix.formats import trial_rows
from brainflix.formats.arrays import ArrayRows, open_rows
from brainflix.formats.trial_rows import JoinedRows, TrialRows

LARGE = np.random.default_rng(1).standard_normal((40, 6)).astype(np.float32)


@pytest.mark.parametrize("axes", list(itertools.permutations(("clip", "repeat", "voxel"))))
@pytest.mark.parametrize("suffix", [".npy", ".h5", ".mat"])
@pytest.mark.parametrize("small", [False, True])
def test_rows_of_any_order_of_axes(tmp_path, monkeypatch, axes, suffix, small):
    if small:
        monkeypatch.setattr(trial_rows, "BLOCK", 20)
        monkeypatch.setattr(trial_rows, "HELD", 20)
    values = np.random.default_rng(0).standard_normal((5, 3, 7)).astype(np.float32)
    values[2, 1] = np.nan
    stored = values.transpose([("clip", "repeat", "voxel").index(axis) for axis in axes])
    path, key = tmp_path / f"a{suffix}", None if suffix == ".npy" else "x"
    if suffix == ".npy":
        np.save(path, stored)
    elif suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["x"] = stored
    else:
        with h5py.File(path, "w", userblock_size=512) as file:
            file["x"] = stored.T
        with open(path, "r+b") as stream:
            stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    rows = TrialRows(open_rows(path, key), axes, "here")
    assert (rows.lead, len(rows), rows.n_voxels) == ((5, 3), 15, 7)
    wanted = np.array([14, 0, 7, 7])
    np.testing.assert_array_equal(rows.take(wanted), values.reshape(15, 7)[wanted])
    assert np.flatnonzero(~rows.recorded()).tolist() == [7]


@pytest.mark.parametrize("suffix", [".npy", ".h5"])
def test_an_array_with_its_voxels_first(tmp_path, suffix):
    values = LARGE
    if suffix == ".npy":
        np.save(tmp_path / "a.npy", values)
    else:
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["x"] = values
    rows = open_rows(tmp_path / f"a{suffix}", None if suffix == ".npy" else "x")
    taken = TrialRows(rows, ("voxel", "trial"), "here")
    np.testing.assert_array_equal(taken.take(np.array([5, 2])), values.T[[5, 2]])


def part(values, where="a.pkl"):
    return TrialRows(ArrayRows(values), ("clip", "repeat", "voxel"), where)


def test_parts_lie_side_by_side(monkeypatch):
    monkeypatch.setattr(trial_rows, "COPIED", 8)  # a row or two at a time
    left = np.random.default_rng(2).standard_normal((5, 2, 4))
    right = np.random.default_rng(3).standard_normal((5, 2, 3)).astype(np.float32)
    left[0, 0, 0] = 1e300  # beyond float32
    rows = JoinedRows([part(left), part(right)])
    assert (rows.lead, rows.n_voxels, len(rows)) == ((5, 2), 7, 10)
    order = np.array([9, 0, 3, 3])
    with np.errstate(over="ignore"):
        true = np.concatenate([left, right], axis=2).reshape(10, 7).astype(np.float32)[order]
    np.testing.assert_array_equal(rows.take(order), true)
    assert rows.take(order).dtype == np.float32
    assert np.isinf(rows.take(order)[1, 0])


def test_parts_of_other_trials_are_refused():
    parts = [part(np.zeros((5, 2, 4))), part(np.zeros((5, 3, 4)), "b.pkl")]
    complains(lambda: JoinedRows(parts), "do not fit each other", "a.pkl: (5, 2)", "b.pkl: (5, 3)")


@pytest.mark.parametrize("copied", [1, 2**20])
def test_a_trial_is_recorded_when_any_voxel_is(monkeypatch, copied):
    monkeypatch.setattr(trial_rows, "COPIED", copied)
    left, right = np.full((3, 2, 1000), np.nan), np.full((3, 2, 5), np.nan)
    left[0, :, 100:] = 0  # the first stretch of voxels is a medial wall
    left[1, 0, 150] = 0  # one voxel, in none of the stretches
    right[2, 1] = 0
    assert np.flatnonzero(part(left).recorded()).tolist() == [0, 1, 2]
    assert np.flatnonzero(JoinedRows([part(left), part(right)]).recorded()).tolist() == [0, 1, 2, 5]
