"""The stage regress: predictions of test trials, in their own units, fitted on training alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from support.edited_artifacts import edited
from support.synthetic_responses import (
    SHAPES,
    SUBJECTS,
    SyntheticCohort,
    change_responses,
    change_targets,
    make_cohort,
)

from brainflix.alignment.options import RidgeHeadsOptions
from brainflix.alignment.stage import align
from brainflix.artifacts.responses import average_repeats
from brainflix.artifacts.stimuli import read_clips
from brainflix.artifacts.targets import read_target
from brainflix.crossvalidation import crossvalidate, pairwise_identification
from brainflix.errors import ArtifactError, ConfigError, DataError
from brainflix.regression.module import RegressionModule
from brainflix.regression.options import ResidualNetworkOptions
from brainflix.regression.stage import regress

ALIGNMENT = RidgeHeadsOptions(
    dim=16, blocks=1, max_epochs=2, batch_size=128, validation_fraction=0.2
)
OPTIONS = ResidualNetworkOptions(
    heads={"clip_image": {"losses": {"mse": 1.0, "contrastive": 0.1}}, "latents": {}},
    width=32,
    blocks=1,
    components=12,
    max_epochs=4,
    batch_size=128,
)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def aligned(cohort: SyntheticCohort, folder: Path, **change: object) -> Path:
    options = ALIGNMENT.model_copy(update=change)
    align(cohort.responses, cohort.target("clip_image"), cohort.stimuli, options, folder)
    return folder / "shared.h5"


def run(
    cohort: SyntheticCohort,
    shared: Path | None,
    out: Path,
    options: ResidualNetworkOptions = OPTIONS,
) -> Path:
    regress(shared, cohort.responses, cohort.targets, cohort.stimuli, options, out)
    return out / "predictions.h5"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> SyntheticCohort:
    return make_cohort(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def shared(cohort, tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    return aligned(cohort, tmp_path_factory.mktemp("joint") / "alignment")


@pytest.fixture(scope="module")
def predictions(cohort, shared, tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    return run(cohort, shared, tmp_path_factory.mktemp("joint") / "regression")


def true_values(cohort: SyntheticCohort, subject: str, target: str, ids: np.ndarray) -> np.ndarray:
    study = subject.partition("/")[0]
    clips = read_clips(cohort.stimuli[study], study)
    return read_target(cohort.targets[study][target], clips)[clips.rows(ids)]


def correlation(cohort: SyntheticCohort, path: Path, subject: str, estimator: str) -> float:
    """Mean correlation over clips of averaged latents with the true ones, training mean removed."""
    with h5py.File(path) as file:
        ids = file[f"{subject}/clip"].asstr()[()]
        found = file[f"{subject}/{estimator}/averaged/latents"][()]
        mean = file[f"training_mean/{subject.partition('/')[0]}/latents"][()]
    true = true_values(cohort, subject, "latents", ids)
    pairs = zip(found - mean, true - mean, strict=True)
    return float(np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs]))


def test_predictions_have_the_targets_shapes_and_clips(cohort, predictions):
    with h5py.File(predictions) as file:
        assert file.attrs["kind"] == "predictions"
        for subject in SUBJECTS:
            group = file[subject]
            assert group["clip"].shape == (12,)
            assert group["trial_clip"].shape == (48,)
            study = subject.partition("/")[0]
            order = read_clips(cohort.stimuli[study], study)
            assert group["clip"].asstr()[()].tolist() == order.clip[~order.training].tolist()
            for estimator in ("network", "ridge"):
                for target, shape in SHAPES.items():
                    assert group[f"{estimator}/averaged/{target}"].shape == (12, *shape)
                    assert group[f"{estimator}/single/{target}"].shape == (48, *shape)


@pytest.mark.parametrize("estimator", ["network", "ridge"])
def test_a_linear_problem_is_solved_for_unequal_subjects(cohort, predictions, estimator):
    for subject in SUBJECTS:
        assert correlation(cohort, predictions, subject, estimator) > 0.9
        with h5py.File(predictions) as file:
            ids = file[f"{subject}/clip"].asstr()[()]
            found = file[f"{subject}/{estimator}/averaged/clip_image"][()]
        true = true_values(cohort, subject, "clip_image", ids)
        assert pairwise_identification(found, true) > 0.95


def test_predictions_are_in_the_targets_units(cohort, predictions):
    with h5py.File(predictions) as file:
        for estimator in ("network", "ridge"):
            found = file[f"movie/sub-01/{estimator}/averaged/latents"][()]
            np.testing.assert_allclose(found[:, 0, 0, 0, 0], 7.0, atol=1e-3)  # never changes
            assert 1.0 < found.mean() < 5.0  # 3 in truth
            assert found.std() > 3.0
        clips = read_clips(cohort.stimuli["movie"], "movie")
        values = read_target(cohort.targets["movie"]["latents"], clips)[clips.training]
        np.testing.assert_allclose(
            file["training_mean/movie/latents"][()], values.mean(axis=0), rtol=1e-5
        )


def test_repeats_are_averaged_within_a_subject(cohort, shared, tmp_path):
    free = {name: {"length": "free"} for name in SHAPES}
    options = ResidualNetworkOptions(**(OPTIONS.model_dump() | {"heads": free, "max_epochs": 1}))
    with h5py.File(run(cohort, shared, tmp_path / "regression", options)) as file:
        for subject in SUBJECTS:
            group = file[subject]
            trial_clip, ids = (group[name].asstr()[()] for name in ("trial_clip", "clip"))
            for estimator in ("network", "ridge"):
                single = group[f"{estimator}/single/latents"][()]
                means, names = average_repeats(single, trial_clip)
                place = {name: row for row, name in enumerate(names)}
                expected = means[[place[name] for name in ids]]
                np.testing.assert_allclose(
                    group[f"{estimator}/averaged/latents"][()], expected, rtol=1e-5
                )


def test_test_rows_are_never_fitted_on(tmp_path):
    paths, predicted = [], []
    for name, changed in (("before", False), ("after", True)):
        cohort = make_cohort(tmp_path / name / "data", train=24, groups=4)
        if changed:
            for path in cohort.responses.values():
                change_responses(path, "test", -3.0)
            for study, targets in cohort.targets.items():
                for path in targets.values():
                    change_targets(path, cohort.stimuli[study], "test", -2.0)
        shared = aligned(cohort, tmp_path / name / "alignment")
        paths.append(run(cohort, shared, tmp_path / name / "regression"))
        with h5py.File(paths[-1]) as file:
            predicted.append(file["movie/sub-01/network/single/latents"][()])
            means = [file[f"training_mean/{study}/latents"][()] for study in cohort.stimuli]
            alphas = [file[f"{s}/ridge/single/latents"].attrs["alpha"] for s in SUBJECTS]
        paths[-1] = (paths[-1].parent / "best.ckpt", means, alphas)
    states = [torch.load(path, weights_only=True)["state_dict"] for path, _, _ in paths]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    np.testing.assert_array_equal(paths[0][1], paths[1][1])
    assert paths[0][2] == paths[1][2]
    assert not np.allclose(*predicted)


def test_predictions_of_a_trial_do_not_depend_on_other_test_trials(cohort, shared, tmp_path):
    short = make_cohort(tmp_path / "data")
    for path in short.responses.values():
        with edited(path) as file:
            rows = np.flatnonzero(file["split"].asstr()[()] == "test")
            responses = file["responses"][()]
            responses[rows[5:]] = 40.0
            file["responses"][...] = responses
    found = [
        run(c, aligned(c, tmp_path / str(k) / "alignment"), tmp_path / str(k) / "regression")
        for k, c in enumerate((cohort, short))
    ]
    with h5py.File(found[0]) as one, h5py.File(found[1]) as two:
        for estimator in ("network", "ridge"):
            name = f"movie/sub-02/{estimator}/single/latents"
            np.testing.assert_allclose(one[name][:5], two[name][:5], rtol=1e-4, atol=1e-4)
            assert not np.allclose(one[name][5:], two[name][5:])


def test_the_same_seed_gives_the_same_bytes(cohort, shared, tmp_path):
    digests = []
    for _ in range(2):
        path = run(cohort, shared, tmp_path / "regression")
        names = ("predictions.h5", "best.ckpt", "history.json")
        digests.append(
            [hashlib.sha256((path.parent / name).read_bytes()).hexdigest() for name in names]
        )
    assert digests[0] == digests[1]


def test_the_checkpoint_opens_without_pickle(predictions):
    module = RegressionModule.load_from_checkpoint(
        predictions.parent / "best.ckpt", map_location="cpu", weights_only=True
    )
    assert module.options.heads.keys() == SHAPES.keys()
    history = json.loads((predictions.parent / "history.json").read_text())["models"]["best"]
    curves = history["curves"]
    assert curves["validation_loss"][history["best"]] == min(curves["validation_loss"])
    for subject in SUBJECTS:
        for name in ("loss", *SHAPES):
            assert len(curves[f"validation/{subject}/{name}"]) == len(history["epochs"])


def test_a_network_without_ridge_learns_as_well(cohort, shared, tmp_path):
    options = OPTIONS.model_copy(
        update={"use_linear": False, "max_epochs": 25, "learning_rate": 1e-2}
    )
    path = run(cohort, shared, tmp_path / "regression", options)
    for subject in SUBJECTS:
        assert correlation(cohort, path, subject, "network") > 0.6


@pytest.mark.parametrize(
    "change", [{"components": 0}, {"use_input": False}, {"precision": "bf16-mixed"}, {"blocks": 0}]
)
def test_options_change_the_fit_and_keep_it_working(cohort, shared, predictions, tmp_path, change):
    path = run(cohort, shared, tmp_path / "regression", OPTIONS.model_copy(update=change))
    name = "movie/sub-01/network/single/latents"
    with h5py.File(path) as new, h5py.File(predictions) as old:
        assert not np.array_equal(new[name][()], old[name][()])
    assert correlation(cohort, path, "movie/sub-01", "network") > 0.9


def test_separate_alignment_has_separate_networks(cohort, tmp_path):
    shared = aligned(cohort, tmp_path / "alignment", pooling="separate")
    path = run(cohort, shared, tmp_path / "regression")
    names = {found.name for found in path.parent.glob("*.ckpt")}
    assert names == {"movie_sub-01.ckpt", "movie_sub-02.ckpt", "events_sub-01.ckpt"}
    alone = replace(cohort, responses={"events/sub-01": cohort.responses["events/sub-01"]})
    single = run(
        alone,
        aligned(alone, tmp_path / "one" / "alignment", pooling="separate"),
        tmp_path / "one" / "regression",
    )
    with h5py.File(path) as file, h5py.File(single) as own:
        for estimator in ("network", "ridge"):
            place = f"events/sub-01/{estimator}/averaged/latents"
            np.testing.assert_array_equal(file[place][()], own[place][()])


def test_without_an_alignment_the_network_starts_from_ridge(cohort, tmp_path):
    path = run(cohort, None, tmp_path / "regression")
    for subject in SUBJECTS:
        assert correlation(cohort, path, subject, "network") > 0.9
    with h5py.File(path) as file:
        assert file.attrs["pooling"] == "joint"
        for target, shape in SHAPES.items():
            assert file[f"movie/sub-01/network/single/{target}"].shape == (48, *shape)
    assert {found.name for found in path.parent.glob("*.ckpt")} == {"best.ckpt"}
    bare = OPTIONS.model_copy(update={"use_linear": False})
    with pytest.raises(ConfigError, match="the network has no input") as caught:
        run(cohort, None, tmp_path / "bare", bare)
    assert "regression.use_linear" in str(caught.value.expected)
    assert not (tmp_path / "bare" / "predictions.h5").exists()


def test_without_an_alignment_pooling_is_the_regressions_own(cohort, tmp_path):
    separate = OPTIONS.model_copy(update={"pooling": "separate", "max_epochs": 1})
    path = run(cohort, None, tmp_path / "regression", separate)
    names = {found.name for found in path.parent.glob("*.ckpt")}
    assert names == {"movie_sub-01.ckpt", "movie_sub-02.ckpt", "events_sub-01.ckpt"}
    with h5py.File(path) as file:
        assert file.attrs["pooling"] == "separate"


def test_ridge_sees_the_window_that_the_alignment_saw(cohort, shared, tmp_path):
    quick = OPTIONS.model_copy(update={"max_epochs": 1})
    averaged = aligned(cohort, tmp_path / "alignment", window="mean")
    # without an alignment the section says both: the window, and which clips validate
    own = quick.model_copy(update={"window": "mean", "validation_fraction": 0.2})
    paths = {
        "behind": run(cohort, averaged, tmp_path / "behind", quick),
        "alone": run(cohort, None, tmp_path / "alone", own),
        "flat": run(cohort, shared, tmp_path / "flat", quick),
    }
    place, found = "movie/sub-01/ridge/single/latents", {}
    for name, path in paths.items():
        with h5py.File(path) as file:
            found[name] = file[place][()]
    np.testing.assert_array_equal(found["behind"], found["alone"])
    assert not np.allclose(found["behind"], found["flat"])


def test_a_regression_needs_heads_and_their_targets(cohort, shared, tmp_path):
    with pytest.raises(ConfigError, match="no heads"):
        run(cohort, shared, tmp_path, ResidualNetworkOptions())
    with pytest.raises(ConfigError, match="targets of movie are missing"):
        run(cohort, shared, tmp_path, ResidualNetworkOptions(heads={"smell": {}}))


def test_a_subject_that_was_not_aligned_is_named(cohort, shared, tmp_path):
    other = replace(
        cohort, responses=cohort.responses | {"movie/sub-09": cohort.responses["movie/sub-01"]}
    )
    with pytest.raises(ArtifactError, match="lacks the subject movie/sub-09") as caught:
        run(other, shared, tmp_path)
    assert "movie/sub-02" in str(caught.value.expected)


def test_other_trials_than_were_aligned_are_refused(cohort, shared, tmp_path):
    swapped = cohort.responses | {"movie/sub-01": cohort.responses["movie/sub-02"]}
    with pytest.raises(ArtifactError, match=r"other trials of movie/sub-01"):
        run(replace(cohort, responses=swapped), shared, tmp_path)


def test_targets_of_different_models_are_refused(cohort, shared, tmp_path):
    path = tmp_path / "latents.h5"
    path.write_bytes(cohort.targets["events"]["latents"].read_bytes())
    with edited(path) as file:
        values = file["values"][()][:, :2]
        del file["values"]
        file.create_dataset("values", data=values)
    targets = cohort.targets | {"events": cohort.targets["events"] | {"latents": path}}
    with pytest.raises(DataError, match="latents has different shapes"):
        run(replace(cohort, targets=targets), shared, tmp_path / "regression")


def test_a_subject_without_training_trials_is_named(tmp_path, cohort, shared):
    path = tmp_path / "responses.h5"
    path.write_bytes(cohort.responses["movie/sub-02"].read_bytes())
    with edited(path) as file:
        keep = file["split"].asstr()[()] == "test"
        for name in ("responses", "clip", "repeat", "run", "split"):
            values = file[name][()][keep]
            del file[name]
            file.create_dataset(name, data=values)
    other = replace(cohort, responses=cohort.responses | {"movie/sub-02": path})
    with pytest.raises(DataError, match="movie/sub-02 has no training trials") as caught:
        run(other, shared, tmp_path / "regression")
    assert caught.value.remedy


def test_crossvalidation_predicts_training_clips_by_fits_without_them(cohort, tmp_path):
    responses = {"events/sub-01": cohort.responses["events/sub-01"]}
    out = tmp_path / "scores.json"
    quick = OPTIONS.model_copy(update={"max_epochs": 1})
    crossvalidate(responses, cohort.targets, cohort.stimuli, ALIGNMENT, quick, out, folds=3)
    found = json.loads(out.read_text())
    assert found["folds"] == 3
    for estimator in ("network", "ridge"):
        score = found["scores"]["events/sub-01"]["latents"][estimator]
        assert score["identification"] > 0.9
        assert score["identification_within_folds"] > 0.9


def test_crossvalidation_finds_nothing_in_noise(tmp_path):
    cohort = make_cohort(tmp_path, {"movie/sub-01": 40}, noise=1e4)
    out = tmp_path / "scores.json"
    quick = OPTIONS.model_copy(update={"max_epochs": 2})
    crossvalidate(cohort.responses, cohort.targets, cohort.stimuli, ALIGNMENT, quick, out, folds=3)
    scores = json.loads(out.read_text())["scores"]["movie/sub-01"]["latents"]
    for estimator in ("network", "ridge"):
        assert abs(scores[estimator]["identification_within_folds"] - 0.5) < 0.12
