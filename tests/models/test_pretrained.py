"""Pretrained parts: found by name, checked for what is missing, loaded as they are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.tiny_models import make_vae, save_classifier, save_clip, save_text_to_video

from brainflix.errors import ConfigError, ModelError
from brainflix.models.classifier import Classifier
from brainflix.models.image_text import ImageTextModel, _pooled
from brainflix.models.pixels import PixelPreprocessing
from brainflix.models.pretrained import (
    SCHEDULERS,
    load_denoiser,
    load_scheduler,
    make_scheduler,
    resolve,
)
from brainflix.models.text_encoder import TextEncoder
from brainflix.models.video_vae import VideoVAE


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A whole text-to-video model."""
    return save_text_to_video(tmp_path_factory.mktemp("whole") / "model")


@pytest.fixture
def model(whole, tmp_path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(whole, tmp_path / "model"))


def load_all(model: Path) -> None:
    name = str(model)
    load_scheduler(name, "DDIMScheduler")
    TextEncoder.from_pretrained(name)
    VideoVAE.from_pretrained(name)
    load_denoiser(name)


@pytest.mark.parametrize(
    ("part", "named"),
    [
        ("scheduler/scheduler_config.json", "scheduler/scheduler_config.json"),
        ("tokenizer/tokenizer_config.json", "tokenizer/tokenizer_config.json"),
        ("tokenizer/tokenizer.json", "tokenizer/tokenizer.json"),
        ("text_encoder/config.json", "text_encoder/config.json"),
        ("text_encoder/model.safetensors", "text_encoder/model.safetensors"),
        ("vae", "vae/config.json"),
        ("vae/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors"),
        ("transformer", "unet/config.json or transformer/config.json"),
        (
            "transformer/diffusion_pytorch_model.safetensors",
            "transformer/diffusion_pytorch_model.safetensors",
        ),
    ],
)
def test_a_missing_part_is_named(model, part, named):
    path = model / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ModelError, match="lacks a part") as caught:
        load_all(model)
    assert f"expected: {named}" in str(caught.value)
    assert str(model) in str(caught.value)


@pytest.mark.parametrize(
    "part",
    [
        "text_encoder/model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
        "transformer/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "tokenizer/tokenizer.json",
    ],
)
def test_a_truncated_part_is_refused(model, part):
    path = model / part
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        load_all(model)
    assert part.split("/")[0] in str(caught.value)


@pytest.mark.parametrize("part", ["text_encoder/model", "vae/diffusion_pytorch_model"])
def test_missing_parameters_are_not_made_up(model, part):
    path = model / f"{part}.safetensors"
    tensors = load_file(path)
    lost = sorted(tensors)[0]
    del tensors[lost]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lack parameters") as caught:
        load_all(model)
    assert lost in str(caught.value)


def test_a_missing_shard_is_named(tmp_path):
    make_vae().save_pretrained(tmp_path / "vae", max_shard_size="30KB")
    shards = sorted((tmp_path / "vae").glob("*-of-*.safetensors"))
    assert len(shards) > 1
    VideoVAE.from_pretrained(str(tmp_path))
    shards[1].unlink()
    with pytest.raises(ModelError) as caught:
        VideoVAE.from_pretrained(str(tmp_path))
    assert shards[1].name in str(caught.value)


def test_a_class_that_cannot_be_called_is_refused(model):
    path = model / "transformer" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "_class_name": "PriorTransformer"}))
    with pytest.raises(ModelError, match="not one that brainflix can call") as caught:
        load_denoiser(str(model))
    assert "UNet3DConditionModel" in str(caught.value)


def test_weights_become_float32_whatever_the_file_holds(tmp_path):
    make_vae().to(torch.bfloat16).save_pretrained(tmp_path / "vae")
    model = VideoVAE.from_pretrained(str(tmp_path)).model
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())


def test_names_are_folders_hub_ids_or_embedded(tmp_path, monkeypatch):
    assert resolve(str(tmp_path)).folder == tmp_path
    hub = resolve("owner/name@refs/pr/3")
    assert (hub.hub, hub.revision, hub.folder) == ("owner/name", "refs/pr/3", None)
    assert resolve("owner/name").revision is None
    monkeypatch.setattr("brainflix.models.source.EMBEDDED", tmp_path)
    (tmp_path / "clip").mkdir()
    assert resolve("embedded:clip").folder == tmp_path / "clip"
    with pytest.raises(ModelError, match="no such embedded model") as caught:
        resolve("embedded:nope")
    assert "one of clip" in str(caught.value)
    for absent in ("/no/such/folder", "./models/clip", "a/b/c"):
        with pytest.raises(ModelError, match="no such model folder"):
            resolve(absent)


def test_a_hub_id_that_cannot_be_reached_is_an_error_with_advice(tmp_path, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        VideoVAE.from_pretrained("nobody/nothing")
    assert "nobody/nothing" in str(caught.value)
    assert "hub" in str(caught.value)


def test_a_hub_id_loads_like_its_folder(whole, tmp_path, monkeypatch):
    import huggingface_hub.constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--owner--video"  # as the hub's client caches it
    shutil.copytree(whole, repository / "snapshots" / commit)
    index = json.dumps({"_class_name": "AnyPipeline", "transformer": ["any", "thing"]})
    (repository / "snapshots" / commit / "model_index.json").write_text(index)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    for name in ("owner/video", f"owner/video@{commit}"):
        load_scheduler(name, "DDIMScheduler")
        found = TextEncoder.from_pretrained(name).encode(["a"])
        torch.testing.assert_close(found, TextEncoder.from_pretrained(str(whole)).encode(["a"]))
        for one, two in zip(
            [VideoVAE.from_pretrained(name).model, load_denoiser(name)],
            [VideoVAE.from_pretrained(str(whole)).model, load_denoiser(str(whole))],
            strict=True,
        ):
            torch.testing.assert_close(one.state_dict(), two.state_dict())
    with pytest.raises(ModelError):
        load_denoiser("owner/video@another")


def test_a_file_that_a_hub_repository_lacks_is_not_an_outage(monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError

    class AbsentError(EntryNotFoundError):
        def __init__(self):
            Exception.__init__(self, "404")

    def absent(*args, **kwargs):
        raise AbsentError

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", absent)
    assert resolve("owner/name").file("unet/config.json") is None
    with pytest.raises(ModelError, match="lacks a part") as caught:
        load_denoiser("owner/name")
    assert "owner/name" in str(caught.value)


def test_both_denoiser_layouts_are_found(tmp_path):
    for kind, name in (("unet", "UNet3DConditionModel"), ("transformer", "SpaceTimeTransformer")):
        folder = save_text_to_video(tmp_path / kind, kind)
        assert type(load_denoiser(str(folder))).__name__ == name


def test_an_unknown_scheduler_lists_those_offered(whole):
    with pytest.raises(ConfigError, match="unknown scheduler") as caught:
        load_scheduler(str(whole), "NopeScheduler")
    for name in ("DDIMScheduler", "DPMSolverMultistepScheduler", "EulerDiscreteScheduler"):
        assert name in str(caught.value)


@pytest.mark.parametrize("name", sorted(SCHEDULERS))
def test_every_scheduler_takes_the_model_s_own_schedule(whole, name):
    own = json.loads((whole / "scheduler" / "scheduler_config.json").read_text())
    config = make_scheduler({**own, "beta_end": 0.013}, name).config
    assert config.prediction_type == "v_prediction"
    assert config.beta_end == 0.013
    assert not config.get("clip_sample", False)  # the model's file says true, for pixels


# --- preprocessing ----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(48, 64), (64, 40), (20, 24), (32, 32)])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"do_center_crop": False, "size": {"height": 32, "width": 32}},
        {"resample": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3},
        {"crop_size": {"height": 40, "width": 40}},
    ],
)
def test_pixels_are_prepared_as_transformers_does_it(tmp_path, shape, settings):
    from transformers import CLIPImageProcessorPil

    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    reference = CLIPImageProcessorPil(**{**size, **settings})
    reference.save_pretrained(tmp_path)
    # mid-range, as Pillow clips between two passes whose order it chooses by cost
    frames = np.random.default_rng(0).integers(80, 176, (2, *shape, 3), dtype=np.uint8)
    expected = reference(list(frames), return_tensors="pt")["pixel_values"]
    found = PixelPreprocessing.from_pretrained(resolve(str(tmp_path)))(torch.from_numpy(frames))
    assert found.shape == expected.shape
    step = 1 / 255 / 0.26
    assert (found - expected).abs().max() < 1.05 * step


def test_pixel_settings_are_also_read_from_a_processor_s_file(tmp_path):
    inner = {"size": {"height": 8, "width": 6}, "image_mean": [0.1] * 3, "image_std": [0.2] * 3}
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": inner}))
    pixels = PixelPreprocessing.from_pretrained(resolve(str(tmp_path)))
    assert pixels(torch.zeros(1, 20, 20, 3, dtype=torch.uint8)).shape == (1, 3, 8, 6)
    (tmp_path / "processor_config.json").unlink()
    with pytest.raises(ModelError, match="lacks a part"):
        PixelPreprocessing.from_pretrained(resolve(str(tmp_path)))
    with pytest.raises(ModelError, match="cannot be read"):
        PixelPreprocessing.from_config({"size": {"height": 8, "width": 8}})


def test_a_clip_folder_without_its_tokenizer_is_refused(tmp_path):
    folder = save_clip(tmp_path / "clip")
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(ModelError, match="lacks a part") as caught:
        ImageTextModel.from_pretrained(str(folder))
    assert "tokenizer_config.json" in str(caught.value)


def test_features_come_out_of_old_and_new_transformers():
    from types import SimpleNamespace

    row = torch.ones(1, 3)
    assert _pooled(row) is row
    assert _pooled(SimpleNamespace(pooler_output=row)) is row


# --- VAE and classifiers ----------------------------------------------------------------------


def test_latents_are_shifted_and_scaled_and_come_back(tmp_path):
    from diffusers import AutoencoderKL

    plain = make_vae()
    clips = torch.randint(0, 256, (2, 3, 32, 32, 3), dtype=torch.uint8)
    raw = VideoVAE(plain).encode(clips) / 0.7
    mean, std = [0.1, -0.2, 0.3, 0.0], [1.5, 0.5, 1.0, 2.0]
    for extra, expected in (
        ({"shift_factor": 0.25}, (raw - 0.25) * 0.7),
        (
            {"latents_mean": mean, "latents_std": std},
            (raw - torch.tensor(mean).view(4, 1, 1, 1)) * 0.7 / torch.tensor(std).view(4, 1, 1, 1),
        ),
    ):
        config = {k: v for k, v in plain.config.items() if not k.startswith("_")}
        model = AutoencoderKL.from_config({**config, **extra})
        model.load_state_dict(plain.state_dict())
        vae = VideoVAE(model.eval())
        latents = vae.encode(clips)
        torch.testing.assert_close(latents, expected, atol=1e-5, rtol=1e-4)
        direct = plain.eval().decode(raw.transpose(1, 2).flatten(0, 1)).sample
        direct = ((direct + 1) * 127.5).round().clamp(0, 255).permute(0, 2, 3, 1)
        decoded = vae.decode(latents).flatten(0, 1).float()
        assert (decoded - direct).abs().max() <= 1


def test_classifiers_of_frames_and_of_clips(tmp_path):
    from transformers import ResNetForImageClassification

    labels = ["object:ball", "object:box", "colour:red"]
    clips = torch.randint(0, 256, (3, 4, 32, 32, 3), dtype=torch.uint8)
    pixels = (clips.float() / 255 - 0.5) / 0.5
    frames = Classifier.from_pretrained(str(save_classifier(tmp_path / "frames", labels)))
    assert frames.labels == tuple(labels)
    logits = frames.logits(clips, chunk=2)
    assert logits.shape == (3, 4, 3)
    net = ResNetForImageClassification.from_pretrained(tmp_path / "frames").eval()
    with torch.no_grad():
        expected = net(pixels[1].permute(0, 3, 1, 2)).logits
    torch.testing.assert_close(logits[1], expected, atol=1e-4, rtol=1e-4)

    whole = Classifier.from_pretrained(str(save_classifier(tmp_path / "clips", labels, 12)))
    logits = whole.logits(clips)
    assert logits.shape == (3, 3)
    net = ResNetForImageClassification.from_pretrained(tmp_path / "clips").eval()
    stacked = torch.cat([pixels[2, k].permute(2, 0, 1) for k in range(4)])  # frame after frame
    with torch.no_grad():
        torch.testing.assert_close(logits[2], net(stacked[None]).logits[0], atol=1e-4, rtol=1e-4)
    with pytest.raises(ModelError, match="another length"):
        whole.logits(clips[:, :3])
