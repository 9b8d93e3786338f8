"""The wheel: it holds what the package needs and runs outside of the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(*command, **options):
    """Run a command that has to succeed and return what it printed."""
    result = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, **options
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel from a copy of the sources, with the build tools of this environment."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    ignored = shutil.ignore_patterns("__pycache__")  # links to the workflow become its files
    shutil.copytree(ROOT / "brainflix", source / "brainflix", ignore=ignored)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", out, source)
    (path,) = out.glob("brainflix-*.whl")
    return path


def test_the_wheel_holds_sources_recipes_models_and_licence(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "brainflix").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    assert not package - names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith("tests")]


def test_the_wheel_runs_outside_of_the_checkout(wheel, tmp_path):
    place = tmp_path / "site"
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--target", place, wheel)
    options = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(place)}}
    where = run(sys.executable, "-c", "import brainflix; print(brainflix.__file__)", **options)
    assert Path(where.strip()).is_relative_to(place)
    script = place / "bin" / "brainflix"
    assert "reconstruct the video a person watched" in run(script, "--help", **options).lower()
    shutil.copy(ROOT / "config.yaml", tmp_path)
    assert "experiment brain_netflix" in run(script, "validate", "config.yaml", **options)


def test_the_wheel_holds_the_workflow_and_runs_it(wheel, tmp_path):
    place = tmp_path / "site"
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--target", place, wheel)
    bundle = place / "brainflix" / "bundle"
    assert (bundle / "Snakefile").is_file()
    assert not (bundle / "Snakefile").is_symlink()
    assert {"common.smk", "decode.smk"} <= {p.name for p in (bundle / "workflow/rules").iterdir()}
    text = (bundle / "configs/micro.yaml").read_text()
    work = tmp_path / "work"
    work.mkdir()
    (work / "mine.yaml").write_text(text.replace("../", ""))
    snakemake = Path(sys.executable).parent / "snakemake"
    listed = run(
        *(snakemake, "-s", bundle / "Snakefile", "--configfile", "mine.yaml", "-n"),
        cwd=work,
        env=os.environ | {"PYTHONPATH": str(place)},
    )
    assert "generate" in listed
