"""The models that are shipped: whole, small, and as good as their cards say."""

import json

import numpy as np
import pytest

from brainflix.models.source import EMBEDDED

FOLDERS = ("clip", "text-to-video", "frame-classifier", "video-classifier")


def test_weights_are_small_and_each_model_has_a_card():
    weights = list(EMBEDDED.rglob("*.safetensors"))
    assert sum(path.stat().st_size for path in weights) <= 25e6
    for name in FOLDERS:
        card = (EMBEDDED / name / "README.md").read_text(encoding="utf-8")
        assert "Trained on" in card
        assert "held-out combinations" in card


def test_no_folder_tells_where_it_was_made():
    for path in EMBEDDED.rglob("*.json"):
        assert "_name_or_path" not in path.read_text(encoding="utf-8"), path


@pytest.fixture(scope="module")
def unseen():
    """Forty scenes of each kind that no training pool was drawn from."""
    from brainflix.embedded.data import make_pool

    return {held_out: make_pool(40, 901 + held_out, held_out) for held_out in (False, True)}


def test_classifiers_read_true_clips(unseen):
    from brainflix.embedded.assessment import accuracy
    from brainflix.embedded.classifiers import classify
    from brainflix.embedded.train import load_classifiers

    classifiers = load_classifiers(EMBEDDED)
    for pool in unseen.values():
        found = accuracy(classify(classifiers["frame"], pool.clips, video=False), pool)
        found |= {
            "motion": accuracy(classify(classifiers["video"], pool.clips, video=True), pool)[
                "motion"
            ]
        }
        assert min(found.values()) >= 0.9, found


def test_the_vae_returns_what_it_was_given(unseen):
    from brainflix.embedded.assessment import vae_similarity
    from brainflix.embedded.train import load_parts

    vae = load_parts(EMBEDDED)["vae"]
    assert vae_similarity(vae, unseen[True].clips[:10]) >= 0.8
    noise = np.random.default_rng(0).integers(0, 256, (2, 8, 64, 64, 3), dtype=np.uint8)
    assert vae_similarity(vae, noise) < 0.5


def test_text_becomes_the_clip_it_describes(unseen):
    from brainflix.embedded.assessment import generate_from_captions, judge
    from brainflix.embedded.train import load_classifiers, load_parts

    pool = unseen[False]
    clips = generate_from_captions(load_parts(EMBEDDED), pool, seed=0, steps=12)
    right = judge(load_classifiers(EMBEDDED), clips, pool)
    claimed = json.loads((EMBEDDED / "assessment.json").read_text(encoding="utf-8"))
    expected = claimed["seen_combinations"]["text_to_video"]
    assert set(right) == set(expected)
    for name, share in right.items():
        deviation = 3 * np.sqrt(expected[name] * (1 - expected[name]) / len(pool.scenes))
        assert share >= expected[name] - deviation - 0.1, (name, share, expected[name])


def test_a_small_budget_trains_every_part(tmp_path):
    from brainflix.embedded.train import Budget, train

    budget = Budget(
        vae_clips=6,
        vae_steps=2,
        vae_object_steps=2,
        text_scenes=20,
        text_steps=2,
        clip_clips=12,
        clip_steps=2,
        clip_last_steps=2,
        frame_steps=2,
        video_steps=2,
        denoiser_clips=6,
        denoiser_first_steps=2,
        denoiser_steps=2,
    )
    train(tmp_path / "models", seed=1, budget=budget, assessed=50)
    figures = json.loads((tmp_path / "models" / "assessment.json").read_text())
    assert figures["seen_combinations"]["n"] == 50
    assert {path.name for path in (tmp_path / "models").iterdir()} >= set(FOLDERS)
    assert not list(tmp_path.glob(".*partial*"))
