"""Each published layout, from its files to videos: by its stages, and by snakemake."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from support.layouts.published import LAYOUTS

from brainflix.components import READERS
from brainflix.config.loading import validate
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
    config = validate(configured([name], tmp_path))
    results = tmp_path / "results"
    run_stages(config, name, results)
    for subject in config.studies[name].subjects:
        check_videos(results, name, subject, config.source(name))
        assert source_files(config.source(name), subject)


def run_stages(config, study, results):
    """Run the stages of one study's experiment in this process, as the rules do."""
    from brainflix.alignment.stage import align
    from brainflix.generation.stage import generate
    from brainflix.preprocessing.clean import clean
    from brainflix.preprocessing.extract import extract
    from brainflix.preprocessing.select import select
    from brainflix.regression.stage import regress
    from brainflix.targets.decode import decode_study
    from brainflix.targets.stage import encode

    section, experiment = config.studies[study], config.experiments["all"]
    source, prepare = config.source(study), section.preprocessing
    stimuli = results / study / "stimuli.h5"
    decode_study(source, config.stimuli, stimuli)
    targets = {}
    for name, target in config.targets.items():
        if name in experiment.regression.heads:
            targets[name] = results / study / "targets" / f"{name}.h5"
            encode(stimuli, target, targets[name])
    responses = {}
    for subject in section.subjects:
        folder = results / study / subject
        clean(source, subject, prepare.cleaning, folder / "cleaned.h5")
        select(folder / "cleaned.h5", prepare.selection, folder / "voxels.h5")
        responses[f"{study}/{subject}"] = folder / "responses.h5"
        extract(
            folder / "cleaned.h5",
            folder / "voxels.h5",
            prepare.response,
            folder / "responses.h5",
        )
    aligned = {study: targets[experiment.alignment.target]}
    place = results / "all/alignment"
    align(responses, aligned, {study: stimuli}, experiment.alignment, place)
    fitted = results / "all/regression"
    regress(
        place / "shared.h5",
        responses,
        {study: targets},
        {study: stimuli},
        experiment.regression,
        fitted,
    )
    for subject in section.subjects:
        videos = results / f"all/videos/{study}"
        generate(
            fitted / "predictions.h5",
            {"latents": targets["latents"]},
            stimuli,
            study,
            subject,
            experiment.generation,
            videos / f"{subject}.h5",
            videos / subject,
        )


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
