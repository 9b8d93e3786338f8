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
    from brainflix.embedded.training.data import make_pool

    return {held_out: make_pool(40, 901 + held_out, held_out) for held_out in (False, True)}


def test_classifiers_read_true_clips(unseen):
    from brainflix.embedded.training.assessment import accuracy
    from brainflix.embedded.training.classifiers import classify
    from brainflix.embedded.training.run import load_classifiers

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
    from brainflix.embedded.training.assessment import vae_similarity
    from brainflix.embedded.training.run import load_parts

    vae = load_parts(EMBEDDED)["vae"]
    assert vae_similarity(vae, unseen[True].clips[:10]) >= 0.8
    noise = np.random.default_rng(0).integers(0, 256, (2, 8, 64, 64, 3), dtype=np.uint8)
    assert vae_similarity(vae, noise) < 0.5


def test_text_becomes_the_clip_it_describes(unseen):
    from brainflix.embedded.training.assessment import generate_from_captions, judge
    from brainflix.embedded.training.run import load_classifiers, load_parts

    pool = unseen[False]
    clips = generate_from_captions(load_parts(EMBEDDED), pool, seed=0, steps=12)
    right = judge(load_classifiers(EMBEDDED), clips, pool)
    claimed = json.loads((EMBEDDED / "assessment.json").read_text(encoding="utf-8"))
    expected = claimed["seen_combinations"]["text_to_video"]
    assert set(right) == set(expected)
    for name, share in right.items():
        deviation = 3 * np.sqrt(expected[name] * (1 - expected[name]) / len(pool.scenes))
        assert share >= expected[name] - deviation - 0.1, (name, share, expected[name])


def test_training_dwells_on_the_object_and_lets_go_of_it():
    import torch

    from brainflix.embedded.training.denoiser import emphasise

    reached = torch.zeros(2, 8, 16, 16, dtype=torch.bool)
    reached[:, :, :4, :8] = True
    early, late = emphasise(reached, 0.5), emphasise(reached, 1.0)
    assert early.mean() == pytest.approx(1.0)
    assert (early[reached].mean() / early[~reached].mean()).item() == pytest.approx(5.0)
    assert torch.equal(late, torch.ones_like(late))
    between = emphasise(reached, 0.85)
    assert (between[reached].mean() / between[~reached].mean()).item() == pytest.approx(3.0)


def test_time_steps_gather_in_the_middle_and_reach_both_ends():
    import torch

    from brainflix.embedded.training.denoiser import draw_times

    times = draw_times(20000, torch.Generator().manual_seed(0))
    assert times.min() >= 0
    assert times.max() <= 999
    middle = ((times >= 320) & (times < 640)).float().mean().item()
    assert middle == pytest.approx(0.5 * 0.32 + 0.5 * 0.683, abs=0.02)
    assert (times < 50).float().mean().item() > 0.02


def test_convolutions_keep_what_the_transformer_is_given():
    import torch

    from brainflix.models.space_time import SpaceTimeTransformer

    torch.manual_seed(0)
    model = SpaceTimeTransformer(
        height=8, width=8, patch=4, dim=16, layers=1, heads=2, text_dim=6, text_tokens=3, local=4
    )
    noisy, text = torch.randn(2, 4, 8, 8, 8), torch.randn(2, 3, 6)
    assert torch.count_nonzero(model(noisy, torch.tensor(5), text)) == 0  # starts from nothing
    torch.nn.init.normal_(model.out.weight)
    out = model(noisy, torch.tensor(5), text)
    assert out.shape == noisy.shape
    # a change of one frame is seen in the others only through the transformer
    other = noisy.clone()
    other[:, :, 7] += 1
    torch.nn.init.zeros_(model.head.weight)
    changed = (model(other, torch.tensor(5), text) - model(noisy, torch.tensor(5), text)).abs()
    assert changed[:, :, :7].max() == 0
    assert changed[:, :, 7].max() > 0


def test_a_small_budget_trains_every_part(tmp_path):
    from brainflix.embedded.training.run import Budget, train

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
        denoiser_steps=2,
    )
    train(tmp_path / "models", seed=1, budget=budget, assessed=50)
    figures = json.loads((tmp_path / "models" / "assessment.json").read_text())
    assert figures["seen_combinations"]["n"] == 50
    assert {path.name for path in (tmp_path / "models").iterdir()} >= set(FOLDERS)
    assert not list(tmp_path.glob(".*partial*"))
