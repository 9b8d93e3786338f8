"""Whatever byte of a file changes or is lost: a typed error, or the same numbers, never others.

What carries no checksum (the values of an uncompressed image) is not changed here; its header is.
"""

import functools
import gzip
import shutil

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import hostile_images
from support.hostile_inputs import BOLD, CIFTI, EVENTS, SIDECAR, SUBJECT, base
from support.studies_on_disk import write_video

from brainflix.artifacts.store import create, open_artifact, read_strings, write_dataset
from brainflix.config.studies import StudySource
from brainflix.errors import ArtifactError, BrainflixError, StudyError
from brainflix.formats.tsv import read_table
from brainflix.formats.video import frames_at
from brainflix.studies.bids.recordings import read_sidecar
from brainflix.studies.readers import open_study

many = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
few = settings(many, max_examples=15)
TIMES = np.arange(0.1, 4.0, 0.25)  # s
places = st.floats(0, 1, exclude_max=True)
masks = st.integers(1, 255)


def changed(data, place, mask, end=None):
    """Return bytes of which one, in front of ``end``, has changed."""
    data = bytearray(data)
    data[int(place * (end or len(data)))] ^= mask
    return bytes(data)


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """Copies of a compressed, an uncompressed and a CIFTI study, to be damaged in place."""
    found = {}
    for name, kind in (("gz", "nifti"), ("plain", "nifti"), ("cifti", "cifti")):
        root = tmp_path_factory.mktemp(name) / "study"
        shutil.copytree(base(kind), root)
        path = root / (CIFTI if kind == "cifti" else BOLD)
        if name == "plain":
            path = hostile_images.plain(root)
        found[name] = (root, path, path.read_bytes())
    return found


def read(root):
    """Return what the reader says of the run that is damaged: its rows and all that shapes them."""
    study = open_study(StudySource(root=str(root)))
    (run,) = (run for run in study.runs(SUBJECT) if run.id == "task-train_run-02")
    space = study.voxels(SUBJECT)
    rows = np.array(study.load(run))
    return run.repetition_time, run.n_volumes, space.position, space.structure, space.vertex, rows


@functools.cache
def truth(root):
    return read(root)


def assert_helpful(error, *places):
    """Check that an error says where it is and what is wrong."""
    assert any(place in str(error) for place in places)
    assert len(str(error).splitlines()) > 1


def same_or_refused(studies, name, content):
    """Put damaged bytes into place and compare what is read, if anything is."""
    root, path, whole = studies[name]
    expected = truth(root)
    path.write_bytes(content)
    try:
        found = read(root)
    except StudyError as error:
        assert_helpful(error, path.name, "run-02")
        return
    finally:
        path.write_bytes(whole)
    for mine, right in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine, right)


@many
@given(kept=places)
@pytest.mark.parametrize("name", ["gz", "plain", "cifti"])
def test_a_truncated_image_is_refused(studies, name, kept):
    root, path, whole = studies[name]
    truth(root)
    path.write_bytes(whole[: int(kept * len(whole))])
    try:
        with pytest.raises(StudyError):
            read(root)
    finally:
        path.write_bytes(whole)


@many
@given(place=places, mask=masks)
def test_a_changed_byte_of_a_compressed_image(studies, place, mask):
    same_or_refused(studies, "gz", changed(studies["gz"][2], place, mask))


@many
@given(place=places, mask=masks)
def test_a_changed_byte_within_the_compression(studies, place, mask):
    """Values that differ under an old CRC: the stream itself is in order."""
    whole = studies["gz"][2]
    other = gzip.compress(changed(gzip.decompress(whole), place, mask), mtime=0)
    same_or_refused(studies, "gz", other[:-8] + whole[-8:])


@settings(many, max_examples=100)
@given(place=places, mask=masks)
@pytest.mark.parametrize("name", ["plain", "cifti"])
def test_a_changed_byte_of_a_header(studies, name, place, mask):
    whole = studies[name][2]
    end = 352 if name == "plain" else whole.rindex(b"</CIFTI>")
    same_or_refused(studies, name, changed(whole, place, mask, end))


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    path = tmp_path_factory.mktemp("artifact") / "a.h5"
    with create(path, "responses", configuration={"delay": 4.0}, seed=3) as file:
        write_dataset(file, "responses", np.arange(600, dtype=np.float32), ("trial",))
        write_dataset(file, "clip", [f"clip-{k}" for k in range(50)], ("trial",))
    return path, path.read_bytes()


@settings(many, max_examples=100)
@given(place=places, mask=masks, cut=st.booleans())
def test_a_damaged_artifact_is_refused(artifact, place, mask, cut):
    path, whole = artifact
    path.write_bytes(whole[: int(place * len(whole))] if cut else changed(whole, place, mask))
    try:
        with pytest.raises(ArtifactError), open_artifact(path, "responses") as file:
            read_strings(file["clip"])
    finally:
        path.write_bytes(whole)
    with open_artifact(path, "responses") as file:
        assert file["responses"].shape == (600,)


@many
@given(place=places, mask=masks, cut=st.booleans())
def test_a_damaged_sidecar_is_refused_or_says_something_else_openly(tmp_path, place, mask, cut):
    whole = (base("nifti") / SIDECAR).read_bytes()
    path = tmp_path / "s.json"
    path.write_bytes(whole[: int(place * len(whole))] if cut else changed(whole, place, mask))
    try:
        content = read_sidecar(path)
    except StudyError as error:
        assert_helpful(error, str(path))
        return
    assert not cut
    assert isinstance(content, dict)


@many
@given(place=places, mask=masks, cut=st.booleans())
def test_a_damaged_table_is_refused_or_still_a_table(tmp_path, place, mask, cut):
    whole = (base("videos") / EVENTS).read_bytes()
    path = tmp_path / "e.tsv"
    path.write_bytes(whole[: int(place * len(whole))] if cut else changed(whole, place, mask))
    try:
        table = read_table(path, ("onset", "duration"))
        for row in range(len(table.rows)):
            table.number(row, "onset")
    except StudyError as error:
        assert_helpful(error, str(path))
        return
    assert all(set(row) == set(table.columns) for row in table.rows)


@many
@given(text=st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_any_text_as_a_table_sidecar_or_stimulus_name(tmp_path, text):
    path = tmp_path / "any"
    path.write_text(text, encoding="utf-8", newline="")
    for reader in (read_table, read_sidecar):
        try:
            reader(path)
        except StudyError as error:
            assert_helpful(error, str(path))
    root = tmp_path / "study"
    root.mkdir(exist_ok=True)
    (root / "stimuli.tsv").write_text(
        "stim_file\tsplit\n" + text + "\ttrain\n", encoding="utf-8", newline=""
    )
    study = open_study(StudySource(root=str(root)))
    try:
        files = study.checked_files()
    except BrainflixError:
        return
    assert all(file.resolve().is_relative_to(root.resolve()) for file in files)


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    path = tmp_path_factory.mktemp("movie") / "m.mp4"
    write_video(path, 4.0)
    return path, path.read_bytes(), list(frames_at(path, TIMES))


@few
@given(kept=places)
def test_a_truncated_movie_is_refused_or_whole(movie, kept):
    """What follows the last frame and the index may be missing: all frames are there."""
    path, whole, frames = movie
    path.write_bytes(whole[: int(kept * len(whole))])
    try:
        found = list(frames_at(path, TIMES))
    except StudyError as error:
        assert_helpful(error, str(path))
        return
    assert kept > 0.5
    for (index, mine), (right_index, right) in zip(found, frames, strict=True):
        assert index == right_index
        np.testing.assert_array_equal(mine, right)


@many
@given(place=places, mask=masks, cut=st.booleans())
def test_a_damaged_hdf5_of_arrays_is_refused_or_read(tmp_path, place, mask, cut):
    """A foreign HDF5 has no checksum of its values; its structure must not lead anywhere else."""
    root = tmp_path / "study"
    root.mkdir(exist_ok=True)
    path, whole = root / "r.h5", tmp_path / "whole.h5"
    if not whole.exists():
        with h5py.File(whole, "w") as file:
            file["train"] = np.ones((12, 5), np.float32)
            file["pictures"] = np.zeros((12, 4, 4), np.uint8)
    data = whole.read_bytes()
    path.write_bytes(data[: int(place * len(data))] if cut else changed(data, place, mask))
    options = {
        "subjects": {SUBJECT: {"train": {"responses": "train"}}},
        "stimuli": {"train": "pictures"},
    }
    source = StudySource(reader="arrays", root=str(path), options=options)
    try:
        study = open_study(source)
        for run in study.runs(SUBJECT):
            assert study.load(run).dtype == np.float32
    except BrainflixError as error:
        assert_helpful(error, str(path))
