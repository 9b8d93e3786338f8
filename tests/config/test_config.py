"""The configuration: one validation, full names in its errors, and a schema that is current."""

import difflib
import json
from pathlib import Path

import pytest

from brainflix import config
from brainflix.errors import ConfigError
from brainflix.regression.options import ResidualNetworkOptions

ROOT = Path(__file__).resolve().parents[2]


def minimal(**changes):
    """Return a small raw configuration with top-level keys replaced."""
    raw = {
        "recipe": "brain_netflix",
        "studies": {"films": {"root": "data/films", "subjects": ["sub-01", "sub-02"]}},
        "experiments": {"first": {"cohorts": {"films": "all"}}},
    }
    return raw | changes


CIRCLE = ({"generator": "g"}, {"caption": {"captioner": "c"}})


def problem(raw):
    """Return the message that a configuration is refused with."""
    with pytest.raises(ConfigError) as caught:
        config.validate(raw, where="mine.yaml")
    return str(caught.value)


def test_the_schema_file_is_current():
    path = ROOT / "workflow/schemas/config.schema.json"
    kept, current = path.read_text(encoding="utf-8"), config.json_schema()
    diff = "".join(
        difflib.unified_diff(
            kept.splitlines(True),
            current.splitlines(True),
            "workflow/schemas",
            "brainflix.config",
        )
    )
    assert not diff, f"run `make schema`:\n{diff}"


def test_the_schema_refuses_unknown_keys_everywhere():
    schema = json.loads(config.json_schema())
    sections = [schema, *schema["$defs"].values()]
    assert all(part["additionalProperties"] is False for part in sections if "properties" in part)


def test_the_default_configuration_is_valid():
    checked = config.load_config(ROOT / "config.yaml")
    assert checked.subjects("brain_netflix") == {
        name: study.subjects for name, study in checked.studies.items()
    }


@pytest.mark.parametrize("recipe", sorted(p.stem for p in config.RECIPES.glob("*.yaml")))
def test_each_recipe_is_valid(recipe):
    assert config.validate(minimal(recipe=recipe)).targets


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"colour": "red"}, "colour"),
        ({"stimuli": {"frame": 8}}, "stimuli.frame"),
        ({"preprocessing": {"cleaning": {"detrend": 4}}}, "studies.films.preprocessing.cleaning"),
        ({"alignment": {"epochs": 3}}, "experiments.first.alignment.epochs"),
        ({"generation": {"guidance_scale": 4}}, "experiments.first.generation.guidance_scale"),
        ({"regression": {"heads": {"latents": {"l1": 1}}}}, "regression.heads.latents.l1"),
        ({"regression": {"window_size": 2}}, "experiments.first.regression.window_size"),
        ({"alignment": {"component": "gradient", "ridge": {}}}, "first.alignment.ridge"),
        (
            {"generation": {"component": "text_to_video", "strength": 0.5}},
            "experiments.first.generation.strength",
        ),
        (
            {"captioners": {"said": {"inputs": {"vectors": "clip_image"}, "beams": 3}}},
            "experiments.first.captioners.said.beams",
        ),
    ],
)
def test_an_unknown_key_is_refused_by_its_full_name(changes, key):
    message = problem(minimal(**changes))
    assert key in message
    assert "unknown key" in message
    assert "mine.yaml" in message


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"alignment": {"dropout": 1.5}}, "alignment.dropout"),
        ({"preprocessing": {"response": {"window": 0}}}, "preprocessing.response.window"),
        ({"experiments": {"first": {"cohorts": {"serials": "all"}}}}, "cohorts.serials"),
        ({"experiments": {"first": {"cohorts": {"films": ["sub-09"]}}}}, "sub-09"),
        ({"experiments": {"first": {"cohorts": {"films": "all"}, "compare": "x"}}}, "'x'"),
        ({"experiments": {"films": {"cohorts": {"films": "all"}}}}, "names of their own"),
        ({"alignment": {"target": "smell"}}, "smell"),
        ({"generation": {"inputs": {"latents": "sounds"}}}, "'sounds'"),
        ({"generation": {"inputs": {"caption": {"captioner": "x"}}}}, "no captioners.x"),
        (
            {"generation": {"inputs": {"latents": {"target": "latents", "path": "x"}}}},
            "no decoding path 'x'",
        ),
        (
            {"generation": {"inputs": {"latents": {"target": "latents", "generator": "x"}}}},
            "give one of target (with path), generator, captioner",
        ),
        ({"alignment": None, "regression": None}, "no decoding path"),
        ({"paths": {"other": {}}}, "paths.other: neither alignment nor regression"),
        ({"paths": {"other": {"alignment": {"target": "latents"}}}}, "name one by `path`"),
        (
            {
                "captioners": {"c": {"component": "nearest", "inputs": {"clips": CIRCLE[0]}}},
                "generators": {"g": {"component": "text_to_video", "inputs": CIRCLE[1]}},
                "generation": {"inputs": CIRCLE[1]},
            },
            "a circle of inputs",
        ),
        ({"regression": {"heads": {"latents": {"losses": {"l1": 1}}}}}, "no loss 'l1'"),
        (
            {"regression": {"heads": {"latents": {"losses": {"contrastive": {"heat": 1}}}}}},
            "contrastive.heat: unknown key",
        ),
        ({"regression": {"heads": {"latents": {"losses": {"mse": -1}}}}}, "mse.weight: Input"),
        ({"finetuning": {"f": {}}}, "finetuning"),
        ({"studies": {"a b": {"root": "x", "subjects": ["s"]}}}, "a b"),
        ({"studies": {"films": {"root": "x", "subjects": ["../s"]}}}, "subjects.0"),
        ({"recipe": "soup"}, "brain_netflix"),
        ({"studies": None}, "studies"),
    ],
)
def test_an_impossible_value_is_refused(changes, said):
    assert said in problem(minimal(**changes))


def test_the_recipe_yields_to_the_file_and_the_file_to_the_experiment():
    raw = minimal(
        alignment={"dim": 32, "blocks": 1},
        experiments={
            "first": {"cohorts": {"films": "all"}},
            "second": {"cohorts": {"films": ["sub-02"]}, "alignment": {"dim": 64}},
        },
    )
    checked = config.validate(raw)
    first, second = checked.experiments["first"], checked.experiments["second"]
    assert first.alignment.target == "clip_image"  # the recipe's
    assert (first.alignment.dim, second.alignment.dim) == (32, 64)
    assert first.alignment.blocks == second.alignment.blocks == 1
    assert checked.subjects("second") == {"films": ("sub-02",)}


def test_losses_are_weights_or_mappings(tmp_path):
    heads = {
        "latents": {"losses": {"mse": 2, "contrastive": {"temperature": 0.5}}},
        "clip_image": {},
    }
    checked = config.validate(minimal(regression={"heads": heads})).experiments["first"]
    latents = checked.regression.heads["latents"].losses
    assert latents["mse"] == {"weight": 2.0}
    assert latents["contrastive"] == {"weight": 1.0, "temperature": 0.5}
    recipe = checked.regression.heads["clip_image"].losses
    assert recipe == {"mse": {"weight": 1.0}, "contrastive": {"weight": 0.1, "temperature": 0.1}}
    assert config.HeadConfig().losses == {"mse": {"weight": 1.0}}


def test_sections_that_are_left_out_do_not_exist():
    raw = minimal(
        recipe=None,
        targets={"clip_image": {"encoder": "clip_image", "model": "embedded:clip"}},
        regression={"heads": {"clip_image": {}}},
        generation={"component": "text_to_video", "inputs": {"conditioning": "clip_image"}},
    )
    checked = config.validate(raw).experiments["first"]
    assert checked.alignment is None
    assert checked.regression.component == "residual_mlp"
    assert checked.predicted("main") == ("clip_image",)
    raw = minimal(regression=None, generation={"inputs": {"latents": None, "conditioning": None}})
    raw["experiments"]["first"]["videos"] = False
    checked = config.validate(raw).experiments["first"]
    assert checked.regression is None
    assert checked.predicted("main") == ("clip_image",)
    assert checked.used_nodes() == {}


def test_nodes_come_after_those_that_they_take_from():
    said = {"component": "nearest", "inputs": {"clips": {"generator": "first"}}}
    raw = minimal(
        generators={
            "first": {"component": "text_to_video", "inputs": {"conditioning": "conditioning"}},
            "unused": {"component": "text_to_video", "inputs": {"conditioning": "conditioning"}},
        },
        captioners={"said": said},
        generation={"inputs": {"caption": {"captioner": "said"}, "conditioning": None}},
    )
    checked = config.validate(raw).experiments["first"]
    assert [*checked.used_nodes()] == ["generators/first", "captioners/said", "videos"]
    assert sorted(checked.generation.given) == ["caption", "latents"]


def test_preprocessing_at_the_top_is_the_default_of_each_study():
    studies = {
        "films": {"root": "a", "subjects": ["s1"]},
        "events": {
            "root": "b",
            "subjects": ["s1"],
            "preprocessing": {"response": {"delay": 6.0}},
        },
    }
    raw = minimal(studies=studies, preprocessing={"response": {"delay": 5.0, "window": 3}})
    found = {n: s.preprocessing.response for n, s in config.validate(raw).studies.items()}
    assert found["films"] == config.ResponseConfig(delay=5.0, window=3)
    assert found["events"] == config.ResponseConfig(delay=6.0, window=3)


def test_validation_leaves_the_given_mapping_as_it_is():
    raw = minimal(alignment={"dim": 32})
    before = json.dumps(raw)
    config.validate(raw)
    assert json.dumps(raw) == before


def test_options_come_back_from_their_text_and_from_a_file(tmp_path):
    head = config.HeadConfig(losses={"mse": 2.0})
    section = ResidualNetworkOptions(heads={"b": head}, width=16)
    text = config.dump_options(section)
    assert config.load_options(ResidualNetworkOptions, text) == section
    path = tmp_path / "options.yaml"
    path.write_text("width: 16\nheads: {b: {losses: {mse: 2}}}\n")
    assert config.load_options(ResidualNetworkOptions, str(path)) == section


@pytest.mark.parametrize(
    ("content", "said"),
    [("- a\n- b\n", "list"), ("a: [1\n", "line"), (b"\xff\xfe\x00", "decode"), (None, "No such")],
)
def test_a_file_that_is_no_mapping_is_named(tmp_path, content, said):
    path = tmp_path / "mine.yaml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        config.load_config(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_options_that_are_not_json_are_refused():
    with pytest.raises(ConfigError, match="not JSON"):
        config.load_options(config.ResponseConfig, "{delay: 4")


def test_what_an_experiment_was_run_with_is_plain_and_its_own():
    studies = {name: {"root": name, "subjects": ["s1"]} for name in ("films", "others")}
    checked = config.validate(minimal(studies=studies))
    described = json.loads(json.dumps(checked.described("first")))
    assert list(described["studies"]) == ["films"]
    assert described["experiment"]["generation"]["strength"] == 0.7


def test_priors_of_a_path_are_read_with_the_options_of_their_kind():
    priors = {"conditioning": {"component": "empirical_bayes", "atoms": "clips"}}
    checked = config.validate(minimal(priors=priors)).experiments["first"]
    section = checked.decoding_paths()["main"].priors["conditioning"]
    assert (section.component, section.atoms, section.estimate) == (
        "empirical_bayes",
        "clips",
        "mean",
    )
    assert not config.validate(minimal()).experiments["first"].priors


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"priors": {"scent": {"component": "length"}}}, "does not predict ['scent']"),
        ({"priors": {"conditioning": {"component": "lenght"}}}, "unknown component 'lenght'"),
        ({"priors": {"conditioning": {"studies": "together"}}}, "component"),
        (
            {"priors": {"conditioning": {"component": "length", "atoms": "clips"}}},
            "priors.conditioning.atoms: unknown key",
        ),
        (
            {
                "paths": {
                    "fine": {
                        "regression": {"heads": {"latents": {}}},
                        "priors": {"conditioning": {"component": "length"}},
                    }
                }
            },
            "paths.fine.priors: the path's regression does not predict ['conditioning']",
        ),
    ],
)
def test_priors_that_restore_nothing_are_refused(changes, said):
    assert said in problem(minimal(**changes))


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.stem)
def test_each_configuration_to_run_is_valid(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    checked = config.load_config(path)
    assert checked.results == "results"
    assert all(study.root.startswith("data/") for study in checked.studies.values())


def test_the_recipes_configuration_is_the_default_run(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert config.load_config("configs/brain_netflix.yaml") == config.load_config("config.yaml")
