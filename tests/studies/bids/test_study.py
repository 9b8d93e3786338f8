"""The bids reader on tiny studies written as fMRIPrep writes them, whole and broken."""

import fnmatch
import gzip
import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from support.complaints import complains
from support.studies_on_disk import (
    SHAPE,
    Plan,
    write_gifti,
    write_nifti,
    write_study,
    write_tsv,
    write_video,
)

from brainflix.components import READERS
from brainflix.config.studies import StudySource
from brainflix.errors import ConfigError, StudyError, VideoError
from brainflix.formats.voxel_space import VoxelSpace
from brainflix.studies.bids.confounds import read_confounds
from brainflix.studies.readers import open_study, source_files
from brainflix.studies.study import Clip, Event, Run

FUNC = "sub-01/func"
FIRST = "sub-01_task-train_run-01"


def source(root, **options):
    return StudySource(reader="bids", root=str(root), options=options)


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    root = tmp_path_factory.mktemp("movie")
    return root, write_study(root)


@pytest.fixture
def broken(movie, tmp_path):
    """A copy of the movie study that a test may damage."""
    shutil.copytree(movie[0], tmp_path / "study")
    return tmp_path / "study"


def series(root, stem=FIRST):
    return root / FUNC / f"{stem}_space-T1w_desc-preproc_bold.nii.gz"


def test_a_movie_run_is_cut_into_the_listed_clips(movie):
    root, plan = movie
    study = open_study(source(root))
    runs = study.runs("sub-01")
    assert study.subjects() == plan.subjects
    assert len(runs) == 4 * 2 + 3
    first = next(run for run in runs if run.id == "task-train_run-01")
    assert [event.clip for event in first.events] == [f"seg01_{k:02d}" for k in range(12)]
    assert [event.onset for event in first.events] == [4.0 + 2.0 * k for k in range(12)]
    assert {event.duration for event in first.events} == {2.0}
    assert (first.split, first.group, first.repeat, first.repetition_time) == (
        "train",
        "seg01",
        0,
        2.0,
    )
    assert first.n_volumes == 19


def test_repeats_are_counted_a_set_of_clips(movie):
    runs = open_study(source(movie[0])).runs("sub-01")
    numbers = {(run.group, run.repeat) for run in runs}
    assert numbers == {(f"seg{s:02d}", r) for s in (1, 2, 3, 4) for r in (0, 1)} | {
        ("test", r) for r in range(3)
    }
    assert {run.split for run in runs if run.group == "test"} == {"test"}


def test_clips_carry_file_place_captions_and_attributes(movie):
    clips = open_study(source(movie[0])).clips()
    assert len(clips) == 5 * 12
    clip = clips[1]
    assert (clip.id, clip.onset, clip.duration) == ("seg01_01", 2.0, 2.0)
    assert (clip.split, clip.group, clip.captions) == ("train", "seg01", ("clip 1 of seg01",))
    assert clip.attributes == {"colour": "blue"}
    assert clip.path == Path(movie[0]) / "stimuli/seg01.mp4"


def test_rows_are_the_masked_voxels_of_the_image(movie):
    root, _ = movie
    study = open_study(source(root))
    for subject in study.subjects():
        space = study.voxels(subject)
        run = study.runs(subject)[3]
        rows = study.load(run)
        values = np.asanyarray(nib.load(run.paths[0]).dataobj)
        assert rows.dtype == np.float32
        expected = values[tuple(space.position.T)].T
        np.testing.assert_array_equal(rows, expected)
        assert space.shape == SHAPE
        assert space.space == "T1w"
    assert len(study.voxels("sub-01")) != len(study.voxels("sub-02"))


def test_scaled_integers_are_read_as_nibabel_scales_them(movie, broken):
    study = open_study(source(broken))
    run = study.runs("sub-01")[0]
    values = np.nan_to_num(np.asanyarray(nib.load(run.paths[0]).dataobj))
    image = nib.Nifti1Image(values, np.diag([2.0, 2, 2, 1]))
    image.set_data_dtype(np.int16)
    image.header.set_zooms((2, 2, 2, 2.0))
    nib.save(image, run.paths[0])
    expected = nib.load(run.paths[0]).get_fdata(dtype=np.float32)
    study = open_study(source(broken))
    position = study.voxels("sub-01").position
    np.testing.assert_allclose(study.load(run), expected[tuple(position.T)].T, rtol=1e-6)


def test_sessions_and_event_related_runs(tmp_path):
    plan = write_study(
        tmp_path,
        Plan(
            kind="event_related",
            session="ses-02",
            subjects=("sub-01",),
            train_sets=3,
            clips_per_set=5,
        ),
    )
    study = open_study(source(tmp_path, exclude_trial_types=["oddball"]))
    runs = study.runs("sub-01")
    assert len(runs) == 3 * plan.train_repeats + 3
    run = next(run for run in runs if run.id == "ses-02_task-train_run-04")
    assert run.repeat == 1
    assert sorted(event.clip for event in run.events) == [f"seg01_{k:02d}" for k in range(5)]
    assert [event.clip for event in run.events] != sorted(event.clip for event in run.events)
    clip = study.clips()[0]
    assert clip.onset == 0.0
    assert clip.duration == pytest.approx(2.0, abs=0.01)  # looked up in the mp4


def test_cifti_runs_have_structures_and_vertices(tmp_path):
    plan = write_study(tmp_path, Plan(cifti=True, subjects=("sub-01",), videos=False))
    study = open_study(source(tmp_path))
    run = study.runs("sub-01")[0]
    space = study.voxels("sub-01")
    assert len(space) == len(plan.signal["sub-01"])
    assert set(space.structure) == {"CIFTI_STRUCTURE_CORTEX_LEFT", "CIFTI_STRUCTURE_CORTEX_RIGHT"}
    assert space.vertex.tolist()[:3] == [0, 1, 2]
    expected = nib.load(run.paths[0]).get_fdata(dtype=np.float32)
    np.testing.assert_array_equal(study.load(run), expected)
    assert run.repetition_time == 2.0


def test_without_a_table_the_events_name_the_clips(broken):
    (broken / "stimuli.tsv").unlink()
    options = {"train_tasks": ["train"], "test_tasks": ["test"], "clip_duration": 4.0}
    study = open_study(source(broken, **options))
    clips = study.clips()
    assert len(clips) == 5 * 6  # 24 s movies cut into clips of 4 s
    assert {clip.group for clip in clips} == {"seg01", "seg02", "seg03", "seg04", "test"}
    assert {clip.split for clip in clips if clip.group == "test"} == {"test"}
    assert len(study.runs("sub-01")[0].events) == 6
    with pytest.raises(ConfigError, match="nothing says which runs train"):
        open_study(source(broken)).clips()


def test_conditions_can_stand_for_clips(broken):
    for path in (broken / FUNC).glob("*_events.tsv"):
        name = "face" if "task-train" in path.name else "house"
        write_tsv(path, ("onset", "duration", "trial_type"), [(4, 10, name), (20, 10, f"{name} 2")])
    shutil.rmtree(broken / "sub-02")
    options = {"clip_column": "trial_type", "train_tasks": ["train"], "test_tasks": ["test"]}
    (broken / "stimuli.tsv").unlink()
    study = open_study(source(broken, **options))
    assert [clip.id for clip in study.clips()] == ["house", "house-2", "face", "face-2"]
    assert {run.repeat for run in study.runs("sub-01") if run.split == "train"} == set(range(8))


def test_source_files_are_listed_without_nibabel(movie):
    import subprocess
    import sys

    code = (
        "import sys; from brainflix.studies.readers import source_files; "
        "from brainflix.config.experiment import StudySource; "
        f"s = StudySource(root={str(movie[0])!r}); "
        "print(len(source_files(s, 'sub-01')), len(source_files(s))); "
        "heavy = {'nibabel', 'scipy', 'pandas', 'h5py', 'av', 'torch'} & set(sys.modules); "
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    # 11 runs of series, mask, sidecar, confounds and events; stimuli.tsv and 5 movies
    assert done.stdout.split() == ["56", "6"]


def test_source_files_keep_the_root_as_it_was_written(movie, monkeypatch):
    monkeypatch.chdir(Path(movie[0]).parent)
    name = Path(movie[0]).name
    assert all(str(p).startswith(f"{name}/") for p in source_files(source(name), "sub-01"))


# Repetition time


@pytest.mark.parametrize(("value", "seconds"), [(1.75, 1.75), (2000, 2.0), (720, 0.72)])
def test_repetition_time_of_the_sidecar_in_s_or_ms(broken, value, seconds):
    series(broken).with_name(series(broken).name.replace(".nii.gz", ".json")).write_text(
        json.dumps({"RepetitionTime": value})
    )
    write_tsv(
        broken / FUNC / f"{FIRST}_events.tsv",
        ("onset", "duration", "stim_file"),
        [(0, "n/a", "seg01.mp4")],
    )
    # 19 volumes are too few at 0.72 s, so that the run says so with its true length
    if seconds < 1:
        with pytest.raises(StudyError, match="shorter than its stimuli") as caught:
            open_study(source(broken)).runs("sub-01")
        assert "13.68 s" in str(caught.value)
        return
    run = next(r for r in open_study(source(broken)).runs("sub-01") if r.id == FIRST[7:])
    assert run.repetition_time == pytest.approx(seconds)


@pytest.mark.parametrize(("unit", "zoom"), [("sec", 2.0), ("msec", 2000.0), ("unknown", 2000.0)])
def test_repetition_time_of_the_header_when_there_is_no_sidecar(broken, unit, zoom):
    path = series(broken)
    image = nib.load(path)
    changed = nib.Nifti1Image(np.asanyarray(image.dataobj), image.affine)
    changed.header.set_zooms((2, 2, 2, zoom))
    changed.header.set_xyzt_units("mm", unit)
    nib.save(changed, path)
    path.with_name(path.name.replace(".nii.gz", ".json")).unlink()
    run = next(r for r in open_study(source(broken)).runs("sub-01") if r.id == FIRST[7:])
    assert run.repetition_time == pytest.approx(2.0)


def test_an_implausible_repetition_time_is_refused(broken):
    for path in (broken / FUNC).glob("*_bold.json"):
        path.write_text(json.dumps({"RepetitionTime": 60}))
    with pytest.raises(StudyError, match="repetition time is not plausible") as caught:
        open_study(source(broken)).runs("sub-01")
    assert "0.05 to 30 s" in str(caught.value)


# Broken studies: each says what was expected, found, where, and what to do


def test_missing_study_and_missing_subject(movie, tmp_path):
    complains(lambda: source_files(source(tmp_path / "no")), "the study does not exist", "nothing")
    complains(lambda: source_files(source(movie[0]), "sub-09"), "sub-01, sub-02", "found: sub-09")


def test_missing_run(broken):
    series(broken).unlink()
    complains(
        lambda: source_files(source(broken), "sub-01"),
        "a run is missing",
        "task-train_run-01",
        "ignore_runs",
    )
    (broken / FUNC / f"{FIRST}_events.tsv").unlink()
    complains(
        lambda: open_study(source(broken)).runs("sub-01"), "a run is missing", "sub-01_scans.tsv"
    )
    runs = open_study(source(broken, ignore_runs=["task-train_run-01"])).runs("sub-01")
    assert len(runs) == 10


def test_run_shorter_than_its_movie(broken):
    path = series(broken)
    image = nib.load(path)
    nib.save(image.slicer[..., :12], path)
    complains(
        lambda: open_study(source(broken)).runs("sub-01"),
        "a run is shorter than its stimuli",
        "at least 28 s",
        "12 volumes of 2 s, 24 s",
        path.name,
        "what to do",
    )


def test_mask_of_another_shape_and_of_another_place(broken):
    path = Path(str(series(broken)).replace("preproc_bold", "brain_mask"))
    nib.save(nib.Nifti1Image(np.ones((6, 5, 5), np.uint8), np.diag([2.0, 2, 2, 1])), path)
    complains(
        lambda: open_study(source(broken)).voxels("sub-01"),
        "a mask or atlas has another shape",
        "(6, 5, 4)",
        "(6, 5, 5)",
        path.name,
        "resample",
    )
    nib.save(nib.Nifti1Image(np.ones(SHAPE, np.uint8), np.diag([3.0, 3, 3, 1])), path)
    complains(lambda: open_study(source(broken)).voxels("sub-01"), "lies elsewhere")


def test_no_mask_and_a_mask_for_the_subject(broken):
    masks = sorted((broken / FUNC).glob("*_desc-brain_mask.nii.gz"))
    shutil.copy(masks[0], broken / FUNC / "sub-01_space-T1w_desc-brain_mask.nii.gz")
    expected = len(open_study(source(broken)).voxels("sub-01"))
    for mask in masks:
        mask.unlink()
    assert len(open_study(source(broken)).voxels("sub-01")) == expected
    (broken / FUNC / "sub-01_space-T1w_desc-brain_mask.nii.gz").rename(broken / "m_sub-01.nii.gz")
    complains(lambda: open_study(source(broken)).runs("sub-01"), "no brain mask", "option mask")
    study = open_study(source(broken, mask="m_{subject}.nii.gz"))
    assert len(study.voxels("sub-01")) == expected


def test_the_mask_is_that_of_training_runs_alone(broken):
    before = len(open_study(source(broken)).voxels("sub-01"))
    for name, corner in (("task-test_run-01", 0), ("task-train_run-02", 1)):
        path = broken / FUNC / f"sub-01_{name}_space-T1w_desc-brain_mask.nii.gz"
        image = nib.load(path)
        values = np.asanyarray(image.dataobj).copy()
        values[corner] = 0
        nib.save(nib.Nifti1Image(values, image.affine), path)
    position = open_study(source(broken)).voxels("sub-01").position
    assert set(position[:, 0]) == {0, 2, 3}
    assert len(position) < before


def test_events_whose_stimulus_does_not_exist(broken):
    (broken / "stimuli/seg02.mp4").unlink()
    complains(
        lambda: open_study(source(broken)).runs("sub-01"),
        "a stimulus file does not exist",
        "stimuli/seg02.mp4",
        "events.tsv, line 2",
        "what to do",
    )
    complains(lambda: open_study(source(broken)).clips(), "a stimulus file does not exist")


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../../secret.mp4", "C:\\movies\\a.mp4", "a/../../b"]
)
def test_stimuli_outside_of_the_study_are_refused(broken, name):
    path = broken / FUNC / f"{FIRST}_events.tsv"
    write_tsv(path, ("onset", "duration", "stim_file"), [(4, 24, name)])
    complains(
        lambda: open_study(source(broken)).runs("sub-01"), "lies outside of the study", "line 2"
    )


def test_an_unlisted_stimulus_and_a_short_event(broken):
    path = broken / FUNC / f"{FIRST}_events.tsv"
    write_video(broken / "stimuli/other.mp4", 2.0)
    write_tsv(path, ("onset", "duration", "stim_file"), [(4, 24, "other.mp4")])
    complains(lambda: open_study(source(broken)).runs("sub-01"), "does not list", "other.mp4")
    write_tsv(path, ("onset", "duration", "stim_file"), [(4, 20, "stimuli/seg01.mp4")])
    complains(lambda: open_study(source(broken)).runs("sub-01"), "shorter than the clips", "20 s")


def test_damaged_event_tables(broken):
    path = broken / FUNC / f"{FIRST}_events.tsv"
    open_runs = lambda: open_study(source(broken)).runs("sub-01")  # noqa: E731
    path.write_text("onset\tduration\tstim_file\n4\t24\n")
    complains(open_runs, "another number of cells", "line 2")
    path.write_text("onset\tduration\tstim_file\nfour\t24\tseg01.mp4\n")
    complains(open_runs, "holds no number", "four")
    path.write_text("onset\tduration\n4\t24\n")
    complains(open_runs, "do not say what was shown", "stim_file")
    path.write_text("onset\tduration\tstim_file\n4\t24\tn/a\n")
    complains(open_runs, "no event of the run shows a stimulus", "train_tasks")
    path.write_text("")
    complains(open_runs, "the table is empty")
    path.unlink()
    complains(open_runs, "a run has no events")


@pytest.mark.parametrize("compressed", [True, False])
def test_truncated_nifti(broken, compressed):
    path = series(broken)
    if compressed:
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
    else:
        data = gzip.decompress(path.read_bytes())
        path.unlink()
        path = path.with_suffix("")
        path.write_bytes(data[: len(data) // 2])
    study = open_study(source(broken))

    def load():
        run = next(run for run in study.runs("sub-01") if run.id == FIRST[7:])
        study.load(run)

    complains(load, "truncated or damaged", path.name, "bytes", "what to do")


def test_no_nifti_at_all_behind_the_name(broken):
    series(broken).write_bytes(b"hello")
    complains(lambda: open_study(source(broken)).runs("sub-01"), "truncated or damaged")


def test_runs_on_different_grids(broken):
    path = series(broken, "sub-01_task-train_run-02")
    mask = np.ones((3, 3, 3), bool)
    write_nifti(path, np.ones((19, 27), np.float32), mask, 2.0)
    nib.save(
        nib.Nifti1Image(mask.astype(np.uint8), np.diag([2.0, 2, 2, 1])),
        str(path).replace("preproc_bold", "brain_mask"),
    )
    study = open_study(source(broken))
    complains(lambda: study.voxels("sub-01"), "different grids")


def test_mixed_splits_in_a_run_and_straddling_groups(broken):
    lines = (broken / "stimuli.tsv").read_text().splitlines()
    changed = [x.replace("\ttrain\t", "\ttest\t") if "seg01_03" in x else x for x in lines]
    (broken / "stimuli.tsv").write_text("\n".join(changed) + "\n")
    complains(lambda: open_study(source(broken)).runs("sub-01"), "one split", "test, train")
    complains(lambda: open_study(source(broken)).clips(), "straddles the splits", "seg01")


def test_two_clips_of_one_name_and_a_broken_caption(broken):
    path = broken / "stimuli.tsv"
    text = path.read_text()
    path.write_text(text.replace("seg02_00", "seg01_00"))
    complains(lambda: open_study(source(broken)).clips(), "two clips have one name", "seg01_00")
    path.write_text(text.replace('"[""clip 0 of seg01""]"', "[clip"))
    complains(lambda: open_study(source(broken)).clips(), "not a JSON list", "line 2")


def test_a_clip_in_training_and_test_runs_without_a_table(broken):
    (broken / "stimuli.tsv").unlink()
    shutil.copy(
        broken / FUNC / f"{FIRST}_events.tsv", broken / FUNC / "sub-01_task-test_run-01_events.tsv"
    )
    options = {"train_tasks": ["train"], "test_tasks": ["test"]}
    study = open_study(source(broken, **options))
    complains(lambda: study.clips(), "training and in test runs", "seg01")


def test_several_spaces_need_a_choice(broken):
    for path in sorted((broken / FUNC).glob("*space-T1w*")):
        shutil.copy(path, path.with_name(path.name.replace("T1w", "MNI152NLin2009cAsym")))
    complains(
        lambda: open_study(source(broken)).runs("sub-01"),
        "several spaces",
        "MNI152NLin2009cAsym, T1w",
        error=ConfigError,
    )
    assert len(open_study(source(broken, space="T1w")).runs("sub-01")) == 11
    complains(lambda: open_study(source(broken, space="T2w")).runs("sub-01"), "a run is missing")


def test_two_resolutions_need_a_choice(broken):
    path = series(broken)
    shutil.copy(path, path.with_name(path.name.replace("_desc", "_res-2_desc")))
    complains(lambda: open_study(source(broken)).runs("sub-01"), "several files", "entities")


def test_unknown_reader_and_options(movie):
    complains(
        lambda: open_study(StudySource(reader="bdis", root=str(movie[0]))),
        "unknown study reader",
        "arrays, bids",
        error=ConfigError,
    )
    complains(
        lambda: open_study(source(movie[0], spcae="T1w")), "spcae: unknown key", error=ConfigError
    )
    both = {"train_tasks": ["a"], "test_tasks": ["a"]}
    complains(lambda: open_study(source(movie[0], **both)), "share ['a']", error=ConfigError)
    assert set(READERS) >= {"bids", "arrays"}


def test_confounds_by_name_and_wildcard(broken):
    study = open_study(source(broken))
    run = study.runs("sub-01")[0]
    values = study.confounds(run, ["rot_z", "trans_*"])
    assert values.shape == (run.n_volumes, 2)
    np.testing.assert_allclose(values[1:, 0], np.arange(1, run.n_volumes) / 10)
    assert values[0, 1] == pytest.approx(values[1:, 1].mean())
    complains(lambda: study.confounds(run, ["csf"]), "lacks a column", "csf", "rot_z")
    lines = run.confounds.read_text().splitlines()
    run.confounds.write_text("\n".join(lines[:-1]) + "\n")
    complains(lambda: study.confounds(run, ["rot_z"]), "another length", "19 lines")
    run.confounds.unlink()
    again = open_study(source(broken))
    complains(lambda: again.confounds(again.runs("sub-01")[0], ["rot_z"]), "no confounds table")


def test_truncated_video_of_unlisted_length(broken):
    write_tsv(broken / "stimuli.tsv", ("stim_file", "split"), [("seg01.mp4", "train")])
    data = (broken / "stimuli/seg01.mp4").read_bytes()
    (broken / "stimuli/seg01.mp4").write_bytes(data[: len(data) // 3])
    complains(lambda: open_study(source(broken)).clips(), "truncated or damaged", error=VideoError)


# The dataclasses check themselves


def test_clips_events_and_runs_check_themselves():
    good = {"id": "a", "split": "train", "group": "g"}
    assert Clip(**good).duration == 1.0
    for bad in ({"id": "a/b"}, {"id": ""}, {"split": "val"}, {"group": ""}, {"onset": -1.0}):
        with pytest.raises(StudyError):
            Clip(**{**good, **bad})
    for bad in ({"duration": 0.0}, {"duration": float("nan")}):
        with pytest.raises(StudyError):
            Clip(**{**good, **bad})
    with pytest.raises(StudyError, match="impossible time"):
        Event(float("nan"), 1.0, "a")
    run = {
        "id": "r",
        "subject": "sub-01",
        "split": "train",
        "group": "g",
        "repeat": 0,
        "paths": (),
        "repetition_time": 2.0,
        "n_volumes": 10,
        "events": (Event(0.0, 2.0, "a"),),
    }
    assert Run(**run).n_volumes == 10
    with pytest.raises(StudyError, match="shows no clip"):
        Run(**{**run, "events": ()})
    with pytest.raises(StudyError, match="shorter"):
        Run(**{**run, "events": (Event(21.0, 2.0, "a"),)})
    with pytest.raises(StudyError, match="rows and trials"):
        Run(**{**run, "trialwise": True})


def test_voxel_spaces_check_themselves():
    with pytest.raises(StudyError, match="do not fit"):
        VoxelSpace(np.zeros((4, 3), np.int32), (4,))
    with pytest.raises(StudyError, match="outside"):
        VoxelSpace(np.array([[4]], np.int32), (4,))
    with pytest.raises(StudyError, match="no voxel"):
        VoxelSpace(np.zeros((0, 1), np.int32), (4,))
    with pytest.raises(StudyError, match="every voxel"):
        VoxelSpace(np.array([[1]], np.int32), (4,), vertex=np.zeros(2, np.int32))


# GIFTI, a file a hemisphere


@pytest.fixture(scope="module")
def surfaces(tmp_path_factory):
    root = tmp_path_factory.mktemp("surfaces")
    write_study(root, Plan(gifti=True, subjects=("sub-01",), train_sets=2))
    return root


@pytest.fixture
def broken_surfaces(surfaces, tmp_path):
    shutil.copytree(surfaces, tmp_path / "study")
    return tmp_path / "study"


def hemisphere(root, hemi="L", stem=FIRST):
    return root / FUNC / f"{stem}_hemi-{hemi}_space-fsaverage_bold.func.gii"


def test_hemispheres_are_joined_and_vertices_keep_their_place(surfaces):
    study = open_study(source(surfaces))
    run = next(r for r in study.runs("sub-01") if r.id == FIRST[7:])
    halves = [
        np.stack([array.data for array in nib.load(hemisphere(surfaces, hemi)).darrays])
        for hemi in "LR"
    ]
    np.testing.assert_array_equal(study.load(run), np.hstack(halves))
    assert (run.n_volumes, run.repetition_time) == (19, 2.0)
    assert run.paths == (hemisphere(surfaces), hemisphere(surfaces, "R"))
    space = study.voxels("sub-01")
    left, right = (half.shape[1] for half in halves)
    assert left != right
    assert space.space == "fsaverage"
    assert space.structure[left - 1 : left + 1].tolist() == [
        "CIFTI_STRUCTURE_CORTEX_LEFT",
        "CIFTI_STRUCTURE_CORTEX_RIGHT",
    ]
    assert space.vertex.tolist() == [*range(left), *range(right)]
    assert set(source_files(source(surfaces), "sub-01")) >= set(run.paths)


def test_one_hemisphere_can_be_chosen_and_a_missing_one_is_refused(broken_surfaces):
    hemisphere(broken_surfaces).unlink()
    complains(
        lambda: source_files(source(broken_surfaces), "sub-01"),
        "a hemisphere of a run is missing",
        "hemi-R",
        "entities",
    )
    study = open_study(source(broken_surfaces, entities={"hemi": "R"}))
    run = study.runs("sub-01")[0]
    assert study.load(run).shape == (run.n_volumes, len(study.voxels("sub-01")))
    assert set(study.voxels("sub-01").structure) == {"CIFTI_STRUCTURE_CORTEX_RIGHT"}


def test_one_array_of_all_volumes_is_read_as_well(broken_surfaces):
    path = hemisphere(broken_surfaces)
    rows = np.stack([array.data for array in nib.load(path).darrays])
    array = nib.gifti.GiftiDataArray(rows.T.copy(), "NIFTI_INTENT_NONE", "NIFTI_TYPE_FLOAT32")
    nib.save(nib.gifti.GiftiImage(darrays=[array]), path)
    study = open_study(source(broken_surfaces))
    run = next(r for r in study.runs("sub-01") if r.id == FIRST[7:])
    np.testing.assert_array_equal(study.load(run)[:, : rows.shape[1]], rows)


def test_time_of_a_surface_without_sidecar(broken_surfaces):
    for sidecar in (broken_surfaces / FUNC).glob("*.json"):
        sidecar.unlink()
    assert {r.repetition_time for r in open_study(source(broken_surfaces)).runs("sub-01")} == {2.0}


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.02, 0.5, 0.99])
def test_truncated_surfaces(broken_surfaces, kept):
    path = hemisphere(broken_surfaces)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])

    def read():
        study = open_study(source(broken_surfaces))
        study.load(next(r for r in study.runs("sub-01") if r.id == FIRST[7:]))

    complains(read, "truncated or damaged", "hemi-L")


def test_surfaces_that_do_not_fit_each_other(broken_surfaces):
    other = hemisphere(broken_surfaces, "R")
    rows = np.stack([array.data for array in nib.load(other).darrays])
    write_gifti(other, rows[:-1], 2.0)
    study = open_study(source(broken_surfaces))
    run = next(r for r in study.runs("sub-01") if r.id == FIRST[7:])
    complains(lambda: study.load(run), "do not fit each other", "[18, 19]")
    write_gifti(other, rows[:, :-1], 2.0)
    study = open_study(source(broken_surfaces))
    complains(lambda: study.load(run), "do not fit", "vertices")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('Dim0="', 'Dim0="99999999'),
        ('Encoding="GZipBase64Binary"', 'Encoding="ExternalFileBinary"'),
        ('NumberOfDataArrays="', 'NumberOfDataArrays="99999999'),
    ],
)
def test_hostile_surface_headers(broken_surfaces, old, new):
    path = hemisphere(broken_surfaces)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    complains(lambda: open_study(source(broken_surfaces)).runs("sub-01"), "truncated or damaged")


# Layouts


def test_a_film_a_run_without_events(broken):
    for events in broken.rglob("*_events.tsv"):
        events.unlink()
    films = {"task-train_run-0[15]": "seg01.mp4", "task-train_run-0[26]": "seg02.mp4"}
    films |= {"task-train_run-0[37]": "seg03.mp4", "task-train_run-0[48]": "seg04.mp4"}
    options = {"movies": films | {"task-test_*": "test.mp4"}, "event_offset": 4.0}
    run = open_study(source(broken, **options)).runs("sub-01")[-1]
    assert [event.clip for event in run.events] == [f"seg04_{k:02d}" for k in range(12)]
    assert run.events[0].onset == 4.0
    complains(
        lambda: open_study(source(broken, movies={"task-test_*": "test.mp4"})).runs("sub-01"),
        "a run has no events",
        "option movies",
    )
    (broken / "stimuli.tsv").unlink()
    options |= {"clip_duration": 4.0, "train_tasks": ["train"], "test_tasks": ["test"]}
    study = open_study(source(broken, **options))
    assert len(study.clips()) == 5 * 6
    assert len(study.files()) == 5
    assert study.runs("sub-01")[-1].events[1].onset == 8.0


def test_a_film_outside_of_the_study_is_refused(broken):
    (broken / FUNC / f"{FIRST}_events.tsv").unlink()
    study = open_study(source(broken, movies={"*": "../../secret.mp4"}))
    complains(lambda: study.runs("sub-01"), "outside of the study", "option movies")


def test_events_that_count_from_the_first_stimulus(movie):
    runs = open_study(source(movie[0])).runs("sub-01")
    later = open_study(source(movie[0], event_offset=1.5)).runs("sub-01")
    for one, other in zip(runs, later, strict=True):
        assert [e.onset + 1.5 for e in one.events] == [e.onset for e in other.events]


def test_the_repetition_time_of_the_options_overrules_files(movie):
    runs = open_study(source(movie[0], repetition_time=2.25)).runs("sub-01")
    assert {run.repetition_time for run in runs} == {2.25}


def test_series_and_events_in_separate_folders_of_one_study(broken):
    func = broken / "derivatives/fmriprep" / FUNC
    func.mkdir(parents=True)
    for path in (broken / FUNC).glob("*_space-T1w_*"):
        path.rename(func / path.name)
    study = open_study(source(broken, derivatives="derivatives/fmriprep"))
    assert study.subjects() == ("sub-01",)
    runs = study.runs("sub-01")
    assert len(runs) == 11
    assert "derivatives/fmriprep" in str(runs[0].paths[0])


def test_run_1_is_run_01(broken):
    for events in (broken / FUNC).glob("*_events.tsv"):
        events.rename(events.with_name(events.name.replace("run-0", "run-")))
    assert len(open_study(source(broken)).runs("sub-01")) == 11


def fmriprep_columns():
    """The columns of a table that fMRIPrep 23 writes, but for most components."""
    signals = ["global_signal", "csf", "white_matter"]
    motion = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
    parts = ["", "_derivative1", "_derivative1_power2", "_power2"]
    columns = [name + part for name in signals + motion for part in parts]
    columns += ["csf_wm", "tcompcor", "std_dvars", "dvars", "framewise_displacement", "rmsd"]
    columns += [f"a_comp_cor_{k:02d}" for k in range(40)] + [
        f"w_comp_cor_{k:02d}" for k in range(9)
    ]
    columns += [f"t_comp_cor_{k:02d}" for k in range(3)] + [f"cosine{k:02d}" for k in range(4)]
    return columns + ["non_steady_state_outlier00"] + [f"motion_outlier{k:02d}" for k in range(2)]


AXES = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["motion"], ["trans_*", "rot_*"]),
        (["motion6"], AXES),
        (["motion12"], AXES + [f"{axis}_derivative1" for axis in AXES]),
        (["motion24", "trans_x"], ["trans_*", "rot_*"]),
        (["wm_csf"], ["white_matter", "csf"]),
        (["wm_csf_full"], ["white_matter*", "csf", "csf_d*", "csf_p*"]),
        (["global_signal"], ["global_signal"]),
        (["global_signal_full"], ["global_signal*"]),
        (["compcor"], ["a_comp_cor_0[0-5]"]),
        (["a_comp_cor_*"], ["a_comp_cor_*"]),
        (["temporal_compcor"], ["t_comp_cor_*"]),
        (["high_pass", "scrub"], ["cosine*", "motion_outlier*"]),
        (["non_steady_state"], ["non_steady_state_outlier00"]),
    ],
)
def test_strategies_choose_the_columns_of_fmriprep(tmp_path, names, expected):
    columns = fmriprep_columns()
    values = np.random.default_rng(0).standard_normal((30, len(columns)))
    write_tsv(tmp_path / "c.tsv", columns, values.tolist())
    found = read_confounds(tmp_path / "c.tsv", names, 30)
    place = {values[0, k]: name for k, name in enumerate(columns)}
    chosen = [place[value] for value in found[0]]
    assert len(chosen) == len(set(chosen))
    assert set(chosen) == {c for name in expected for c in fnmatch.filter(columns, name)}
    np.testing.assert_array_equal(found, values[:, [columns.index(name) for name in chosen]])


def test_a_run_without_outliers_has_nothing_to_scrub(tmp_path):
    write_tsv(tmp_path / "c.tsv", ["csf"], [[0.5], [1.0]])
    assert read_confounds(tmp_path / "c.tsv", ["csf", "scrub"], 2).shape == (2, 1)
    complains(lambda: read_confounds(tmp_path / "c.tsv", ["ica_aroma"], 2), "lacks a column")
