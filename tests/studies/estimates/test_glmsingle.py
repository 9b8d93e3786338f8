"""The reader glmsingle: every format, the order of trials, masks, sessions, and what is refused."""

import h5py
import numpy as np
import pytest
from support.layouts.glmsingle import (
    MODEL,
    SHAPE,
    TEST,
    betas,
    shown,
    write_fit,
    write_mask,
    write_stimuli,
    write_study,
)
from support.studies_on_disk import write_tsv

from brainflix.config.studies import CleaningConfig, StudySource
from brainflix.errors import StudyError
from brainflix.formats import trial_rows
from brainflix.preprocessing.clean import clean
from brainflix.studies.estimates import glmsingle_files
from brainflix.studies.readers import open_study, source_files


def study(root, **options):
    return open_study(StudySource(reader="glmsingle", root=str(root), options=options))


def assert_responses(found, subject, clips, expected):
    """Compare each trial with betas (trial, voxel), repeats in the order of recording."""
    seen = 0
    for run in found.runs(subject):
        for event, row in zip(run.events, found.load(run), strict=True):
            trials = [k for k, clip in enumerate(clips) if clip == event.clip]
            np.testing.assert_array_equal(row, expected[trials[run.repeat]])
            seen += 1
    assert seen == len(clips)


@pytest.mark.parametrize("suffix", [".npy", ".hdf5", ".mat"])
@pytest.mark.parametrize("block", [1 << 24, 100])
def test_betas_of_each_format(tmp_path, suffix, block, monkeypatch):
    monkeypatch.setattr(glmsingle_files, "BLOCK", block)
    monkeypatch.setattr(trial_rows, "HELD", block)
    truth = write_study(tmp_path, videos=False, suffix=suffix)
    found = study(tmp_path)
    assert found.subjects() == ("sub-01", "sub-02")
    for subject, true in truth.items():
        inside = np.isfinite(true["betas"][0])
        assert_responses(found, subject, true["clips"], true["betas"][:, inside])
        voxels = found.voxels(subject)
        assert voxels.shape == SHAPE
        np.testing.assert_array_equal(voxels.position, np.argwhere(inside))
        assert f"{len(TEST)} repeated test clips" in found.notices(subject)[0]
        assert len(found.notices(subject)) == 1


@pytest.mark.parametrize("order", ["C", "F"])
def test_betas_without_a_grid(tmp_path, order):
    write_stimuli(tmp_path, videos=False)
    clips = shown(1)
    values = np.array(betas(clips, 1).reshape(-1, len(clips)), order=order)
    write_fit(tmp_path / "sub-01", values, clips)
    found = study(tmp_path)
    inside = np.isfinite(values[:, 0])
    assert_responses(found, "sub-01", clips, values[inside].T)
    assert found.voxels("sub-01").shape == (int(np.prod(SHAPE)),)


def test_a_mask_gives_the_voxels_their_place(tmp_path):
    truth = write_study(tmp_path, subjects=("sub-01",), videos=False)
    mask = write_mask(tmp_path / "sub-01" / "mask.nii.gz")
    found = study(tmp_path, mask="{subject}/mask.nii.gz", space="T1w")
    assert_responses(found, "sub-01", truth["sub-01"]["clips"], truth["sub-01"]["betas"][:, mask])
    voxels = found.voxels("sub-01")
    np.testing.assert_array_equal(voxels.position, np.argwhere(mask))
    np.testing.assert_array_equal(voxels.affine, np.diag([2.0, 2.0, 2.0, 1.0]))
    with pytest.raises(StudyError, match="outside of the study"):
        study(tmp_path, mask="../mask.nii.gz").voxels("sub-01")


def test_the_design_stands_in_for_a_table(tmp_path):
    write_stimuli(tmp_path, videos=False)
    clips = shown(1)
    values = betas(clips, 1)
    write_fit(tmp_path / "sub-01", values, clips, table=False)
    inside = np.isfinite(values[..., 0])
    assert_responses(study(tmp_path), "sub-01", clips, values[inside].T)


def test_a_table_in_another_order_than_the_design_is_refused(tmp_path):
    write_stimuli(tmp_path, videos=False)
    clips = shown(1)
    write_fit(tmp_path / "sub-01", betas(clips, 1), clips)
    rows = [(clip,) for clip in [*clips[1:], clips[0]]]
    write_tsv(tmp_path / "sub-01" / "trials.tsv", ("clip",), rows)
    with pytest.raises(StudyError, match="not that of the design"):
        study(tmp_path).runs("sub-01")


def test_a_design_that_cannot_be_read_is_said(tmp_path):
    write_stimuli(tmp_path, videos=False)
    clips = shown(1)
    write_fit(tmp_path / "sub-01", betas(clips, 1), clips)
    np.save(tmp_path / "sub-01" / "DESIGNINFO.npy", {"f": np.load}, allow_pickle=True)
    assert "could not be compared" in study(tmp_path).notices("sub-01")[-1]
    (tmp_path / "sub-01" / "trials.tsv").unlink()
    with pytest.raises(StudyError, match="not data"):
        study(tmp_path).runs("sub-01")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (lambda clips: [(clip,) for clip in clips[:-1]], "differ in trials"),
        (lambda clips: [("unknown",), *((clip,) for clip in clips[1:])], "stimuli.tsv lacks"),
        (lambda clips: [], "differ in trials"),
    ],
)
def test_tables_that_do_not_fit(tmp_path, rows, message):
    write_stimuli(tmp_path, videos=False)
    clips = shown(1)
    write_fit(tmp_path / "sub-01", betas(clips, 1), clips)
    write_tsv(tmp_path / "sub-01" / "trials.tsv", ("clip",), rows(clips))
    with pytest.raises(StudyError, match=message):
        study(tmp_path).runs("sub-01")


def test_other_faults(tmp_path):
    with pytest.raises(StudyError, match="no subjects"):
        study(tmp_path).subjects()
    clips = shown(1)
    write_fit(tmp_path / "sub-01", betas(clips, 1), clips, design=False)
    with pytest.raises(StudyError, match="lists no stimuli"):
        source_files(StudySource(reader="glmsingle", root=str(tmp_path)), "sub-01")
    write_stimuli(tmp_path, videos=False)
    np.save(
        tmp_path / "sub-01" / f"{MODEL}.npy", {"betasmd": np.zeros((2, 3, 4))}, allow_pickle=True
    )
    with pytest.raises(StudyError, match="unknown form"):
        study(tmp_path).runs("sub-01")
    np.save(tmp_path / "sub-01" / f"{MODEL}.npy", {"R2": np.zeros(3)}, allow_pickle=True)
    with pytest.raises(StudyError, match="lacks an array"):
        study(tmp_path).runs("sub-01")


def test_files_and_cleaning(tmp_path):
    truth = write_study(tmp_path, subjects=("sub-01",), videos=False)
    source = StudySource(reader="glmsingle", root=str(tmp_path))
    names = [str(path.relative_to(tmp_path)) for path in source_files(source, "sub-01")]
    assert f"sub-01/ses-02/{MODEL}.npy" in names
    assert "sub-01/ses-01/trials.tsv" in names
    clean(source, "sub-01", CleaningConfig(), tmp_path / "cleaned.h5")
    true = truth["sub-01"]
    train = [k for k, clip in enumerate(true["clips"]) if clip not in TEST]
    inside = np.isfinite(true["betas"][0])
    values = true["betas"][train][:, inside].astype(float)
    with h5py.File(tmp_path / "cleaned.h5") as file:
        rows = np.concatenate(
            [group["rows"][()] for name, group in file["runs"].items() if name.startswith("train")]
        )
        assert "repeated test clips" in file.attrs["notices"]
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(rows.std(axis=0), 1, atol=1e-5)
    assert values.shape == rows.shape
