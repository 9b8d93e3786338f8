"""Every damaged or hostile input ends as it must: refused with a reason, or read right."""

import functools

import h5py
import numpy as np
import pytest
from support import hostile_inputs
from support.hostile_inputs import MARKER, base, clean, load

CASES = load()


@functools.cache
def reference(kind):
    """Return the cleaned runs of the undamaged study."""
    call = clean(base(kind))
    assert call.run() == 0
    with h5py.File(call.out) as file:
        return {name: run["rows"][()] for name, run in file["runs"].items()}


def test_there_are_many_cases_and_each_says_what_must_come_of_it():
    assert len(CASES) >= 60
    assert sum(case.valid for case in CASES.values()) >= 10
    names = [name for case in CASES.values() for name in case.words]
    assert all(names)


@pytest.mark.parametrize("name", CASES)
def test_each_case_ends_as_it_must(name, tmp_path, capsys):
    case = CASES[name]
    call = case.make(tmp_path)
    out = call.out
    code = call.run()
    text = capsys.readouterr().err
    assert "Traceback" not in text, text
    assert not (tmp_path / MARKER).exists()
    if not case.valid:
        assert code == 2, text
        assert text.count("brainflix: ") == 1
        for word in case.words:
            assert word in text, text
        assert not out.exists()
        assert not list(tmp_path.rglob(".*partial*"))
        return
    assert code == 0, text
    if call.arguments[0] == "decode":
        with h5py.File(out) as file:
            assert len(set(file["clip"].asstr()[()])) == len(file["frames"]) > 0
        return
    with h5py.File(out) as file:
        expected = reference("nifti")
        assert set(file["runs"]) == set(expected)
        for run_name, rows in expected.items():
            found = file[f"runs/{run_name}/rows"][()]
            np.testing.assert_allclose(found, rows, atol=case.tolerance, err_msg=run_name)
            assert file[f"runs/{run_name}"].attrs["repetition_time"] == 2.0


def test_the_script_writes_every_case(tmp_path, capsys, monkeypatch):
    chosen = {name: CASES[name] for name in list(CASES)[:3]}
    monkeypatch.setattr(hostile_inputs, "CASES", chosen)
    monkeypatch.setattr(hostile_inputs, "load", lambda: chosen)
    hostile_inputs.main(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(chosen)
    assert "3 inputs" in capsys.readouterr().out
