"""Artifacts: whole or not there, the same bytes from the same inputs, refused when damaged."""

import json
import os
import signal
import stat
import subprocess
import sys
import time

import numpy as np
import pytest
from support.edited_artifacts import edited

from brainflix.artifacts import store as artifacts
from brainflix.errors import ArtifactError


def write(path, *, values=None, source=()):
    """Write a small artifact with numbers and strings."""
    values = np.arange(12, dtype=np.float32).reshape(3, 4) if values is None else values
    with artifacts.create(
        path, "responses", configuration={"delay": 4.0}, seed=3, inputs=source, code="abc"
    ) as file:
        artifacts.write_dataset(file, "responses", values, ("trial", "voxel"), units="z")
        artifacts.write_dataset(file, "group/clip", ["a", "b", "ü"], ("trial",))


def test_an_artifact_comes_back_with_names_units_and_provenance(tmp_path):
    source = tmp_path / "in.txt"
    source.write_bytes(b"abc")
    write(tmp_path / "out" / "r.h5", source=[source])
    with artifacts.open_artifact(tmp_path / "out" / "r.h5", "responses") as file:
        np.testing.assert_array_equal(file["responses"], np.arange(12).reshape(3, 4))
        assert [axis.label for axis in file["responses"].dims] == ["trial", "voxel"]
        assert file["responses"].attrs["units"] == "z"
        assert artifacts.read_strings(file["group/clip"]) == ["a", "b", "ü"]
        assert json.loads(file.attrs["configuration"]) == {"delay": 4.0}
        # the beginning of SHA-256("abc"), as FIPS 180-2 gives it
        assert json.loads(file.attrs["inputs"]) == {str(source): "ba7816bf8f01cfea"}


def test_the_same_inputs_give_the_same_bytes(tmp_path):
    write(tmp_path / "first.h5")
    time.sleep(1.1)  # HDF5 keeps times in seconds
    write(tmp_path / "second.h5")
    assert (tmp_path / "first.h5").read_bytes() == (tmp_path / "second.h5").read_bytes()


def test_a_writer_that_fails_leaves_the_old_artifact_and_nothing_else(tmp_path):
    path = tmp_path / "r.h5"
    write(path)
    before = path.read_bytes()
    with pytest.raises(ArtifactError), artifacts.create(path, "responses") as file:
        artifacts.write_dataset(file, "half", np.zeros((3, 3)), ("too", "many", "names"))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["r.h5"]


def test_a_killed_writer_leaves_no_artifact(tmp_path):
    path = tmp_path / "r.h5"
    code = """
import sys, time
import numpy as np
from brainflix.artifacts import store as artifacts
with artifacts.create(sys.argv[1], "responses") as file:
    file["rows"] = np.zeros((1000, 1000))
    file.flush()
    print("half-way", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"half-way\n"
        writer.send_signal(signal.SIGKILL)
    assert not path.exists()
    write(path)  # what it left is in nobody's way
    with artifacts.open_artifact(path, "responses"):
        pass


def test_the_mode_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write(tmp_path / "r.h5")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "r.h5").stat().st_mode) == 0o640


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_artifact_is_refused(tmp_path, kept):
    path = tmp_path / "r.h5"
    write(path, values=np.random.default_rng(0).normal(size=(3, 5000)))
    with open(path, "r+b") as stream:
        stream.truncate(int(kept * path.stat().st_size))
    with pytest.raises(ArtifactError) as caught, artifacts.open_artifact(path, "responses"):
        pass
    assert str(path) in str(caught.value)
    assert "run the workflow again" in str(caught.value)


def _forget(name):
    def change(file):
        del file.attrs[name]

    return change


def _other_version(file):
    file.attrs["schema_version"] = artifacts.SCHEMA_VERSION + 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_forget("complete"), "not complete"),
        (_forget("kind"), "without the attribute kind"),
        (_other_version, "schema version"),
    ],
)
def test_what_is_not_a_whole_artifact_is_refused(tmp_path, change, said):
    path = tmp_path / "r.h5"
    write(path)
    with edited(path) as file:
        change(file)
    with pytest.raises(ArtifactError, match=said), artifacts.open_artifact(path, "responses"):
        pass


def test_another_kind_and_a_missing_file_are_refused(tmp_path):
    write(tmp_path / "r.h5")
    with pytest.raises(ArtifactError) as caught, artifacts.open_artifact(tmp_path / "r.h5", "x"):
        pass
    assert (caught.value.expected, caught.value.found) == ("x", "responses")
    with pytest.raises(ArtifactError, match="no x artifact"):
        with artifacts.open_artifact(tmp_path / "none.h5", "x"):
            pass


def test_each_axis_needs_a_name(tmp_path):
    with pytest.raises(ArtifactError, match="a name an axis"):
        with artifacts.create(tmp_path / "r.h5", "responses") as file:
            artifacts.write_dataset(file, "rows", np.zeros((2, 2)), ("trial",))
    assert not (tmp_path / "r.h5").exists()


def test_a_description_names_each_dataset(tmp_path):
    write(tmp_path / "r.h5")
    lines = artifacts.describe(tmp_path / "r.h5").splitlines()
    assert "kind: responses" in lines
    assert "/responses (trial 3, voxel 4) float32 z" in lines
    assert "/group/clip (trial 3) str" in lines


def test_json_is_sorted_whole_and_strict(tmp_path):
    path = tmp_path / "m.json"
    artifacts.write_json(path, {"b": 1.5, "a": [1]})
    assert path.read_text() == '{\n  "a": [\n    1\n  ],\n  "b": 1.5\n}\n'
    assert artifacts.read_json(path) == {"a": [1], "b": 1.5}
    with pytest.raises(ValueError, match="not JSON compliant"):
        artifacts.write_json(path, {"a": float("nan")})
    assert artifacts.read_json(path) == {"a": [1], "b": 1.5}


@pytest.mark.parametrize("content", ['{"a": 1', "[1]", None])
def test_json_that_is_no_object_is_refused(tmp_path, content):
    path = tmp_path / "m.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ArtifactError) as caught:
        artifacts.read_json(path)
    assert str(path) in str(caught.value)
