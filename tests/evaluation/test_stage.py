"""The stage end to end, with tiny models and made-up reconstructions."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from support.fake_results import FakeExperiment, make_experiment
from support.tiny_models import save_classifier, save_clip

from brainflix.artifacts.predictions import read_target_rows
from brainflix.artifacts.store import read_json, seal
from brainflix.artifacts.videos import read_videos
from brainflix.config.recipe import EvaluationConfig
from brainflix.errors import ArtifactError, DataError
from brainflix.evaluation.stage import evaluate
from brainflix.evaluation.study import read_study
from brainflix.metrics.models import ModelClassifier, clip_embedding, load_models
from brainflix.simulation.world import LABELS

FRAME_LABELS = [f"{a}:{name}" for a in ("object", "colour", "background") for name in LABELS[a]]
VIDEO_LABELS = [f"{a}:{name}" for a, names in LABELS.items() for name in names]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    save_clip(root / "clip")
    save_classifier(root / "frames", FRAME_LABELS)
    save_classifier(root / "videos", VIDEO_LABELS, channels=24)
    return root


def options(models: Path, **changes: object) -> EvaluationConfig:
    values = {
        "clip_model": str(models / "clip"),
        "frame_classifier": str(models / "frames"),
        "video_classifier": str(models / "videos"),
        "permutations": 199,
        "bootstrap": 199,
        **changes,
    }
    return EvaluationConfig.model_validate(values)


def run(fake: FakeExperiment, section: EvaluationConfig, compare: Path | None = None) -> Path:
    out = fake.folder / "evaluation"
    evaluate(fake.videos, fake.stimuli, fake.predictions, fake.targets, section, out, compare)
    return out


@pytest.fixture(scope="module")
def evaluated(
    models: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[FakeExperiment, Path]:
    root = tmp_path_factory.mktemp("results")
    fake = make_experiment(root, size=32, noise=0.5)
    other = make_experiment(root, size=32, noise=9.0, experiment="alone")
    return fake, run(fake, options(models), other.predictions)


def test_every_metric_of_every_subject_has_all_its_parts(
    evaluated: tuple[FakeExperiment, Path],
) -> None:
    fake, out = evaluated
    content = read_json(out / "metrics.json")
    assert [*content["subjects"]] == sorted(fake.videos)
    for subject in content["subjects"].values():
        assert set(subject["metrics"]) == {
            "ssim@rgb",
            "psnr",
            "identification@clip",
            "identification@pixel",
            *(f"attribute@{a}" for a in ("object", "colour", "background", "motion")),
        }
        for name, entry in subject["metrics"].items():
            low, high = entry["interval"]
            assert low <= entry["value"] <= high, name
            assert 1 / 200 <= entry["p"] <= 1
            assert entry["n"] == 6
            assert entry["resampled"] == "clips"  # all test clips lie in one group
            assert set(entry["baselines"]) == {
                "grey",
                "mean_training_clip",
                "shuffled",
                "ridge",
                "oracle",
            }
        fixed = subject["metrics"]["identification@pixel"]
        assert fixed["baselines"]["grey"] == 0.5
        assert fixed["chance"] == pytest.approx(0.5, abs=0.05)
        assert fixed["value"] > 0.6
        assert subject["metrics"]["attribute@motion"]["notes"]["truth"] == "labels of the study"


def test_ssim_of_the_stage_is_scikit_images(evaluated: tuple[FakeExperiment, Path]) -> None:
    from skimage.metrics import structural_similarity

    fake, out = evaluated
    ids, variants = read_videos(fake.videos["movie/sub-02"])
    with h5py.File(fake.stimuli["movie"]) as file:
        known = [name.decode() for name in file["clip"][()]]
        true = file["frames"][()][[known.index(name) for name in ids]]
    expected = [
        np.mean(
            [
                structural_similarity(a, b, data_range=255, channel_axis=-1)
                for a, b in zip(x, y, strict=True)
            ]
        )
        for x, y in zip(true, variants["ridge"], strict=True)
    ]
    entry = read_json(out / "metrics.json")["subjects"]["movie/sub-02"]["metrics"]["ssim@rgb"]
    assert entry["baselines"]["ridge"] == pytest.approx(np.mean(expected), abs=1e-6)
    table = pd.read_parquet(out / "clips.parquet")
    rows = table.query(
        "study == 'movie' and subject == 'sub-02' and metric == 'ssim@rgb' and system == 'ridge'"
    )
    assert rows["clip"].tolist() == list(ids)
    np.testing.assert_allclose(rows["value"], expected, atol=1e-6)


def test_the_table_has_a_row_for_each_clip_metric_and_system(
    evaluated: tuple[FakeExperiment, Path],
) -> None:
    _, out = evaluated
    table = pd.read_parquet(out / "clips.parquet")
    assert [*table] == ["study", "subject", "clip", "metric", "system", "value"]
    per_subject = 8 * 6 * 6 + 3 * 2 * 6  # metrics, systems, clips; targets, estimators, clips
    assert len(table) == 3 * per_subject
    assert not table.duplicated(["study", "subject", "clip", "metric", "system"]).any()
    subject = table.query("study == 'movie' and subject == 'sub-01' and system == 'network'")
    means = subject.groupby("metric")["value"].mean()
    entries = read_json(out / "metrics.json")["subjects"]["movie/sub-01"]["metrics"]
    for name, entry in entries.items():
        assert means[name] == pytest.approx(entry["value"])


def test_the_better_experiment_wins_and_ridge_is_compared_with_the_network(
    evaluated: tuple[FakeExperiment, Path],
) -> None:
    fake, out = evaluated
    content = read_json(out / "metrics.json")
    assert set(content["comparison"]) == {"ridge", "alone"}
    vector = "identification@vector:{}".format
    pooled = content["comparison"]["alone"]["metrics"][vector("clip_image")]["pooled"]
    assert pooled["better"] == "this", pooled
    assert pooled["n"] == 12  # six clips of each study; subjects of one study are averaged
    ridge = content["comparison"]["ridge"]["metrics"][vector("latents")]
    own, other = ridge["vectors"]["movie/sub-01"]
    assert own["r2"] > other["r2"]
    vectors = content["subjects"]["movie/sub-01"]["vectors"]["latents"]["network"]
    assert vectors["averaged"]["r"] > vectors["single"]["r"]
    predicted = h5py.File(fake.predictions)["movie/sub-01/network/averaged/latents"][()]
    ids, _ = read_videos(fake.videos["movie/sub-01"])
    true = read_target_rows(fake.targets["movie"]["latents"], ids)
    residual = ((predicted - true) ** 2).sum() / ((true - true.mean(axis=0)) ** 2).sum()
    assert vectors["averaged"]["r2"] == pytest.approx(1 - residual, rel=1e-5)


def test_the_audit_and_the_origin_are_recorded(evaluated: tuple[FakeExperiment, Path]) -> None:
    fake, out = evaluated
    content = read_json(out / "metrics.json")
    audit = content["audit"]["movie"]["split"]
    assert audit["disjoint"]
    assert (audit["train_clips"], audit["test_clips"]) == (12, 6)
    nearest = content["audit"]["movie"]["nearest_training"]
    assert nearest["space"] == "clip_image"
    assert set(nearest["rank_correlation"]) >= {"identification@clip", "psnr"}
    assert -1 <= nearest["median"] <= nearest["max"] <= 1
    provenance = content["provenance"]
    assert provenance["inputs"]["predictions"]["where"] == str(fake.predictions)
    assert provenance["configuration"]["permutations"] == 199
    assert content["skipped_metrics"] == {}
    assert len(provenance["code"]) == 16


def test_the_same_inputs_give_the_same_bytes(
    evaluated: tuple[FakeExperiment, Path], models: Path
) -> None:
    fake, out = evaluated
    names = ("metrics.json", "clips.parquet")
    before = [(out / name).read_bytes() for name in names]
    run(fake, options(models), fake.root / "alone" / "regression" / "predictions.h5")
    assert [(out / name).read_bytes() for name in names] == before


def test_without_models_what_needs_none_is_reported(tmp_path: Path) -> None:
    fake = make_experiment(tmp_path, {"movie": 1}, size=16)
    section = EvaluationConfig.model_validate(
        {
            "clip_model": None,
            "frame_classifier": None,
            "video_classifier": None,
            "permutations": 99,
            "bootstrap": 100,
        }
    )
    content = read_json(run(fake, section) / "metrics.json")
    metrics = content["subjects"]["movie/sub-01"]["metrics"]
    assert set(metrics) == {"ssim@rgb", "psnr", "identification@pixel"}
    assert [*content["skipped_metrics"]] == ["attributes", "identification@clip"]
    assert content["skipped_metrics"]["identification@clip"].startswith("needs a CLIP model")
    assert set(content["comparison"]) == {"ridge"}


def test_an_evaluated_training_clip_is_refused(tmp_path: Path) -> None:
    fake = make_experiment(tmp_path, {"movie": 1}, size=16)
    study = read_study(fake.stimuli["movie"])
    assert study.subset(study.test.ids[::-1], "here").ids == study.test.ids[::-1]
    with pytest.raises(DataError, match="a training clip is evaluated"):
        study.subset([study.test.ids[0], study.train_ids[0]], "here")
    with pytest.raises(DataError, match="an unknown clip is evaluated"):
        study.subset(["nobody"], "here")


def test_videos_without_reconstructions_are_refused(tmp_path: Path) -> None:
    fake = make_experiment(tmp_path, {"movie": 1}, size=16)
    path = fake.videos["movie/sub-01"]
    with h5py.File(path, "a") as file:
        del file["frames/network"]
    seal(path)
    with pytest.raises(ArtifactError, match="lack the reconstructions"):
        read_videos(path)


def test_a_target_without_the_clip_is_refused(tmp_path: Path) -> None:
    fake = make_experiment(tmp_path, {"movie": 1}, size=16)
    path = fake.targets["movie"]["conditioning"]
    with h5py.File(path) as file:
        values, ids = file["values"][()], [name.decode() for name in file["clip"][()]]
    chosen = [ids[k] for k in (7, 2, 7, 16)]
    np.testing.assert_array_equal(read_target_rows(path, chosen), values[[7, 2, 7, 16]])
    with pytest.raises(DataError, match="the target lacks clips"):
        read_target_rows(path, [*chosen, "nobody"])


def test_classifiers_average_over_frames_and_stack_them_frame_first(models: Path) -> None:
    import torch

    frames = np.random.default_rng(0).integers(0, 256, (3, 8, 32, 32, 3), dtype=np.uint8)
    classifier = ModelClassifier(str(models / "frames"))
    verdict = classifier(frames)["colour"]
    with torch.inference_mode():
        pixels = torch.from_numpy(frames[1]).permute(0, 3, 1, 2).float() / 127.5 - 1
        logits = classifier.model.model(pixel_values=pixels).logits
    columns = [k for k, name in enumerate(FRAME_LABELS) if name.startswith("colour:")]
    expected = logits[:, columns].softmax(dim=1).mean(dim=0)
    np.testing.assert_allclose(verdict.probability[1], expected, atol=1e-5)
    assert verdict.names == tuple(LABELS["colour"])

    judge = ModelClassifier(str(models / "videos"))
    with torch.inference_mode():
        stacked = torch.from_numpy(frames[:1]).permute(0, 1, 4, 2, 3).reshape(1, 24, 32, 32)
        logits = judge.model.model(pixel_values=stacked.float() / 127.5 - 1).logits
    columns = [k for k, name in enumerate(VIDEO_LABELS) if name.startswith("motion:")]
    np.testing.assert_allclose(
        judge(frames)["motion"].probability[0], logits[0, columns].softmax(dim=0), atol=1e-5
    )
    longer = np.repeat(frames, 2, axis=1)
    assert judge(longer)["motion"].probability.shape == (3, 10)


def test_judges_take_each_attribute_from_the_first_that_knows_it(models: Path) -> None:
    models = load_models(options(models))
    frames = np.random.default_rng(1).integers(0, 256, (2, 8, 32, 32, 3), dtype=np.uint8)
    verdicts = models.classify(frames)
    assert [*verdicts] == ["background", "colour", "motion", "object"]
    from_frames = models.attribute_classifiers[0](frames)["object"]
    np.testing.assert_array_equal(verdicts["object"].probability, from_frames.probability)
    embedding = clip_embedding(models.require("image_embedding")(frames))
    assert embedding.shape == (2, 8)
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, rtol=1e-5)
    assert json.dumps(dict(models.names))


def test_each_subject_has_a_false_discovery_rate_and_an_audit_of_collapse(
    evaluated: tuple[FakeExperiment, Path],
) -> None:
    content = read_json(evaluated[1] / "metrics.json")
    for subject in content["subjects"].values():
        assert all(entry["p"] <= entry["q"] <= 1 for entry in subject["metrics"].values())
        found = subject["collapse"]
        assert found["space"] == "clip"
        assert found["n"] == found["distinct_reconstructions"] == 6
        assert found["identical_to_true"] == 0
        assert 0 < found["effective_rank"] <= 5
        assert 1 <= found["distinct_nearest"] <= 6
