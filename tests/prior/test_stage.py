"""The stage restore: priors fitted to validation clips, applied to predictions of test clips."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml
from support.command_line import brainflix
from support.edited_artifacts import edited
from support.synthetic_responses import (
    SUBJECTS,
    SyntheticCohort,
    change_responses,
    change_targets,
    make_cohort,
)

from brainflix.artifacts.layout import Layout
from brainflix.artifacts.restorable import read_restorable
from brainflix.artifacts.stimuli import read_clips
from brainflix.artifacts.store import write_dataset
from brainflix.artifacts.targets import read_target
from brainflix.components import REGRESSORS
from brainflix.config import load_config
from brainflix.config.assembly import options_model
from brainflix.config.base import Section
from brainflix.config.recipe import TargetConfig
from brainflix.errors import ArtifactError, ConfigError, DataError
from brainflix.prior.catalogue import load_prior
from brainflix.prior.data import TargetForm
from brainflix.prior.heldout import restore_heldout
from brainflix.prior.stage import StudyTarget, caption_encoder, fitting_data, restore
from brainflix.regression.network import ResidualNetwork
from brainflix.regression.options import ResidualNetworkOptions
from brainflix.regression.stage import regress

TARGET = "clip_image"
MODELS = {TARGET: TargetConfig(encoder="clip_image", model="embedded:clip")}
OPTIONS = ResidualNetworkOptions(
    heads={TARGET: {}, "latents": {}},
    width=16,
    blocks=1,
    components=8,
    max_epochs=2,
    batch_size=128,
    validation_fraction=0.3,
)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def prior(kind: str, **options: object) -> Section:
    """Return a section of ``priors``, as the configuration reads it."""
    return options_model("priors", kind).model_validate({"component": kind, **options})


def regressed(cohort: SyntheticCohort, out: Path) -> Path:
    regress(
        None,
        cohort.responses,
        cohort.targets,
        cohort.stimuli,
        OPTIONS,
        out,
        restorable=(TARGET,),
    )
    return out


def restored(cohort: SyntheticCohort, regression: Path, out: Path, section: Section) -> Path:
    restore(
        regression / "predictions.h5",
        regression / "restorable.h5",
        cohort.targets,
        cohort.stimuli,
        {TARGET: section},
        MODELS,
        out,
    )
    return out / "predictions.h5"


def contents(path: Path) -> dict[str, np.ndarray]:
    """Return every dataset of an artifact by its name."""
    found = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            text = h5py.check_string_dtype(item.dtype) is not None
            found[name] = item.asstr()[()].astype(str) if text else item[()]

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> SyntheticCohort:
    return make_cohort(tmp_path_factory.mktemp("results"), groups=12, noise=3.0)


@pytest.fixture(scope="module")
def regression(cohort, tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    return regressed(cohort, tmp_path_factory.mktemp("joint") / "regression")


@pytest.fixture(scope="module")
def bayes(cohort, regression, tmp_path_factory) -> Path:
    section = prior("empirical_bayes", atoms="clips", components=0)
    return restored(cohort, regression, tmp_path_factory.mktemp("bayes") / "prior", section)


def test_the_regression_is_the_same_with_and_without_priors(cohort, regression, tmp_path):
    regress(None, cohort.responses, cohort.targets, cohort.stimuli, OPTIONS, tmp_path)
    assert not (tmp_path / "restorable.h5").exists()
    assert (tmp_path / "predictions.h5").read_bytes() == (
        regression / "predictions.h5"
    ).read_bytes()


def test_what_is_restorable_are_validation_trials_as_regressed(cohort, regression):
    with (
        h5py.File(regression / "restorable.h5") as file,
        h5py.File(regression / "predictions.h5") as stretched,
    ):
        for subject in SUBJECTS:
            found = read_restorable(file[subject], TARGET)
            clips = read_clips(cohort.stimuli[subject.partition("/")[0]], "study")
            assert len(found.clip) > 8
            assert clips.training[clips.rows(found.clip)].all()
            for estimator in ("network", "ridge"):
                assert found.validation[estimator][TARGET].shape == (len(found.clip), 10)
                test = found.test[estimator][TARGET]
                finished = stretched[f"{subject}/{estimator}/single/{TARGET}"][()]
                assert test.shape == finished.shape
                # noisy predictions shrink towards the mean, and heads stretch them by default
                assert test.std(axis=0).mean() < finished.std(axis=0).mean()
            assert "network/test/latents" not in file[subject]


def test_none_gives_the_predictions_of_the_regression(cohort, regression, tmp_path):
    path = restored(cohort, regression, tmp_path / "prior", prior("none"))
    before, after = contents(regression / "predictions.h5"), contents(path)
    assert before.keys() == after.keys()
    for name, values in before.items():
        assert values.tobytes() == after[name].tobytes(), name
    with h5py.File(path) as one, h5py.File(regression / "predictions.h5") as other:
        assert one.attrs["kind"] == "predictions"
        assert one.attrs["pooling"] == other.attrs["pooling"]
        place = f"movie/sub-01/ridge/single/{TARGET}"
        assert one[place].attrs["alpha"] == other[place].attrs["alpha"]
        assert one[place].dims[0].label == "trial"


def test_empirical_bayes_changes_its_target_and_no_other(regression, bayes):
    before, after = contents(regression / "predictions.h5"), contents(bayes)
    assert before.keys() == after.keys()
    for name, values in before.items():
        own = name.endswith(f"/{TARGET}") and not name.startswith("training_mean")
        assert np.array_equal(values, after[name]) != own, name
        assert values.dtype == after[name].dtype


def test_empirical_bayes_lowers_the_error_of_clips_that_it_did_not_see(cohort, regression):
    form = TargetForm(TARGET, "clip_image", "embedded:clip", (10,))
    with h5py.File(regression / "restorable.h5") as file:
        subjects = {name: read_restorable(file[name], TARGET) for name in SUBJECTS}
    clips = read_clips(cohort.stimuli["movie"], "movie")
    found = StudyTarget(clips, read_target(cohort.targets["movie"][TARGET], clips), ())
    pairs, others = fitting_data(subjects, "ridge", form, found, None)
    assert set(pairs.clip) <= set(clips.clip[clips.training])
    assert len(others.values) + len(set(pairs.clip)) == clips.training.sum()
    assert set(pairs.subject) == {"movie/sub-01", "movie/sub-02"}
    options = {"atoms": "clips", "components": 0}
    result = restore_heldout("empirical_bayes", options, pairs, others)
    assert result.r2(result.restored) > result.r2(result.predicted)


def test_priors_are_saved_and_restore_the_same(cohort, regression, bayes):
    form = TargetForm(TARGET, "clip_image", "embedded:clip", (10,))
    name = "events/sub-01"
    with h5py.File(regression / "restorable.h5") as file:
        test = read_restorable(file[name], TARGET).test
    for estimator in ("network", "ridge"):
        folder = bayes.parent / "fitted" / TARGET / estimator / "events"
        again = load_prior(folder, form).apply(test[estimator][TARGET])
        with h5py.File(bayes) as file:
            np.testing.assert_allclose(
                file[f"{name}/{estimator}/single/{TARGET}"][()], again, rtol=1e-5
            )


def test_the_same_inputs_give_the_same_bytes(cohort, regression, bayes, tmp_path):
    section = prior("empirical_bayes", atoms="clips", components=0)
    again = restored(cohort, regression, tmp_path / "prior", section)
    assert again.read_bytes() == bayes.read_bytes()


def test_nothing_is_fitted_on_test_data(tmp_path):
    section = prior("empirical_bayes", atoms="clips", components=0)
    fitted, predicted = [], []
    for name in ("before", "after"):
        cohort = make_cohort(tmp_path / name / "data", groups=12, noise=3.0)
        if name == "after":
            change_responses(cohort.responses["movie/sub-01"], "test", -3.0)
            change_targets(cohort.targets["movie"][TARGET], cohort.stimuli["movie"], "test", -2.0)
        path = restored(
            cohort,
            regressed(cohort, tmp_path / name / "regression"),
            tmp_path / name / "prior",
            section,
        )
        files = sorted((path.parent / "fitted").rglob("prior.*"))
        assert len(files) == 8  # two files of each estimator's prior for each study
        fitted.append([file.read_bytes() for file in files])
        predicted.append(contents(path))
    assert fitted[0] == fitted[1]
    for name, values in predicted[0].items():
        changed = name.startswith("movie/sub-01/") and "/sub-01/" in name
        changed &= "averaged" in name or "single" in name
        assert np.array_equal(values, predicted[1][name]) != changed, name


def test_studies_together_share_one_prior(cohort, regression, tmp_path):
    section = prior("length", studies="together")
    path = restored(cohort, regression, tmp_path / "prior", section)
    folders = [path.parent / "fitted" / TARGET / "network" / s for s in ("movie", "events")]
    states = [(folder / "prior.safetensors").read_bytes() for folder in folders]
    assert states[0] == states[1]


def with_captions(cohort: SyntheticCohort, folder: Path) -> SyntheticCohort:
    """Return the cohort with captions of its clips, and a target that CLIP makes of them."""
    stimuli, targets = {}, {}
    for study, path in cohort.stimuli.items():
        stimuli[study] = folder / f"{study}.h5"
        stimuli[study].write_bytes(path.read_bytes())
        with edited(stimuli[study]) as file:
            words = [("red", "blue")[k % 2] for k in range(len(file["clip"]))]
            texts = [json.dumps([f"a {word} ball"]) for word in words]
            write_dataset(file, "captions", texts, ["clip"])
        targets[study] = cohort.targets[study]
    return replace(cohort, stimuli=stimuli, targets=targets)


def test_a_captions_prior_needs_captions(cohort, regression, tmp_path):
    with pytest.raises(DataError, match="needs captions of training clips") as caught:
        restored(cohort, regression, tmp_path / "prior", prior("captions"))
    assert "0 clips with captions" in str(caught.value.found)
    assert not (tmp_path / "prior" / "predictions.h5").exists()
    # captions alone do not help where the target is not computed from them
    captioned = with_captions(cohort, tmp_path)
    with pytest.raises(DataError, match="needs captions of training clips") as caught:
        restored(captioned, regression, tmp_path / "prior", prior("captions"))
    assert "no text encoder" in str(caught.value.found)


def test_sentences_are_encoded_by_the_targets_own_model():
    encode = caption_encoder(TargetConfig(encoder="clip_text", model="embedded:clip"))
    assert encode is not None
    both = encode(["a red ball rises", "a blue box"])
    assert both.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(both, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(encode(["a blue box"])[0], both[1], atol=1e-5)
    assert not np.allclose(both[0], both[1])
    assert caption_encoder(MODELS[TARGET]) is None


def test_a_prior_of_a_target_that_the_regression_did_not_keep_is_refused(
    cohort, regression, tmp_path
):
    with pytest.raises(ArtifactError, match="left nothing for a prior of latents") as caught:
        restore(
            regression / "predictions.h5",
            regression / "restorable.h5",
            cohort.targets,
            cohort.stimuli,
            {"latents": prior("length")},
            {"latents": TargetConfig(encoder="video_latents", model="embedded:text-to-video")},
            tmp_path / "prior",
        )
    assert "regress again" in str(caught.value.remedy)
    assert not (tmp_path / "prior" / "predictions.h5").exists()


def test_a_fitted_prior_of_another_target_is_refused(bayes):
    folder = bayes.parent / "fitted" / TARGET / "network" / "movie"
    with pytest.raises(ArtifactError, match="fitted on another target"):
        load_prior(folder, TargetForm("latents", "clip_image", "embedded:clip", (10,)))


def test_too_few_validation_clips_are_named(cohort, regression, tmp_path):
    short = tmp_path / "regression"
    short.mkdir()
    for name in ("predictions.h5", "restorable.h5"):
        (short / name).write_bytes((regression / name).read_bytes())
    with edited(short / "restorable.h5") as file:
        for subject in SUBJECTS:
            group = file[subject]
            for place in ("clip", f"network/validation/{TARGET}", f"ridge/validation/{TARGET}"):
                values = group[place][:3]
                del group[place]
                group.create_dataset(place, data=values)
    with pytest.raises(DataError, match="too few pairs") as caught:
        restored(cohort, short, tmp_path / "prior", prior("empirical_bayes", atoms="clips"))
    assert "validation_fraction" in str(caught.value.remedy)


def test_a_regressor_that_keeps_nothing_for_priors_is_named(cohort, tmp_path, monkeypatch):
    class Forgetful(ResidualNetwork):
        def fit(self, cohort, folder, name):
            predicted, curves = super().fit(cohort, folder, name)
            return {s: replace(one, restorable=None) for s, one in predicted.items()}, curves

    monkeypatch.setitem(REGRESSORS._entries, "residual_mlp", Forgetful)
    with pytest.raises(ConfigError, match="leaves nothing that a prior"):
        regressed(cohort, tmp_path / "regression")
    assert not (tmp_path / "regression" / "predictions.h5").exists()


def written(cohort: SyntheticCohort, path: Path, **priors: object) -> Path:
    """Write a configuration whose results are the cohort's, and return its path."""
    raw = {
        "results": str(cohort.root),
        "studies": {
            study: {
                "root": f"data/{study}",
                "subjects": [s.partition("/")[2] for s in SUBJECTS if s.startswith(study)],
            }
            for study in cohort.stimuli
        },
        "targets": {TARGET: MODELS[TARGET].model_dump(mode="json")},
        "experiments": {
            "first": {
                "cohorts": dict.fromkeys(cohort.stimuli, "all"),
                "regression": {"heads": {TARGET: {}}},
                "videos": False,
                "priors": priors,
            }
        },
    }
    path.write_text(yaml.safe_dump(raw))
    return path


def test_the_command_restores_what_others_read_or_ends_with_exit_code_2(
    cohort, regression, tmp_path, capsys
):
    folder = cohort.root / "first" / "regression"
    folder.mkdir(parents=True)
    for name in ("predictions.h5", "restorable.h5"):
        (folder / name).write_bytes((regression / name).read_bytes())
    mine = tmp_path / "mine.yaml"
    # captions are missing, and the target is not computed from them
    assert (
        brainflix(
            "restore",
            "first",
            "--config",
            written(cohort, mine, clip_image={"component": "captions"}),
        )
        == 2
    )
    said = capsys.readouterr().err
    assert "needs captions of training clips" in said
    assert "Traceback" not in said
    # no such prediction
    assert (
        brainflix(
            "restore", "first", "--config", written(cohort, mine, latents={"component": "length"})
        )
        == 2
    )
    assert "does not predict ['latents']" in capsys.readouterr().err
    found = cohort.root / "first" / "prior" / "predictions.h5"
    assert not found.exists()
    assert (
        brainflix(
            "restore",
            "first",
            "--config",
            written(cohort, mine, clip_image={"component": "length"}),
        )
        == 0
    )
    assert Layout(load_config(mine)).predictions("first") == found
    assert found.exists()
