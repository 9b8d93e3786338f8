"""The stage align: a linear problem is solved, nothing is fitted on test rows, files are whole."""

from __future__ import annotations

import hashlib
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

from brainflix.alignment import stage
from brainflix.alignment.linear_heads import LinearHeads
from brainflix.alignment.module import AlignmentModule
from brainflix.alignment.options import (
    GradientHeadsOptions,
    LinearHeadsOptions,
    RidgeHeadsOptions,
)
from brainflix.artifacts.responses import check_studies, read_trials
from brainflix.artifacts.stimuli import read_clips
from brainflix.artifacts.targets import read_target
from brainflix.errors import ArtifactError, DataError
from brainflix.learning.cohort import choose_validation

OPTIONS = RidgeHeadsOptions(
    dim=24, blocks=1, max_epochs=6, batch_size=64, validation_fraction=0.2, dropout=0.1
)


def section(component: str, **change: object) -> LinearHeadsOptions:
    """Return the options of a component, those of OPTIONS unless changed."""
    if component == "ridge":
        return OPTIONS.model_copy(update=change)
    values = OPTIONS.model_dump(exclude={"component", "ridge"})
    return GradientHeadsOptions(**values | change)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> SyntheticCohort:
    return make_cohort(tmp_path_factory.mktemp("results"))


def run(
    cohort: SyntheticCohort, out: Path, options: LinearHeadsOptions = OPTIONS, **more: object
) -> Path:
    stage.align(cohort.responses, cohort.target("clip_image"), cohort.stimuli, options, out, **more)
    return out


@pytest.fixture(scope="module")
def aligned(cohort, tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    return run(cohort, tmp_path_factory.mktemp("joint") / "alignment")


def read(path: Path, subject: str) -> dict[str, np.ndarray]:
    with h5py.File(path / "shared.h5") as file:
        return {
            name: found.asstr()[()] if found.dtype.kind == "O" else found[()]
            for name, found in file[subject].items()
        }


def retrieved(path: Path, cohort: SyntheticCohort, subject: str) -> float:
    """Share of test trials whose own clip is the nearest of all clips in embedding space."""
    study = subject.partition("/")[0]
    clips = read_clips(cohort.stimuli[study], study)
    true = read_target(cohort.targets[study]["clip_image"], clips)
    true = true / np.linalg.norm(true, axis=1, keepdims=True)
    rows = read(path, subject)
    test = rows["split"] == "test"
    found = rows["embedding"][test]
    centre = true[clips.training].mean(axis=0)
    found, true = found - centre, true - centre
    cosine = (found / np.linalg.norm(found, axis=1, keepdims=True)) @ (
        true / np.linalg.norm(true, axis=1, keepdims=True)
    ).T
    return float((clips.clip[cosine.argmax(axis=1)] == rows["clip"][test]).mean())


def test_a_linear_problem_is_solved_for_unequal_subjects(cohort, aligned):
    for subject in SUBJECTS:
        assert retrieved(aligned, cohort, subject) > 0.35  # single trials; chance is 1/72


def test_the_folder_holds_what_the_contract_names(cohort, aligned):
    assert {path.name for path in aligned.iterdir()} == {
        "best.ckpt",
        "shared.h5",
        "history.json",
        "logs",
    }
    assert (aligned / "logs/best/metrics.csv").is_file()
    assert list((aligned / "logs/best").glob("events.out.tfevents.*"))
    with h5py.File(aligned / "shared.h5") as file:
        assert file.attrs["kind"] == "shared"
        assert file.attrs["pooling"] == "joint"
        assert file.attrs["window"] == "flatten"
        assert set(file) == {"movie", "events", "validation"}
        group = file["movie/sub-01"]
        trials = 60 * 2 + 12 * 4
        assert group["shared"].shape == (trials, 24)
        assert group["input"].shape == (trials, 24)
        assert group["embedding"].shape == (trials, 10)
        assert [label.label for label in group["shared"].dims] == ["trial", "dim"]


def test_validation_clips_are_whole_training_groups_shared_by_subjects(cohort, aligned):
    with h5py.File(aligned / "shared.h5") as file:
        for study, path in cohort.stimuli.items():
            chosen = set(file[f"validation/{study}"].asstr()[()])
            clips = read_clips(path, study)
            inside = np.isin(clips.clip, list(chosen))
            assert inside.any()
            assert clips.training[inside].all()
            assert not set(clips.group[inside]) & set(clips.group[~inside])


def test_curves_hold_every_subject_and_start_before_the_first_step(aligned):
    model = json.loads((aligned / "history.json").read_text())["models"]["best"]
    assert model["epochs"][0] == 0
    assert model["curves"]["train_loss"][0] is None
    for name in ("train_loss", "validation_loss", "validation_retrieval"):
        assert len(model["curves"][name]) == len(model["epochs"])
    losses = []
    for subject in SUBJECTS:
        assert min(model["curves"][f"validation/{subject}/retrieval"]) >= 0
        losses.append(model["curves"][f"validation/{subject}/loss"])
    np.testing.assert_allclose(np.mean(losses, axis=0), model["curves"]["validation_loss"], 1e-5)
    assert model["best"] == int(np.argmin(model["curves"]["validation_loss"]))


def test_the_checkpoint_opens_without_pickle_and_places_test_trials(cohort, aligned):
    module = AlignmentModule.load_from_checkpoint(
        aligned / "best.ckpt", map_location="cpu", weights_only=True
    ).eval()
    trials = read_trials(cohort.responses["movie/sub-02"], "movie/sub-02")
    test = ~trials.training
    with torch.no_grad():
        found = module({"movie/sub-02": torch.from_numpy(trials.features()[test])})
    rows = read(aligned, "movie/sub-02")
    np.testing.assert_allclose(found.shared.numpy(), rows["shared"][test], atol=1e-5)
    np.testing.assert_allclose(found.embedding.numpy(), rows["embedding"][test], atol=1e-5)


@pytest.mark.parametrize("window", ["flatten", "mean"])
def test_the_encoder_encodes_trials_as_the_stage_did(cohort, tmp_path, window):
    out = run(cohort, tmp_path / "alignment", section("ridge", max_epochs=1, window=window))
    with h5py.File(out / "shared.h5") as file:
        assert file.attrs["window"] == window
    trials = read_trials(cohort.responses["movie/sub-02"], "movie/sub-02")
    test = ~trials.training
    encoder = LinearHeads.load(out, "best")
    found = encoder.encode("movie/sub-02", trials.responses[test])
    rows = read(out, "movie/sub-02")
    for name in ("input", "shared", "embedding"):
        np.testing.assert_allclose(getattr(found, name), rows[name][test], atol=1e-5)


def test_a_path_that_ends_with_the_alignment_predicts_its_target(cohort, tmp_path):
    options = section("ridge", max_epochs=1)
    out = run(cohort, tmp_path / "alignment", options, predict=True)
    with h5py.File(out / "predictions.h5") as file:
        assert file.attrs["kind"] == "predictions"
        for subject in SUBJECTS:
            rows, group = read(out, subject), file[subject]
            test = rows["split"] == "test"
            single = group["network/single/clip_image"][()]
            np.testing.assert_array_equal(single, rows["embedding"][test])
            trial_clip, ids = (group[name].asstr()[()] for name in ("trial_clip", "clip"))
            assert trial_clip.tolist() == rows["clip"][test].tolist()
            means = [single[trial_clip == clip].mean(axis=0) for clip in ids]
            averaged = group["network/averaged/clip_image"][()]
            np.testing.assert_allclose(averaged, means, rtol=1e-5, atol=1e-6)
            study = subject.partition("/")[0]
            clips = read_clips(cohort.stimuli[study], study)
            assert ids.tolist() == clips.clip[~clips.training].tolist()
            values = read_target(cohort.targets[study]["clip_image"], clips)[clips.training]
            mean = file[f"training_mean/{study}/clip_image"][()]
            np.testing.assert_allclose(mean, values.mean(axis=0), rtol=1e-5)


def test_trials_know_where_their_voxels_lie(cohort):
    subject = "movie/sub-01"
    trials = read_trials(cohort.responses[subject], subject, cohort.voxels[subject])
    assert trials.responses.shape == (60 * 2 + 12 * 4, 2, SUBJECTS[subject])
    assert trials.voxels is not None
    assert trials.voxels.position[:, 2].tolist() == list(range(0, 2 * SUBJECTS[subject], 2))
    flat, mean = trials.features("flatten"), trials.features("mean")
    np.testing.assert_array_equal(flat[:, : SUBJECTS[subject]], trials.responses[:, 0])
    np.testing.assert_allclose(mean, trials.responses.mean(axis=1), rtol=1e-5, atol=1e-6)
    assert read_trials(cohort.responses[subject], subject).voxels is None


def test_training_trials_are_placed_by_heads_that_did_not_see_their_group(cohort, aligned):
    module = AlignmentModule.load_from_checkpoint(
        aligned / "best.ckpt", map_location="cpu", weights_only=True
    ).eval()
    trials = read_trials(cohort.responses["movie/sub-01"], "movie/sub-01")
    with torch.no_grad():
        fitted = module.heads({"movie/sub-01": torch.from_numpy(trials.features())}).numpy()
    rows = read(aligned, "movie/sub-01")
    with h5py.File(aligned / "shared.h5") as file:
        validation = file["validation/movie"].asstr()[()]
    training = trials.training & ~np.isin(trials.clip, validation)
    np.testing.assert_allclose(fitted[~training], rows["input"][~training], atol=1e-5)
    assert np.abs(fitted[training] - rows["input"][training]).max(axis=1).min() > 1e-3


@pytest.mark.parametrize("component", ["ridge", "gradient"])
def test_test_rows_are_never_fitted_on(tmp_path, component):
    options = section(component, max_epochs=2)
    before = run(make_cohort(tmp_path / "a", train=24, groups=4), tmp_path / "before", options)
    other = make_cohort(tmp_path / "b", train=24, groups=4)
    for path in other.responses.values():
        change_responses(path, "test", -3.0)
    for study, paths in other.targets.items():
        change_targets(paths["clip_image"], other.stimuli[study], "test", -2.0)
    after = run(other, tmp_path / "after", options)
    for subject in SUBJECTS:
        old, new = read(before, subject), read(after, subject)
        training = old["split"] == "train"
        for name in ("input", "shared", "embedding"):
            assert np.array_equal(old[name][training], new[name][training])
            assert not np.allclose(old[name][~training], new[name][~training])
    states = [
        torch.load(path / "best.ckpt", weights_only=True)["state_dict"] for path in (before, after)
    ]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert (before / "history.json").read_bytes() == (after / "history.json").read_bytes()


def test_the_same_seed_gives_the_same_bytes(cohort, tmp_path):
    options = OPTIONS.model_copy(update={"max_epochs": 2})
    digests = []
    for _ in range(2):
        out = run(cohort, tmp_path / "alignment", options)
        digests.append(
            [
                hashlib.sha256((out / name).read_bytes()).hexdigest()
                for name in ("shared.h5", "best.ckpt", "history.json")
            ]
        )
    assert digests[0] == digests[1]
    other = run(cohort, tmp_path / "alignment", options.model_copy(update={"seed": 1}))
    assert hashlib.sha256((other / "shared.h5").read_bytes()).hexdigest() != digests[0][0]


def test_separate_models_do_not_know_each_other(cohort, tmp_path):
    options = OPTIONS.model_copy(update={"pooling": "separate", "max_epochs": 2})
    out = run(cohort, tmp_path / "all", options)
    names = {path.name for path in out.glob("*.ckpt")}
    assert names == {"movie_sub-01.ckpt", "movie_sub-02.ckpt", "events_sub-01.ckpt"}
    alone = replace(cohort, responses={"movie/sub-02": cohort.responses["movie/sub-02"]})
    single = run(alone, tmp_path / "one", options)
    for name, values in read(single, "movie/sub-02").items():
        assert np.array_equal(values, read(out, "movie/sub-02")[name])
    with h5py.File(single / "shared.h5") as file:
        assert set(file) == {"movie", "validation"}
        assert list(file["validation"]) == ["movie"]


@pytest.mark.parametrize(
    "change",
    [
        {"component": "gradient", "max_epochs": 12, "learning_rate": 5e-3},
        {"window": "mean"},
        {"precision": "bf16-mixed"},
        {"accumulate": 3},
        {"dim": 4, "blocks": 0},
        {"batch_size": 5000},
    ],
    ids=lambda change: next(iter(change)),
)
def test_options_change_the_fit_and_keep_it_working(cohort, aligned, tmp_path, change):
    out = run(cohort, tmp_path / "alignment", section(**{"component": "ridge"} | change))
    chance = 1 / 72
    for subject in SUBJECTS:
        assert retrieved(out, cohort, subject) > 10 * chance
    shared = [read(path, "movie/sub-01")["shared"] for path in (out, aligned)]
    assert shared[0].shape != shared[1].shape or not np.array_equal(*shared)


def test_pictures_seen_once_in_groups_of_their_own(tmp_path):
    cohort = make_cohort(
        tmp_path, {"pictures/sub-01": 50}, 30, 5, groups=30, repeats=(1, 1), window=1
    )
    out = run(cohort, tmp_path / "alignment")
    with h5py.File(out / "shared.h5") as file:
        assert file["validation/pictures"].shape == (6,)
    assert retrieved(out, cohort, "pictures/sub-01") > 0.3


def test_a_subject_without_training_trials_is_named(tmp_path):
    cohort = make_cohort(tmp_path, train=20, groups=4)
    with edited(cohort.responses["movie/sub-02"]) as file:
        keep = file["split"].asstr()[()] == "test"
        for name in ("responses", "clip", "repeat", "run", "split"):
            values = file[name][()][keep]
            del file[name]
            file.create_dataset(name, data=values)
    with pytest.raises(DataError, match="movie/sub-02 has no training trials") as caught:
        run(cohort, tmp_path / "alignment")
    assert caught.value.expected
    assert "of split test" in str(caught.value.found)
    assert caught.value.remedy


def test_a_test_clip_among_training_trials_is_refused(tmp_path):
    cohort = make_cohort(tmp_path, train=20, groups=4)
    with edited(cohort.responses["events/sub-01"]) as file:
        split = file["split"].asstr()[()].astype(object)
        split[split == "test"] = "train"
        file["split"][...] = split
    with pytest.raises(DataError, match="another split than its clip"):
        run(cohort, tmp_path / "alignment")


def test_a_subject_who_saw_nothing_but_validation_clips_is_named(tmp_path):
    cohort = make_cohort(tmp_path, train=20, groups=2)
    clips = read_clips(cohort.stimuli["movie"], "movie")
    (validation, *_) = choose_validation({"movie": clips}, OPTIONS)["movie"]
    with edited(cohort.responses["movie/sub-02"]) as file:
        shown = file["clip"].asstr()[()].astype(object)
        shown[file["split"].asstr()[()] == "train"] = validation
        file["clip"][...] = shown
    with pytest.raises(DataError, match="movie/sub-02 has no training trials beside validation"):
        run(cohort, tmp_path / "alignment")


def test_responses_that_are_not_finite_are_refused(tmp_path):
    cohort = make_cohort(tmp_path, train=20, groups=4)
    with edited(cohort.responses["movie/sub-01"]) as file:
        file["responses"][3, 0, 1] = np.nan
    with pytest.raises(DataError, match="movie/sub-01 are not finite"):
        run(cohort, tmp_path / "alignment")


def test_a_target_of_other_clips_is_refused(tmp_path):
    cohort = make_cohort(tmp_path, train=20, groups=4)
    with edited(cohort.targets["movie"]["clip_image"]) as file:
        file["clip"][...] = file["clip"][()][::-1]
    with pytest.raises(ArtifactError, match="computed from other clips"):
        run(cohort, tmp_path / "alignment")


def test_studies_need_stimuli_and_targets():
    with pytest.raises(DataError, match="targets of events are missing"):
        check_studies(["movie/1", "events/1"], {"movie": 0, "events": 0}, {"movie": 0})
    with pytest.raises(DataError, match="no subjects"):
        check_studies([], {}, {})


def test_a_fit_that_breaks_leaves_the_folder_as_it_was(cohort, tmp_path, monkeypatch):
    out = tmp_path / "alignment"
    out.mkdir()
    (out / "shared.h5").write_text("of yesterday")
    (out / "notes.txt").write_text("mine")

    def breaks(*arguments, **options):
        raise RuntimeError("the machine went down")

    monkeypatch.setattr(stage, "_write_shared", breaks)
    with pytest.raises(RuntimeError):
        run(cohort, out, OPTIONS.model_copy(update={"max_epochs": 1}))
    assert {path.name for path in out.iterdir()} == {"shared.h5", "notes.txt"}
    assert [path.name for path in tmp_path.iterdir()] == ["alignment"]
    monkeypatch.undo()
    run(cohort, out, OPTIONS.model_copy(update={"max_epochs": 1}))
    assert (out / "notes.txt").read_text() == "mine"
    assert (out / "best.ckpt").is_file()


def test_the_command_ends_with_code_two_for_a_subject_without_training(tmp_path, capsys):
    cohort = make_cohort(tmp_path / "results", {"movie/sub-01": 8}, train=8, groups=2)
    with edited(cohort.responses["movie/sub-01"]) as file:
        file["split"][...] = "test"
    with edited(cohort.stimuli["movie"]) as file:
        file["split"][...] = "test"
    content = {
        "recipe": "brain_netflix",
        "results": str(cohort.root),
        "studies": {"movie": {"root": str(tmp_path), "subjects": ["sub-01"]}},
        "experiments": {"first": {"cohorts": {"movie": "all"}}},
    }
    path = tmp_path / "configuration.yaml"
    path.write_text(yaml.safe_dump(content))
    assert brainflix("align", "first", "--config", path) == 2
    assert "movie/sub-01 has no training trials" in capsys.readouterr().err
    assert not (cohort.root / "first").exists()
