"""The workflow: what it would run, and what it would run again after a change.

A copy of the checkout is brought to the state after a complete run by touching every output; dry
runs in it then show what a change of code, configuration or cohort sets off.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.layouts import arrays

from brainflix.config import load_config

pytestmark = pytest.mark.workflow

ROOT = Path(__file__).resolve().parents[2]
SNAKEMAKE = Path(sys.executable).parent / "snakemake"
CONFIG = """
recipe: brain_netflix
studies:
  films:
    root: data/films
    subjects: [sub-01, sub-02]
    simulation: {kind: movie}
  events:
    root: data/events
    subjects: [sub-01]
    simulation: {kind: event_related}
  betas: # read by another reader
    reader: arrays
    root: betas/study.yaml
    subjects: [sub-01]
alignment: {dim: 32}
experiments:
  all_subjects:
    cohorts: {films: all, events: all}
    compare: one_study
  one_study:
    cohorts: {films: all}
  other_reader:
    cohorts: {betas: all}
"""
# What follows the alignment of the experiments, of three subjects, two and one.
AFTER_ALIGNMENT = {"align": 3, "regress": 3, "generate": 6, "evaluate": 3, "report": 3}
AFTER_READING = {"clean": 1, "select": 1, "extract": 1, "decode": 1, "encode": 3}
ONE_SUBJECT = {"align": 1, "regress": 1, "generate": 1, "evaluate": 1, "report": 1}


def snakemake(folder, *arguments):
    """Run snakemake in a folder."""
    return subprocess.run(
        [SNAKEMAKE, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )


def jobs(folder, *arguments):
    """Return how many jobs of each rule a dry run lists, the target rule left out."""
    result = snakemake(folder, "-n", *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    if "Nothing to be done" in result.stdout + result.stderr:
        return {}
    table = result.stdout.split("Job stats:\n")[1].split("\n\n")[0]
    rows = [line.split() for line in table.splitlines()[2:]]
    return {rule: int(count) for rule, count in rows if rule not in ("all", "total")}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """Return a copy of the checkout with a small configuration, not yet run."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("Snakefile", "workflow", "profiles", "envs", "brainflix"):
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / name)
    arrays.write_study(folder / "betas", videos=False)
    (folder / "config.yaml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def complete(checkout, tmp_path_factory):
    """Return a copy of the checkout in the state after a complete run."""
    folder = tmp_path_factory.mktemp("complete")
    shutil.copytree(checkout, folder, dirs_exist_ok=True)
    summary = snakemake(folder, "--summary")
    assert summary.returncode == 0, summary.stderr
    for line in summary.stdout.splitlines()[1:]:
        path = folder / line.split("\t")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix:
            path.touch()
        else:
            path.mkdir(exist_ok=True)
    touched = snakemake(folder, "--touch", "--forceall", "--cores", "1")
    assert touched.returncode == 0, touched.stderr
    return folder


@contextlib.contextmanager
def edited(path, old, new):
    """Replace text in a file (an empty ``old`` appends), and put it back afterwards."""
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new, 1) if old else before + new)
    try:
        yield
    finally:
        path.write_text(before)


def test_a_first_run_makes_everything_once(checkout):
    assert jobs(checkout) == {
        "simulate_stimuli": 2,
        "simulate_subject": 3,
        "decode": 3,
        "encode": 9,
        "clean": 4,
        "select": 4,
        "extract": 4,
        **AFTER_ALIGNMENT,
    }


def test_the_default_configuration_makes_a_workflow(checkout):
    found = jobs(checkout, "--configfile", str(ROOT / "config.yaml"))
    assert (found["clean"], found["align"], found["generate"], found["report"]) == (5, 2, 5, 1)


def test_another_configuration_file_replaces_the_default(checkout, tmp_path):
    alone = yaml.safe_load(CONFIG)
    for name in ("events", "betas"):
        del alone["studies"][name]
    for name in ("all_subjects", "other_reader"):
        del alone["experiments"][name]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(alone))
    found = jobs(checkout, "--configfile", str(tmp_path / "mine.yaml"))
    assert (found["clean"], found["encode"], found["report"]) == (2, 3, 1)


def test_an_unknown_key_ends_with_exit_code_2(checkout):
    result = snakemake(checkout, "-n", "--config", "alignment={dims: 3}")
    assert result.returncode == 2
    assert "experiments.one_study.alignment.dims: unknown key" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_study_that_is_not_there_ends_with_exit_code_2(checkout, tmp_path):
    mine = yaml.safe_load(CONFIG)
    mine["studies"]["films"] = {"root": str(tmp_path / "nowhere"), "subjects": ["sub-01", "sub-02"]}
    mine["studies"]["betas"]["root"] = str(checkout / "betas/study.yaml")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(mine))
    result = snakemake(checkout, "-n", "--configfile", str(tmp_path / "mine.yaml"))
    assert result.returncode == 2, result.stdout + result.stderr
    assert str(tmp_path / "nowhere") in result.stderr
    assert "Traceback" not in result.stderr


def test_the_slurm_profile_makes_the_same_workflow(checkout):
    result = snakemake(checkout, "-n", "--profile", "profiles/slurm", "--quiet", "host")
    assert result.returncode == 0, result.stderr
    rules = result.stdout.split("\nrule ")
    resources = {block.split(":")[0]: block.split("resources: ")[-1] for block in rules}
    assert "gpu=1" in resources["align"]
    assert "gpu" not in resources["clean"]
    assert "runtime=120" in resources["clean"]


def test_a_complete_run_is_complete(complete):
    assert jobs(complete) == {}


def test_a_comment_runs_nothing(complete):
    with edited(complete / "brainflix/alignment/stage.py", "", "\n# a remark\n"):
        with edited(complete / "brainflix/preprocessing/select.py", "", "\n\n\n"):
            assert jobs(complete) == {}


def test_code_of_the_alignment_runs_alignment_and_what_follows(complete):
    with edited(complete / "brainflix/alignment/stage.py", "", "\nEXTRA = 1\n"):
        assert jobs(complete) == AFTER_ALIGNMENT


def test_a_reader_runs_the_studies_of_that_reader_and_nothing_of_others(complete):
    with edited(complete / "brainflix/studies/estimates/arrays.py", "", "\nEXTRA = 1\n"):
        assert jobs(complete) == {**AFTER_READING, **ONE_SUBJECT}
    with edited(complete / "brainflix/studies/bids/study.py", "", "\nEXTRA = 1\n"):
        found = jobs(complete)
    assert (found["clean"], found["decode"], found["align"], found["report"]) == (3, 2, 2, 2)
    with edited(complete / "brainflix/studies/published/god.py", "", "\nEXTRA = 1\n"):
        assert jobs(complete) == {}


def test_a_plot_runs_the_report(complete):
    plot = complete / "brainflix/report/drawing/filmstrips.py"
    with edited(plot, "", "\nEXTRA = 1\n"):
        assert jobs(complete) == {"report": 3}


def test_the_plot_of_a_selection_and_an_atlas_do_not_clean_again(complete):
    with edited(complete / "brainflix/preprocessing/atlas.py", "", "\nEXTRA = 1\n"):
        assert "clean" not in jobs(complete)
    with edited(complete / "brainflix/preprocessing/plots.py", "", "\nEXTRA = 1\n"):
        assert "clean" not in jobs(complete)


def test_a_metric_runs_evaluation_and_report(complete):
    with edited(complete / "brainflix/metrics/ssim.py", "", "\nEXTRA = 1\n"):
        assert jobs(complete) == {"evaluate": 3, "report": 3}


def test_a_generator_runs_from_generate_on(complete):
    with edited(complete / "brainflix/generation/generators.py", "", "\nEXTRA = 1\n"):
        assert jobs(complete) == {"generate": 6, "evaluate": 3, "report": 3}


def test_a_stage_is_called_in_less_than_two_hundred_characters(checkout):
    result = snakemake(checkout, "-n", "--printshellcmds", "--quiet", "host")
    assert result.returncode == 0, result.stderr
    calls = [line for line in result.stdout.splitlines() if "python -m brainflix " in line]
    assert len(calls) > 30
    for call in calls:
        assert len(call.strip()) <= 200, call
        assert "{" not in call


def test_names_that_lead_nowhere_end_before_anything_is_removed(complete):
    page = complete / "results/one_study/report/index.html"
    for wrong in ("generation={component: nonsense}", "generation={model: embedded:nothing}"):
        result = snakemake(complete, "--cores", "1", "--config", wrong)
        assert result.returncode == 2, result.stdout + result.stderr
        assert page.exists()
    misspelt = "preprocessing={selection: {atlas: hcp_mmpp}}"
    result = snakemake(complete, "--cores", "1", "--config", misspelt)
    assert result.returncode == 2, result.stdout + result.stderr
    assert "atlas" in result.stderr
    assert (complete / "results/films/sub-01/voxels.h5").exists()


def test_another_folder_and_no_active_environment(checkout, tmp_path):
    clean = {key: value for key, value in os.environ.items() if key not in ("PATH", "VIRTUAL_ENV")}
    result = subprocess.run(
        [SNAKEMAKE, "-s", checkout / "Snakefile", "-n", "--printshellcmds", "--quiet", "host"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=clean | {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(checkout)},
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert str(checkout / "results/films/stimuli.h5") in result.stdout  # from the file's folder
    assert "python -m brainflix" in result.stdout  # of the interpreter that runs snakemake


def test_a_frozen_configuration_is_written_once(complete):
    from brainflix.config.loading import freeze

    config = load_config(complete / "config.yaml")
    first = freeze(config)
    before = first.stat().st_mtime_ns
    assert freeze(load_config(first)) == first
    assert first.stat().st_mtime_ns == before


def test_the_alignments_section_runs_alignment_and_what_follows(complete):
    with edited(complete / "config.yaml", "dim: 32", "dim: 64"):
        assert jobs(complete) == AFTER_ALIGNMENT


def test_a_key_that_is_written_out_at_its_default_runs_nothing(complete):
    with edited(complete / "config.yaml", "alignment: {dim: 32}", "alignment: {dim: 32, seed: 0}"):
        assert jobs(complete) == {}


def test_one_studys_delay_runs_that_study_and_what_needs_it(complete):
    old = "simulation: {kind: event_related}"
    new = f"preprocessing: {{response: {{delay: 6}}}}\n    {old}"
    with edited(complete / "config.yaml", old, new):
        assert jobs(complete) == {
            "select": 1,  # voxels are judged on the responses that are extracted
            "extract": 1,
            "align": 1,
            "regress": 1,
            "generate": 3,
            "evaluate": 1,
            "report": 1,
        }


def test_another_subject_runs_its_preprocessing_and_what_needs_it(complete):
    with edited(complete / "config.yaml", "subjects: [sub-01]", "subjects: [sub-01, sub-02]"):
        assert jobs(complete) == {
            "simulate_subject": 1,
            "clean": 1,
            "select": 1,
            "extract": 1,
            "align": 1,
            "regress": 1,
            "generate": 4,
            "evaluate": 1,
            "report": 1,
        }


def test_other_weights_of_a_model_run_what_uses_them(complete):
    part = complete / "brainflix/embedded/clip/config.json"
    with edited(part, "", "\n"):
        found = jobs(complete)
    assert found["encode"] == 3
    assert "clean" not in found


def test_a_missing_artifact_is_made_anew(complete):
    page = complete / "results/one_study/report/index.html"
    kept = page.with_suffix(".kept")
    page.rename(kept)
    try:
        assert jobs(complete) == {"report": 1}
    finally:
        kept.rename(page)


def test_the_embedded_models_are_trained_by_a_rule_of_their_own(complete):
    assert jobs(complete, "embedded_models") == {"embedded_models": 1}
