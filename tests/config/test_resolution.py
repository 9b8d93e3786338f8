"""What a configuration names is looked up before anything runs, and paths count from its file."""

import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml
from support.command_line import brainflix
from support.registries import own_components

from brainflix import config
from brainflix.alignment.options import GradientHeadsOptions
from brainflix.config.assembly import SECTIONS
from brainflix.errors import ConfigError
from brainflix.generation.options import TextToVideoOptions, VideoToVideoOptions

ROOT = Path(__file__).resolve().parents[2]


def minimal(**changes):
    """Return a small raw configuration with top-level keys replaced."""
    raw = {
        "recipe": "brain_netflix",
        "studies": {"films": {"root": "data/films", "subjects": ["sub-01"]}},
        "experiments": {"first": {"cohorts": {"films": "all"}}},
    }
    return raw | changes


def films(**changes):
    """Return a minimal configuration whose study has further keys."""
    return minimal(studies={"films": {"root": "data/films", "subjects": ["sub-01"], **changes}})


def written(folder, raw):
    """Write a configuration into a folder and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


TEXT_TO_VIDEO = {"component": "text_to_video", "inputs": {"conditioning": "conditioning"}}
WRONG_NAMES = {
    "reader": (
        films(reader="bidz"),
        "studies.films.reader: unknown study reader 'bidz'",
        "did you mean bids?",
    ),
    "option of a reader": (
        films(options={"clip_colum": "movie"}),
        "studies.films.options",
        "clip_colum",
        "clip_column",
    ),
    "option of a published study's reader": (
        films(reader="cc2017", options={"form": "vhs"}),
        "studies.films.options",
        "vhs",
    ),
    "encoder": (
        minimal(targets={"clip_image": {"encoder": "clip_imagen"}}),
        "targets.clip_image.encoder: unknown encoder 'clip_imagen'",
        "did you mean clip_image?",
    ),
    "embedded model": (
        minimal(targets={"clip_image": {"model": "embedded:clp"}}),
        "targets.clip_image.model: no embedded model 'clp'",
        "did you mean clip?",
    ),
    "embedded model of a generator": (
        minimal(generation={"model": "embedded:video"}),
        "experiments.first.generation.model: no embedded model 'video'",
        "embedded:text-to-video",
    ),
    "model folder": (
        minimal(evaluation={"clip_model": "/no/such/folder"}),
        "experiments.first.evaluation.clip_model: the model's folder does not exist",
        "/no/such/folder",
    ),
    "model folder of a target": (
        minimal(targets={"latents": {"model": "./models/none"}}),
        "targets.latents.model: the model's folder does not exist",
    ),
    "model that no stage makes": (
        minimal(generation={"model": "finetuning:mine"}),
        "experiments.first.generation.model: no model 'finetuning:mine'",
    ),
    "atlas": (
        minimal(preprocessing={"selection": {"atlas": "hcp_mpm"}}),
        "studies.films.preprocessing.selection.atlas: the atlas is not there",
        "hcp_mmp, yeo7, yeo17, or a label file",
        "hcp_mpm",
    ),
    "atlas of both hemispheres": (
        minimal(preprocessing={"selection": {"atlas": "/none/{hemi}.label.gii"}}),
        "studies.films.preprocessing.selection.atlas: the atlas is not there",
        "/none/{hemi}.label.gii",
    ),
    "metric": (
        minimal(evaluation={"metrics": ["ssm@rgb"]}),
        "experiments.first.evaluation.metrics",
        "ssm@rgb",
    ),
    "generator": (
        minimal(generation={"component": "nonsense"}),
        "experiments.first.generation",
        "unknown component 'nonsense'; there are text_to_video, video_to_video",
    ),
    "brain encoder": (
        minimal(alignment={"component": "nonsense"}),
        "experiments.first.alignment",
        "unknown component 'nonsense'; there are gradient, ridge",
    ),
    "pretraining": (
        minimal(pretraining={"patches": {"component": "nonsense"}}),
        "experiments.first.pretraining.patches",
        "nonsense",
    ),
    "finetuning": (
        minimal(finetuning={"mine": {"component": "nonsense"}}),
        "experiments.first.finetuning.mine",
        "nonsense",
    ),
    "captioner": (
        minimal(captioners={"said": {"component": "nonsense"}}),
        "experiments.first.captioners.said",
        "unknown component 'nonsense'; there are nearest, target",
    ),
    "input that a generator does not take": (
        minimal(generation={"inputs": {"latent": "latents"}}),
        "experiments.first.generation.inputs: video_to_video takes no input 'latent'",
        "did you mean latents?",
    ),
    "input that a generator lacks": (
        minimal(generation={"component": "text_to_video", "inputs": {"conditioning": None}}),
        "experiments.first.generation.inputs: text_to_video lacks an input",
        "conditioning or caption",
    ),
    "input of another sort": (
        minimal(
            generators={"first": TEXT_TO_VIDEO},
            generation={"inputs": {"latents": {"generator": "first"}}},
        ),
        "generation.inputs: the input 'latents' of video_to_video is of another sort",
        "a generator's clips",
    ),
    "input of a generator whose clips another one takes": (
        minimal(
            generators={"first": {"component": "text_to_video", "inputs": {"sound": "latents"}}},
            captioners={
                "said": {"component": "nearest", "inputs": {"clips": {"generator": "first"}}}
            },
            generation={"inputs": {"caption": {"captioner": "said"}}},
        ),
        "experiments.first.generators.first.inputs: text_to_video takes no input 'sound'",
    ),
}


@pytest.mark.parametrize("name", WRONG_NAMES)
def test_a_name_that_leads_nowhere_ends_with_exit_code_2(name, tmp_path, capsys):
    raw, *said = WRONG_NAMES[name]
    path = written(tmp_path, raw)
    assert brainflix("validate", path) == 2
    text = capsys.readouterr().err
    assert "Traceback" not in text
    assert str(path) in text
    for words in said:
        assert words in text, text


def test_all_wrong_names_are_told_at_once(tmp_path):
    raw = films(reader="bidz", preprocessing={"selection": {"atlas": "hcp_mpm"}})
    raw |= {"evaluation": {"metrics": ["ssm@rgb"], "clip_model": "/no/such/folder"}}
    with pytest.raises(ConfigError) as caught:
        config.validate(raw)
    for words in ("bidz", "hcp_mpm", "ssm@rgb", "/no/such/folder"):
        assert words in str(caught.value)


def test_hub_ids_and_folders_that_exist_are_names_of_models(tmp_path):
    (tmp_path / "model").mkdir()
    raw = minimal(
        generation={"model": "cerspense/zeroscope_v2_576w"},
        evaluation={"clip_model": str(tmp_path / "model"), "frame_classifier": None},
    )
    checked = config.validate(raw).experiments["first"]
    assert checked.generation.model == "cerspense/zeroscope_v2_576w"
    assert checked.evaluation.clip_model == str(tmp_path / "model")


@pytest.mark.slow
@pytest.mark.workflow
@pytest.mark.parametrize("name", ["generator", "atlas"])
def test_snakemake_refuses_names_that_lead_nowhere(name, tmp_path):
    raw, *said = WRONG_NAMES[name]
    raw = {**raw, "studies": {"films": {**raw["studies"]["films"], "simulation": {}}}}
    path = written(tmp_path, raw)
    result = subprocess.run(
        [
            *(Path(sys.executable).parent / "snakemake", "-n"),
            *("--snakefile", ROOT / "Snakefile", "--configfile", path, "--cores", "1", "all"),
        ],
        cwd=tmp_path,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    text = result.stdout + result.stderr
    assert result.returncode != 0
    for words in said:
        assert words in text, text
    assert "Traceback" not in text
    assert not (tmp_path / "results").exists()


# --- paths ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("registries")
def test_relative_paths_count_from_the_folder_of_the_file(tmp_path, monkeypatch):
    folder = tmp_path / "deep" / "inside"
    (folder / "models" / "clip").mkdir(parents=True)
    (folder / "parts.py").write_text("")
    labels = nib.Nifti1Image(np.ones((2, 2, 2), np.int16), np.eye(4))
    nib.save(labels, folder / "labels.nii.gz")
    (folder / "recipe.yaml").write_text(
        (config.RECIPES / "brain_netflix.yaml").read_text()
        + "evaluation: {clip_model: models/clip}\n"
    )
    raw = films(
        links_to=["../elsewhere"], preprocessing={"selection": {"atlas": "labels.nii.gz"}}
    ) | {
        "recipe": "recipe.yaml",
        "extensions": ["parts.py"],
        "targets": {"clip_image": {"model": "models/clip"}},
    }
    path = written(folder, raw)
    monkeypatch.chdir(tmp_path)
    found = config.load_config("deep/inside/mine.yaml")
    here = Path("deep/inside")
    study = found.studies["films"]
    places = {
        found.results: "results",
        study.root: "data/films",
        study.links_to[0]: "../elsewhere",
        study.preprocessing.selection.atlas: "labels.nii.gz",
        found.extensions[0]: "parts.py",
        found.recipe: "recipe.yaml",
        found.targets["clip_image"].model: "models/clip",
        found.experiments["first"].evaluation.clip_model: "models/clip",
    }
    for value, place in places.items():
        assert value == os.path.normpath(here / place)
    assert found.targets["latents"].model == "embedded:text-to-video"
    assert config.load_config(path) == found  # the same names, whichever way leads to the file
    (tmp_path / "aside").mkdir()
    monkeypatch.chdir(tmp_path / "aside")
    assert config.load_config(path).studies["films"].root == str(folder / "data/films")
    monkeypatch.chdir(folder)
    own = config.load_config("mine.yaml")
    assert (own.results, own.studies["films"].root) == ("results", "data/films")
    assert own.targets["clip_image"].model == "models/clip"


def test_layers_count_each_from_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = written(tmp_path / "one", minimal())
    second = written(tmp_path / "two", {"studies": {"films": {"root": "other"}}})
    found = config.load_layers([first, second], {"alignment": {"dim": 8}})
    assert found.studies["films"].root == "two/other"
    assert found.experiments["first"].alignment.dim == 8
    with pytest.raises(ConfigError, match="there is no configuration"):
        config.load_layers([], {})


def test_a_layer_without_results_leaves_those_of_the_one_below(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = written(tmp_path / "one", minimal(results="there"))
    second = written(tmp_path / "two", {"alignment": {"dim": 8}})
    assert config.load_layers([first, second], {}).results == "one/there"


# --- other components than the recipe's -------------------------------------------------------


def test_another_component_keeps_the_keys_that_it_has_as_well():
    raw = minimal(generation={"component": "text_to_video"})
    generation = config.validate(raw).experiments["first"].generation
    assert isinstance(generation, TextToVideoOptions)
    assert [*generation.given] == ["conditioning"]  # the recipe's latents are gone
    assert not hasattr(generation, "strength")
    assert (generation.steps, generation.guidance) == (20, 3.0)  # the recipe's


def test_an_experiment_can_choose_another_component_than_the_file():
    raw = minimal(
        alignment={"dim": 8, "ridge": {"folds": 3}},
        generation={"strength": 0.5},
        experiments={
            "first": {"cohorts": {"films": "all"}},
            "other": {
                "cohorts": {"films": "all"},
                "alignment": {"component": "gradient"},
                "generation": {"component": "text_to_video", "guidance": 9},
            },
        },
    )
    checked = config.validate(raw).experiments
    assert checked["first"].alignment.ridge.folds == 3
    assert isinstance(checked["first"].generation, VideoToVideoOptions)
    assert checked["first"].generation.strength == 0.5
    other = checked["other"]
    assert isinstance(other.alignment, GradientHeadsOptions)
    assert (other.alignment.dim, other.alignment.target) == (8, "clip_image")
    assert not hasattr(other.alignment, "ridge")
    assert isinstance(other.generation, TextToVideoOptions)
    assert (other.generation.guidance, other.generation.steps) == (9, 20)


@pytest.mark.parametrize("key", [key for key, (kind, _) in SECTIONS.items() if [*kind]])
def test_options_made_by_hand_name_their_own_component(key):
    kind, _ = SECTIONS[key]
    for name in kind:
        assert kind.options(name)().component == name


def test_the_same_component_keeps_everything():
    below = {"generation": {"strength": 0.6, "inputs": {"latents": "a", "caption": None}}}
    above = {"generation": {"component": "video_to_video", "steps": 3}}
    assert config.merge(below, above)["generation"] == {
        "strength": 0.6,
        "inputs": {"latents": "a", "caption": None},
        "component": "video_to_video",
        "steps": 3,
    }
    other = {"generation": {"inputs": {"latents": {"generator": "g"}}}}
    below["generation"]["inputs"]["latents"] = {"target": "a", "path": "p"}
    assert config.merge(below, other)["generation"]["inputs"]["latents"] == {"generator": "g"}
    dropped = config.merge(below, {"generation": {"component": "text_to_video"}})["generation"]
    assert dropped == {"inputs": {"caption": None}, "component": "text_to_video"}


# --- what the stages of a run read ------------------------------------------------------------


def test_a_frozen_configuration_is_written_once_and_read_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checked = config.validate(minimal(alignment={"component": "gradient"}))
    path = config.freeze(checked)
    assert path == config.frozen_path(checked)
    assert path.parent == Path("results/config")
    content, before = path.read_bytes(), path.stat()
    assert config.freeze(config.validate(minimal(alignment={"component": "gradient"}))) == path
    after = path.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert path.read_bytes() == content
    thawed = config.load_config(path)
    assert thawed == checked
    assert isinstance(thawed.experiments["first"].alignment, GradientHeadsOptions)
    assert config.freeze(thawed) == path
    other = config.freeze(config.validate(minimal(alignment={"dim": 9})))
    assert other != path
    assert [found.suffix for found in path.parent.iterdir()] == [".json", ".json"]


def test_a_frozen_configuration_that_is_damaged_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = config.freeze(config.validate(minimal()))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load_config(path)
    path.write_text("[1]")
    with pytest.raises(ConfigError, match="not valid"):
        config.load_config(path)


# --- components of a user's own ---------------------------------------------------------------

PARTS = """
from brainflix.components import GENERATORS
from brainflix.config.recipe import GenerationConfig, Takes
from brainflix.generation.generators import Generator


@GENERATORS.register("sketch_of_a_test")
class Sketch(Generator):
    class Options(GenerationConfig):
        takes = {"outline": Takes(("target",))}
        requires = (("outline",),)
        strokes: int = 3
"""


@pytest.fixture
def registries():
    """Components that are registered here are gone afterwards."""
    with own_components():
        yield


@pytest.mark.usefixtures("registries")
def test_an_extension_adds_a_component_with_options_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts.py").write_text(PARTS)
    sketch = {"component": "sketch_of_a_test", "inputs": {"outline": "latents"}}
    raw = minimal(extensions=["parts.py"], generation={**sketch, "strokes": 5})
    path = written(tmp_path, raw)
    checked = config.load_config(path)
    generation = checked.experiments["first"].generation
    assert (generation.component, generation.strokes) == ("sketch_of_a_test", 5)
    assert [*generation.given] == ["outline"]  # not the recipe's inputs
    assert config.load_config(config.freeze(checked)) == checked
    assert "sketch_of_a_test" in config.json_schema()
    with pytest.raises(ConfigError, match=r"generation\.strength: unknown key"):
        config.validate(minimal(extensions=["parts.py"], generation={**sketch, "strength": 1}))
    bare = {"component": "sketch_of_a_test", "inputs": {"outline": None}}
    with pytest.raises(ConfigError, match="lacks an input"):
        config.validate(minimal(extensions=["parts.py"], generation=bare))


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.py", None, "no file"),
        ("broken.py", "import nothing_of_that_name", "nothing_of_that_name"),
        ("nothing.of_that_name", None, "ModuleNotFoundError"),
    ],
)
def test_an_extension_that_cannot_be_imported_is_named(tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_text(content)
    path = written(tmp_path, minimal(extensions=[name]))
    with pytest.raises(ConfigError, match="cannot be imported") as caught:
        config.load_config(path)
    assert name in str(caught.value)
    assert said in str(caught.value)


def test_ridge_videos_need_a_path_with_a_regression():
    inputs = {"conditioning": "clip_image", "latents": None}
    alone = {"component": "text_to_video", "inputs": inputs}
    with pytest.raises(ConfigError, match=r"baselines: the decoding path 'main' ends with its"):
        config.validate(minimal(regression=None, generation=alone))
    without = {**alone, "baselines": ["shuffled", "oracle"]}
    checked = config.validate(minimal(regression=None, generation=without))
    assert checked.experiments["first"].regression is None
