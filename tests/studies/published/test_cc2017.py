"""The cc2017 reader on small studies in the published layouts, whole and broken."""

import json
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
from support.complaints import complains
from support.layouts.cc2017 import (
    HEADER_TR,
    Size,
    drive,
    frames,
    run_rows,
    write_cifti_run,
    write_mind_video,
    write_mni_run,
    write_neuroclips,
    write_release,
)

from brainflix.components import READERS
from brainflix.config.studies import CleaningConfig, ResponseConfig, SelectionConfig, StudySource
from brainflix.errors import ConfigError, DataError
from brainflix.preprocessing.clean import clean
from brainflix.preprocessing.extract import extract
from brainflix.preprocessing.select import select
from brainflix.studies.readers import open_study, source_files

FEW = Size(train=3, test=2, test_repeats=3, volumes=12)
PART = {"segments": list(FEW.segments), "test_repeats": 3, "volumes": 12}


def source(root, **options):
    return StudySource(reader="cc2017", root=str(root), options=options)


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    root = tmp_path_factory.mktemp("release")
    write_release(root, FEW)
    return root


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    root = tmp_path_factory.mktemp("mni")
    write_release(root, FEW, form="mni")
    return root


def run_named(study, name):
    return next(run for run in study.runs("subject1") if run.id == name)


def test_the_whole_release_has_36_training_and_50_test_runs(tmp_path):
    size = Size(voxels=3, volumes=240)
    for segment in size.segments:  # one file, under every name
        for repeat in range(1, size.repeats(segment) + 1):
            path = tmp_path / f"subject2/fmri/{segment}/cifti/{segment}_{repeat}_Atlas.dtseries.nii"
            path.parent.mkdir(parents=True, exist_ok=True)
            whole = tmp_path / (
                "245.nii" if segment in ("test1", *size.segments[:18]) else "246.nii"
            )
            if not whole.exists():
                rows = run_rows(segment, 1, size)
                assert len(rows) == int(whole.stem)
                write_cifti_run(whole.with_name("a.dtseries.nii"), rows)
                whole.with_name("a.dtseries.nii").rename(whole)
            path.symlink_to(whole)
    study = open_study(source(tmp_path))
    assert study.subjects() == ("subject2",)
    assert len(study.files("subject2")) == 18 * 2 + 5 * 10
    runs = study.runs("subject2")
    assert [sum(run.split == split for run in runs) for split in ("train", "test")] == [36, 50]
    assert {(run.n_volumes, run.repetition_time, len(run.events)) for run in runs} == {
        (240, 2.0, 240)
    }
    assert study.load(runs[0]).shape == (240, 3)


def test_runs_repeats_and_clips(release):
    study = open_study(source(release, **PART))
    assert study.subjects() == ("subject1",)
    runs = study.runs("subject1")
    assert [(r.id, r.split, r.group, r.repeat) for r in runs[:3]] == [
        ("seg1_1", "train", "seg1", 0),
        ("seg1_2", "train", "seg1", 1),
        ("seg2_1", "train", "seg2", 0),
    ]
    assert [(r.id, r.repeat) for r in runs if r.group == "test2"] == [
        ("test2_1", 0),
        ("test2_2", 1),
        ("test2_3", 2),
    ]
    clips = study.clips()
    assert len(clips) == 5 * 12
    assert (clips[13].id, clips[13].onset, clips[13].duration) == ("seg2_0001", 2.0, 2.0)
    assert (clips[13].group, clips[13].path.name, clips[13].split) == ("seg2", "seg2.mp4", "train")
    assert clips[-1].split == "test"
    assert source_files(source(release, **PART)) == [
        release / "video_fmri_dataset/stimuli" / f"{name}.mp4" for name in FEW.segments
    ]


@pytest.mark.parametrize(("name", "first"), [("seg2_2", 1), ("test1_1", 1), ("test2_3", 2)])
def test_surplus_volumes_are_dropped_and_the_header_is_not_believed(release, name, first):
    study = open_study(source(release, **PART))
    run = run_named(study, name)
    segment, _, repeat = name.partition("_")
    rows = run_rows(segment, int(repeat), FEW)
    assert len(rows) == 12 + 4 + first
    np.testing.assert_array_equal(study.load(run), rows[first : first + 12])
    assert nib.load(run.paths[0]).header.get_axis(0).step == HEADER_TR
    assert (run.repetition_time, run.n_volumes, run.events[0].onset) == (2.0, 12, 0.0)
    whole = open_study(source(release, **PART, trim=False))
    run = run_named(whole, name)
    np.testing.assert_array_equal(whole.load(run), rows)
    assert (run.n_volumes, run.events[1].onset) == (len(rows), 2.0 * first + 2.0)


def test_the_cortex_or_all_grayordinates(release):
    study = open_study(source(release, **PART))
    space = study.voxels("subject1")
    assert len(space) == FEW.voxels
    assert space.shape == (FEW.voxels + 4,)
    assert space.vertex[:3].tolist() == [0, 2, 4]
    assert space.vertex[-1] == 3 * (FEW.voxels // 2 - 1)
    assert set(space.structure) == {"CIFTI_STRUCTURE_CORTEX_LEFT", "CIFTI_STRUCTURE_CORTEX_RIGHT"}
    everything = open_study(source(release, **PART, voxels="all"))
    assert len(everything.voxels("subject1")) == FEW.voxels + 4
    assert everything.load(everything.runs("subject1")[0]).shape == (12, FEW.voxels + 4)


def test_volumes_in_mni_space_with_an_irregular_name(volumes):
    study = open_study(source(volumes, form="mni", **PART))
    irregular = run_named(study, "test1_2")
    assert irregular.paths[0].name == "test1_2.mni.nii.gz"
    space = study.voxels("subject1")
    assert len(space) == FEW.voxels  # the rest is 0
    assert space.shape == (5, 4, 3)
    assert space.space == "MNI152"
    rows = run_rows("test1", 2, FEW)[1:13]
    np.testing.assert_allclose(study.load(irregular), rows, atol=0.05)  # int16
    assert irregular.repetition_time == 2.0


def test_a_mask_for_the_volumes(volumes):
    mask = np.zeros((5, 4, 3), dtype=np.uint8)
    mask[0, 1:3] = 1
    nib.save(nib.Nifti1Image(mask, np.diag([2.0, 2, 2, 1])), volumes / "mask.nii.gz")
    study = open_study(source(volumes, form="mni", mask="mask.nii.gz", **PART))
    assert len(study.voxels("subject1")) == 6
    assert volumes / "mask.nii.gz" in study.files("subject1")
    nib.save(nib.Nifti1Image(mask[1:], np.diag([2.0, 2, 2, 1])), volumes / "mask.nii.gz")
    study = open_study(source(volumes, form="mni", mask="mask.nii.gz", **PART))
    complains(lambda: study.voxels("subject1"), "another shape", "(5, 4, 3)")


def test_captions_from_a_file(release):
    (release / "captions.json").write_text(json.dumps({"seg1_0000": ["a cat", "a dog"]}))
    study = open_study(source(release, **PART, captions="captions.json"))
    assert study.clips()[0].captions == ("a cat", "a dog")
    assert study.clips()[1].captions == ()
    assert release / "captions.json" in study.files()
    (release / "captions.json").write_text(json.dumps({"seg1_0000": [3]}))
    complains(study.clips, "captions are not texts", "seg1_0000")


def test_missing_files_are_named(release, tmp_path):
    complains(lambda: source_files(source(tmp_path / "no")), "the study does not exist")
    complains(lambda: source_files(source(release), "subject9"), "subject1", "found: subject9")
    complains(
        lambda: source_files(source(release), "subject1"), "a run is missing", "seg4_1", "segments"
    )
    few = PART | {"test_repeats": 4}
    complains(
        lambda: source_files(source(release, **few), "subject1"),
        "a run is missing",
        "test1_4_Atlas.dtseries.nii",
        "ignore_runs: [subject1/test1_4]",
    )
    few["ignore_runs"] = ["subject1/test1_4", "subject1/test2_4"]
    assert len(open_study(source(release, **few)).runs("subject1")) == 3 * 2 + 2 * 3
    complains(lambda: source_files(source(release)), "film of a segment does not exist", "seg4.mp4")
    complains(lambda: open_study(source(release, segments=["../x"])), "unknown segment")


def test_a_run_of_another_length(release, tmp_path):
    complains(
        lambda: open_study(source(release, **(PART | {"volumes": 11}))).runs("subject1"),
        "unexpected number of volumes",
        "16 or 17",
    )
    path = tmp_path / "subject1/fmri/seg1/mni/seg1_1_mni.nii.gz"
    write_mni_run(path, run_rows("seg1", 1, FEW)[:-2])
    only = {"form": "mni", "segments": ["seg1"], "train_repeats": 1, "volumes": 12}
    complains(
        lambda: open_study(source(tmp_path, **only)).runs("subject1"),
        "unexpected number",
        "17 or 18",
        "found: 15",
    )


def test_unknown_forms_and_options(release):
    complains(lambda: open_study(source(release, form="gifti")), "unknown form", error=ConfigError)
    complains(
        lambda: open_study(source(release, form=["cifti"])), "unknown form", error=ConfigError
    )
    complains(lambda: open_study(source(release, trm=1)), "trm: unknown key", error=ConfigError)
    assert "cc2017" in READERS


def selected(root, tmp_path, subject, method="reproducibility", **options):
    """Run the stages clean, select and extract; return the opened responses and voxels."""
    clean(source(root, **options), subject, CleaningConfig(), tmp_path / "cleaned.h5")
    selection = SelectionConfig(method=method, alpha=0.05, delay=4.0, window=1)
    select(tmp_path / "cleaned.h5", selection, tmp_path / "voxels.h5")
    response = ResponseConfig(delay=4.0, window=1)
    extract(tmp_path / "cleaned.h5", tmp_path / "voxels.h5", response, tmp_path / "responses.h5")
    return h5py.File(tmp_path / "responses.h5"), h5py.File(tmp_path / "voxels.h5")


def closest(responses, clip, chosen):
    """Return the mean correlation of a clip's trials with what drives the selected voxels."""
    segment, number = clip.rsplit("_", 1)
    truth = drive(segment, int(number), FEW.voxels)[chosen]
    trials = responses["responses"][responses["clip"].asstr()[()] == clip][:, 0]
    return np.mean([np.corrcoef(trial, truth)[0, 1] for trial in trials])


def test_responses_follow_the_clips_through_the_stages(release, tmp_path):
    responses, voxels = selected(release, tmp_path, "subject1", **PART, trim=False)
    with responses, voxels:
        chosen = np.flatnonzero(voxels["selected"][()])
        assert len(chosen) >= 8
        assert set(chosen) <= set(range(2 * FEW.voxels // 3))
        assert voxels.attrs["dof"] == 2
        assert responses["responses"].shape == (6 * 12 + 6 * 12, 1, len(chosen))
        assert closest(responses, "seg3_0004", chosen) > 0.6
        assert closest(responses, "test2_0011", chosen) > 0.6  # not cut off at the film's end


@pytest.fixture(scope="module")
def mind_video(tmp_path_factory):
    root = tmp_path_factory.mktemp("mind")
    write_mind_video(root, FEW)
    return root


def test_arrays_of_mind_video(mind_video):
    study = open_study(source(mind_video, form="mind_video"))
    assert study.subjects() == ("subject1",)
    clips = study.clips()
    assert [clip.id for clip in clips[11:13]] == ["seg1_0011", "seg2_0000"]
    assert (clips[-1].id, clips[-1].split, clips[-1].group) == ("test2_0011", "test", "test2")
    assert clips[12].captions == ("clip 0 of seg2", "a cut")
    np.testing.assert_array_equal(study.frames(clips[13]), frames("train", 2, 1, FEW))
    run = study.runs("subject1")[1]
    assert (run.id, run.trialwise, run.n_volumes, run.split) == ("seg2", True, 12, "train")
    stored = np.load(mind_video / "fmri_train_subject1.npy")
    np.testing.assert_array_equal(study.load(run), stored[1].astype(np.float32))
    assert len(study.voxels("subject1")) == FEW.voxels
    assert "repeats joined" in study.notices("subject1")[0]
    assert {path.name for path in study.files()} == {
        f"{kind}_{split}_256_3hz.npy" for kind in ("video", "text") for split in ("train", "test")
    }
    run = open_study(source(mind_video, form="mind_video", rows="volumes")).runs("subject1")[0]
    assert (run.trialwise, run.repetition_time, run.events[3].onset) == (False, 2.0, 6.0)


def test_captions_that_numpy_pickled(mind_video, tmp_path):
    for path in mind_video.iterdir():
        (tmp_path / path.name).symlink_to(path)
    text = np.load(mind_video / "text_train_256_3hz.npy")
    (tmp_path / "text_train_256_3hz.npy").unlink()
    np.save(tmp_path / "text_train_256_3hz.npy", text.astype(object), allow_pickle=True)
    study = open_study(source(tmp_path, form="mind_video"))
    assert study.clips()[0].captions == ("clip 0 of seg1", "a cut")
    np.save(tmp_path / "text_train_256_3hz.npy", text[:2].astype(object), allow_pickle=True)
    study = open_study(source(tmp_path, form="mind_video"))
    complains(study.clips, "captions and clips differ", "expected: 36", "found: 24")
    study = open_study(source(tmp_path, form="mind_video", captions=False))
    assert study.clips()[0].captions == ()


def test_averaged_repeats_need_another_selection(mind_video, tmp_path):
    with pytest.raises(DataError, match="too few training repeats") as caught:
        selected(mind_video, tmp_path, "subject1", form="mind_video")
    assert "method to all" in str(caught.value)
    responses, voxels = selected(mind_video, tmp_path, "subject1", "all", form="mind_video")
    with responses, voxels:
        assert closest(responses, "test1_0003", np.arange(FEW.voxels)) > 0.6
        assert responses["responses"].shape == (5 * 12, 1, FEW.voxels)
    with h5py.File(tmp_path / "cleaned.h5") as cleaned:
        assert "MinD-Video" in json.loads(cleaned.attrs["notices"])[0]


@pytest.mark.parametrize(
    ("name", "shape"),
    [("fmri_train_subject1", (3, 11, 24)), ("fmri_test_subject1", (2, 12, 23))],
)
def test_arrays_that_do_not_fit(mind_video, tmp_path, name, shape):
    for path in mind_video.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / f"{name}.npy").unlink()
    study = open_study(source(tmp_path, form="mind_video"))
    complains(lambda: study.runs("subject1"), "do not exist" if "test" in name else "not in")
    np.save(tmp_path / f"{name}.npy", np.zeros(shape))
    study = open_study(source(tmp_path, form="mind_video"))
    complains(lambda: (study.runs("subject1"), study.voxels("subject1")), str(shape[-1]))


def test_tensors_of_neuroclips(tmp_path):
    write_neuroclips(tmp_path, FEW)
    study = open_study(source(tmp_path, form="neuroclips", clips_per_segment=12))
    assert study.subjects() == ("subj01",)
    clips = study.clips()
    assert clips[13].id == "seg2_0001"
    assert clips[13].captions == ("clip 1 of seg2",)
    np.testing.assert_array_equal(study.frames(clips[-1]), frames("test", 2, 11, FEW))
    runs = study.runs("subj01")
    assert [run.id for run in runs[:3]] == ["seg1_repeat-01", "seg1_repeat-02", "seg2_repeat-01"]
    assert len(runs) == 3 * 2 + 2 * 3
    responses, voxels = selected(
        tmp_path, tmp_path, "subj01", form="neuroclips", clips_per_segment=12
    )
    with responses, voxels:
        chosen = np.flatnonzero(voxels["selected"][()])
        assert len(chosen) >= 8
        assert set(chosen) <= set(range(2 * FEW.voxels // 3))
        assert voxels.attrs["dof"] == 2
        assert closest(responses, "test2_0005", chosen) > 0.6
    complains(
        lambda: open_study(source(tmp_path, form="neuroclips")).clips(), "whole segments", "36"
    )


def test_tensors_of_bytes_and_captions_that_are_embeddings(tmp_path):
    import torch

    write_neuroclips(tmp_path, FEW, floats=False)
    torch.save(torch.zeros(36, 4), tmp_path / "GT_train_caption.pt")
    study = open_study(source(tmp_path, form="neuroclips", clips_per_segment=12))
    complains(study.clips, "captions are numbers", "captions: false")
    study = open_study(source(tmp_path, form="neuroclips", clips_per_segment=12, captions=False))
    np.testing.assert_array_equal(study.frames(study.clips()[0]), frames("train", 1, 0, FEW))
    film = torch.full((24, 6, 3, 32, 32), -1.0)
    torch.save(film, tmp_path / "GT_test_3fps.pt")
    study = open_study(source(tmp_path, form="neuroclips", clips_per_segment=12, captions=False))
    complains(lambda: study.frames(study.clips()[-1]), "range of pixels", "test2_0011")


SHARED = Path(__file__).parents[3].parent / "shared/data/cifti"
REAL = SHARED / "Conte69.MyelinAndCorrThickness.32k_fs_LR.dtseries.nii"


@pytest.mark.skipif(not REAL.is_file(), reason="real CIFTI file is absent")
def test_a_run_on_the_grayordinates_of_a_real_file(tmp_path):
    models = nib.load(REAL).header.get_axis(1)
    rows = np.random.default_rng(0).standard_normal((9, len(models))).astype(np.float32)
    path = tmp_path / "subject1/fmri/seg1/cifti/seg1_1_Atlas.dtseries.nii"
    path.parent.mkdir(parents=True)
    nib.save(nib.Cifti2Image(rows, (nib.cifti2.SeriesAxis(0, 2, 9), models)), path)
    study = open_study(source(tmp_path, segments=["seg1"], train_repeats=1, volumes=4))
    space = study.voxels("subject1")
    assert len(space) == len(models)
    assert (np.diff(space.vertex[space.structure == "CIFTI_STRUCTURE_CORTEX_LEFT"]) > 0).all()
    np.testing.assert_array_equal(study.load(study.runs("subject1")[0]), rows[1:5])


@pytest.mark.slow
def test_a_cortex_of_full_size_is_selected_at_the_published_thresholds(tmp_path):
    size = Size(test=1, test_repeats=1, volumes=20, voxels=59412)
    names = [f"CIFTI_STRUCTURE_CORTEX_{side}" for side in ("LEFT", "RIGHT")]
    half = nib.cifti2.BrainModelAxis.from_surface
    models = half(np.arange(29696), 32492, names[0]) + half(np.arange(29716), 32492, names[1])
    responding = 400
    for number, segment in enumerate(size.segments):
        truth = np.random.default_rng([number, 1]).standard_normal((20, responding))
        for repeat in range(1, size.repeats(segment) + 1):
            rng = np.random.default_rng([number, repeat, 2])
            rows = rng.standard_normal((25, 59412), dtype=np.float32)
            rows[3:23, :responding] += 1.5 * truth  # one volume in front, a delay of two
            path = tmp_path / f"subject1/fmri/{segment}/cifti/{segment}_{repeat}_Atlas.dtseries.nii"
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Cifti2Image(rows, (nib.cifti2.SeriesAxis(0, 2, 25), models)), path)
    part = {"segments": list(size.segments), "test_repeats": 1, "volumes": 20}
    options = CleaningConfig(detrend_order=1)
    clean(source(tmp_path, **part), "subject1", options, tmp_path / "c.h5")
    for alpha, threshold in ((0.05, 7.13), (0.01, 8.05)):
        selection = SelectionConfig(correction="bonferroni", alpha=alpha, delay=4.0, window=1)
        select(tmp_path / "c.h5", selection, tmp_path / "v.h5")
        with h5py.File(tmp_path / "v.h5") as voxels:
            assert voxels.attrs["dof"] == 17
            assert voxels.attrs["threshold"] == pytest.approx(threshold, abs=0.005)
            selected = voxels["selected"][()]
        assert selected[:responding].mean() > 0.9
        assert selected[responding:].sum() <= 1
