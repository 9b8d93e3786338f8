"""Truncated and damaged files of the readers of betas: a typed error or the true numbers."""

import numpy as np
import pytest
from support.layouts import arrays as layouts_arrays
from support.layouts import bold5000 as layouts_bold5000
from support.layouts import glmsingle as layouts_glmsingle
from support.layouts import god as layouts_god
from support.layouts import mosaic as layouts_mosaic

from brainflix.config.studies import StudySource
from brainflix.errors import BrainflixError
from brainflix.studies.readers import open_study

MODEL = layouts_glmsingle.MODEL
REGION = "BOLD5000_GLMsingle_ROI_betas/py/CSI1_GLMbetas-TYPED-FITHRF-GLMDENOISE-RR_allses_LHLOC.npy"
CASES = {
    "god_npz": ("god", layouts_god.write_npz_study, "sbj_1.npz"),
    "god_bdata": ("god", layouts_god.write_bdata_study, "Subject1.h5"),
    "bold5000": ("bold5000", layouts_bold5000.write_study, REGION),
    "glmsingle_npy": (
        "glmsingle",
        lambda root: layouts_glmsingle.write_study(root, videos=False),
        f"sub-01/ses-01/{MODEL}.npy",
    ),
    "glmsingle_hdf5": (
        "glmsingle",
        lambda root: layouts_glmsingle.write_study(root, videos=False, suffix=".hdf5"),
        f"sub-01/ses-02/{MODEL}.hdf5",
    ),
    "mosaic": (
        "mosaic",
        lambda root: layouts_mosaic.write_study(root, videos=False),
        "sub-01_BMD.hdf5",
    ),
    "arrays": ("arrays", layouts_arrays.write_study, "test.npz"),
}


def everything(reader, root):
    """Return all numbers of a study, run by run."""
    file = "study.yaml" if reader == "arrays" else ""
    study = open_study(StudySource(reader=reader, root=str(root / file)))
    found = {}
    for subject in study.subjects():
        study.voxels(subject)
        study.notices(subject)
        for run in study.runs(subject):
            found[subject, run.id] = study.load(run).tobytes()
    return found


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory):
    reader, write, name = CASES[request.param]
    root = tmp_path_factory.mktemp(request.param)
    write(root)
    return reader, root, name, everything(reader, root)


def damaged(case, tmp_path, content):
    """Return a study's numbers with one file's content replaced, None where it is refused."""
    reader, root, name, _ = case
    before = (root / name).read_bytes()
    (root / name).write_bytes(content)
    try:
        return everything(reader, root)
    except BrainflixError:
        return None
    finally:
        (root / name).write_bytes(before)


def test_a_truncated_file_is_refused(case, tmp_path):
    whole = (case[1] / case[2]).read_bytes()
    for length in np.random.default_rng(0).integers(0, len(whole) - 1, 30):
        found = damaged(case, tmp_path, whole[:length])
        assert found is None or found == case[3]


def test_a_changed_byte_is_an_error_of_ours_or_another_number(case, tmp_path):
    whole = (case[1] / case[2]).read_bytes()
    rng = np.random.default_rng(1)
    for place in rng.integers(0, min(len(whole), 4000), 40):
        content = bytearray(whole)
        content[place] ^= 1 << int(rng.integers(8))
        found = damaged(case, tmp_path, bytes(content))
        if case[2].endswith(".npz"):  # its checksums are compared
            assert found is None or found == case[3]
