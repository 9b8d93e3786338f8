"""The reader mosaic: trials by name, splits that hold for all subjects, merged files, faults."""

import h5py
import numpy as np
import pytest
from support.layouts.mosaic import TEST, TRAIN, VERTICES, write_study

from brainflix.config.studies import StudySource
from brainflix.errors import StudyError
from brainflix.studies.readers import open_study, source_files


def study(root, **options):
    return open_study(StudySource(reader="mosaic", root=str(root), options=options))


def assert_trials(found, subject, truth):
    seen = 0
    for run in found.runs(subject):
        for event, row in zip(run.events, found.load(run), strict=True):
            expected = truth[subject][event.clip][run.repeat].astype(np.float32)
            np.testing.assert_array_equal(row, expected)
            seen += 1
    return seen


def test_each_trial_is_that_of_its_name(tmp_path):
    truth = write_study(tmp_path, videos=False)
    found = study(tmp_path)
    assert found.subjects() == ("sub-01_BMD", "sub-02_BMD")
    for subject in found.subjects():
        assert assert_trials(found, subject, truth) == 2 * len(TRAIN) + 5 * len(TEST)
        assert found.voxels(subject).shape == (VERTICES,)
    splits = {clip.id: clip.split for clip in found.clips()}
    assert sorted(name for name, split in splits.items() if split == "test") == TEST
    source = StudySource(reader="mosaic", root=str(tmp_path))
    assert [path.name for path in source_files(source, "sub-01_BMD")] == ["sub-01_BMD.hdf5"]


def test_a_test_stimulus_of_one_subject_trains_no_other(tmp_path):
    truth = write_study(tmp_path, videos=False, overlap=True)
    found = study(tmp_path)
    assert {clip.id for clip in found.clips() if clip.split == "test"} == set(TEST)
    runs = [run for run in found.runs("sub-02_BMD") if run.split == "train"]
    assert TEST[0] not in {event.clip for run in runs for event in run.events}
    assert "2 training trials are left out" in found.notices("sub-02_BMD")[1]
    assert assert_trials(found, "sub-02_BMD", truth) == 2 * len(TRAIN) + 5
    alone = study(tmp_path, subjects=["sub-02_BMD"])
    assert TEST[0] in {
        event.clip
        for run in alone.runs("sub-02_BMD")
        for event in run.events
        if run.split == "train"
    }


def test_videos_are_as_long_as_their_files_and_captions_are_named(tmp_path):
    write_study(tmp_path)
    (tmp_path / "captions.json").write_text('{"0001": ["a dog", "a cat"]}')
    clips = study(tmp_path, captions="captions.json").clips()
    durations = {clip.id: clip.duration for clip in clips}
    assert clips[0].captions == ("a dog", "a cat")
    assert durations["0001"] == pytest.approx(3.0, abs=0.3)
    assert durations[TRAIN[-1]] == 1.0


def test_a_merged_file(tmp_path):
    truth = write_study(tmp_path, videos=False)
    with h5py.File(tmp_path / "mosaic_ram.hdf5", "w") as merged:
        for path in sorted(tmp_path.glob("sub-*.hdf5")):
            with h5py.File(path) as file:
                group = merged.create_group("_".join(path.stem.split("_")[:2]))
                for name in file:
                    file.copy(name, group)
    found = study(tmp_path / "mosaic_ram.hdf5")
    assert found.subjects() == ("sub-01_BMD", "sub-02_BMD")
    assert assert_trials(found, "sub-02_BMD", truth) == 2 * len(TRAIN) + 5 * len(TEST)


def test_what_is_refused(tmp_path):
    write_study(tmp_path, videos=False)
    with pytest.raises(StudyError, match="lacks subjects"):
        study(tmp_path, subjects=["sub-09_BMD"]).subjects()
    with h5py.File(tmp_path / "sub-01_BMD.hdf5", "a") as file:
        file["betas/sub-01_BMD_odd"] = np.zeros(VERTICES)
    with pytest.raises(StudyError, match="unknown names"):
        study(tmp_path).runs("sub-01_BMD")
    with h5py.File(tmp_path / "sub-01_BMD.hdf5", "a") as file:
        del file["betas/sub-01_BMD_odd"]
        name = f"betas/sub-01_BMD_stimulus-{TRAIN[1]}_phase-train_rep-1"
        del file[name]
        file[name] = np.zeros(VERTICES - 1)
    found = study(tmp_path)
    last = next(run for run in found.runs("sub-01_BMD") if run.id == "train_set-01_repeat-02")
    with pytest.raises(StudyError, match="another number of grayordinates"):
        found.load(last)
    next(tmp_path.rglob("0003.jpg")).unlink()
    with pytest.raises(StudyError, match="stimulus is missing"):
        study(tmp_path).clips()
