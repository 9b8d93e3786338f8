"""Stimuli and target artifacts, and each encoder against the libraries' own models."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from support.command_line import STUDY, brainflix, layout_in, stage_call, write_configuration
from support.tiny_models import save_captioner, save_clip, save_text_to_video
from support.videos import STEP, write_video

from brainflix.artifacts.store import create, open_artifact, read_strings, write_dataset
from brainflix.components import ENCODERS
from brainflix.config.recipe import TargetConfig
from brainflix.config.studies import StimuliConfig, StudySource
from brainflix.errors import ConfigError, DataError, StudyError, VideoError
from brainflix.studies.study import Clip, Study
from brainflix.targets.decode import write_stimuli
from brainflix.targets.encoders import ClipBatch
from brainflix.targets.stage import encode

FORM = StimuliConfig(frames=4, height=32, width=32)


class ListedStudy(Study):
    """Clips from a list; frames of some of them held in memory."""

    def __init__(self, clips, held=None):
        super().__init__(StudySource(root="."))
        self._clips, self._held = clips, held or {}

    def clips(self):
        return self._clips

    def frames(self, clip):
        return self._held.get(clip.id)

    def subjects(self):
        return ()

    def runs(self, subject):
        return ()

    def voxels(self, subject):
        raise NotImplementedError

    def load(self, run):
        raise NotImplementedError

    def files(self, subject=None):
        return []


@pytest.fixture
def study(tmp_path):
    """A movie cut into two clips, a picture, and a clip of frames."""
    from PIL import Image

    movie = write_video(tmp_path / "movie.mp4", n=30)
    Image.fromarray(np.full((50, 40, 3), 77, np.uint8)).save(tmp_path / "still.jpg", quality=100)
    held = np.stack([np.full((16, 16, 3), 10 * k, np.uint8) for k in range(8)])
    clips = [
        Clip("late", "test", "b", movie, 2.0, 0.8, ("a ball",), {"colour": "red"}),
        Clip("still", "train", "a", tmp_path / "still.jpg", 0.0, 0.8, (), {}),
        Clip("early", "train", "a", movie, 0.4, 0.8, ("ein Bär", "x"), {"colour": "blue"}),
        Clip("held", "train", "c", None, 0.0, 0.8, (), {}),
    ]
    return ListedStudy(clips, {"held": held})


def test_a_study_s_clips_become_stimuli(study, tmp_path):
    out = tmp_path / "stimuli.h5"
    assert write_stimuli(study, FORM, out) == 4
    with open_artifact(out, "stimuli") as file:
        assert read_strings(file["clip"]) == ["late", "still", "early", "held"]
        assert file["frames"].shape == (4, 4, 32, 32, 3)
        assert file["frames"].dtype == np.uint8
        levels = file["frames"][()].mean(axis=(2, 3, 4))
        np.testing.assert_allclose(levels[0] / STEP, [21, 23, 25, 27], atol=0.3)
        np.testing.assert_allclose(levels[1], 77, atol=1)
        np.testing.assert_allclose(levels[2] / STEP, [5, 7, 9, 11], atol=0.3)
        np.testing.assert_allclose(levels[3], [10, 30, 50, 70])
        captions = [json.loads(text) for text in read_strings(file["captions"])]
        assert captions == [["a ball"], [], ["ein Bär", "x"], []]
        assert read_strings(file["split"]) == ["test", "train", "train", "train"]
        assert read_strings(file["group"]) == ["b", "a", "a", "c"]
        assert read_strings(file["attributes/colour"]) == ["red", "", "blue", ""]
        assert file.attrs["fps"] == pytest.approx(5.0)
        assert file.attrs["duration"] == pytest.approx(0.8)
        assert [d.label for d in file["frames"].dims][:2] == ["clip", "frame"]


def test_the_same_study_gives_the_same_bytes(study, tmp_path):
    write_stimuli(study, FORM, tmp_path / "one.h5")
    write_stimuli(study, FORM, tmp_path / "two.h5")
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_a_damaged_clip_leaves_no_artifact(study, tmp_path):
    movie = tmp_path / "movie.mp4"
    movie.write_bytes(movie.read_bytes()[:-400])
    with pytest.raises(VideoError, match="cannot be decoded"):
        write_stimuli(study, FORM, tmp_path / "stimuli.h5")
    assert not list(tmp_path.glob("*.h5"))
    movie.unlink()
    with pytest.raises(VideoError, match="does not exist"):
        write_stimuli(study, FORM, tmp_path / "stimuli.h5")


def test_clips_that_cannot_be_one_artifact_are_refused(tmp_path):
    clip = Clip("one", "train", "a", None)
    for clips, message in (
        ([], "no clips"),
        ([clip, clip], "two clips have one name"),
        ([clip], "neither a file nor frames"),
    ):
        with pytest.raises(StudyError, match=message):
            write_stimuli(ListedStudy(clips), FORM, tmp_path / "stimuli.h5")


# --- encoders ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of tiny models by name."""
    root = tmp_path_factory.mktemp("models")
    return {
        "clip": str(save_clip(root / "clip")),
        "video": str(save_text_to_video(root / "video")),
        "captioner": str(save_captioner(root / "captioner")),
    }


@pytest.fixture(scope="module")
def batch():
    """Three clips with one to three captions."""
    frames = np.random.default_rng(0).integers(0, 256, (3, 4, 32, 32, 3), dtype=np.uint8)
    return ClipBatch(["x", "y", "z"], frames, [["a b"], ["c", "dd e"], ["f", "g", "a long tale"]])


def single(batch, k):
    return ClipBatch(batch.ids[k : k + 1], batch.frames[k : k + 1], batch.captions[k : k + 1])


CASES = {
    "clip_image": "clip",
    "clip_text": "clip",
    "text_conditioning": "video",
    "video_latents": "video",
    "captions": "captioner",
}


@pytest.mark.parametrize("name", CASES)
def test_a_row_does_not_depend_on_its_batch(models, batch, name):
    encoder = ENCODERS[name].from_pretrained(models[CASES[name]])
    rows = encoder.encode(batch)
    assert rows.dtype == np.float32
    assert rows.ndim == 1 + len(encoder.dims)
    for k in range(3):
        np.testing.assert_allclose(encoder.encode(single(batch, k))[0], rows[k], atol=1e-5)
    assert np.abs(rows[0] - rows[1]).max() > 1e-4  # and it does depend on the clip


def clip_reference(models):
    from transformers import CLIPModel

    return CLIPModel.from_pretrained(models["clip"]).eval()


@torch.no_grad()
def test_clip_image_is_the_unit_mean_of_unit_embeddings(models, batch):
    from transformers import CLIPImageProcessorPil

    rows = ENCODERS["clip_image"].from_pretrained(models["clip"]).encode(batch)
    processor = CLIPImageProcessorPil.from_pretrained(models["clip"])
    reference = clip_reference(models)
    for k in range(3):
        pixels = processor(list(batch.frames[k]), return_tensors="pt")["pixel_values"]
        vision = reference.vision_model(pixel_values=pixels).pooler_output
        each = reference.visual_projection(vision).numpy()
        each /= np.linalg.norm(each, axis=1, keepdims=True)
        mean = each.mean(axis=0)
        np.testing.assert_allclose(rows[k], mean / np.linalg.norm(mean), atol=1e-5)


@torch.no_grad()
def test_clip_text_is_the_unit_mean_over_captions(models, batch):
    from support.tiny_models import tokenizer

    rows = ENCODERS["clip_text"].from_pretrained(models["clip"]).encode(batch)
    reference, words = clip_reference(models), tokenizer()
    for k in range(3):
        each = []
        for text in batch.captions[k]:
            ids = words(text, truncation=True, max_length=12, return_tensors="pt")["input_ids"]
            pooled = reference.text_model(input_ids=ids).pooler_output
            vector = reference.text_projection(pooled)[0].numpy()
            each.append(vector / np.linalg.norm(vector))
        mean = np.mean(each, axis=0)
        np.testing.assert_allclose(rows[k], mean / np.linalg.norm(mean), atol=1e-5)


@torch.no_grad()
def test_text_conditioning_is_the_mean_last_hidden_state(models, batch):
    from transformers import CLIPTextModel, CLIPTokenizer

    rows = ENCODERS["text_conditioning"].from_pretrained(models["video"]).encode(batch)
    model = CLIPTextModel.from_pretrained(models["video"], subfolder="text_encoder").eval()
    words = CLIPTokenizer.from_pretrained(models["video"], subfolder="tokenizer")
    assert rows.shape == (3, 12, 16)
    for k in range(3):
        states = [
            model(
                words(
                    text, padding="max_length", max_length=12, truncation=True, return_tensors="pt"
                ).input_ids
            )[0][0].numpy()
            for text in batch.captions[k]
        ]
        np.testing.assert_allclose(rows[k], np.mean(states, axis=0), atol=1e-5)


@torch.no_grad()
def test_video_latents_are_the_scaled_mean_frame_by_frame(models, batch):
    from diffusers import AutoencoderKL

    rows = ENCODERS["video_latents"].from_pretrained(models["video"]).encode(batch)
    vae = AutoencoderKL.from_pretrained(models["video"], subfolder="vae").eval()
    assert rows.shape == (3, 4, 4, 4, 4)
    for k in range(3):
        for frame in range(4):
            x = torch.from_numpy(batch.frames[k, frame]).permute(2, 0, 1)[None].float()
            mean = vae.encode(x / 255 * 2 - 1).latent_dist.mean[0].numpy()
            np.testing.assert_allclose(rows[k, :, frame], 0.7 * mean, atol=1e-5)


def test_text_encoders_refuse_a_clip_without_captions(models, batch):
    silent = ClipBatch(batch.ids, batch.frames, [["a"], [], ["b"]])
    for name, model in (("clip_text", "clip"), ("text_conditioning", "video")):
        with pytest.raises(DataError, match="no caption") as caught:
            ENCODERS[name].from_pretrained(models[model]).encode(silent)
        assert "clip y" in str(caught.value)


def test_the_captioner_s_picture_can_have_another_size(models, batch):
    rows = ENCODERS["captions"].from_pretrained(models["captioner"], size=48).encode(batch)
    assert rows.shape == (3, 1 + (48 // 16) ** 2, 16)


def test_batches_check_their_form(batch):
    with pytest.raises(DataError, match="another form"):
        ClipBatch(batch.ids, batch.frames.astype(np.float32), batch.captions)
    with pytest.raises(DataError, match="differ in number"):
        ClipBatch(batch.ids[:2], batch.frames, batch.captions)


# --- the stage --------------------------------------------------------------------------------


@pytest.fixture
def stimuli(tmp_path) -> Path:
    """Nineteen clips, more than one batch."""
    rng = np.random.default_rng(3)
    with create(tmp_path / "stimuli.h5", "stimuli") as file:
        ids = [f"clip-{k:02d}" for k in range(19)]
        write_dataset(file, "clip", ids, ["clip"])
        write_dataset(file, "captions", [json.dumps([f"take {k}"]) for k in range(19)], ["clip"])
        frames = rng.integers(0, 256, (19, 4, 32, 32, 3), dtype=np.uint8)
        write_dataset(file, "frames", frames, ["clip", "frame", "height", "width", "channel"])
    return tmp_path / "stimuli.h5"


def test_encode_writes_every_clip_in_order(models, stimuli, tmp_path):
    options = TargetConfig(encoder="video_latents", model=models["video"])
    encode(stimuli, options, tmp_path / "latents.h5")
    encode(stimuli, options, tmp_path / "again.h5")
    assert (tmp_path / "latents.h5").read_bytes() == (tmp_path / "again.h5").read_bytes()
    encoder = ENCODERS["video_latents"].from_pretrained(models["video"])
    with h5py.File(stimuli) as source, open_artifact(tmp_path / "latents.h5", "target") as file:
        assert read_strings(file["clip"]) == read_strings(source["clip"])
        assert file["values"].shape == (19, 4, 4, 4, 4)
        assert file["values"].dtype == np.float32
        assert file.attrs["encoder"] == "video_latents"
        assert file.attrs["model"] == models["video"]
        last = ClipBatch(["last"], source["frames"][18:], [[]])
        np.testing.assert_allclose(file["values"][18], encoder.encode(last)[0], atol=1e-5)


def test_encode_refuses_unknown_names_and_options(models, stimuli, tmp_path):
    out = tmp_path / "target.h5"
    with pytest.raises(ConfigError, match="unknown encoder") as caught:
        encode(stimuli, TargetConfig(encoder="nope", model=models["clip"]), out)
    assert "video_latents" in str(caught.value)
    options = TargetConfig(encoder="clip_image", model=models["clip"], options={"colour": 1})
    with pytest.raises(ConfigError, match="does not take these options"):
        encode(stimuli, options, out)
    assert not out.exists()


# --- from the command line --------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path) -> Path:
    """A study of two clips in BIDS layout, without any fMRI."""
    root = tmp_path / "study"
    (root / "stimuli").mkdir(parents=True)
    description = {"Name": "two", "BIDSVersion": "1.8.0", "DatasetType": "derivative"}
    (root / "dataset_description.json").write_text(json.dumps(description))
    for name in ("one", "two"):
        write_video(root / "stimuli" / f"{name}.mp4", n=20, noise=1)
    rows = [
        "\t".join(("stim_file", "split", "group", "captions")),
        "\t".join(("one.mp4", "train", "a", '["a ball"]')),
        "\t".join(("two.mp4", "test", "b", '["a box"]')),
    ]
    (root / "stimuli.tsv").write_text("\n".join(rows) + "\n")
    return root


def test_a_truncated_mp4_ends_with_exit_code_2(folder, tmp_path, capsys):
    source = {"reader": "bids", "root": str(folder)}
    form = {"frames": 4, "height": 32, "width": 32}
    decode = stage_call("decode", tmp_path, source, stimuli=form)
    code = decode.run()
    assert (code, decode.out.is_file()) == (0, True), capsys.readouterr().err
    decode.out.unlink()
    movie = folder / "stimuli" / "two.mp4"
    movie.write_bytes(movie.read_bytes()[: movie.stat().st_size // 2])
    assert decode.run() == 2
    said = capsys.readouterr().err
    assert "two.mp4" in said
    assert "Traceback" not in said
    assert not decode.out.exists()


def test_a_model_folder_that_lacks_a_part_ends_with_exit_code_2(stimuli, tmp_path, capsys):
    model = save_text_to_video(tmp_path / "model")
    (model / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    targets = {"latents": {"encoder": "video_latents", "model": str(model)}}
    path = write_configuration(tmp_path, {"root": str(tmp_path)}, targets=targets)
    layout = layout_in(tmp_path)
    layout.stimuli(STUDY).parent.mkdir(parents=True)
    shutil.copy(stimuli, layout.stimuli(STUDY))
    out = layout.target(STUDY, "latents")
    assert brainflix("encode", STUDY, "latents", "--config", path) == 2
    said = capsys.readouterr().err
    assert "lacks a part" in said
    assert "vae/diffusion_pytorch_model.safetensors" in said
    assert "Traceback" not in said
    assert not out.exists()
