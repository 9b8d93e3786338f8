"""The command line: its stages, how quickly it starts, and how it ends when a person erred."""

import importlib
import inspect
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from brainflix import config
from brainflix.artifacts import store as artifacts
from brainflix.cli import main as cli

ROOT = Path(__file__).resolve().parents[2]
STAGES = shlex.split(
    "simulate decode encode clean select extract align regress generate score report"
)
HEAVY = shlex.split(
    "torch lightning diffusers transformers torchmetrics himalaya matplotlib pandas scipy"
    " skimage nibabel h5py numpy av snakemake"
)


def brainflix(*arguments, cwd=None):
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "brainflix", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )


def refused(result, *said):
    """Check that a run ended with exit code 2, a message, and no traceback."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    for text in said:
        assert text in result.stderr


def test_help_names_each_stage():
    result = CliRunner().invoke(cli.app, ["--help"])
    assert result.exit_code == 0
    for name in (*STAGES, "validate", "inspect", "train-embedded"):
        assert f" {name} " in result.output


@pytest.mark.parametrize("name", STAGES)
def test_each_stage_has_a_help_of_its_own(name):
    result = CliRunner().invoke(cli.app, [name, "--help"])
    assert result.exit_code == 0
    assert "--options" in result.output or name == "report"


def test_help_imports_nothing_heavy():
    code = f"""
import sys
sys.argv = ["brainflix", "--help"]
from brainflix.cli.main import main
try:
    main()
except SystemExit:
    pass
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stderr.strip() == "[]"
    assert "simulate" in result.stdout


def test_the_version_is_the_packages():
    assert CliRunner().invoke(cli.app, ["--version"]).output == "brainflix 0.1.0\n"


# What each stage's function is called with, by its module, name and arguments.
SOURCE = '{"root": "data/x"}'
CALLS = {
    "simulate": (
        "simulation.stage.simulate_subject",
        ["r", "--no-stimuli", "--subjects", "sub-01", "--kind", "event_related", "--seed", "7"],
        (Path("r"), "sub-01", config.SimulationConfig(kind="event_related", seed=7)),
    ),
    "decode": (
        "targets.decode.decode_study",
        ["--source", SOURCE, "--options", '{"frames": 4}', "--out", "o.h5"],
        (config.StudySource(root="data/x"), config.StimuliConfig(frames=4), Path("o.h5")),
    ),
    "encode": (
        "targets.stage.encode",
        ["s.h5", "--options", '{"encoder": "e", "model": "m"}', "--out", "o.h5"],
        (Path("s.h5"), config.TargetConfig(encoder="e", model="m"), Path("o.h5")),
    ),
    "clean": (
        "preprocessing.stage.clean",
        ["--source", SOURCE, "--subject", "sub-01", "--out", "o.h5"],
        (config.StudySource(root="data/x"), "sub-01", config.CleaningConfig(), Path("o.h5")),
    ),
    "select": (
        "preprocessing.stage.select",
        ["c.h5", "--options", '{"alpha": 0.05}', "--out", "o.h5", "--plot", "p.png"],
        (Path("c.h5"), config.SelectionConfig(alpha=0.05), Path("o.h5"), Path("p.png")),
    ),
    "extract": (
        "preprocessing.stage.extract",
        ["c.h5", "v.h5", "--options", '{"delay": 6}', "--out", "o.h5"],
        (Path("c.h5"), Path("v.h5"), config.ResponseConfig(delay=6), Path("o.h5")),
    ),
    "align": (
        "alignment.stage.align",
        shlex.split(
            "--responses a/s=r.h5 --responses b/s=q=1.h5 --targets a=t.h5 --stimuli a=s.h5 --out o"
        ),
        (
            {"a/s": Path("r.h5"), "b/s": Path("q=1.h5")},
            {"a": Path("t.h5")},
            {"a": Path("s.h5")},
            config.AlignmentConfig(),
            Path("o"),
        ),
    ),
    "regress": (
        "regression.stage.regress",
        shlex.split(
            "h.h5 --responses a/s=r.h5 --targets a/x=x.h5 --targets a/y=y.h5 --stimuli a=s.h5"
            """ --out o --options '{"width": 8}' """
        ),
        (
            Path("h.h5"),
            {"a/s": Path("r.h5")},
            {"a": {"x": Path("x.h5"), "y": Path("y.h5")}},
            {"a": Path("s.h5")},
            config.RegressionConfig(width=8),
            Path("o"),
        ),
    ),
    "generate": (
        "generation.stage.generate",
        shlex.split("p.h5 s.h5 --study a --subject s --targets x=x.h5 --out o.h5 --mp4 m"),
        (
            Path("p.h5"),
            {"x": Path("x.h5")},
            Path("s.h5"),
            "a",
            "s",
            config.GenerationConfig(),
            Path("o.h5"),
            Path("m"),
        ),
    ),
    "score": (
        "evaluation.stage.evaluate",
        shlex.split(
            "p.h5 --videos a/s=v.h5 --stimuli a=s.h5 --targets a/x=x.h5 --out o --compare c.h5"
        ),
        (
            {"a/s": Path("v.h5")},
            {"a": Path("s.h5")},
            Path("p.h5"),
            {"a": {"x": Path("x.h5")}},
            config.EvaluationConfig(),
            Path("o"),
            Path("c.h5"),
        ),
    ),
    "report": (
        "report.stage.report",
        shlex.split("""first --artifacts metrics=m.json --configuration '{"a": 1}' --out i.html"""),
        ("first", {"a": 1}, {"metrics": Path("m.json")}, Path("i.html")),
    ),
}


@pytest.mark.parametrize("name", STAGES)
def test_a_command_calls_its_stage_in_the_stages_own_order(name, monkeypatch):
    place, arguments, expected = CALLS[name]
    module_name, _, function = place.rpartition(".")
    module = importlib.import_module(f"brainflix.{module_name}")
    names = inspect.signature(getattr(module, function)).bind(*expected).arguments
    calls = []
    monkeypatch.setattr(module, function, lambda *given: calls.append(given))
    result = CliRunner().invoke(cli.app, [name, *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert calls == [expected]
    assert len(names) == len(expected)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["align", "--responses", "movie/sub-01", "--targets", "a=b"], "is not NAME=FILE"),
        (["align", "--responses", "a/b=1", "--responses", "a/b=2"], "is given twice"),
        (["regress", "h.h5", "--responses", "a/b=1", "--targets", "clip=t.h5"], "STUDY/NAME"),
        (["report", "x", "--artifacts", "a=b", "--configuration", "[1]"], "JSON object"),
    ],
)
def test_a_malformed_name_is_refused(arguments, said):
    rest = {
        "align": ["--targets", "a=t", "--stimuli", "a=s", "--out", "o"],
        "regress": ["--stimuli", "a=s", "--options", "{}", "--out", "o"],
        "report": ["--out", "o"],
    }[arguments[0]]
    result = CliRunner().invoke(cli.app, [*arguments, *rest])
    assert result.exit_code == 2
    assert said in " ".join(result.output.replace("│", " ").split())


def test_an_unknown_configuration_key_ends_with_exit_code_2(tmp_path):
    text = (ROOT / "config.yaml").read_text() + "\nalignmemt: {dim: 3}\n"
    (tmp_path / "mine.yaml").write_text(text)
    refused(brainflix("validate", tmp_path / "mine.yaml"), "alignmemt: unknown key", "mine.yaml")


def test_an_unknown_option_of_a_stage_ends_with_exit_code_2(tmp_path):
    result = brainflix(
        "extract", "c.h5", "v.h5", "--options", '{"delai": 4}', "--out", tmp_path / "o.h5"
    )
    refused(result, "delai: unknown key")


def truncated(path, kind):
    """Write an artifact and cut it in half."""
    with artifacts.create(path, kind) as file:
        artifacts.write_dataset(file, "rows", range(5000), ("row",))
    with open(path, "r+b") as stream:
        stream.truncate(path.stat().st_size // 2)
    return path


def test_a_truncated_artifact_ends_with_exit_code_2(tmp_path):
    path = truncated(tmp_path / "cleaned.h5", "cleaned")
    refused(brainflix("inspect", path), "is damaged", str(path), "run the workflow again")
    result = brainflix("select", path, "--out", tmp_path / "voxels.h5")
    refused(result, "is damaged", str(path))
    assert not (tmp_path / "voxels.h5").exists()


def test_the_log_holds_everything_and_the_terminal_the_message(tmp_path):
    log = tmp_path / "logs" / "inspect.log"
    result = brainflix("--log", log, "inspect", tmp_path / "none.h5")
    refused(result, "no HDF5 artifact")
    assert log.read_text() == result.stderr


def test_a_defect_keeps_its_traceback_and_ends_with_exit_code_1(tmp_path):
    code = (
        "from brainflix import config; from brainflix.cli import main as cli; "
        "config.load_config = None; cli.main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "validate"], capture_output=True, text=True, cwd=tmp_path
    )
    assert result.returncode == 1
    assert "Traceback" in result.stderr


def test_validate_says_what_would_run():
    result = brainflix("validate", "config.yaml", cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert "study movie: data/movie (simulated, movie), 3 subjects" in result.stdout
    assert "experiment single_subject: movie: sub-01, sub-02, sub-03" in result.stdout


def test_inspect_shows_an_artifact(tmp_path):
    with artifacts.create(tmp_path / "t.h5", "target", configuration={"a": 1}) as file:
        artifacts.write_dataset(file, "values", [[1.0, 2.0]], ("clip", "dim"))
    result = brainflix("inspect", tmp_path / "t.h5")
    assert result.returncode == 0
    assert "values (clip 1, dim 2) float64" in result.stdout
    assert "  a: 1" in result.stdout
    assert "encode" in result.stdout


def test_a_study_is_simulated_by_hand(tmp_path):
    options = {
        "voxels": 100,
        "train_runs": 2,
        "train_clips_per_run": 4,
        "train_repeats": 1,
        "test_clips": 2,
        "test_repeats": 1,
    }
    result = brainflix(
        *("simulate", tmp_path / "films", "--kind", "movie", "--subjects", "sub-01"),
        *("--subjects", "sub-02", "--options", json.dumps(options)),
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "films" / "stimuli.tsv").is_file()
    for subject in ("sub-01", "sub-02"):
        assert (tmp_path / "films" / subject / f"{subject}_scans.tsv").is_file()
