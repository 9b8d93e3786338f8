"""A small run from nothing to the report: killed on its way, resumed, looked at, and run again."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import pandas as pd
import pytest

from brainflix.artifacts.store import describe

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
SUBJECTS = ("films/sub-01", "films/sub-02")
COMMAND = (
    str(Path(sys.executable).parent / "snakemake"),
    *("--snakefile", str(ROOT / "Snakefile")),
    *("--configfile", "micro.yaml"),
    *("--cores", "2"),
)
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "HF_HUB_OFFLINE": "1",
}


def snakemake(folder, *arguments):
    """Run snakemake in a folder, to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )


def prepare(folder):
    """Copy the configuration to a folder, so that everything is made there."""
    text = (ROOT / "configs/micro.yaml").read_text()
    (folder / "micro.yaml").write_text(text.replace("../", ""))


def start_and_kill(folder, path):
    """Start a run and kill it, with all that it started, as soon as a file is there."""
    with subprocess.Popen(
        [*COMMAND, "all"],
        cwd=folder,
        env=ENVIRONMENT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 600
        while not path.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    assert path.exists()


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Return the folder of a run that was killed and resumed, and what was whole in between."""
    folder = tmp_path_factory.mktemp("run")
    prepare(folder)
    start_and_kill(folder, folder / "results/films/sub-01/voxels.h5")
    whole = {path: path.stat().st_mtime_ns for path in artifacts(folder)}
    for path in whole:
        describe(path)  # refuses what is not whole
    unlocked = snakemake(folder, "--unlock")
    assert unlocked.returncode == 0, unlocked.stderr
    result = snakemake(folder, "all")
    assert result.returncode == 0, result.stdout + result.stderr
    return folder, whole


def artifacts(folder):
    """Return the HDF5 files that have a final name."""
    found = (folder / "results").rglob("*.h5")
    return sorted(path for path in found if not path.name.startswith("."))


def test_the_resumed_run_kept_what_was_whole(done):
    folder, whole = done
    cleaned = folder / "results/films/sub-01/cleaned.h5"
    assert cleaned in whole
    assert cleaned.stat().st_mtime_ns == whole[cleaned]


def test_each_subject_has_videos_of_each_test_clip(done):
    folder = done[0] / "results/together" / "videos"
    for subject in SUBJECTS:
        with h5py.File(folder / f"{subject}.h5") as file:
            clips = [str(clip) for clip in file["clip"].asstr()[()]]
            for variant in ("network", "ridge", "shuffled", "oracle"):
                assert file["frames"][variant].shape == (8, 8, 64, 64, 3)
        assert {path.stem for path in (folder / subject).glob("*.mp4")} == set(clips)


def test_each_metric_stands_beside_chance_interval_and_baselines(done):
    folder = done[0] / "results/together" / "evaluation"
    content = json.loads((folder / "metrics.json").read_text())
    assert set(content["subjects"]) == set(SUBJECTS)
    for subject in content["subjects"].values():
        assert {"ssim@rgb", "psnr", "identification@clip", "identification@pixel"} <= set(
            subject["metrics"]
        )
        for metric in subject["metrics"].values():
            assert {"value", "interval", "chance", "p", "n", "baselines"} <= set(metric)
            assert metric["interval"][0] <= metric["value"] <= metric["interval"][1]
    rows = pd.read_parquet(folder / "clips.parquet")
    assert set(rows["study"] + "/" + rows["subject"]) == set(SUBJECTS)


def test_the_experiment_is_set_beside_the_other(done):
    folder = done[0] / "results"
    assert (folder / "separate/regression/predictions.h5").is_file()
    assert not (folder / "separate/videos").exists()
    metrics = json.loads((folder / "together/evaluation/metrics.json").read_text())
    assert set(metrics["comparison"]) == {"ridge", "separate"}


def test_the_page_is_whole_in_itself(done):
    page = (done[0] / "results/together" / "report/index.html").read_text(encoding="utf-8")
    assert page.rstrip().endswith("</html>")
    assert not re.findall(r'src="(?!data:)[^"]*"', page)
    for link in re.findall(r'href="(?!data:|#)([^"]*)"', page):
        assert (done[0] / "results/together/report" / link).is_file(), link


def test_each_stage_left_a_line_in_its_log(done):
    logs = sorted((done[0] / "logs").rglob("*.log"))
    assert len(logs) == 21
    for log in logs:
        assert re.search(r"^\[\w+\] .*writes", log.read_text(), flags=re.M), log


def test_a_second_run_does_nothing(done):
    begin = time.monotonic()
    result = snakemake(done[0], "all")
    assert "Nothing to be done" in result.stdout + result.stderr
    assert time.monotonic() - begin < 60


def test_snakemakes_own_report_is_made(done):
    result = snakemake(done[0], "--report", "report.zip")
    assert result.returncode == 0, result.stderr
    assert (done[0] / "report.zip").stat().st_size > 100_000


def test_the_same_seed_gives_the_same_bytes(done, tmp_path):
    goal = "results/together/alignment/shared.h5"
    prepare(tmp_path)
    result = snakemake(tmp_path, goal)
    assert result.returncode == 0, result.stderr
    for path in artifacts(tmp_path):
        name = path.relative_to(tmp_path)
        digests = [hashlib.sha256((f / name).read_bytes()).hexdigest() for f in (done[0], tmp_path)]
        assert digests[0] == digests[1], name
    for path in sorted((tmp_path / "data").rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (done[0] / path.relative_to(tmp_path)).read_bytes(), path
