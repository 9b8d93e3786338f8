"""Metrics that need a model, with models whose answers are known."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from support.tiny_models import save_classifier, save_clip

from brainflix.clips.clips import VideoClips
from brainflix.components import Kind
from brainflix.config.recipe import EvaluationConfig
from brainflix.errors import ConfigError, DataError, ModelError
from brainflix.evaluation.scoring import Scorer, score_system
from brainflix.metrics import catalogue
from brainflix.metrics.base import Metric, Note
from brainflix.metrics.catalogue import EVERYTHING, MODEL_BASED, lookup, note, usable
from brainflix.metrics.frechet import frechet_distance
from brainflix.metrics.lpips import load_lpips
from brainflix.metrics.models import (
    MetricModels,
    ModelClassifier,
    load_models,
    video_feature_reader,
)
from brainflix.statistics.chance import Scores


def noise(n: int, frames: int = 3, size: int = 16, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, frames, size, size, 3), dtype=np.uint8)


def as_clips(frames: np.ndarray) -> VideoClips:
    names = tuple(str(k) for k in range(len(frames)))
    return VideoClips(frames, names, names)


def units(frames: np.ndarray) -> np.ndarray:
    rows = frames.reshape(*frames.shape[:2], -1)[..., :40].astype(np.float64) - 127
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


MODELS = MetricModels(image_embedding=units)


def score(name: str, true: np.ndarray, predicted: np.ndarray, models: MetricModels = MODELS):
    return lookup(name)(models).score(as_clips(true), as_clips(predicted), pairs=True)[name]


def test_the_three_clip_pccs_equal_their_loops() -> None:
    true, predicted = noise(4), noise(4, seed=1)
    predicted[:2] = true[:2]
    rows, shown = units(predicted), units(true)
    adjacent, every = [], []
    for clip in rows:
        adjacent.append(np.mean([clip[0] @ clip[1], clip[1] @ clip[2]]))
        every.append(np.mean([clip[a] @ clip[b] for a in range(3) for b in range(3) if a != b]))
    np.testing.assert_allclose(score("clip-pcc@adjacent", true, predicted).own, adjacent)
    np.testing.assert_allclose(score("clip-pcc@all-pairs", true, predicted).own, every)
    means = [clips.mean(axis=1) for clips in (rows, shown)]
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(*means, strict=True)]
    gated = np.where(np.array(cosines) > 0.6, adjacent, 0)
    assert (gated[2:] == 0).all()
    found = score("clip-pcc@gated", true, predicted)
    np.testing.assert_allclose(found.own, gated)
    assert "mean CLIP embedding" in found.facts["features"]
    np.testing.assert_allclose(score("vifi@cosine", true, predicted).own, cosines)


def test_a_single_frame_is_consistent_with_itself() -> None:
    true = noise(3, frames=1)
    for name in ("clip-pcc@adjacent", "clip-pcc@all-pairs", "temporal-consistency@clip"):
        assert score(name, true, noise(3, 1, seed=2)).own.tolist() == [1, 1, 1]


def test_video_features_go_before_clips() -> None:
    models = MetricModels(
        image_embedding=units,
        video_features=lambda f: f[:, 0, 0, :2, 0] * 1.0,
        names={"video": "mine"},
    )
    true, predicted = noise(5), noise(5, seed=3)
    found = score("vifi@cosine", true, predicted, models)
    assert found.facts["features"] == "mine"
    x, y = (f[:, 0, 0, :2, 0].astype(float) for f in (true, predicted))
    expected = (x * y).sum(axis=1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
    np.testing.assert_allclose(found.own, expected)


def test_ranks_and_identification_agree() -> None:
    true, predicted = noise(9), noise(9, seed=1)
    ranks = score("retrieval-rank@clip", true, predicted)
    identified = score("identification@clip", true, predicted)
    np.testing.assert_allclose(identified.own, 1 - (ranks.own - 1) / 8)
    assert ranks.lower
    assert ranks.mismatched() == pytest.approx((9 * 45 - ranks.own.sum()) / 72)
    assert score("retrieval-rank@clip", true, true).facts["first"] == 1.0
    assert score("3way-identification@clip", true, true).value == 1.0


@pytest.mark.parametrize(("n", "m", "dim"), [(40, 50, 6), (12, 9, 20)])
def test_frechet_distance_equals_its_definition(n: int, m: int, dim: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, dim)), 1.3 * rng.normal(size=(m, dim)) + 0.2
    first, second = np.cov(x.T), np.cov(y.T)
    expected = ((x.mean(axis=0) - y.mean(axis=0)) ** 2).sum() + np.trace(
        first + second - 2 * sqrtm(first @ second).real
    )
    assert frechet_distance(x, y) == pytest.approx(expected, abs=1e-4)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    with pytest.raises(DataError, match="Frechet"):
        frechet_distance(x, y[:, :3])


def test_a_score_of_the_whole_set_has_no_interval() -> None:
    models = MetricModels(video_features=lambda f: f[:, 0, 0, :3, 0] * 1.0)
    options = EvaluationConfig(permutations=99, bootstrap=100)
    scorer = Scorer({"frechet@video": lookup("frechet@video")}, models, options)
    true = noise(6)
    found = score_system(scorer, as_clips(true), noise(6, seed=1), {"itself": true})
    entry = found.entries["frechet@video"]
    assert entry.value is not None
    assert entry.value > 0
    assert entry.interval is entry.p is entry.chance is None
    assert entry.n == 6
    assert entry.baselines == {"itself": pytest.approx(0, abs=1e-6)}
    assert found.rows == []


def save_lpips(path: Path, kind: str) -> dict[str, torch.Tensor]:
    """Save random weights in the layout of the package lpips."""
    generator = torch.Generator().manual_seed(0)
    layers = {
        "alex": [[(0, 3, 4, 11)], [(3, 4, 5, 5)], [(6, 5, 6, 3)], [(8, 6, 5, 3)], [(10, 5, 4, 3)]],
        "vgg": [
            [(0, 3, 4, 3), (2, 4, 4, 3)],
            *(
                [(place, n, m, 3)]
                for place, n, m in ((5, 4, 5), (10, 5, 6), (17, 6, 5), (24, 5, 4))
            ),
        ],
    }[kind]
    state = {}
    for k, stage in enumerate(layers):
        for place, inside, out, side in stage:
            shape = (out, inside, side, side)
            scale = (inside * side * side) ** -0.5
            state[f"net.slice{k + 1}.{place}.weight"] = scale * torch.randn(
                shape, generator=generator
            )
            state[f"net.slice{k + 1}.{place}.bias"] = 0.1 * torch.randn(out, generator=generator)
        state[f"lin{k}.model.1.weight"] = torch.rand((1, stage[-1][2], 1, 1), generator=generator)
    torch.save(state, path)
    return state


def lpips_reference(state: dict[str, torch.Tensor], kind: str, a: np.ndarray, b: np.ndarray):
    """Return LPIPS of two frames with the network written out as modules."""
    from torch import nn

    shift, scale = torch.tensor([-0.03, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.45])
    total = 0.0
    streams = [
        ((torch.from_numpy(f).float() / 127.5 - 1 - shift) / scale).permute(2, 0, 1)[None]
        for f in (a, b)
    ]
    for k in range(5):
        modules: list[nn.Module] = []
        if kind == "alex" and k in (1, 2):
            modules.append(nn.MaxPool2d(3, 2))
        if kind == "vgg" and k:
            modules.append(nn.MaxPool2d(2, 2))
        keys = sorted(
            (key for key in state if key.startswith(f"net.slice{k + 1}.") and "weight" in key),
            key=lambda key: int(key.split(".")[2]),
        )
        for key in keys:
            weight = state[key]
            side = weight.shape[-1]
            convolution = nn.Conv2d(
                weight.shape[1],
                weight.shape[0],
                side,
                4 if side == 11 else 1,
                2 if side == 11 else side // 2,
            )
            convolution.weight.data, convolution.bias.data = (
                weight,
                state[key.replace("weight", "bias")],
            )
            modules += [convolution, nn.ReLU()]
        streams = [nn.Sequential(*modules)(x) for x in streams]
        unit = [x / (x.pow(2).sum(1, keepdim=True).sqrt() + 1e-10) for x in streams]
        weighted = nn.functional.conv2d((unit[0] - unit[1]) ** 2, state[f"lin{k}.model.1.weight"])
        total += weighted.mean().item()
    return total


@pytest.mark.parametrize("kind", ["alex", "vgg"])
def test_lpips_equals_the_network_written_out(kind: str, tmp_path: Path) -> None:
    state = save_lpips(tmp_path / "weights.pth", kind)
    compare = load_lpips(str(tmp_path))
    true, predicted = noise(2, 2, 64), noise(2, 2, 64, seed=1)
    expected = [
        np.mean([lpips_reference(state, kind, a, b) for a, b in zip(x, y, strict=True)])
        for x, y in zip(true, predicted, strict=True)
    ]
    np.testing.assert_allclose(compare(true, predicted), expected, rtol=1e-4)
    assert compare(true, true).tolist() == [0.0, 0.0]
    models = MetricModels(perceptual_distance=compare)
    found = score("lpips", true, predicted, models)
    np.testing.assert_allclose(found.own, expected, rtol=1e-4)
    assert found.lower


def test_other_weights_are_no_lpips(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="weights of LPIPS are missing"):
        load_lpips(str(tmp_path))
    torch.save({"net.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match="not the weights of LPIPS"):
        load_lpips(str(tmp_path))
    (tmp_path / "other.pth").write_bytes(b"damaged")
    with pytest.raises(ModelError, match="cannot be read"):
        load_lpips(str(tmp_path))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    save_clip(root / "clip")
    save_classifier(root / "frames", [f"class {k}" for k in range(60)])
    save_classifier(root / "videos", [f"class {k}" for k in range(60)], channels=9)
    return root


def test_every_metric_runs_with_models_from_folders(folders: Path, tmp_path: Path) -> None:
    save_lpips(tmp_path / "lpips.pth", "vgg")
    options = EvaluationConfig(
        clip_model=str(folders / "clip"),
        frame_classifier=str(folders / "frames"),
        video_classifier=str(folders / "videos"),
        video_model=str(folders / "videos"),
        perceptual_model=str(tmp_path / "lpips.pth"),
        permutations=99,
        bootstrap=100,
    )
    models = load_models(options)
    names = [name.replace("50way-identification", "5way-identification") for name in EVERYTHING]
    chosen, skipped = usable(names, models)
    assert skipped == ["identification@latent", "5way-identification@latent", "attributes"]
    true = noise(6, size=32)
    predicted = np.clip(true + noise(6, size=32, seed=1) / 8.0, 0, 255).astype(np.uint8)
    found = score_system(Scorer(chosen, models, options), as_clips(true), predicted, {})
    assert set(found.entries) == set(chosen)
    for name, entry in found.entries.items():
        assert np.isfinite(entry.value), name
        if entry.interval is not None:
            low, high = entry.interval
            assert low <= entry.value <= high, name
            assert 0 < entry.p <= 1, name
        assert note(name).title


def test_a_videomae_is_loaded_at_the_length_of_the_clips(tmp_path: Path) -> None:
    from transformers import VideoMAEConfig, VideoMAEForVideoClassification

    torch.manual_seed(0)
    config = VideoMAEConfig(
        image_size=16, patch_size=8, num_frames=16, hidden_size=16, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=16, num_labels=5,
    )  # fmt: skip
    VideoMAEForVideoClassification(config).save_pretrained(tmp_path)
    half = '{"size": {"height": 16, "width": 16}, "image_mean": [0.5, 0.5, 0.5], '
    (tmp_path / "preprocessor_config.json").write_text(half + '"image_std": [0.5, 0.5, 0.5]}')
    frames = noise(2, 6)
    published = VideoMAEForVideoClassification.from_pretrained(tmp_path, num_frames=6).eval()
    pixels = torch.from_numpy(frames).permute(0, 1, 4, 2, 3).float() / 127.5 - 1
    with torch.inference_mode():
        expected = published(pixel_values=pixels).logits.numpy()
    judge = ModelClassifier(str(tmp_path))
    np.testing.assert_allclose(judge.logits(frames), expected, atol=1e-5)
    assert judge.logits(noise(2, 5)).shape == (2, 5)  # an odd number: six of five, evenly


@pytest.mark.parametrize(
    "name",
    [
        "BeitForImageClassification",
        "DeiTForImageClassification",
        "Dinov2ForImageClassification",
        "SwinForImageClassification",
        "TimesformerForVideoClassification",
        "VivitForVideoClassification",
    ],
)
def test_classifiers_of_many_kinds_judge(name: str, tmp_path: Path) -> None:
    import transformers

    settings: dict = {"image_size": 16, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 1}
    settings |= {"num_attention_heads": 2, "intermediate_size": 16, "num_labels": 5}
    if "Swin" in name:
        settings |= {"patch_size": 4, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2]}
        settings |= {"window_size": 2}
        settings = {k: v for k, v in settings.items() if "hidden" not in k and "attention" not in k}
    if "Video" in name:
        settings["num_frames"] = 4
    if "Vivit" in name:
        settings["tubelet_size"] = [2, 8, 8]
    kind = getattr(transformers, name)
    torch.manual_seed(0)
    model = kind(kind.config_class(**settings)).eval()
    model.save_pretrained(tmp_path)
    half = '{"size": {"height": 16, "width": 16}, "image_mean": [0.5, 0.5, 0.5], '
    (tmp_path / "preprocessor_config.json").write_text(half + '"image_std": [0.5, 0.5, 0.5]}')
    frames = noise(2, 4)
    pixels = torch.from_numpy(frames).permute(0, 1, 4, 2, 3).float() / 127.5 - 1
    with torch.inference_mode():
        if "Video" in name:
            expected = model(pixel_values=pixels).logits
        else:
            expected = model(pixel_values=pixels.flatten(0, 1)).logits.unflatten(0, (2, 4))
    found = ModelClassifier(str(tmp_path)).logits(frames)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
    features = video_feature_reader(str(tmp_path))(frames)
    assert features.shape[0] == 2
    assert np.isfinite(features).all()


def test_latents_identify_clips() -> None:
    models = MetricModels(latents=lambda f: f.reshape(len(f), -1)[:, ::7].astype(np.float32))
    true = noise(7)
    assert score("identification@latent", true, true // 2 + 9, models).value == 1.0


def test_names_of_metrics_are_those_registered() -> None:
    for name in EVERYTHING:
        assert issubclass(lookup(name), Metric)
        assert name in MODEL_BASED or name.partition("@")[2] != "clip"


def test_names_and_families_are_known_without_an_array_library() -> None:
    code = (
        "import sys; from brainflix.metrics import catalogue;"
        "catalogue.check_names(['frame-7way@top3']);"
        "assert len(catalogue.EVERYTHING) > 30;"
        "assert not {'numpy', 'torch', 'cv2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_extension_adds_a_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "METRICS", Kind("metric", dict(catalogue.METRICS._table)))

    @catalogue.METRICS.register("brightness")
    class Brightness(Metric):
        needs = ("latents",)

        def score(
            self, true: VideoClips, predicted: VideoClips, *, pairs: bool
        ) -> dict[str, Scores]:
            return {"brightness": Scores(predicted.frames[:].mean(axis=(1, 2, 3, 4)))}

        @classmethod
        def note(cls, name: str) -> Note:
            return Note("Brightness", shows="Light or dark.", hides="Everything else.")

    assert lookup("brightness") is Brightness
    assert note("brightness").title == "Brightness"
    assert usable(["brightness"], MetricModels())[1] == ["brightness"]
    with pytest.raises(ConfigError, match="did you mean ssim@gray"):
        lookup("ssim@grey")
