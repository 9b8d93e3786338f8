"""``brainflix check`` finds each planted fault, all of them at once, and says what would fail."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
import yaml
from support.command_line import brainflix
from support.layouts.published import LAYOUTS
from support.studies_on_disk import Plan, write_study, write_video

from brainflix.check.findings import span
from brainflix.check.table import duration, size

STEM = "sub-01/func/sub-01_task-train_run-0{}"
SPACE = "_space-T1w_desc-"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("check") / "study"
    write_study(root, Plan(train_sets=3, clips_per_set=5, test_repeats=2))
    return root


@pytest.fixture
def study(whole, tmp_path):
    root = tmp_path / "study"
    shutil.copytree(whole, root)
    return root


def check(capsys, root, *arguments):
    """Return the exit code and the one study's findings."""
    code = brainflix("check", "--root", root, "--json", *arguments)
    (found,) = json.loads(capsys.readouterr().out)
    assert found["fails"] == (code == 2)
    return code, found


def texts(found, severity):
    return [
        " ".join(str(part) for part in problem.values())
        for problem in found["problems"]
        if problem["severity"] == severity
    ]


def test_a_sound_study_is_ready(capsys, study):
    code, found = check(capsys, study)
    assert (code, found["problems"]) == (0, [])
    first, second = found["subjects"]
    assert (first["train_runs"], first["test_runs"], first["runs_read"]) == (6, 2, 8)
    assert (first["train_repeats"], first["test_repeats"]) == ("2", "2")
    # 4 s before, five clips of 2 s, 10 s behind
    assert (first["volumes"], first["spare"], first["repetition_time"]) == ("12", "10", "2")
    assert first["header_time"] == "2"
    assert (first["voxels"], first["unusable"]) == (48, 2)  # one constant, one with a NaN
    assert second["voxels"] == 60
    assert first["trials"] == 8 * 5
    assert found["stimuli"]["train_clips"] == 15
    assert found["stimuli"]["files_decoded"] == found["stimuli"]["files"] == 4
    disk = found["estimate"]["disk"]
    assert disk["cleaned runs"] == 4 * 8 * 12 * (48 + 60)
    assert disk["responses"] == 4 * 40 * 2 * (48 + 60)
    assert disk["stimuli"] == 3 * 20 * 8 * 64 * 64


def break_mask(root):
    nib.save(
        nib.Nifti1Image(np.ones((3, 4, 5), np.uint8), np.eye(4)),
        root / f"{STEM.format(1)}{SPACE}brain_mask.nii.gz",
    )


def cut_volumes(root):
    path = root / f"{STEM.format(2)}{SPACE}preproc_bold.nii.gz"
    nib.save(nib.load(path).slicer[..., :4], path)


def damage_series(root):
    path = root / f"{STEM.format(3)}{SPACE}preproc_bold.nii.gz"
    data = bytearray(path.read_bytes())
    data[-6] ^= 1
    path.write_bytes(data)


FAULTS = {
    "mask of another shape": (break_mask, "another shape", STEM.format(1)),
    "short run": (cut_volumes, "shorter than its stimuli", STEM.format(2)),
    "damaged values": (damage_series, "damaged", STEM.format(3)),
    "missing events": (
        lambda root: (root / f"{STEM.format(4)}_events.tsv").unlink(), "no events", "run-04",
    ),
    "broken sidecar": (
        lambda root: (root / f"{STEM.format(5)}{SPACE}preproc_bold.json").write_text("{"),
        "sidecar", STEM.format(5),
    ),
    "missing run": (
        lambda root: (root / f"{STEM.format(6)}{SPACE}preproc_bold.nii.gz").unlink(),
        "a run is missing", "run-06",
    ),
    "movie that does not decode": (
        lambda root: (root / "stimuli/seg02.mp4").write_bytes(b"nothing"), "decoded", "seg02.mp4",
    ),
    "movie that is too short": (
        lambda root: write_video(root / "stimuli/seg03.mp4", 4.0), "no frame", "seg03.mp4",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_found(capsys, study, name):
    plant, what, where = FAULTS[name]
    plant(study)
    code, found = check(capsys, study)
    assert code == 2
    (failing,) = texts(found, "fails")
    assert what in failing
    assert where in failing
    assert [subject["subject"] for subject in found["subjects"]] == ["sub-01", "sub-02"]


def test_all_faults_are_found_at_once(capsys, study):
    for plant, _, _ in FAULTS.values():
        plant(study)
    code, found = check(capsys, study)
    assert code == 2
    failing = "\n".join(texts(found, "fails"))
    for _, what, where in FAULTS.values():
        assert any(what in line and where in line for line in failing.splitlines())
    assert found["subjects"][1]["train_runs"] == 6  # the other subject is whole


def test_quick_leaves_values_and_frames_alone(capsys, study):
    damage_series(study)
    (study / "stimuli/seg02.mp4").write_bytes((study / "stimuli/seg01.mp4").read_bytes())
    code, found = check(capsys, study, "--quick")
    assert code == 0
    assert found["subjects"][0]["runs_read"] == found["stimuli"]["files_decoded"] == 0
    code, found = check(capsys, study, "--minutes", "0")
    assert found["subjects"][0]["runs_read"] == 0


def test_splits_that_overlap_and_times_that_differ_are_doubtful(capsys, study):
    (study / "stimuli/test.mp4").write_bytes((study / "stimuli/seg01.mp4").read_bytes())
    sidecar = study / f"{STEM.format(1)}{SPACE}preproc_bold.json"
    sidecar.write_text(json.dumps({"RepetitionTime": 1.9}))
    for path in study.glob(f"{STEM.format(6)}*"):
        path.unlink()
    (study / "sub-01/sub-01_scans.tsv").unlink()
    code, found = check(capsys, study)
    assert code == 0
    doubtful = "\n".join(texts(found, "doubtful"))
    assert "a training and a test clip show the same" in doubtful
    assert "the header's repetition time is not the one that is used" in doubtful
    assert "repeats of train clips are missing" in doubtful
    first = found["subjects"][0]
    assert (first["repetition_time"], first["header_time"]) == ("1.9-2", "2")
    assert first["train_repeats"] == "1-2"


def test_a_stretch_of_film_in_both_splits_is_found(capsys, study):
    lines = (study / "stimuli.tsv").read_text().splitlines()
    lines.append(lines[-1].replace("test_04", "again").replace("test.mp4", "seg01.mp4"))
    (study / "stimuli.tsv").write_text("\n".join(lines) + "\n")
    _, found = check(capsys, study)
    doubtful = "\n".join(texts(found, "doubtful"))
    assert "a training and a test clip show the same" in doubtful
    assert "none of the subjects saw" in doubtful


def test_what_the_stages_would_refuse_fails_by_configuration(capsys, study, tmp_path):
    for path in study.glob("sub-02/func/*train*run-0[456]*"):
        path.unlink()
    (study / "sub-02/sub-02_scans.tsv").unlink()
    configuration = {
        "recipe": "brain_netflix",
        "studies": {
            "mine": {"root": str(study), "subjects": ["sub-01", "sub-02", "sub-09"]},
            "later": {"root": str(tmp_path / "no"), "subjects": ["sub-01"], "simulation": {}},
            "lost": {"root": str(tmp_path / "no"), "subjects": ["sub-01"]},
        },
        "preprocessing": {
            "cleaning": {"trim_start": 4, "confounds": ["nonsense"]},
            "selection": {"atlas": str(tmp_path / "none.nii.gz")},
        },
        "experiments": {"e": {"cohorts": {"mine": ["sub-01"]}}},
    }
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(configuration))
    assert brainflix("check", "mine", "--config", path, "--quick", "--json") == 2
    assert "none.nii.gz" in capsys.readouterr().err  # an atlas that is missing is refused at once
    labels = nib.Nifti1Image(np.ones((2, 2, 2), np.int16), np.eye(4))
    nib.save(labels, tmp_path / "none.nii.gz")  # one of another grid is a problem among others
    assert brainflix("check", "mine", "--config", path, "--quick", "--json") == 2
    (found,) = json.loads(capsys.readouterr().out)
    failing = "\n".join(texts(found, "fails"))
    for words in (
        "the subject is not in the study",
        "trimming cuts into a run's stimuli",
        "confounds table lacks a column",
        "too few training repeats",
        "none.nii.gz",
    ):
        assert words in failing
    assert brainflix("check", "later", "--config", path) == 0
    assert "simulated" in capsys.readouterr().out
    assert brainflix("check", "lost", "--config", path) == 2
    assert "the study does not exist" in capsys.readouterr().out
    assert brainflix("check", "other", "--config", path) == 2
    assert "later, lost, mine" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "found_of"), [((), "20 of 20"), (("--quick",), "1 of 1")])
def test_clips_without_a_film_or_frames_are_one_problem(capsys, study, arguments, found_of):
    lines = [line.split("\t") for line in (study / "stimuli.tsv").read_text().splitlines()]
    bare = [[clip, split, group] for clip, _, _, _, split, group, *_ in lines]
    (study / "stimuli.tsv").write_text("\n".join("\t".join(line) for line in bare) + "\n")
    for path in study.glob("sub-*/func/*_events.tsv"):
        movie = path.read_text().splitlines()[1].split("\t")[3].removesuffix(".mp4")
        rows = [f"{4 + 2 * k}\t2\t{movie}_{k:02d}" for k in range(5)]
        path.write_text("onset\tduration\tclip\n" + "\n".join(rows) + "\n")
    code, found = check(capsys, study, *arguments)
    assert code == 2
    (failing,) = texts(found, "fails")
    assert "neither a file nor frames" in failing
    assert found_of in failing


def test_the_table_is_for_a_person(capsys, study, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    break_mask(study)
    assert brainflix("check", "--root", study) == 2
    text = capsys.readouterr().out
    for words in ("sub-01", "5/2", "6/2", "1-2/2", "A run would fail", "1 problem", "what to do"):
        assert words in text
    assert "Ready to run" not in text
    assert "…" not in text  # nothing is cut off on a narrow screen


def test_sizes_times_and_spans():
    assert [size(n) for n in (0, 999, 1000, 1.5e9, 2.34e14)] == [
        "0 B", "999 B", "1.0 kB", "1.5 GB", "234 TB",
    ]  # fmt: skip
    assert [duration(s) for s in (0.2, 90, 600, 9000, 360_000)] == [
        "< 1 s", "90 s", "10 min", "2 h", "4.2 days",
    ]  # fmt: skip
    assert [span([]), span([3, 3]), span([245, 246]), span([1.75, 2.0], 3)] == [
        "", "3", "245-246", "1.75-2",
    ]  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_published_layout_is_ready(capsys, tmp_path, name):
    layout = LAYOUTS[name]
    layout.write(tmp_path / "study")
    section = layout.section(tmp_path / "study")
    configuration = {
        "recipe": "brain_netflix",
        "studies": {"it": section},
        "experiments": {"e": {"cohorts": {"it": "all"}}},
    }
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(configuration))
    assert brainflix("check", "it", "--config", path, "--json") == 0, capsys.readouterr()
    (found,) = json.loads(capsys.readouterr().out)
    assert not texts(found, "fails")
    for subject in found["subjects"]:
        assert subject["train_runs"] > 0
        assert subject["voxels"] > 0
        assert subject["runs_read"] == subject["train_runs"] + subject["test_runs"]
    assert found["stimuli"]["train_clips"] > 0
    assert found["estimate"]["disk"]["responses"] > 0
