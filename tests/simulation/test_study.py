"""The plan of a simulated study, and the files that it is written as."""

import csv
import hashlib
import json
import re
import shutil
from pathlib import Path

import av
import h5py
import nibabel
import numpy as np
import pytest

import brainflix
from brainflix.artifacts.store import open_artifact
from brainflix.config.studies import SimulationConfig, StudySource
from brainflix.errors import ConfigError, DataError, StudyError
from brainflix.simulation import stage, write
from brainflix.simulation.study import generator, study_clips, study_runs
from brainflix.simulation.world import DURATION, captions, is_held_out, render
from brainflix.studies.readers import open_study

SMALL = {
    "voxels": 150,
    "train_runs": 3,
    "train_clips_per_run": 6,
    "train_repeats": 2,
    "test_clips": 5,
    "test_repeats": 3,
}
OPTIONS = {
    "movie": SimulationConfig(kind="movie", repetition_time=2.0, seed=7, **SMALL),
    "event_related": SimulationConfig(kind="event_related", repetition_time=1.75, seed=7, **SMALL),
}


def digests(root):
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def table(path):
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.fixture(scope="module", params=["movie", "event_related"])
def study(request, tmp_path_factory):
    """A study of one subject; tests only read it."""
    root = tmp_path_factory.mktemp(request.param)
    stage.simulate_stimuli(root, OPTIONS[request.param])
    stage.simulate_subject(root, "sub-01", OPTIONS[request.param])
    return request.param, root


# The plan


@pytest.mark.parametrize("kind", OPTIONS)
def test_clips_keep_their_splits_and_held_out_combinations(kind):
    options = OPTIONS[kind].model_copy(update={"test_clips": 40})
    clips = study_clips(options)
    assert len({clip.id for clip in clips}) == len(clips) == 3 * 6 + 40
    by_group: dict[str, set[str]] = {}
    for clip in clips:
        by_group.setdefault(clip.group, set()).add(clip.split)
        assert clip.held_out == is_held_out(clip.scene)
    assert all(len(splits) == 1 for splits in by_group.values())
    assert not any(clip.held_out for clip in clips if clip.split == "train")
    unseen = [clip.held_out for clip in clips if clip.split == "test"]
    assert sum(unseen) == 20
    assert 0 < sum(unseen[:20]) < 20  # spread among the others
    assert len({clip.scene for clip in clips}) == len(clips)


def test_the_two_kinds_and_two_seeds_show_other_clips():
    options = OPTIONS["movie"]
    scenes = {clip.scene for clip in study_clips(options)}
    assert not scenes & {clip.scene for clip in study_clips(OPTIONS["event_related"])}
    assert not scenes & {clip.scene for clip in study_clips(options.model_copy(update={"seed": 8}))}


def test_a_longer_study_starts_with_the_same_clips():
    options = OPTIONS["movie"]
    longer = study_clips(options.model_copy(update={"train_runs": 5}))
    assert [c.scene for c in longer[:18]] == [c.scene for c in study_clips(options)[:18]]


def test_movie_runs_show_segments_in_one_order():
    options = OPTIONS["movie"]
    runs = study_runs(options, study_clips(options), "sub-01")
    training = [run for run in runs if run.task == "train"]
    assert [run.index for run in training] == [1, 2, 3, 4, 5, 6]
    assert [run.group for run in training] == ["seg01", "seg01", "seg02", "seg02", "seg03", "seg03"]
    assert [run.repeat for run in training] == [0, 1, 0, 1, 0, 1]
    assert [run.index for run in runs if run.task == "test"] == [1, 2, 3]
    for run in runs:
        assert np.allclose(np.diff(run.onsets), DURATION)
        assert list(run.clips) == sorted(run.clips)


def test_events_are_jittered_and_reordered():
    options = OPTIONS["event_related"].model_copy(update={"train_clips_per_run": 60})
    clips = study_clips(options)
    runs = study_runs(options, clips, "sub-01")
    gaps = np.concatenate([np.diff(run.onsets) for run in runs]) / options.repetition_time
    assert np.allclose(gaps, np.rint(gaps))
    assert set(np.rint(gaps)) == {2, 3, 4}
    assert gaps.mean() == pytest.approx(3, abs=0.15)
    first, second = runs[:2]
    assert sorted(first.clips) == sorted(second.clips)
    assert first.clips != second.clips
    other = study_runs(options, clips, "sub-02")
    assert other[0].clips != first.clips
    assert study_runs(options, clips, "sub-01") == runs


@pytest.mark.parametrize("kind", OPTIONS)
def test_responses_end_within_their_run(kind):
    options = OPTIONS[kind]
    for run in study_runs(options, study_clips(options), "sub-01"):
        last = (run.onsets[-1] + 4.0) / options.repetition_time + 2
        assert last <= run.volumes
        assert run.onsets[0] >= 4.0


def test_a_generator_has_a_purpose():
    options = OPTIONS["movie"]
    first, again, other = (
        generator(options, "noise", subject, 1).random(4) for subject in ("a", "a", "b")
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


# The files


def test_every_file_of_the_layout_is_there(study):
    kind, root = study
    description = json.loads((root / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert {path.name for path in root.iterdir()} == {
        *("dataset_description.json", "stimuli", "stimuli.tsv", "sub-01", "truth")
    }
    stems = [f"sub-01_task-train_run-{k:02d}" for k in range(1, 7)]
    stems += [f"sub-01_task-test_run-{k:02d}" for k in range(1, 4)]
    expected = {
        stem + ending
        for stem in stems
        for ending in (
            "_space-T1w_desc-preproc_bold.nii.gz",
            "_space-T1w_desc-preproc_bold.json",
            "_space-T1w_desc-brain_mask.nii.gz",
            "_desc-confounds_timeseries.tsv",
            "_events.tsv",
        )
    }
    assert {path.name for path in (root / "sub-01" / "func").iterdir()} == expected
    scans = [row["filename"] for row in table(root / "sub-01" / "sub-01_scans.tsv")]
    assert len(scans) == 9
    assert all((root / "sub-01" / name).is_file() for name in scans)
    movies = {path.name for path in (root / "stimuli").iterdir()}
    if kind == "movie":
        assert movies == {"seg01.mp4", "seg02.mp4", "seg03.mp4", "test.mp4"}
    else:
        assert len(movies) == 3 * 6 + 5


def test_nibabel_reads_the_images(study):
    kind, root = study
    TR = OPTIONS[kind].repetition_time
    for path in sorted((root / "sub-01" / "func").glob("*_bold.nii.gz")):
        image = nibabel.load(path)
        mask = nibabel.load(str(path).replace("desc-preproc_bold", "desc-brain_mask"))
        inside = np.asarray(mask.dataobj) > 0
        assert image.get_data_dtype() == np.int16
        assert image.header.get_zooms()[3] == TR
        assert image.header.get_xyzt_units() == ("mm", "sec")
        assert np.allclose(image.affine, mask.affine)
        values = image.get_fdata()
        assert values.shape[:3] == inside.shape
        assert not values[~inside].any()
        assert values[inside].mean() == pytest.approx(1000, rel=0.2)
        assert (values[inside].std(axis=1) > 3).all()
        sidecar = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
        assert sidecar["RepetitionTime"] == TR


def test_stored_steps_are_fine_and_positions_hold(tmp_path):
    mask = np.random.default_rng(0).random((4, 3, 5)) < 0.5
    signal = 1000 + np.random.default_rng(1).normal(0, 20, (6, mask.sum()))
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    write.write_bold(tmp_path / "x.nii.gz", signal, mask, affine, 1.5)
    image = nibabel.load(tmp_path / "x.nii.gz")
    assert np.abs(image.get_fdata()[mask].T - signal).max() <= write.SLOPE / 2 + 1e-9
    assert np.allclose(image.affine, affine)
    with pytest.raises(DataError, match="does not fit the mask"):
        write.write_bold(tmp_path / "y.nii.gz", signal[:, 1:], mask, affine, 1.5)
    assert not (tmp_path / "y.nii.gz").exists()


def test_the_table_describes_the_clips(study):
    kind, root = study
    clips = study_clips(OPTIONS[kind])
    rows = table(root / "stimuli.tsv")
    assert [row["clip"] for row in rows] == [clip.id for clip in clips]
    for row, clip in zip(rows, clips, strict=True):
        assert row["split"] == clip.split
        assert row["group"] == clip.group
        assert json.loads(row["captions"]) == captions(clip.scene)
        assert row["attribute_colour"] == clip.scene.colour
        assert row["attribute_motion"] == clip.scene.motion
        assert row["attribute_held_out"] == ("yes" if clip.held_out else "no")
        assert (root / "stimuli" / row["stim_file"]).is_file()
        assert float(row["clip_duration"]) == DURATION


def test_movies_hold_the_rendered_frames(study):
    kind, root = study
    clips = study_clips(OPTIONS[kind])
    for name in {clips[0].file, clips[-1].file}:
        shown = np.concatenate([render(clip.scene) for clip in clips if clip.file == name])
        with av.open(str(root / "stimuli" / name)) as container:
            assert container.streams.video[0].average_rate == 4
            frames = list(container.decode(video=0))
        assert [float(frame.time) for frame in frames] == [k / 4 for k in range(len(shown))]
        decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in frames])
        error = np.mean((decoded.astype(float) - shown) ** 2)
        assert 10 * np.log10(255**2 / error) > 30


def test_events_say_what_was_shown(study):
    kind, root = study
    options = OPTIONS[kind]
    clips = study_clips(options)
    for run in study_runs(options, clips, "sub-01"):
        stem = f"sub-01_task-{run.task}_run-{run.index:02d}"
        rows = table(root / "sub-01" / "func" / f"{stem}_events.tsv")
        onsets = [float(row["onset"]) for row in rows]
        if kind == "movie":
            assert len(rows) == 1
            assert float(rows[0]["duration"]) == len(run.clips) * DURATION
            assert onsets == [run.onsets[0]]
            assert rows[0]["stim_file"] == f"{run.group}.mp4"
        else:
            assert np.allclose(onsets, run.onsets, atol=1e-3)
            assert [row["stim_file"] for row in rows] == [clips[k].file for k in run.clips]


def test_the_reader_of_bids_derivatives_reads_it(study):
    kind, root = study
    options = OPTIONS[kind]
    clips = study_clips(options)
    opened = open_study(StudySource(reader="bids", root=str(root)))
    assert opened.subjects() == ("sub-01",)
    assert [clip.id for clip in opened.clips()] == [clip.id for clip in clips]
    runs = {run.id: run for run in opened.runs("sub-01")}
    planned = study_runs(options, clips, "sub-01")
    assert len(runs) == len(planned)
    for plan in planned:
        run = runs[f"task-{plan.task}_run-{plan.index:02d}"]
        assert (run.split, run.repeat, run.n_volumes) == (plan.task, plan.repeat, plan.volumes)
        assert run.repetition_time == options.repetition_time
        assert [event.clip for event in run.events] == [clips[k].id for k in plan.clips]
        assert np.allclose([event.onset for event in run.events], plan.onsets, atol=1e-3)
    with open_artifact(root / "truth" / "sub-01.h5", "truth") as truth:
        assert np.array_equal(opened.voxels("sub-01").position, truth["position"][()])
    rows = opened.load(runs["task-train_run-01"])
    assert rows.shape == (planned[0].volumes, len(opened.voxels("sub-01").position))


def test_confounds_measure_the_physiological_component(study):
    _, root = study
    func = root / "sub-01" / "func"
    for path in sorted(func.glob("*_desc-confounds_timeseries.tsv")):
        rows = table(path)
        fluid = np.array([float(row["csf"]) for row in rows])
        stem = path.name.removesuffix("_desc-confounds_timeseries.tsv")
        image = nibabel.load(func / f"{stem}_space-T1w_desc-preproc_bold.nii.gz").get_fdata()
        assert len(rows) == image.shape[3]
        mean = image[image[..., 0] > 0].mean(axis=0)
        recorded = [float(row["global_signal"]) for row in rows]
        assert np.allclose(recorded, mean, atol=0.05)
        assert np.corrcoef(np.diff(fluid), np.diff(mean))[0, 1] > 0.2


def test_the_truth_tells_what_each_voxel_carries(study):
    kind, root = study
    with open_artifact(root / "truth" / "sub-01.h5", "truth") as truth:
        driven, area = truth["driven"][()], truth["area"].asstr()[()]
        assert np.array_equal(driven, area != "non_visual")
        weights = np.abs(truth["local"][()]).sum(axis=(0, 2))
        weights += np.abs(truth["labels"][()]).sum(axis=1)
        assert np.array_equal(weights > 0, driven)
        assert np.array_equal(truth["amplitude"][()] > 0, driven)
        assert json.loads(truth.attrs["configuration"])["kind"] == kind


# The same bytes


def test_the_same_options_give_the_same_bytes_in_any_order(study, tmp_path):
    kind, root = study
    stage.simulate_subject(tmp_path, "sub-02", OPTIONS[kind])
    stage.simulate_subject(tmp_path, "sub-01", OPTIONS[kind])
    stage.simulate_stimuli(tmp_path, OPTIONS[kind])
    again, before = digests(tmp_path), digests(root)
    added = {name for name in again if "sub-02" in name}
    assert {name: value for name, value in again.items() if name not in added} == before
    assert len(added) == 5 * 9 + 2
    for name in added:
        if name.endswith("bold.nii.gz"):
            assert again[name] != before[name.replace("sub-02", "sub-01")]


def test_another_seed_gives_other_bytes(study, tmp_path):
    kind, root = study
    options = OPTIONS[kind].model_copy(update={"seed": 8})
    stage.simulate_subject(tmp_path, "sub-01", options)
    first = "sub-01/func/sub-01_task-test_run-01_space-T1w_desc-preproc_bold.nii.gz"
    assert digests(tmp_path)[first] != digests(root)[first]


def test_files_bear_no_time_stamp(study):
    _, root = study
    for path in root.rglob("*.nii.gz"):
        assert path.read_bytes()[4:8] == b"\0\0\0\0"


def test_a_simulation_replaces_an_earlier_one(tmp_path):
    options = OPTIONS["movie"]
    stage.simulate_subject(tmp_path, "sub-01", options)
    stage.simulate_stimuli(tmp_path, options)
    shorter = options.model_copy(update={"train_runs": 2})
    stage.simulate_subject(tmp_path, "sub-01", shorter)
    stage.simulate_stimuli(tmp_path, shorter)
    assert len(list((tmp_path / "sub-01" / "func").glob("*_bold.nii.gz"))) == 7
    assert not (tmp_path / "stimuli" / "seg03.mp4").exists()


# What goes wrong


@pytest.mark.parametrize("name", ["_write_run", "_write_truth"])
def test_an_interrupted_simulation_has_no_mark_of_completion(tmp_path, monkeypatch, name):
    stage.simulate_subject(tmp_path, "sub-01", OPTIONS["movie"])
    calls = []

    def fail(*args):
        calls.append(args)
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, name, fail)
    with pytest.raises(KeyboardInterrupt):
        stage.simulate_subject(tmp_path, "sub-01", OPTIONS["movie"])
    assert calls
    assert not (tmp_path / "sub-01" / "sub-01_scans.tsv").exists()
    assert not list(tmp_path.rglob(".*"))


def test_an_interrupted_video_leaves_nothing(tmp_path, monkeypatch):
    frames = np.zeros((4, 64, 64, 3), dtype=np.uint8)
    monkeypatch.setattr(write.av.VideoFrame, "from_ndarray", None, raising=False)
    with pytest.raises(TypeError):
        write.write_video(tmp_path / "x.mp4", frames, 4)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ['{"Name": "fMRIPrep", "GeneratedBy": [{"Name": "x"}]}', "{"])
def test_a_folder_of_another_study_is_refused_and_left_alone(tmp_path, content):
    (tmp_path / "dataset_description.json").write_text(content)
    (tmp_path / "sub-01" / "func").mkdir(parents=True)
    (tmp_path / "sub-01" / "func" / "real.nii.gz").write_bytes(b"data")
    before = digests(tmp_path)
    for write_part in (
        lambda: stage.simulate_stimuli(tmp_path, OPTIONS["movie"]),
        lambda: stage.simulate_subject(tmp_path, "sub-01", OPTIONS["movie"]),
    ):
        with pytest.raises(StudyError, match="no simulation wrote"):
            write_part()
    assert digests(tmp_path) == before


def test_a_folder_with_files_and_no_description_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StudyError, match="no simulation wrote"):
        stage.simulate_subject(tmp_path, "sub-01", OPTIONS["movie"])


@pytest.mark.parametrize("label", ["01", "sub-", "sub-a_b", "sub-../x"])
def test_a_label_that_is_not_of_bids_is_refused(tmp_path, label):
    with pytest.raises(ConfigError, match="subject label"):
        stage.simulate_subject(tmp_path, label, OPTIONS["movie"])
    assert not list(tmp_path.iterdir())


def test_a_table_refuses_what_would_break_it(tmp_path):
    for row in (("a\tb", "c"), ("a",), ("a", "b\n")):
        with pytest.raises(DataError, match="does not fit its table"):
            write.write_table(tmp_path / "x.tsv", ("one", "two"), [row])
    assert not list(tmp_path.iterdir())


def test_only_the_simulation_knows_the_truth():
    package = Path(brainflix.__file__).parent
    pattern = re.compile(r"""["']truth["']\s*\)|/\s*["']truth["']|truth/""")
    knowing = {
        path.relative_to(package).parts[0]
        for path in package.rglob("*.py")
        if pattern.search(path.read_text(encoding="utf-8"))
    }
    assert knowing == {"simulation"}


def test_a_study_is_read_without_its_truth(study, tmp_path):
    _, root = study
    copy = tmp_path / "study"
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns("truth"))
    source, without = (StudySource(reader="bids", root=str(path)) for path in (root, copy))
    run = open_study(source).runs("sub-01")[2]
    expected = open_study(source).load(run)
    found = open_study(without)
    assert np.array_equal(found.load(found.runs("sub-01")[2]), expected)


def test_truth_is_an_artifact_like_the_others(study):
    _, root = study
    with h5py.File(root / "truth" / "sub-01.h5") as file:
        assert file.attrs["kind"] == "truth"
        assert file.attrs["complete"]
        assert file["amplitude"].attrs["units"] == "percent"
