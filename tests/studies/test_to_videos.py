"""Each published layout, from its files to videos: by its stages, and by snakemake."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from support.command_line import brainflix
from support.layouts.published import LAYOUTS

from brainflix.components import READERS
from brainflix.config.loading import load_config, validate
from brainflix.studies.readers import open_study, source_files

ROOT = Path(__file__).resolve().parents[2]
BASE = yaml.safe_load((ROOT / "tests/configs/studies.yaml").read_text())


def configured(layouts, folder):
    """Write the studies and return a configuration of an experiment with all of them."""
    studies = {}
    for name in layouts:
        root = folder / "data" / name
        root.mkdir(parents=True)
        LAYOUTS[name].write(root)
        studies[name] = LAYOUTS[name].section(root)
    cohorts = {name: "all" for name in layouts}
    return {**BASE, "studies": studies, "experiments": {"all": {"cohorts": cohorts}}}


def check_videos(results, study, subject, source):
    """Assert that a subject has a video of each test clip that was shown to it."""
    runs = open_study(source).runs(subject)
    shown = {event.clip for run in runs if run.split == "test" for event in run.events}
    with h5py.File(results / f"all/videos/{study}/{subject}.h5") as file:
        assert {str(clip) for clip in file["clip"].asstr()[()]} == shown
        for variant in ("network", "ridge"):
            frames = file["frames"][variant]
            assert frames.shape == (len(shown), 8, 64, 64, 3)
            assert np.ptp(frames[()]) > 0
    mp4 = (results / f"all/videos/{study}/{subject}").glob("*.mp4")
    assert {path.stem for path in mp4} == shown


def test_each_reader_of_a_published_study_has_a_row():
    assert {layout.reader for layout in LAYOUTS.values()} >= {
        "arrays",
        "bids",
        "bold5000",
        "bold_moments",
        "cc2017",
        "glmsingle",
        "god",
        "had",
        "mosaic",
    }
    assert {layout.reader for layout in LAYOUTS.values()} <= set(READERS)


QUICK = "cc2017_cifti"  # the others take as long
ONE_BY_ONE = [
    pytest.param(name, marks=() if name == QUICK else pytest.mark.slow) for name in LAYOUTS
]


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_the_stages_lead_from_files_to_videos(name, tmp_path):
    content = configured([name], tmp_path) | {"results": str(tmp_path / "results")}
    path = tmp_path / "all.yaml"
    path.write_text(yaml.safe_dump(content))
    config = load_config(path)
    for arguments in stage_calls(config, name):
        assert brainflix(*arguments, "--config", path) == 0
    for subject in config.studies[name].subjects:
        check_videos(tmp_path / "results", name, subject, config.source(name))
        assert source_files(config.source(name), subject)


def stage_calls(config, study):
    """Return the calls of one study's experiment, in the order of the rules."""
    subjects = config.studies[study].subjects
    heads = config.experiments["all"].decoding_paths()["main"].regression.heads
    return [
        ("decode", study),
        *(("encode", study, target) for target in heads),
        *(
            (stage, study, subject)
            for subject in subjects
            for stage in ("clean", "select", "extract")
        ),
        ("align", "all"),
        ("regress", "all"),
        *(("generate", "all", study, subject) for subject in subjects),
    ]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.workflow
@pytest.mark.parametrize(
    "layouts",
    [
        pytest.param(("cc2017_cifti", "had_cycles"), id="two layouts"),
        pytest.param(tuple(LAYOUTS), id="all layouts", marks=pytest.mark.exhaustive),
    ],
)
def test_snakemake_leads_layouts_to_videos_and_a_page(layouts, tmp_path):
    content = configured(layouts, tmp_path)
    (tmp_path / "all.yaml").write_text(yaml.safe_dump(content))
    result = subprocess.run(
        [
            Path(sys.executable).parent / "snakemake",
            *("--snakefile", ROOT / "Snakefile", "--configfile", tmp_path / "all.yaml"),
            *("--cores", "2", "all"),
        ],
        cwd=tmp_path,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "PATH": path_with_python()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    config = validate(content)
    for name in layouts:
        for subject in config.studies[name].subjects:
            check_videos(tmp_path / "results", name, subject, config.source(name))
    assert (tmp_path / "results/all/report/index.html").is_file()


def path_with_python():
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
