"""The command line: its stages, how quickly it starts, and how it ends when a person erred."""

import importlib
import inspect
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.command_line import (
    STUDY,
    SUBJECT,
    layout_in,
    stage_call,
    write_configuration,
)
from support.command_line import brainflix as run
from support.registries import own_components
from typer.testing import CliRunner

from brainflix import config
from brainflix.artifacts import store as artifacts
from brainflix.cli import main as cli
from brainflix.generation.sources import Connection

ROOT = Path(__file__).resolve().parents[2]
STAGES = shlex.split(
    "simulate decode encode clean select extract pretrain align regress restore finetune generate"
    " caption score report"
)
OTHER = shlex.split("validate check fetch inspect remove train-embedded evaluate")
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
    for name in (*STAGES, *OTHER):
        assert f" {name} " in result.output


def test_help_is_grouped_into_stages_and_the_rest():
    groups = {"Stages of the workflow": set(), "Data and configurations": set(), "": set()}
    group = ""
    for line in CliRunner().invoke(cli.app, ["--help"]).output.splitlines():
        group = next((name for name in groups if name and name in line), group)
        groups[group] |= set(line.split())
    assert set(STAGES[1:]) <= groups["Stages of the workflow"]
    data = {"simulate", "validate", "check", "fetch", "inspect", "remove", "train-embedded"}
    assert data <= groups["Data and configurations"]
    assert "simulate" not in groups["Stages of the workflow"]


@pytest.mark.parametrize("name", STAGES)
def test_each_stage_has_a_help_of_its_own(name):
    result = CliRunner().invoke(cli.app, [name, "--help"])
    assert result.exit_code == 0
    assert "--config" in result.output
    for gone in ("--source", "--responses", "--out "):
        assert gone not in result.output


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


# What each stage's function is called with. Paths are written out here: artifacts of people's
# earlier runs lie there.
EXTENSION = ROOT / "tests/support/extensions.py"
CONFIG = {
    "recipe": "brain_netflix",
    "extensions": [str(EXTENSION)],
    "results": "results",
    "studies": {
        "films": {
            "root": "data/films",
            "subjects": ["sub-01", "sub-02"],
            "simulation": {"kind": "event_related", "seed": 7},
            "preprocessing": {
                "cleaning": {"trim_start": 2},
                "selection": {"alpha": 0.05},
                "response": {"delay": 6.0},
            },
        },
        "others": {"root": "data/others", "subjects": ["sub-01"]},
    },
    "stimuli": {"frames": 4},
    "experiments": {
        "first": {
            "cohorts": {"films": "all", "others": "all"},
            "compare": "second",
            "pretraining": {"patches": {"component": "patch_basis", "cohorts": {"films": "all"}}},
            "finetuning": {"mine": {"component": "mean_frame", "targets": ["latents"]}},
            "paths": {"other": {"alignment": {"component": "gradient"}}},
            "generators": {"sketch": {"component": "painter", "inputs": {"colour": {
                "target": "clip_image", "path": "other"}}}},
            "captioners": {"said": {"component": "nearest", "inputs": {"clips": {
                "generator": "sketch"}}}},
            "generation": {
                "inputs": {"caption": {"captioner": "said"}, "conditioning": None},
                "baselines": ["shuffled", "oracle"],  # the path `other` has no ridge
            },
        },
        "second": {
            "cohorts": {"films": ["sub-01"]},
            "priors": {"conditioning": {"component": "length"}},
        },
    },
}  # fmt: skip
FIRST, SECOND = Path("results/first"), Path("results/second")
FILMS, OTHERS = Path("results/films"), Path("results/others")
STIMULI = {"films": FILMS / "stimuli.h5", "others": OTHERS / "stimuli.h5"}
PEOPLE = {"films/sub-01", "films/sub-02", "others/sub-01"}
PAINTED = Connection(
    "target",
    "clip_image",
    FIRST / "paths/other/alignment/predictions.h5",
    FILMS / "targets/clip_image.h5",
)
SHOWN = Connection("generator", "sketch", FIRST / "generators/sketch/films/sub-02.h5")
SAID = Connection("captioner", "said", FIRST / "captioners/said/films/sub-02.h5")
LATENTS = Connection(
    "target", "latents", FIRST / "regression/predictions.h5", FILMS / "targets/latents.h5"
)


def of_people(name):
    return {person: Path("results") / person / f"{name}.h5" for person in PEOPLE}


def of_studies(*targets):
    """Return the files of targets by study."""
    return {
        study: {target: folder / "targets" / f"{target}.h5" for target in targets}
        for study, folder in (("films", FILMS), ("others", OTHERS))
    }


def calls(checked):
    """Return for each command line the function that it calls, and what with."""
    films, first = checked.studies["films"], checked.experiments["first"]
    second = checked.experiments["second"]
    prepare, source = films.preprocessing, checked.source("films")
    other = first.paths["other"].alignment
    clip_image = {study: paths["clip_image"] for study, paths in of_studies("clip_image").items()}
    videos = {person: FIRST / "videos" / f"{person}.h5" for person in PEOPLE}
    person = FILMS / "sub-02"
    return {
        "simulate --study films --no-stimuli --subject sub-02": (
            "simulation.stage.simulate_subject",
            (Path("data/films"), "sub-02", films.simulation),
        ),
        "simulate data/films --no-stimuli --subject sub-02 --kind event_related --seed 7": (
            "simulation.stage.simulate_subject",
            (Path("data/films"), "sub-02", films.simulation),
        ),
        "decode films": (
            "targets.decode.decode_study",
            (source, checked.stimuli, FILMS / "stimuli.h5"),
        ),
        "encode films latents": (
            "targets.stage.encode",
            (FILMS / "stimuli.h5", checked.targets["latents"], FILMS / "targets/latents.h5"),
        ),
        "clean films sub-02": (
            "preprocessing.clean.clean",
            (source, "sub-02", prepare.cleaning, person / "cleaned.h5"),
        ),
        "select films sub-02": (
            "preprocessing.select.select",
            (
                person / "cleaned.h5",
                prepare.selection,
                person / "voxels.h5",
                person / "voxels.png",
            ),
        ),
        "extract films sub-02": (
            "preprocessing.extract.extract",
            (
                person / "cleaned.h5",
                person / "voxels.h5",
                prepare.response,
                person / "responses.h5",
            ),
        ),
        "pretrain first patches": (
            "pretraining.stage.pretrain",
            (
                {p: path for p, path in of_people("cleaned").items() if p.startswith("films")},
                {p: path for p, path in of_people("voxels").items() if p.startswith("films")},
                first.pretraining["patches"],
                FIRST / "pretraining/patches",
            ),
        ),
        "align first": (
            "alignment.stage.align",
            (
                of_people("responses"),
                clip_image,
                STIMULI,
                first.alignment,
                FIRST / "alignment",
                of_people("voxels"),
                False,
            ),
        ),
        "align first --path other": (
            "alignment.stage.align",
            (
                of_people("responses"),
                clip_image,
                STIMULI,
                other,
                FIRST / "paths/other/alignment",
                of_people("voxels"),
                True,
            ),
        ),
        "regress first": (
            "regression.stage.regress",
            (
                FIRST / "alignment/shared.h5",
                of_people("responses"),
                of_studies("clip_image", "conditioning", "latents"),
                STIMULI,
                first.regression,
                FIRST / "regression",
                of_people("voxels"),
                (),
            ),
        ),
        "regress second": (
            "regression.stage.regress",
            (
                SECOND / "alignment/shared.h5",
                {"films/sub-01": FILMS / "sub-01/responses.h5"},
                {"films": of_studies("clip_image", "conditioning", "latents")["films"]},
                {"films": STIMULI["films"]},
                second.regression,
                SECOND / "regression",
                {"films/sub-01": FILMS / "sub-01/voxels.h5"},
                ("conditioning",),
            ),
        ),
        "restore second": (
            "prior.stage.restore",
            (
                SECOND / "regression/predictions.h5",
                SECOND / "regression/restorable.h5",
                {"films": of_studies("conditioning")["films"]},
                {"films": STIMULI["films"]},
                second.priors,
                {"conditioning": checked.targets["conditioning"]},
                SECOND / "prior",
            ),
        ),
        "finetune first mine": (
            "finetuning.stage.finetune",
            (
                of_people("responses"),
                of_studies("latents"),
                STIMULI,
                first.finetuning["mine"],
                FIRST / "finetuning/mine",
                of_people("voxels"),
            ),
        ),
        "generate first films sub-02": (
            "generation.stage.generate",
            (
                {"latents": LATENTS, "caption": SAID},
                FILMS / "stimuli.h5",
                "films",
                "sub-02",
                first.generation,
                FIRST / "videos/films/sub-02.h5",
                FIRST / "videos/films/sub-02",
                ("shuffled", "oracle"),
            ),
        ),
        "generate first films sub-02 --generator sketch": (
            "generation.stage.generate",
            (
                {"colour": PAINTED},
                FILMS / "stimuli.h5",
                "films",
                "sub-02",
                first.generators["sketch"],
                FIRST / "generators/sketch/films/sub-02.h5",
                None,
                ("shuffled", "oracle"),
            ),
        ),
        "caption first said films sub-02": (
            "generation.stage.caption",
            (
                {"clips": SHOWN},
                FILMS / "stimuli.h5",
                "films",
                "sub-02",
                first.captioners["said"],
                FIRST / "captioners/said/films/sub-02.h5",
                ("shuffled", "oracle"),
            ),
        ),
        "score first": (
            "evaluation.stage.evaluate",
            (
                videos,
                STIMULI,
                FIRST / "regression/predictions.h5",
                of_studies("clip_image", "conditioning", "latents"),
                first.evaluation,
                FIRST / "evaluation",
                SECOND / "prior/predictions.h5",
            ),
        ),
        "report first": (
            "report.stage.report",
            (
                "first",
                checked.described("first"),
                {
                    "metrics": FIRST / "evaluation/metrics.json",
                    "clips": FIRST / "evaluation/clips.parquet",
                    "predictions": FIRST / "regression/predictions.h5",
                    "shared": FIRST / "alignment/shared.h5",
                }
                | {f"stimuli/{study}": path for study, path in STIMULI.items()}
                | {f"voxels/{p}": path for p, path in of_people("voxels").items()}
                | {f"videos/{p}": path for p, path in videos.items()},
                FIRST / "report/index.html",
            ),
        ),
    }


@pytest.fixture
def configured(tmp_path, monkeypatch):
    """A configuration in the working directory."""
    monkeypatch.chdir(tmp_path)
    with own_components():
        Path("config.yaml").write_text(yaml.safe_dump(CONFIG))
        yield config.load_config("config.yaml")


def test_a_command_calls_its_stage_with_the_places_of_its_files(configured, monkeypatch):
    expected = calls(configured)
    assert {line.split()[0] for line in expected} == set(STAGES)
    for line, (place, arguments) in expected.items():
        module_name, _, function = place.rpartition(".")
        module = importlib.import_module(f"brainflix.{module_name}")
        signature = inspect.signature(getattr(module, function))
        given = []
        with monkeypatch.context() as patch:
            patch.setattr(module, function, lambda *a, given=given, **k: given.append((a, k)))
            result = CliRunner().invoke(cli.app, shlex.split(line), catch_exceptions=False)
        assert result.exit_code == 0, (line, result.output)
        ((positional, named),) = given
        found = signature.bind(*positional, **named).arguments
        assert found == signature.bind(*arguments).arguments, line


def test_another_configuration_can_be_named(configured, tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr("brainflix.targets.decode.decode_study", lambda *a: called.append(a))
    raw = CONFIG | {"stimuli": {"frames": 2}, "results": "there"}
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/mine.yaml").write_text(yaml.safe_dump(raw))
    frozen = config.freeze(configured)
    for path in ("deep/mine.yaml", frozen):
        assert run("decode", "others", "--config", path) == 0
    (_, form, out), (_, frozen_form, frozen_out) = called
    assert (form.frames, out) == (2, Path("deep/there/others/stimuli.h5"))
    assert (frozen_form.frames, frozen_out) == (4, OTHERS / "stimuli.h5")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("decode film", "no study 'film' in the configuration|one of films, others"),
        ("encode films latent", "no target 'latent'|one of clip_image, conditioning, latents"),
        ("encode film latents", "no study 'film'|one of films, others"),
        ("clean films sub-03", "no subject of films 'sub-03'|one of sub-01, sub-02"),
        ("select film sub-01", "no study 'film'|one of films, others"),
        ("extract others sub-02", "no subject of others 'sub-02'|one of sub-01"),
        ("align frist", "no experiment 'frist'|one of first, second"),
        ("align second --path other", "no path with an alignment 'other'|one of main"),
        ("regress frist", "no experiment 'frist'|one of first, second"),
        ("regress first --path other", "no path with a regression 'other'|one of main"),
        ("restore frist", "no experiment 'frist'|one of first, second"),
        ("restore first", "no path with priors 'main'|expected: a path with priors"),
        ("restore second --path other", "no path with priors 'other'|one of main"),
        ("pretrain first patch", "no pretraining 'patch'|one of patches"),
        ("pretrain second patches", "no pretraining 'patches'|expected: a pretraining"),
        ("finetune first yours", "no finetuning 'yours'|one of mine"),
        ("generate frist films sub-01", "no experiment 'frist'|one of first, second"),
        (
            "generate first films sub-09",
            "no subject of films in first 'sub-09'|one of sub-01, sub-02",
        ),
        ("generate second films sub-02", "no subject of films in second 'sub-02'|one of sub-01"),
        ("generate second others sub-01", "no study of second 'others'|one of films"),
        ("caption first said films sub-03", "no subject of films in first 'sub-03'"),
        ("generate first films sub-01 --generator x", "no generator 'x'|one of sketch"),
        ("caption first x films sub-01", "no captioner 'x'|one of said"),
        ("score frist", "no experiment 'frist'|one of first, second"),
        ("report frist", "no experiment 'frist'|one of first, second"),
        ("simulate --study others", "no simulated study 'others'|one of films"),
    ],
)
@pytest.mark.usefixtures("configured")
def test_an_unknown_name_ends_with_exit_code_2_and_the_names_that_exist(line, said, capsys):
    assert run(*shlex.split(line)) == 2
    text = capsys.readouterr().err
    assert "Traceback" not in text
    for words in said.split("|"):
        assert words in text, text
    assert not Path("results").exists()


def test_a_simulation_needs_a_place(configured, capsys):
    assert run("simulate") == 2
    assert "--study" in capsys.readouterr().err


def test_an_unknown_configuration_key_ends_with_exit_code_2(tmp_path):
    text = (ROOT / "config.yaml").read_text() + "\nalignmemt: {dim: 3}\n"
    (tmp_path / "mine.yaml").write_text(text)
    refused(brainflix("validate", tmp_path / "mine.yaml"), "alignmemt: unknown key", "mine.yaml")


def test_an_unknown_option_of_a_stage_ends_with_exit_code_2(tmp_path):
    path = write_configuration(tmp_path, {"root": "data"}, preprocessing={"response": {"delai": 4}})
    result = brainflix("extract", STUDY, SUBJECT, "--config", path)
    refused(result, "delai: unknown key", str(path))
    result = brainflix("simulate", tmp_path / "films", "--options", '{"voxel": 100}')
    refused(result, "voxel: unknown key")
    assert not (tmp_path / "films").exists()


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
    select = stage_call("select", tmp_path, {"root": "data"})
    place = layout_in(tmp_path).cleaned(STUDY, SUBJECT)
    place.parent.mkdir(parents=True)
    shutil.copy(path, place)
    refused(brainflix(*select.arguments), "is damaged", str(place))
    assert not select.out.exists()


def test_the_log_holds_everything_and_the_terminal_the_message(tmp_path):
    log = tmp_path / "logs" / "inspect.log"
    result = brainflix("--log", log, "inspect", tmp_path / "none.h5")
    refused(result, "no HDF5 artifact")
    assert log.read_text() == result.stderr


def test_a_defect_keeps_its_traceback_and_ends_with_exit_code_1(tmp_path):
    code = (
        "from brainflix import config; from brainflix.cli import main as cli;"
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
