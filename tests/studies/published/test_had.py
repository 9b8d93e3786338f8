"""The had reader on small studies in the published layouts, whole and broken."""

import json
import pickle
import shutil

import h5py
import nibabel as nib
import numpy as np
import pytest
from support.complaints import complains
from support.layouts.had import (
    Size,
    beta,
    drive,
    run_rows,
    write_ciftify,
    write_cycles,
    write_dictionaries,
    write_events,
    write_fmriprep,
    write_pairs,
)

from brainflix.config.studies import CleaningConfig, ResponseConfig, SelectionConfig, StudySource
from brainflix.errors import ConfigError, DataError
from brainflix.preprocessing.clean import clean
from brainflix.preprocessing.extract import extract
from brainflix.preprocessing.select import select
from brainflix.studies.readers import open_study, source_files

SIZE = Size()
DICTIONARY = "{subject}/prepared_allvoxel_pkl/{region}_betas-GLMsingle_type-typeb_z=1.pkl"
FORMS = {
    "ciftify": {},
    "fmriprep": {"form": "fmriprep"},
    "cycles": {"form": "cycles"},
    "pairs": {"form": "prepared"},
    "dictionaries": {"form": "prepared", "pattern": DICTIONARY},
}
SERIES = ("ciftify", "fmriprep")


def source(root, **options):
    return StudySource(reader="had", root=str(root), options=options)


@pytest.fixture(scope="module")
def study_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("had")
    write_events(root, SIZE)
    for write in (write_ciftify, write_fmriprep, write_cycles, write_pairs, write_dictionaries):
        write(root, SIZE)
    return root


@pytest.fixture
def broken(study_root, tmp_path):
    shutil.copytree(study_root, tmp_path / "study")
    return tmp_path / "study"


def clip_of(file):
    return file.replace("/", "-").removesuffix(".mp4")


@pytest.mark.parametrize("form", FORMS)
def test_splits_are_a_persons_own_and_do_not_overlap(study_root, form):
    study = open_study(source(study_root, **FORMS[form]))
    assert study.subjects() == ("sub-01", "sub-02")
    split = {clip.id: clip.split for clip in study.clips()}
    assert len(split) == 2 * 4 * SIZE.actions
    shown = {}
    for subject in study.subjects():
        shown[subject] = {"train": [], "test": []}
        for run in study.runs(subject):
            assert {split[event.clip] for event in run.events} == {run.split}
            shown[subject][run.split] += [event.clip for event in run.events]
        files = SIZE.shown(subject)
        expected = {clip_of(file) for run in files[9:] for file in run}
        assert set(shown[subject]["test"]) == expected
        assert len(shown[subject]["test"]) == SIZE.actions  # one of each action
        assert len(shown[subject]["train"]) == len(set(shown[subject]["train"])) == 3 * SIZE.actions
    train = set(shown["sub-01"]["train"]) | set(shown["sub-02"]["train"])
    assert not train & (set(shown["sub-01"]["test"]) | set(shown["sub-02"]["test"]))


def test_clips_have_an_action(study_root):
    study = open_study(source(study_root, form="cycles"))
    file = SIZE.shown("sub-01")[0][2]
    clip = next(one for one in study.clips() if one.id == clip_of(file))
    action = file.split("/")[0].replace("_", " ")
    assert clip.attributes == {"action": action}
    assert clip.captions == (action.lower(),)
    assert clip.path == study_root / "stimuli" / file
    assert (clip.duration, clip.group) == (2.0, clip.id)
    one = open_study(source(study_root, form="cycles", subjects=["sub-02"]))
    assert one.subjects() == ("sub-02",)
    assert len(one.clips()) == 4 * SIZE.actions
    complains(lambda: one.runs("sub-01"), "not in the study")


def test_captions_of_ones_own(study_root):
    clip = clip_of(SIZE.shown("sub-01")[0][0])
    (study_root / "captions.json").write_text(json.dumps({clip: "a person on a bike"}))
    for form in ("cycles", "ciftify"):
        study = open_study(source(study_root, form=form, captions="captions.json"))
        captions = {one.id: one.captions for one in study.clips()}
        assert captions[clip] == ("a person on a bike",)
        assert study_root / "captions.json" in study.files()


@pytest.mark.parametrize("form", FORMS)
def test_listed_files_are_those_of_the_form_alone(study_root, form):
    study = open_study(source(study_root, **FORMS[form]))
    clips = [path for path in study.files() if path.suffix == ".mp4"]
    assert len(clips) == 2 * 4 * SIZE.actions
    names = {str(path.relative_to(study_root)) for path in study.files("sub-02")}
    assert sum(name.endswith("_events.tsv") for name in names) == 12
    folder = {"ciftify": "ciftify", "cycles": "ciftify", "fmriprep": "fmriprep", "pairs": "GLM"}
    others = [name for name in names if not name.endswith("_events.tsv")]
    count = {"ciftify": 12, "fmriprep": 12, "cycles": 4, "pairs": 2, "dictionaries": 1}
    assert len(others) == count[form]
    assert all(folder.get(form, "prepared_allvoxel_pkl") in name for name in others)


@pytest.mark.parametrize("form", SERIES)
def test_onsets_count_from_twelve_seconds(study_root, form):
    study = open_study(source(study_root, **FORMS[form]))
    runs = study.runs("sub-02")
    assert len(runs) == 12
    number = [int(run.id.rpartition("-")[2]) for run in runs]
    assert number == [*range(1, 13)]
    assert [run.split for run in runs] == ["train"] * 9 + ["test"] * 3
    assert [event.onset for event in runs[4].events[:2]] == [12.0, 16.0]
    assert runs[4].repetition_time == 2.0
    rows = run_rows("sub-02", 5, SIZE)
    np.testing.assert_array_equal(study.load(runs[4])[:, : SIZE.voxels], rows)


@pytest.mark.parametrize("form", [form for form in FORMS if form not in SERIES])
def test_betas_belong_to_their_clips(study_root, form):
    study = open_study(source(study_root, **FORMS[form]))
    files = {clip_of(file): file for run in SIZE.shown("sub-01") for file in run}
    runs = study.runs("sub-01")
    assert sum(run.n_volumes for run in runs) == 4 * SIZE.actions
    for run in runs:
        rows = study.load(run)
        for row, event in zip(rows, run.events, strict=True):
            np.testing.assert_array_equal(row, beta(files[event.clip], SIZE))
    assert len(study.voxels("sub-01")) == SIZE.voxels
    assert "shown once" in study.notices("sub-01")[0]


def test_vertices_of_the_published_betas(study_root):
    space = open_study(source(study_root, form="cycles")).voxels("sub-01")
    assert set(space.structure) == {"CIFTI_STRUCTURE_CORTEX_LEFT", "CIFTI_STRUCTURE_CORTEX_RIGHT"}
    assert space.vertex[:3].tolist() == [0, 2, 4]


@pytest.mark.parametrize("form", ["ciftify", "cycles"])
def test_one_repeat_cannot_select_but_all_voxels_pass(study_root, tmp_path, form):
    clean(source(study_root, form=form), "sub-01", CleaningConfig(), tmp_path / "c.h5")
    with pytest.raises(DataError, match="one repeat only") as caught:
        select(tmp_path / "c.h5", SelectionConfig(), tmp_path / "v.h5")
    assert "selection.method to all" in str(caught.value)
    select(tmp_path / "c.h5", SelectionConfig(method="all"), tmp_path / "v.h5")
    options = ResponseConfig(delay=4.0, window=1)
    extract(tmp_path / "c.h5", tmp_path / "v.h5", options, tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5") as file, h5py.File(tmp_path / "v.h5") as voxels:
        assert np.isnan(voxels["t"][()]).all()
        names = file["clip"].asstr()[()]
        assert len(names) == 4 * SIZE.actions
        right = []
        for run in SIZE.shown("sub-01"):
            for shown in run:
                response = file["responses"][names == clip_of(shown)][0, 0, : SIZE.voxels]
                right.append(np.corrcoef(response, drive(shown, SIZE))[0, 1])
        assert np.mean(right) > 0.7


def test_a_clip_of_both_splits_is_refused(broken):
    ours = broken / "sub-01/ses-action01/func/sub-01_ses-action01_task-action_run-03_events.tsv"
    stolen = SIZE.shown("sub-02")[10][0]
    lines = ours.read_text().splitlines()
    lines[1] = lines[1].replace(SIZE.shown("sub-01")[2][0], stolen)
    ours.write_text("\n".join(lines) + "\n")
    complains(
        lambda: open_study(source(broken)).clips(),
        "trains one person's responses and tests another's",
        "sub-01 train, sub-02 test",
    )
    assert open_study(source(broken, subjects=["sub-02"])).clips()
    lines[2] = lines[1]
    ours.write_text("\n".join(lines) + "\n")
    complains(lambda: open_study(source(broken, form="cycles")).clips(), "saw a clip twice")


def test_missing_files_are_named(broken, tmp_path):
    complains(lambda: source_files(source(tmp_path / "no")), "the study does not exist")
    folder = broken / "derivatives/ciftify/sub-01/results"
    (folder / "ses-action01_task-action_run-7_Atlas.dtseries.nii").unlink()
    complains(
        lambda: source_files(source(broken), "sub-01"), "a run is missing", "run-7", "ignore_runs"
    )
    some = source(broken, ignore_runs=["ses-action01_task-action_run-7"])
    assert len(open_study(some).runs("sub-01")) == 11
    (folder / "ses-action01_task-action_cycle-2_beta.dscalar.nii").unlink()
    complains(lambda: source_files(source(broken, form="cycles"), "sub-01"), "cycle-2")
    shutil.rmtree(broken / "sub-01/ses-action01")
    complains(lambda: source_files(source(broken), "sub-01"), "no events", "ds004488")


def test_test_runs_that_cut_a_cycle(study_root):
    study = open_study(source(study_root, form="cycles", test_runs=[12]))
    complains(lambda: study.runs("sub-01"), "part of a cycle", "10, 11, 12", error=ConfigError)
    study = open_study(source(study_root, test_runs=[12]))
    assert [run.split for run in study.runs("sub-01")] == ["train"] * 11 + ["test"]


def test_betas_of_another_person(broken):
    folder = broken / "derivatives/GLM"
    for split in ("train", "test"):
        name = "sub-0{}_organized_betas_task-{}_normalized.pkl"
        shutil.copy(
            folder / "sub-02/prepared_betas" / name.format(2, split),
            folder / "sub-01/prepared_betas" / name.format(1, split),
        )
    study = open_study(source(broken, form="prepared"))
    complains(lambda: study.runs("sub-01"), "do not show", "sub-01", "_02x")


@pytest.mark.parametrize("content", [{"data": 1}, (np.zeros((3, 1, 2)),), np.zeros(3)])
def test_pickles_of_something_else(broken, content):
    path = broken / DICTIONARY.format(subject="sub-01", region="Group41")
    path.write_bytes(pickle.dumps(content))
    study = open_study(source(broken, **FORMS["dictionaries"]))
    complains(lambda: study.runs("sub-01"), "holds no betas")


def test_cycles_that_are_damaged_or_of_other_clips(broken):
    folder = broken / "derivatives/ciftify/sub-01/results"
    path = folder / "ses-action01_task-action_cycle-1_beta.dscalar.nii"
    image = nib.load(path)
    names = ["v_x"] + list(image.header.get_axis(0).name[1:])
    axes = (nib.cifti2.ScalarAxis(names), image.header.get_axis(1))
    values = np.array(image.dataobj, dtype=np.float32)  # not mapped: its file is written anew
    nib.save(nib.Cifti2Image(values, axes), path)
    study = open_study(source(broken, form="cycles"))
    complains(lambda: study.runs("sub-01"), "do not show", "v_x")
    path.write_bytes(path.read_bytes()[:-100])
    study = open_study(source(broken, form="cycles"))
    complains(lambda: study.runs("sub-01"), "truncated or damaged")
