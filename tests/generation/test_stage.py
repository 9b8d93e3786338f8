"""The stage from predictions to videos, with tiny models."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import av
import h5py
import numpy as np
import pytest
import torch
import yaml
from support.edited_artifacts import edited
from support.tiny_models import TEXT_DIM, TOKENS, save_captioner, save_clip, save_text_to_video

from brainflix.artifacts.layout import Layout
from brainflix.artifacts.store import create, open_artifact, read_strings, write_dataset
from brainflix.components import GENERATORS
from brainflix.config.loading import load_config
from brainflix.config.recipe import GenerationConfig, Takes
from brainflix.config.resolution import check_inputs
from brainflix.errors import ArtifactError, ConfigError, DataError, ModelError, VideoError
from brainflix.generation.captions import written_captions
from brainflix.generation.form import ClipForm, film_order
from brainflix.generation.generators import Generator
from brainflix.generation.movies import safe_name, write_folder, write_mp4
from brainflix.generation.options import (
    NearestCaptionerOptions,
    TargetCaptionerOptions,
    TextToVideoOptions,
    VideoToVideoOptions,
)
from brainflix.generation.running import choose_precision
from brainflix.generation.sampler import clip_seed
from brainflix.generation.sources import Connection
from brainflix.generation.stage import caption, fill_frames, generate
from brainflix.statistics.derangement import derangement

FRAMES, SIZE, LATENT = 4, 32, 4
CLIPS = ["test-1", "test-2", "test-3", "test-4", "test-5"]
TRAIN = ["train-1", "train-2"]
SHAPES = {
    "conditioning": (TOKENS, TEXT_DIM),
    "latents": (4, FRAMES, LATENT, LATENT),
    "clip_image": (8,),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {
        "transformer": str(save_text_to_video(root / "transformer")),
        "unet": str(save_text_to_video(root / "unet", "unet", prediction="epsilon")),
        "clip": str(save_clip(root / "clip")),
    }


def options(models, kind="transformer", component="video_to_video", inputs=None, **settings):
    """Return the section of a generator, by default with all targets that it takes."""
    section = {"video_to_video": VideoToVideoOptions, "text_to_video": TextToVideoOptions}
    if inputs is None:
        wanted = ("conditioning", "latents")
        inputs = {name: name for name in wanted if name in section[component].takes}
    if component == "text_to_video":
        settings.pop("strength", None)
    settings = {"precision": "32-true", "component": component, "inputs": inputs, **settings}
    return section[component](model=models[kind], steps=4, batch_size=3, **settings)


def connected(study, section):
    """Return where the inputs of a section lie: vectors of the study, or another node's work."""
    found = {}
    for name, source in section.given.items():
        if source.target is not None:
            truth = study["targets"].get(source.target)
            found[name] = Connection("target", source.target, study["predictions"], truth)
        else:
            sort = "generator" if source.generator else "captioner"
            made = study["made"][getattr(source, sort)]
            found[name] = Connection(sort, getattr(source, sort), made)
    return found


def make(study, section, out, mp4=None, baselines=None):
    """Run the stage generate."""
    place = (study["stimuli"], study["study"], study["subject"])
    generate(connected(study, section), *place, section, out, mp4, baselines)
    return out


def write(study, section, out, baselines=()):
    """Run the stage caption."""
    place = (study["stimuli"], study["study"], study["subject"])
    caption(connected(study, section), *place, section, out, baselines)
    return out


def write_study(folder, clip):
    """Write predictions of one subject, the study's targets and stimuli; return where."""
    rng = np.random.default_rng(0)
    every = [CLIPS[3], *TRAIN, *(clip for clip in CLIPS if clip != CLIPS[3])]  # another order
    with create(folder / "stimuli.h5", "stimuli") as file:
        write_dataset(file, "clip", every, ["clip"])
        splits = ["train" if clip in TRAIN else "test" for clip in every]
        write_dataset(file, "split", splits, ["clip"])
        write_dataset(file, "group", splits, ["clip"])
        captions = [json.dumps([f"{clip} a", f"{clip} b"]) for clip in every]
        write_dataset(file, "captions", captions, ["clip"])
        frames = np.zeros((len(every), FRAMES, SIZE, SIZE, 3), np.uint8)
        write_dataset(file, "frames", frames, ["clip", "frame", "height", "width", "channel"])
        file.attrs["fps"], file.attrs["duration"] = 2.0, 2.0
    targets = {}
    for name, shape in SHAPES.items():
        targets[name] = folder / f"{name}.h5"
        with create(targets[name], "target") as file:
            write_dataset(file, "clip", every, ["clip"])
            values = rng.standard_normal((len(every), *shape)).astype(np.float32)
            write_dataset(file, "values", values, ["clip", *"abcd"[: len(shape)]])
            file.attrs["encoder"], file.attrs["model"] = name, clip
    with create(folder / "predictions.h5", "predictions") as file:
        group = file.create_group("movie/sub-01")
        write_dataset(group, "clip", CLIPS, ["clip"])
        for estimator in ("network", "ridge"):
            for name, shape in SHAPES.items():
                values = rng.standard_normal((len(CLIPS), *shape)).astype(np.float32)
                place = f"{estimator}/averaged/{name}"
                write_dataset(group, place, values, ["clip", *"abcd"[: len(shape)]])
        mean = rng.standard_normal(SHAPES["conditioning"]).astype(np.float32)
        write_dataset(file, "training_mean/movie/conditioning", mean, ["token", "dim"])
    return {
        "predictions": folder / "predictions.h5",
        "targets": targets,
        "stimuli": folder / "stimuli.h5",
        "study": "movie",
        "subject": "sub-01",
    }


@pytest.fixture
def study(tmp_path, models):
    return write_study(tmp_path, models["clip"])


def frames_of(path, variant="network"):
    with open_artifact(path, "videos") as file:
        return file[f"frames/{variant}"][()]


def predictions(study, target, estimator="network"):
    with h5py.File(study["predictions"]) as file:
        return torch.from_numpy(file[f"movie/sub-01/{estimator}/averaged/{target}"][()])


def truth(study, target):
    with h5py.File(study["targets"][target]) as file:
        names = read_strings(file["clip"])
        return torch.from_numpy(file["values"][()][[names.index(clip) for clip in CLIPS]])


def direct(models, settings, conditioning, latents, clips=CLIPS):
    """Generate by the module alone, without Lightning."""
    module = GENERATORS[settings.component](settings, (FRAMES, SIZE, SIZE))
    batch = {
        "index": torch.arange(len(clips)),
        "seed": torch.tensor([clip_seed(settings.seed, clip) for clip in clips]),
        "conditioning": conditioning,
        "latents": latents,
    }
    return module.predict_step(batch)["frames"].numpy()


def near(one, two):
    """Rounding to bytes can differ by one level where batches differ."""
    assert one.shape == two.shape
    assert np.abs(one.astype(int) - two.astype(int)).max() <= 1


@pytest.mark.parametrize(
    ("kind", "component"),
    [
        ("transformer", "video_to_video"),
        ("transformer", "text_to_video"),
        ("unet", "video_to_video"),
    ],
)
def test_every_variant_is_made_from_its_own_vectors(study, models, tmp_path, kind, component):
    settings = options(models, kind, component, strength=0.75, guidance=2.0, seed=3)
    out = tmp_path / "videos.h5"
    make(study, settings, out, tmp_path / "sub-01")
    with open_artifact(out, "videos") as file:
        assert read_strings(file["clip"]) == CLIPS
        assert sorted(file["frames"]) == ["network", "oracle", "ridge", "shuffled"]
        assert file["frames/network"].shape == (5, FRAMES, SIZE, SIZE, 3)
        assert file["frames/network"].dtype == np.uint8
        assert file.attrs["fps"] == 2.0
        assert file.attrs["seed"] == 3
    order = derangement(5, 3)
    vectors = {
        "network": [predictions(study, name) for name in ("conditioning", "latents")],
        "ridge": [predictions(study, name, "ridge") for name in ("conditioning", "latents")],
        "shuffled": [predictions(study, name)[order] for name in ("conditioning", "latents")],
        "oracle": [truth(study, name) for name in ("conditioning", "latents")],
    }
    for variant, (conditioning, latents) in vectors.items():
        near(frames_of(out, variant), direct(models, settings, conditioning, latents))
    for variant in ("ridge", "shuffled", "oracle"):
        differences = frames_of(out, "network").astype(int) - frames_of(out, variant)
        assert (np.abs(differences).max(axis=(1, 2, 3, 4)) > 5).all()
    assert sorted(p.name for p in (tmp_path / "sub-01").iterdir()) == [f"{c}.mp4" for c in CLIPS]
    assert not list(tmp_path.glob(".*"))  # nothing temporary stays


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(study, models, tmp_path):
    settings = options(models, baselines=())
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        chosen = settings.model_copy(update={"seed": seed})
        make(study, chosen, tmp_path / f"{name}.h5", tmp_path / name)
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()
    assert not np.array_equal(frames_of(tmp_path / "one.h5"), frames_of(tmp_path / "three.h5"))
    for clip in CLIPS:
        one, two = (tmp_path / name / f"{clip}.mp4" for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("scheduler", ["DPMSolverMultistepScheduler", "DDPMScheduler"])
@pytest.mark.parametrize("kind", ["transformer", "unet"])
def test_a_batch_equals_its_single_clips(study, models, kind, scheduler):
    settings = options(models, kind, scheduler=scheduler, strength=0.75, guidance=3.0)
    module = GENERATORS["video_to_video"](settings, (FRAMES, SIZE, SIZE))
    conditioning, latents = predictions(study, "conditioning"), predictions(study, "latents")

    def sample(rows):
        return module.sample(
            {
                "index": torch.tensor(rows),
                "seed": torch.tensor([clip_seed(0, CLIPS[row]) for row in rows]),
                "conditioning": conditioning[rows],
                "latents": latents[rows],
            }
        )

    batch = sample([2, 0, 4])
    for place, row in enumerate([2, 0, 4]):
        torch.testing.assert_close(sample([row])[0], batch[place], atol=1e-4, rtol=1e-4)
    assert (batch[0] - batch[1]).abs().max() > 0.1


def test_strength_one_does_not_look_at_the_latents_and_a_small_one_returns_them(study, models):
    conditioning, latents = predictions(study, "conditioning"), predictions(study, "latents")

    def sample(strength, start):
        settings = options(models, strength=strength, guidance=1.0)
        settings = settings.model_copy(update={"steps": 100})
        module = GENERATORS["video_to_video"](settings, (FRAMES, SIZE, SIZE))
        seeds = torch.arange(5)
        batch = {"index": seeds, "seed": seeds, "conditioning": conditioning, "latents": start}
        return module.sample(batch)

    torch.testing.assert_close(sample(1.0, latents), sample(1.0, latents * 0 + 9))
    kept = (sample(0.01, latents) - latents).abs().mean()
    lost = (sample(0.6, latents) - latents).abs().mean()
    assert kept < 0.15
    assert lost > 4 * kept


def test_guidance_away_from_the_training_mean(study, models, tmp_path):
    settings = options(models, guidance=3.0, baselines=())
    away = settings.model_copy(update={"negative": "training_mean"})
    make(study, settings, tmp_path / "empty.h5")
    make(study, away, tmp_path / "mean.h5")
    assert not np.array_equal(frames_of(tmp_path / "empty.h5"), frames_of(tmp_path / "mean.h5"))
    with h5py.File(study["predictions"]) as file:
        mean = torch.from_numpy(file["training_mean/movie/conditioning"][()])
    module = GENERATORS["video_to_video"](away, (FRAMES, SIZE, SIZE), mean)
    seeds = torch.tensor([clip_seed(0, clip) for clip in CLIPS])
    batch = {
        "index": torch.arange(5),
        "seed": seeds,
        "conditioning": predictions(study, "conditioning"),
        "latents": predictions(study, "latents"),
    }
    near(frames_of(tmp_path / "mean.h5"), module.predict_step(batch)["frames"].numpy())


def test_a_decoded_caption_can_replace_the_regressed_conditioning(study, models, tmp_path):
    captioner = TargetCaptionerOptions(inputs={"vectors": "clip_image"})
    study["made"] = {"said": write(study, captioner, tmp_path / "said.h5", ("oracle",))}
    inputs = {"caption": {"captioner": "said"}, "latents": "latents"}
    settings = options(models, inputs=inputs, baselines=("oracle",))
    out = make(study, settings, tmp_path / "videos.h5")
    from brainflix.models.image_text import ImageTextModel
    from brainflix.models.text_encoder import TextEncoder

    known = sorted(f"{clip} {letter}" for clip in TRAIN for letter in "ab")
    embedded = ImageTextModel.from_pretrained(models["clip"]).embed_texts(known).numpy()
    nearest = (predictions(study, "clip_image").numpy() @ embedded.T).argmax(axis=1)
    with open_artifact(tmp_path / "said.h5", "captions") as file:
        assert read_strings(file["clip"]) == CLIPS
        said = {name: read_strings(file[f"text/{name}"]) for name in file["text"]}
    with open_artifact(out, "videos") as file:
        shown = {name: read_strings(file[f"captions/{name}"]) for name in file["captions"]}
    assert shown == said
    assert sorted(said) == ["network", "oracle"]
    texts = said["network"]
    assert texts == [known[k] for k in nearest]
    true = (truth(study, "clip_image").numpy() @ embedded.T).argmax(axis=1)
    assert said["oracle"] == [known[k] for k in true]
    conditioning = TextEncoder.from_pretrained(models["transformer"]).encode(texts)
    latents = predictions(study, "latents")
    near(frames_of(out), direct(models, settings, conditioning, latents))


def test_generated_clips_get_the_nearest_training_caption(study, models, tmp_path):
    from brainflix.models.image_text import ImageTextModel

    videos = make(study, options(models, baselines=("ridge",)), tmp_path / "videos.h5")
    study["made"] = {"first": videos}
    section = NearestCaptionerOptions(
        inputs={"clips": {"generator": "first"}}, model=models["clip"]
    )
    out = write(study, section, tmp_path / "said.h5", ("ridge",))
    known = sorted(f"{clip} {letter}" for clip in TRAIN for letter in "ab")
    model = ImageTextModel.from_pretrained(models["clip"])
    embedded = model.embed_texts(known).numpy()
    for variant in ("network", "ridge"):
        rows = [model.embed_images(torch.from_numpy(clip)) for clip in frames_of(videos, variant)]
        nearest = [int((r.numpy().mean(axis=0) @ embedded.T).argmax()) for r in rows]
        with open_artifact(out, "captions") as file:
            assert read_strings(file[f"text/{variant}"]) == [known[k] for k in nearest]


def test_captions_need_a_target_that_can_be_read_and_captions_to_choose_from(
    study, models, tmp_path
):
    out = tmp_path / "said.h5"
    with pytest.raises(ConfigError, match="no caption can be decoded") as caught:
        write(study, TargetCaptionerOptions(inputs={"vectors": "latents"}), out)
    assert "captions, clip_text or clip_image" in str(caught.value)
    with pytest.raises(ConfigError, match="target lacks an input"):
        write(study, TargetCaptionerOptions(), out)
    with edited(study["stimuli"]) as file:
        file["captions"][...] = "[]"
    with pytest.raises(DataError, match="no caption to choose from"):
        write(study, TargetCaptionerOptions(inputs={"vectors": "clip_image"}), out)
    assert not out.exists()


def test_a_captioner_writes_captions_from_its_own_tokens(tmp_path):
    from brainflix.models.captioner import PictureCaptioner

    folder = str(save_captioner(tmp_path / "blip"))
    frames = torch.randint(0, 256, (3, 40, 40, 3), dtype=torch.uint8)
    captioner = PictureCaptioner.from_pretrained(folder)
    tokens = captioner.tokens(frames)
    pixels = captioner.pixels(frames)
    written = captioner.model.generate(pixel_values=pixels, max_new_tokens=30, do_sample=False)
    expected = captioner.tokenizer.batch_decode(written, skip_special_tokens=True)
    found = written_captions(folder, tokens.numpy())
    assert [text.split() for text in found] == [text.split() for text in expected]


def test_bfloat16_is_close_to_float32(study, models, tmp_path):
    settings = options(models, baselines=(), guidance=2.0)
    make(study, settings, tmp_path / "full.h5")
    assert choose_precision("auto") in ("bf16-mixed", "32-true")
    for precision in ("bf16-mixed", "bf16-true"):
        half = settings.model_copy(update={"precision": precision})
        make(study, half, tmp_path / "half.h5")
        full, found = frames_of(tmp_path / "full.h5"), frames_of(tmp_path / "half.h5")
        assert np.abs(full.astype(int) - found.astype(int)).mean() < 3


def test_frames_are_brought_to_the_study_s_size(study, models, tmp_path):
    with edited(study["stimuli"]) as file:
        del file["frames"]
        file["frames"] = np.zeros(
            (7, FRAMES, 36, 38, 3), np.uint8
        )  # latents are 4 x 4 all the same
    make(study, options(models, baselines=()), tmp_path / "videos.h5")
    assert frames_of(tmp_path / "videos.h5").shape == (5, FRAMES, 36, 38, 3)


def test_batches_of_several_processes_are_put_in_order(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (6, 2, 8, 8, 3), dtype=np.uint8)
    form = ClipForm(2, 8, 8, 1.0, 2.0, ())
    parts = [(np.array(rows), frames[rows]) for rows in ([1, 3], [0, 2], [5], [4])]
    with create(tmp_path / "videos.h5", "videos") as file:
        fill_frames(file, parts, ["network", "ridge"], 3, form)
        np.testing.assert_array_equal(file["frames/network"][()], frames[:3])
        np.testing.assert_array_equal(file["frames/ridge"][()], frames[3:])


@pytest.mark.slow
def test_two_processes_make_what_one_makes(study, models, tmp_path):
    found = {}
    for devices in (1, 2):
        section = options(models, devices=devices, baselines=("ridge",))
        content = {
            "recipe": "brain_netflix",
            "results": str(tmp_path / "results"),
            "studies": {"movie": {"root": str(tmp_path), "subjects": ["sub-01"]}},
            "generation": section.model_dump(mode="json", exclude={"inputs"}),
            "experiments": {"first": {"cohorts": {"movie": "all"}}},
        }
        path = tmp_path / "configuration.yaml"
        path.write_text(yaml.safe_dump(content))
        layout = Layout(load_config(path))
        places = {layout.predictions("first"): study["predictions"]}
        places[layout.stimuli("movie")] = study["stimuli"]
        places |= {layout.target("movie", t): file for t, file in study["targets"].items()}
        for place, file in places.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)
        command = [sys.executable, "-m", "brainflix", "generate", "first", "movie", "sub-01"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "SLURM_NTASKS": "4"}
        subprocess.run([*command, "--config", str(path)], check=True, env=environment, timeout=600)
        out = layout.clips("first", "videos", "movie", "sub-01")
        found[devices] = {variant: frames_of(out, variant) for variant in ("network", "ridge")}
        assert len(list(layout.movies("first", "movie", "sub-01").glob("*.mp4"))) == len(CLIPS)
    for variant in ("network", "ridge"):
        near(found[1][variant], found[2][variant])


# --- clips that follow each other -------------------------------------------------------------

FILMS = {  # in the order of the study's stimuli, which differs from that of the predictions
    "a": ["test-4", "test-2", "test-5"],
    "b": ["test-1", "test-3"],
}


class Counting(Generator):
    """Adds one to the clip before; a film's first clip shows its own vector."""

    class Options(GenerationConfig):
        takes: ClassVar = {"level": Takes(("target",))}
        requires: ClassVar = (("level",),)
        follows: ClassVar[bool] = True

    def predict_step(self, batch, batch_idx=0):
        level = batch["level"].reshape(-1, 1, 1, 1, 1).expand(-1, *self.clip_shape, 3)
        first = ~batch["has_previous"].reshape(-1, 1, 1, 1, 1)
        assert (batch["previous"][~batch["has_previous"]] == 0).all()
        clips = torch.where(first, level, batch["previous"].float() + 1)
        clips[..., 2] = level[..., 2]  # the clip's own vector
        return {"index": batch["index"], "frames": clips.to(torch.uint8)}


@pytest.fixture
def films(study, monkeypatch):
    """The study with its test clips in two films, and a vector that is a number per clip."""
    monkeypatch.setitem(GENERATORS._entries, "counting", Counting)
    with edited(study["stimuli"]) as file:
        names = read_strings(file["clip"])
        group = {clip: film for film, clips in FILMS.items() for clip in clips}
        interleaved = iter(["test-4", "test-1", "test-2", "test-3", "test-5"])
        order = [next(interleaved) if name in CLIPS else name for name in names]
        groups = [group.get(name, "train") for name in order]
        for key, values in (("clip", order), ("group", groups)):
            del file[key]
            write_dataset(file, key, values, ["clip"])
    levels = {"network": 10, "ridge": 60, "truth": 110}
    with edited(study["predictions"]) as file:
        for estimator in ("network", "ridge"):
            values = np.arange(len(CLIPS), dtype=np.float32)[:, None] * 7 + levels[estimator]
            file[f"movie/sub-01/{estimator}/averaged/level"] = values
    study["targets"]["level"] = study["stimuli"].with_name("level.h5")
    with create(study["targets"]["level"], "target") as file:
        write_dataset(file, "clip", CLIPS, ["clip"])
        values = np.arange(len(CLIPS), dtype=np.float32)[:, None] * 7 + levels["truth"]
        write_dataset(file, "values", values, ["clip", "dim"])
    return study


def test_the_clip_before_is_that_of_the_same_film(films):
    before = film_order(films["stimuli"], CLIPS)
    found = {clip: CLIPS[k] if k >= 0 else None for clip, k in zip(CLIPS, before, strict=True)}
    expected = {"test-4": None, "test-2": "test-4", "test-5": "test-2"}
    assert found == expected | {"test-1": None, "test-3": "test-1"}
    # a clip that was not predicted is passed over
    assert film_order(films["stimuli"], ["test-5", "test-4"]) == [1, -1]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_clips_follow_each_other_film_by_film_in_every_variant(films, tmp_path, batch_size):
    section = Counting.Options(
        component="counting", inputs={"level": "level"}, batch_size=batch_size, precision="32-true"
    )
    out = make(films, section, tmp_path / "videos.h5")
    number = np.arange(len(CLIPS)) * 7
    own = {"network": number + 10, "ridge": number + 60, "oracle": number + 110}
    own["shuffled"] = own["network"][derangement(len(CLIPS), 0)]
    with open_artifact(out, "videos") as file:
        assert read_strings(file["clip"]) == CLIPS
        assert set(file["frames"]) == set(own)
    for variant, levels in own.items():
        frames = frames_of(out, variant)
        assert frames.shape == (len(CLIPS), FRAMES, SIZE, SIZE, 3)
        for clips in FILMS.values():
            first = levels[CLIPS.index(clips[0])]
            for place, clip in enumerate(clips):
                shown = frames[CLIPS.index(clip)]
                assert (shown[..., :2] == first + place).all(), (variant, clip)
                assert (shown[..., 2] == levels[CLIPS.index(clip)]).all(), (variant, clip)
    assert not list(tmp_path.glob(".*"))


# --- what is refused --------------------------------------------------------------------------


def edit(study, name, values=None):
    with edited(study["predictions"]) as file:
        del file[name]
        if values is not None:
            file[name] = values


def refused(study, error, match, out, settings):
    with pytest.raises(error, match=match) as caught:
        make(study, settings, out)
    assert not out.exists()
    assert not list(out.parent.glob(".videos*"))
    return str(caught.value)


def test_missing_vectors_are_named(study, models, tmp_path):
    out, settings = tmp_path / "videos.h5", options(models)
    other = {**study, "subject": "sub-09"}
    assert "movie/sub-09/clip" in refused(other, ArtifactError, "lacks a dataset", out, settings)
    edit(study, "movie/sub-01/ridge/averaged/latents")
    text = refused(study, ArtifactError, "lacks a dataset", out, settings)
    assert "movie/sub-01/ridge/averaged/latents" in text
    lost = {**study, "targets": {"conditioning": study["targets"]["conditioning"]}}
    oracle = options(models, baselines=("oracle",))
    assert "latents" in refused(lost, ArtifactError, "no target artifact", out, oracle)
    edit(study, "training_mean/movie/conditioning")
    mean = options(models, baselines=(), negative="training_mean")
    refused(study, ArtifactError, "lack the training mean", out, mean)


def test_vectors_that_do_not_fit_are_refused(study, models, tmp_path):
    out, settings = tmp_path / "videos.h5", options(models, baselines=())
    place = "movie/sub-01/network/averaged"
    good = predictions(study, "latents").numpy()
    edit(study, f"{place}/latents", good[:, :, :2])
    text = refused(study, DataError, "latents do not fit", out, settings)
    assert "(4, 4, 4, 4)" in text
    bad = good.copy()
    bad[3, 0, 0, 0, 0] = np.nan
    edit(study, f"{place}/latents", bad)
    assert "row 3" in refused(study, DataError, "not finite", out, settings)
    edit(study, f"{place}/latents", good)
    edit(study, f"{place}/conditioning", np.zeros((5, TOKENS, 7), np.float32))
    refused(study, DataError, "conditioning does not fit", out, settings)
    whole = options(models, baselines=("oracle",))
    refused(study, ArtifactError, "another shape", out, whole)


def test_one_clip_cannot_be_shuffled(study, models, tmp_path):
    for name in ("clip", *(f"network/averaged/{t}" for t in SHAPES)):
        with h5py.File(study["predictions"]) as file:
            kept = file[f"movie/sub-01/{name}"][:1]
        edit(study, f"movie/sub-01/{name}", kept)
    settings = options(models, baselines=("shuffled",))
    refused(study, DataError, "cannot be shuffled", tmp_path / "videos.h5", settings)


def test_impossible_sections_are_refused(study, models, tmp_path):
    out = tmp_path / "videos.h5"
    for settings, match in (
        (options(models, component="text_to_video", inputs={}), "text_to_video lacks an input"),
        (options(models, inputs={"latents": None}), "video_to_video lacks an input"),
        (options(models, inputs={"latents": "latents", "sound": "x"}), "takes no input 'sound'"),
        (options(models, scheduler="Nope"), "unknown scheduler"),
        (options(models).model_copy(update={"component": "nope"}), "unknown generator"),
        (
            options(models, inputs={"latents": "latents"}, negative="training_mean"),
            "no training mean",
        ),
    ):
        refused(study, ConfigError, match, out, settings)
    check_inputs(options(models, component="text_to_video", inputs={"conditioning": "any"}))
    check_inputs(options(models, inputs={"conditioning": None, "latents": "latents"}))


def test_a_model_that_does_not_fit_is_refused(study, models, tmp_path):
    folder = save_text_to_video(tmp_path / "long", frames=6)
    settings = options({"long": str(folder)}, "long")
    text = refused(study, ModelError, "another number: frames", tmp_path / "videos.h5", settings)
    assert "expected: 6" in text
    (folder / "vae" / "config.json").unlink()
    text = refused(study, ModelError, "lacks a part", tmp_path / "videos.h5", settings)
    assert "vae/config.json" in text


def test_a_truncated_artifact_is_refused(study, models, tmp_path):
    path = study["predictions"]
    path.write_bytes(path.read_bytes()[:3000])
    refused(study, ArtifactError, "is damaged", tmp_path / "videos.h5", options(models))


# --- parts ------------------------------------------------------------------------------------


def test_file_names_are_safe_and_distinct():
    assert safe_name("sub-01_clip.3+x") == "sub-01_clip.3+x"
    hostile = ["../../etc/passwd", "a/b", "a_b", "a b", "..", ".hidden", "-rf", "", "ü" * 300]
    names = [safe_name(clip) for clip in hostile]
    assert len(set(names)) == len(hostile)
    for name in names:
        assert "/" not in name
        assert name[0] not in ".-"
        assert len(name) < 100
        assert Path(name).name == name


@pytest.mark.parametrize("shape", [(5, 32, 48, 3), (3, 31, 33, 3), (1, 64, 64, 3)])
def test_mp4_holds_the_frames_it_was_given(tmp_path, shape):
    rows, columns = np.mgrid[: shape[1], : shape[2]]
    frames = np.stack(
        [np.stack([rows * 3 + 10 * k, columns * 3, rows + columns], -1) for k in range(shape[0])]
    ).astype(np.uint8)
    write_mp4(tmp_path / "a.mp4", frames, 4.0)
    write_mp4(tmp_path / "b.mp4", frames, 4.0)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert stream.average_rate == 4
    assert len(decoded) == shape[0]
    found = np.stack(decoded)[:, : shape[1], : shape[2]].astype(int)
    assert found.shape == shape
    assert np.abs(found - frames).mean() < 3


def test_a_folder_of_movies_replaces_an_older_one(tmp_path):
    frames = np.zeros((2, 16, 16, 3), np.uint8)
    folder = tmp_path / "movies"
    write_folder(folder, [("old", frames)], 4.0)
    made = write_folder(folder, [("new", frames), ("a/b", frames)], 4.0)
    assert sorted(folder.iterdir()) == sorted(made)
    with pytest.raises(VideoError, match="cannot be written"):
        write_folder(folder, [("bad", frames.astype(float))], 4.0)
    assert sorted(folder.iterdir()) == sorted(made)
    assert len(list(tmp_path.iterdir())) == 1
