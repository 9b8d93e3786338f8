"""``brainflix inspect``: an artifact's content and origin on a screen, and other people's files."""

import json

import h5py
import nibabel as nib
import numpy as np
import pytest
from support.command_line import brainflix
from support.edited_artifacts import edited
from support.studies_on_disk import Plan, write_cifti, write_study, write_video

from brainflix.check.inspection import inspect
from brainflix.config.studies import CleaningConfig, StudySource
from brainflix.errors import ArtifactError, StudyError
from brainflix.preprocessing.clean import clean


@pytest.fixture(scope="module")
def cleaned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inspect")
    plan = Plan(subjects=("sub-01",), train_sets=3, clips_per_set=4, videos=False)
    write_study(folder / "study", plan)
    path = folder / "cleaned.h5"
    clean(StudySource(root=str(folder / "study")), "sub-01", CleaningConfig(), path)
    return path


def test_an_artifact_on_one_screen(cleaned, capsys):
    assert brainflix("inspect", cleaned) == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 200
    for words in (
        "cleaned, complete",
        "the stage clean",
        "that of this installation",
        "cleaning.detrend_order: 4",
        "runs/*/rows (volume 11, voxel 46) float32  x 9",  # three runs test, six train
        "runs/*/onset (event 4) float64 s",
        "subject sub-01",
        "dropped_voxels 2",
        "unchanged",
    ):
        assert words in text


def test_inputs_that_changed_stand_first(cleaned, tmp_path):
    source = cleaned.parent / "study/sub-01/func/sub-01_task-train_run-06_events.tsv"
    before = source.read_text()
    source.write_text(before + "\n")
    try:
        lines = inspect(cleaned).splitlines()
        place = next(k for k, line in enumerate(lines) if line.startswith("from"))
        assert "1 changed since" in lines[place]
        assert "run-06_events.tsv (changed since)" in lines[place + 1]
    finally:
        source.write_text(before)
    with edited(cleaned) as file:
        file.attrs["code"] = "0" * 16
    assert "other than that of this installation" in inspect(cleaned)


def test_a_damaged_artifact_is_not_described(cleaned, tmp_path):
    path = tmp_path / "c.h5"
    data = bytearray(cleaned.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match="damaged"):
        inspect(path)
    path.write_bytes(b"text")
    with pytest.raises(ArtifactError, match="cannot be opened"):
        inspect(path)
    with pytest.raises(ArtifactError, match="no HDF5 artifact"):
        inspect(tmp_path / "none.h5")
    (tmp_path / "x.docx").write_text("a")
    with pytest.raises(StudyError, match="unknown kind of file"):
        inspect(tmp_path / "x.docx")


def test_files_of_other_people(tmp_path):
    rows = np.ones((7, 20), np.float32)
    write_cifti(tmp_path / "a.dtseries.nii", rows, 1.5)
    image = nib.Nifti1Image(np.ones((4, 5, 6, 7), np.int16), np.diag([2, 2, 3, 1.0]))
    image.header.set_zooms((2, 2, 3, 1.75))
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, tmp_path / "b.nii.gz")
    np.savez(tmp_path / "c.npz", betas=rows, order=np.arange(7))
    np.save(tmp_path / "d.npy", rows)
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file["group/x"] = rows
    write_video(tmp_path / "f.mp4", 2.0)
    metric = {"value": 0.9, "interval": [0.8, 0.95], "chance": 0.5, "n": 40}
    content = {"subjects": {"movie/sub-01": {"metrics": {"identification@clip": metric}}}}
    (tmp_path / "metrics.json").write_text(json.dumps(content))
    (tmp_path / "events.tsv").write_text("onset\tduration\n1\t2\n3\t2\n")
    for name, *words in (
        ("a.dtseries.nii", "CIFTI-2 (7, 20) float32", "TR 1.5 s", "cortex_left 10"),
        ("b.nii.gz", "NIfTI (4, 5, 6, 7) int16", "2 x 2 x 3 mm", "7 volumes, TR 1.75 s"),
        ("c.npz", "betas (7, 20) float32", "order (7,) int64"),
        ("d.npy", "one array (7, 20) float32"),
        ("e.h5", "not an artifact of brainflix", "group/x (7, 20) float32"),
        ("f.mp4", "video of 2.00 s", "32 x 32", "4 frames/s"),
        ("metrics.json", "movie/sub-01", "0.900 (0.800-0.950), chance 0.500, n 40"),
        ("events.tsv", "2 lines of 2 columns: onset, duration"),
    ):
        text = inspect(tmp_path / name)
        for word in words:
            assert word in text, text
