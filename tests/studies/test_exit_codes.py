"""Broken studies on the command line: a message that names the file, and exit code 2."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from support.command_line import brainflix
from support.studies_on_disk import Plan, write_study

RUN = "sub-01/func/sub-01_task-train_run-02_space-T1w_desc-{}.nii.gz"
BOLD, MASK = RUN.format("preproc_bold"), RUN.format("brain_mask")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    write_study(root, Plan(subjects=("sub-01",), train_sets=3, videos=False))
    return root


def clean(root, out):
    return brainflix(
        "clean", "--source", json.dumps({"root": str(root)}), "--subject", "sub-01", "--out", out
    )


def missing_run(root):
    (root / BOLD).unlink()


def short_run(root):
    nib.save(nib.load(root / BOLD).slicer[..., :10], root / BOLD)


def other_mask(root):
    nib.save(nib.Nifti1Image(np.ones((3, 4, 5), np.uint8), np.eye(4)), root / MASK)


def missing_stimulus(root):
    (root / "stimuli/seg02.mp4").unlink()


def truncated_nifti(root):
    data = (root / BOLD).read_bytes()
    (root / BOLD).write_bytes(data[: len(data) // 2])


def only_test_runs(root):
    for path in (root / "sub-01").rglob("*task-train*"):
        path.unlink()
    (root / "sub-01/sub-01_scans.tsv").unlink()


@pytest.mark.parametrize(
    ("damage", "message", "place"),
    [
        (missing_run, "a run is missing", "task-train_run-02"),
        (short_run, "a run is shorter than its stimuli", BOLD),
        (other_mask, "a mask or atlas has another shape", MASK),
        (missing_stimulus, "a stimulus file does not exist", "seg02.mp4"),
        (truncated_nifti, "truncated or damaged", BOLD),
        (only_test_runs, "no training trials", "sub-01"),
    ],
)
def test_a_broken_study_ends_with_exit_code_2(whole, tmp_path, capsys, damage, message, place):
    root = tmp_path / "study"
    shutil.copytree(whole, root)
    damage(root)
    assert clean(root, tmp_path / "cleaned.h5") == 2
    text = capsys.readouterr().err
    assert message in text
    assert place in text
    assert "expected:" in text
    assert "what to do:" in text
    assert "Traceback" not in text
    assert not list(tmp_path.glob("*.h5"))
    assert not list(tmp_path.glob(".*partial*"))


def test_one_repeat_only_ends_with_exit_code_2(tmp_path, capsys):
    plan = Plan(subjects=("sub-01",), train_repeats=1, videos=False)
    write_study(tmp_path / "study", plan)
    assert clean(tmp_path / "study", tmp_path / "cleaned.h5") == 0
    code = brainflix("select", tmp_path / "cleaned.h5", "--out", tmp_path / "voxels.h5")
    assert code == 2
    assert "too few training repeats" in capsys.readouterr().err
    assert not (tmp_path / "voxels.h5").exists()


def test_a_whole_study_goes_through_on_the_command_line(whole, tmp_path):
    cleaned, voxels = tmp_path / "cleaned.h5", tmp_path / "voxels.h5"
    assert clean(whole, cleaned) == 0
    options = json.dumps({"correction": "none", "delay": 4.0, "window": 1})
    assert brainflix("select", cleaned, "--options", options, "--out", voxels) == 0
    assert brainflix("extract", cleaned, voxels, "--out", tmp_path / "responses.h5") == 0
    assert (tmp_path / "responses.h5").is_file()
