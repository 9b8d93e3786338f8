"""Broken studies on the command line: a message that names the file, and exit code 2."""

import shutil

import nibabel as nib
import numpy as np
import pytest
from support.command_line import stage_call
from support.studies_on_disk import Plan, write_study

RUN = "sub-01/func/sub-01_task-train_run-02_space-T1w_desc-{}.nii.gz"
BOLD, MASK = RUN.format("preproc_bold"), RUN.format("brain_mask")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    write_study(root, Plan(subjects=("sub-01",), train_sets=3, videos=False))
    return root


def stages(root, folder, **selection):
    """Return the calls of the stages clean, select and extract, each after the one before."""
    found, before = [], None
    for name in ("clean", "select", "extract"):
        options = {"selection": selection}
        source = {"root": str(root)}
        before = stage_call(name, folder, source, first=before, preprocessing=options)
        found.append(before)
    return found


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
    clean, *_ = stages(root, tmp_path)
    assert clean.run() == 2
    text = capsys.readouterr().err
    assert message in text
    assert place in text
    assert "expected:" in text
    assert "what to do:" in text
    assert "Traceback" not in text
    assert not list(tmp_path.rglob("*.h5"))
    assert not list(tmp_path.rglob(".*partial*"))


def test_one_repeat_only_ends_with_exit_code_2(tmp_path, capsys):
    plan = Plan(subjects=("sub-01",), train_repeats=1, videos=False)
    write_study(tmp_path / "study", plan)
    clean, select, _ = stages(tmp_path / "study", tmp_path)
    assert select.run() == 2
    assert "too few training repeats" in capsys.readouterr().err
    assert clean.out.is_file()
    assert not select.out.exists()


def test_a_whole_study_goes_through_on_the_command_line(whole, tmp_path):
    *_, extract = stages(whole, tmp_path, correction="none", delay=4.0, window=1)
    assert extract.run() == 0
    assert extract.out.is_file()
