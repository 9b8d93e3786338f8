"""The bold_moments reader on small studies in the published layouts, whole and broken."""

import json
import mmap
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.complaints import complains
from support.layouts.bold_moments import (
    TR,
    Size,
    betas,
    drive,
    dump,
    write_fs_lr,
    write_fsaverage,
    write_regions,
    write_series,
    write_stimuli,
)
from support.layouts.cc2017 import write_cifti_run

from brainflix.config.studies import CleaningConfig, ResponseConfig, SelectionConfig, StudySource
from brainflix.formats.pickle import read_pickle
from brainflix.formats.trial_rows import release_pages
from brainflix.preprocessing.clean import clean
from brainflix.preprocessing.extract import extract
from brainflix.preprocessing.select import select
from brainflix.studies.readers import open_study, source_files

SIZE = Size()
SETS = {"clips_per_set": 6}
PAIR = "derivatives/versionB/fsaverage/GLM/sub-01/prepared_betas/sub-01_organized_betas_task-"


def source(root, **options):
    return StudySource(reader="bold_moments", root=str(root), options=options)


@pytest.fixture(scope="module")
def study_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("bmd")
    write_stimuli(root, SIZE)
    write_fsaverage(root, SIZE)
    write_fs_lr(root, SIZE)
    write_regions(root, SIZE)
    write_series(root, SIZE)
    return root


@pytest.fixture
def broken(study_root, tmp_path):
    shutil.copytree(study_root, tmp_path / "study")
    return tmp_path / "study"


@pytest.mark.parametrize("form", ["series", "fsaverage", "fsLR32k", "regions"])
def test_clips_have_descriptions_and_labels(study_root, form):
    study = open_study(source(study_root, form=form))
    assert study.subjects() == ("sub-01",)
    clips = study.clips()
    assert [clip.id for clip in clips[:2]] + [clips[-1].id] == ["0001", "0002", "1006"]
    assert sum(clip.split == "test" for clip in clips) == SIZE.test
    clip = clips[1]
    assert clip.captions == tuple(f"person {k} sees clip 0002" for k in range(5))
    assert clip.attributes == {"object": "hat", "scene": "stage/indoor", "action": "performing"}
    assert clip.path == study_root / "stimulus_set/stimuli/train/0002.mp4"
    assert (clip.onset, clip.duration, clip.group) == (0.0, 3.0, "0002")
    files = study.files()
    assert len(files) == 1 + SIZE.train + SIZE.test
    assert files[0].name == "annotations.json"


def expected_rows(split, repeat, clips):
    """The betas of a repeat of some clips, float32."""
    first = SIZE.numbers(split)[0]
    rows = [int(clip) - first for clip in clips]
    return betas(split, SIZE)[rows, repeat].astype(np.float32)


@pytest.mark.parametrize("form", ["fsaverage", "fsLR32k", "regions"])
def test_betas_are_trials_in_sets(study_root, form):
    options = SETS | ({"regions": ["Group41", "V1"]} if form == "regions" else {})
    study = open_study(source(study_root, form=form, **options))
    runs = study.runs("sub-01")
    assert len(runs) == 4 * 3 + 10
    assert {run.trialwise for run in runs} == {True}
    assert [run.id for run in runs[:4]] == [
        "train_set-01_repeat-01",
        "train_set-01_repeat-02",
        "train_set-01_repeat-03",
        "train_set-02_repeat-01",
    ]
    assert runs[-1].id == "test_repeat-10"
    for run in (runs[0], runs[5], runs[-1]):
        clips = [event.clip for event in run.events]
        rows = study.load(run)
        assert rows.dtype == np.float32
        np.testing.assert_array_equal(rows, expected_rows(run.split, run.repeat, clips))
    assert "GLMsingle" in study.notices("sub-01")[0]
    assert len(study.voxels("sub-01")) == SIZE.voxels


def test_a_trial_that_was_not_recorded_is_left_out(study_root):
    runs = {
        run.id: run
        for run in open_study(source(study_root, form="fsaverage", **SETS)).runs("sub-01")
    }
    shown = [event.clip for event in runs["train_set-01_repeat-03"].events]
    assert shown == ["0001", "0002", "0004", "0005", "0006"]
    assert runs["train_set-01_repeat-02"].n_volumes == 6


def test_places_of_vertices(study_root, tmp_path):
    space = open_study(source(study_root, form="fsaverage")).voxels("sub-01")
    assert space.space == "fsaverage"
    assert space.vertex.tolist() == [*range(SIZE.left), *range(SIZE.right)]
    assert (space.structure == "CIFTI_STRUCTURE_CORTEX_RIGHT").sum() == SIZE.right
    space = open_study(source(study_root, form="regions", regions=["V1", "Group41"])).voxels(
        "sub-01"
    )
    assert space.position[:, 0].tolist() == [7 * k for k in [*range(20, 24), *range(20)]]
    assert space.shape == (91282,)
    space = open_study(source(study_root, form="fsLR32k")).voxels("sub-01")
    assert space.structure is None
    series = open_study(source(study_root)).runs("sub-01")[0].paths[0]
    options = {"form": "fsLR32k", "template": str(series.relative_to(study_root))}
    study = open_study(source(study_root, **options))
    complains(lambda: study.voxels("sub-01"), "other grayordinates", "24", "28")
    write_cifti_run(study_root / "template.dtseries.nii", np.zeros((2, SIZE.voxels - 4)))
    space = open_study(source(study_root, **(options | {"template": "template.dtseries.nii"})))
    assert space.voxels("sub-01").vertex[1] == 2


def test_series_follow_events_without_oddballs(study_root):
    study = open_study(source(study_root))
    runs = study.runs("sub-01")
    assert len(runs) == 6 + 5
    assert {run.repetition_time for run in runs} == {TR}
    assert sum(len(run.events) for run in runs if run.split == "train") == SIZE.train * 3
    assert sum(len(run.events) for run in runs if run.split == "test") == SIZE.test * 10
    first = next(run for run in runs if run.id == "ses-02_task-train_run-1")
    assert first.events[0].onset == pytest.approx(4.019)
    assert first.events[4].onset - first.events[3].onset == pytest.approx(8.0)  # an oddball between
    assert study.load(first).shape == (first.n_volumes, SIZE.voxels + 4)
    assert study.voxels("sub-01").space == "fsLR"


def test_series_on_fsaverage(tmp_path):
    write_stimuli(tmp_path, SIZE)
    write_series(tmp_path, SIZE, form="gifti")
    study = open_study(source(tmp_path, space="fsaverage"))
    run = study.runs("sub-01")[0]
    assert study.load(run).shape == (run.n_volumes, SIZE.voxels)
    assert run.repetition_time == TR


@pytest.mark.parametrize("form", ["series", "fsaverage", "regions"])
def test_reliable_vertices_and_responses(study_root, tmp_path, form):
    options = {"form": form} | (SETS if form != "series" else {})
    options |= {"regions": ["Group41", "V1"]} if form == "regions" else {}
    place = source(study_root, **options)
    if form == "series":  # a set of clips is a run, of which there must be some
        write_stimuli(tmp_path, Size(train=84))
        write_series(tmp_path, Size(train=84))
        place = source(tmp_path, **options)
    clean(place, "sub-01", CleaningConfig(detrend_order=2), tmp_path / "cleaned.h5")
    selection = SelectionConfig(alpha=0.05, delay=5.0, window=1)
    select(tmp_path / "cleaned.h5", selection, tmp_path / "voxels.h5")
    response = ResponseConfig(delay=5.0, window=1)
    extract(tmp_path / "cleaned.h5", tmp_path / "voxels.h5", response, tmp_path / "r.h5")
    with h5py.File(tmp_path / "voxels.h5") as voxels, h5py.File(tmp_path / "r.h5") as responses:
        chosen = responses["voxel"][()]
        responding = range(2 * SIZE.voxels // 3)
        assert len(set(chosen) & set(responding)) >= 12
        assert len(set(chosen) - set(responding)) <= 1
        assert voxels.attrs["unit"] == "sets of clips"
        names = responses["clip"].asstr()[()]
        assert (names == "1003").sum() == 10
        mean = responses["responses"][names == "1003"][:, 0].mean(axis=0)
        assert np.corrcoef(mean, drive(1003, SIZE)[chosen])[0, 1] > 0.8
        assert (names == "0003").sum() == (3 if form == "series" else 2)
    with h5py.File(tmp_path / "cleaned.h5") as cleaned:
        notices = json.loads(cleaned.attrs["notices"])
        assert len(notices) == (0 if form == "series" else 1)


def test_missing_files_are_named(broken, tmp_path):
    complains(lambda: source_files(source(tmp_path / "no", form="fsaverage")), "does not exist")
    fsaverage = source(broken, form="fsaverage")
    complains(lambda: source_files(fsaverage, "sub-07"), "not in the study", "sub-01")
    (broken / f"{PAIR}test_hemi-right_normalized.pkl").unlink()
    complains(lambda: source_files(fsaverage, "sub-01"), "betas is missing", "test_hemi-right")
    (broken / "stimulus_set/stimuli/test/1004.mp4").unlink()
    complains(open_study(fsaverage).clips, "does not exist", "1004.mp4", "terms of use")
    (broken / "derivatives/stimuli_metadata/annotations.json").write_text('{"0001": {}}')
    complains(open_study(fsaverage).clips, "unexpected form", "0001")
    (broken / "derivatives/stimuli_metadata/annotations.json").write_text("{")
    complains(open_study(fsaverage).clips, "cannot be read")
    complains(lambda: open_study(source(broken)).clips(), "cannot be read")


def test_a_missing_run_of_the_series(broken):
    next(broken.rglob("*task-train_run-2_space-fsLR*")).unlink()
    complains(lambda: source_files(source(broken), "sub-01"), "a run is missing", "train_run-2")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1, 2, 3], ("holds no betas",)),
        ((np.zeros((24, 3)), [f"vid{k:04d}" for k in range(1, 25)]), ("unknown shape",)),
        ((np.zeros((23, 3, 14)), [f"vid{k:04d}" for k in range(1, 25)]), ("do not fit",)),
        ((np.zeros((24, 3, 14)), [f"vid{k:04d}" for k in range(2, 26)]), ("different stimuli",)),
        ((np.zeros((24, 3, 14)), [f"vid{k:04d}" for k in range(1, 24)]), ("different stimuli",)),
    ],
)
def test_pickles_of_something_else(broken, content, words):
    dump(content, broken / f"{PAIR}train_hemi-left_normalized.pkl")
    complains(lambda: open_study(source(broken, form="fsaverage")).runs("sub-01"), *words)


def test_betas_of_an_unknown_clip_and_of_the_other_split(broken):
    for side, width in (("left", SIZE.left), ("right", SIZE.right)):
        names = [f"vid{k:04d}" for k in range(1001, 1025)]
        path = broken / f"{PAIR}train_hemi-{side}_normalized.pkl"
        dump((np.zeros((24, 3, width)), names), path)
    study = open_study(source(broken, form="fsaverage"))
    complains(lambda: study.runs("sub-01"), "belongs to no train clip", "vid1001")


class Thief:
    def __reduce__(self):
        return (print, ("stolen",))


def test_a_pickle_that_would_run_code_is_refused(broken, capsys):
    path = broken / f"{PAIR}train_hemi-left_normalized.pkl"
    path.write_bytes(pickle.dumps((np.zeros((24, 3, 14)), Thief())))
    complains(lambda: open_study(source(broken, form="fsaverage")).runs("sub-01"), "print")
    assert "stolen" not in capsys.readouterr().out


@pytest.mark.parametrize("kept", [0, 100, 5000])
def test_truncated_pickles(broken, kept):
    path = broken / f"{PAIR}train_hemi-left_normalized.pkl"
    path.write_bytes(path.read_bytes()[:kept])
    complains(lambda: open_study(source(broken, form="fsaverage")).runs("sub-01"), str(path))


def test_regions_without_their_arrays_or_of_another_order(broken):
    folder = broken / "sub-01/prepared_allvoxel_pkl"
    path = folder / "Group41_betas-GLMsingle_type-typed_z=1.pkl"
    dump({"train_data_allvoxel": np.zeros((24, 3, 2))}, path)
    complains(lambda: open_study(source(broken, form="regions")).runs("sub-01"), "test_data")
    table = pickle.loads((folder / "V1_betas-GLMsingle_type-typed_z=1.pkl").read_bytes())
    table["train_stim_order"] = table["train_stim_order"][::-1]
    dump(table, path)
    study = open_study(source(broken, form="regions", regions=["V1", "Group41"]))
    complains(lambda: study.runs("sub-01"), "differ in the order")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_large_arrays_of_pickles_are_not_copied(tmp_path, protocol):
    values = np.random.default_rng(0).standard_normal((3, 2, 40000))  # 1.9 MB
    content = (values, [*range(256)], b"\x96" * 200, bytearray(b"\x8e" * 200))
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    found = read_pickle(path)
    np.testing.assert_array_equal(found[0], values)
    assert found[1:] == content[1:]
    if protocol >= 3:  # protocol 2 writes bytes as text
        owner = found[0]
        while owner is not None and not isinstance(owner, mmap.mmap):
            owner = getattr(owner, "base", None)
        assert owner is not None
        release_pages(found[0])
        np.testing.assert_array_equal(found[0], values)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_memory_does_not_grow_with_the_betas(tmp_path):
    code = (
        "import re, sys; from pathlib import Path;"
        "from brainflix.config.studies import CleaningConfig, StudySource;"
        "from brainflix.preprocessing.clean import clean;"
        "options = {'form': 'fsLR32k', 'clips_per_set': 5};"
        "source = StudySource(reader='bold_moments', root=sys.argv[1], options=options);"
        "clean(source, 'sub-01', CleaningConfig(), Path(sys.argv[1]) / 'c.h5');"
        "print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])"
    )
    peaks = []
    for clips in (20, 80):
        root = tmp_path / str(clips)
        size = Size(train=clips, test=2, left=20000, right=20000)
        write_stimuli(root, Size(train=clips, test=2), videos=False)
        write_fs_lr(root, size)
        result = subprocess.run(
            [sys.executable, "-c", code, str(root)], capture_output=True, text=True, check=True
        )
        peaks.append(int(result.stdout.split()[-1]) / 1024)
    assert peaks[1] - peaks[0] < 25  # MB; the betas differ by 58
