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
    early, late = emphasise(reached, 0.5, 0.3), emphasise(reached, 1.0, 0.3)
    assert early.mean() == pytest.approx(1.0)
    assert (early[reached].mean() / early[~reached].mean()).item() == pytest.approx(5.0)
    assert torch.equal(late, torch.ones_like(late))
    between = emphasise(reached, 0.85, 0.3)
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


BUDGET = {
    "vae_clips": 6,
    "vae_steps": 2,
    "vae_object_steps": 2,
    "text_scenes": 20,
    "text_steps": 2,
    "clip_clips": 12,
    "clip_steps": 2,
    "clip_last_steps": 2,
    "frame_steps": 2,
    "video_steps": 2,
    "denoiser_first_clips": 4,
    "denoiser_first_steps": 2,
    "denoiser_clips": 6,
    "denoiser_steps": 2,
}


def test_a_small_budget_trains_every_part_and_a_late_failure_loses_none(tmp_path, monkeypatch):
    from brainflix.embedded.training import run as module

    def fail(*arguments):
        raise RuntimeError("late")

    out, budget = tmp_path / "models", module.Budget(**BUDGET)
    with monkeypatch.context() as patch:
        patch.setattr(module, "assess", fail)
        with pytest.raises(RuntimeError, match="late"):
            module.train(out, seed=1, budget=budget, assessed=50)
    assert not out.exists()
    untrained = {
        name: module.Part(fail, part.budget, part.needs) for name, part in module.PARTS.items()
    }
    monkeypatch.setattr(module, "PARTS", untrained)
    module.train(out, seed=1, budget=budget, assessed=50)
    figures = json.loads((out / "assessment.json").read_text())
    assert figures["seen_combinations"]["n"] == 50
    assert {path.name for path in out.iterdir()} == {*FOLDERS, "assessment.json"}
    assert not list(tmp_path.glob(".*partial*"))


def test_parts_of_another_budget_or_seed_are_trained_anew(tmp_path, monkeypatch):
    from dataclasses import replace

    from brainflix.embedded.training import run as module

    trained: list[str] = []

    def stop(*arguments):
        raise KeyboardInterrupt

    def start(seed: int, **changes: int) -> list[str]:
        trained.clear()
        with pytest.raises(KeyboardInterrupt):
            module.train(tmp_path / "models", seed, replace(module.Budget(), **changes))
        return list(trained)

    fakes = {
        name: module.Part(
            lambda out, seed, budget, scratch, name=name: trained.append(name),
            part.budget,
            part.needs,
        )
        for name, part in module.PARTS.items()
    }
    monkeypatch.setattr(module, "PARTS", fakes)
    monkeypatch.setattr(module, "assess", stop)
    assert start(0) == list(module.PARTS)
    assert start(0) == []
    assert start(0, denoiser_steps=5) == ["denoiser"]
    assert start(0, denoiser_steps=5, text_steps=3) == [
        "text-encoder",
        "denoiser-first",
        "denoiser",
    ]
    assert start(0) == ["text-encoder", "denoiser-first", "denoiser"]
    assert start(1) == list(module.PARTS)


def test_unfinished_work_is_kept_under_its_key_alone(tmp_path):
    from brainflix.embedded.training.parts import Ledger

    ledger = Ledger(tmp_path)
    (ledger.begin("a", {"steps": 2}) / "half").write_text("done")
    assert (ledger.begin("a", {"steps": 2}) / "half").is_file()
    assert not ledger.done("a", {"steps": 2})
    ledger.finish("a", {"steps": 2})
    assert ledger.done("a", {"steps": 2})
    assert not ledger.done("a", {"steps": 3})
    assert not (ledger.begin("a", {"steps": 3}) / "half").exists()
    assert not ledger.done("a", {"steps": 2})


def test_every_field_of_the_budget_belongs_to_a_part():
    from dataclasses import fields

    from brainflix.embedded.training.run import PARTS, Budget

    used = [name for part in PARTS.values() for name in part.budget]
    assert set(used) == {field.name for field in fields(Budget)}


def test_clips_do_not_depend_on_the_number_of_processes():
    from brainflix.embedded.training.data import make_pool

    alone, together = (make_pool(60, (3, 1), processes=count) for count in (1, 2))
    assert alone.scenes == together.scenes
    np.testing.assert_array_equal(alone.clips, together.clips)


@pytest.fixture(scope="module")
def phrasebook():
    """All captions under a random code, a vector a word."""
    import torch

    from brainflix.embedded.training.conditioning import Phrasebook
    from brainflix.simulation.world import vocabulary

    draw = torch.Generator().manual_seed(0)
    codes = {word: torch.randn(6, generator=draw) for word in vocabulary()}
    nothing = torch.zeros(6)

    def encode(texts: list[str]) -> torch.Tensor:
        rows = []
        for text in texts:
            words = [codes[word] for word in text.split()]
            rows.append(torch.stack([*words, *[nothing] * (14 - len(words))]))
        return torch.stack(rows)

    return Phrasebook.make(encode)


def test_a_phrasebook_finds_the_captions_of_labels(phrasebook):
    import torch

    from brainflix.embedded.training.conditioning import combinations, flat_index
    from brainflix.simulation.world import ATTRIBUTES, LABELS

    scenes = combinations()
    labels = torch.tensor(
        [[LABELS[name].index(getattr(scene, name)) for name in ATTRIBUTES] for scene in scenes]
    )
    assert torch.equal(flat_index(labels), torch.arange(len(scenes)))
    # red and green balls are told alike where the colour is left out, balls and boxes are not
    of = {(s.object, s.colour, s.background, s.motion): k for k, s in enumerate(scenes)}
    ball, green, box = (
        of[kind, colour, "sky", "up"]
        for kind, colour in (("ball", "red"), ("ball", "green"), ("box", "red"))
    )
    rows = flat_index(labels, without=ATTRIBUTES.index("colour"))
    assert rows[ball] == rows[green] != rows[box]
    # seven colours of eight may occur with a ball, and each counts the same
    table = phrasebook.texts.view(8, 8, 5, 10, *phrasebook.texts.shape[1:]).float()
    sky = table[0, [0, 1, 2, 3, 4, 6, 7], 0, 2].mean(0)
    left = phrasebook.without[ATTRIBUTES.index("colour")][rows[ball]].float()
    torch.testing.assert_close(left, sky, atol=2e-3, rtol=0)


def test_errors_keep_the_length_and_point_where_captions_differ(phrasebook):
    import torch

    draw = torch.Generator().manual_seed(1)
    labels = torch.tensor([[0, 0, 0, 2]]).repeat(400, 1)
    labels[:, 0] = torch.randint(8, (400,), generator=draw)
    labels[:, 1] = (3 * labels[:, 0]) % 8  # never the held-out colour, which is 5 further

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=draw)

    from brainflix.embedded.training.conditioning import flat_index

    clean = phrasebook.texts[flat_index(labels)].float().mean(1)
    told = phrasebook._distort(clean, clean, uniform, draw)
    changed = (told - clean).flatten(1).norm(dim=1) > 1e-4
    assert 0.4 < changed.float().mean() < 0.6
    length = (clean - phrasebook.mean).flatten(1).norm(dim=1).mean()
    error = (told - clean).flatten(1).norm(dim=1)[changed] / length
    assert error.max() < 1.4
    assert 0.3 < error.square().mean().sqrt() < 0.8
    # all clips are in the sky: no error says that one is elsewhere
    basis = torch.linalg.svd((clean - clean.mean(0)).flatten(1), full_matrices=False)
    common = (clean.mean(0) - phrasebook.mean).flatten()
    span = torch.cat([basis.Vh[basis.S > 1e-2], common[None] / common.norm()])
    rest = (told - clean).flatten(1)
    outside = rest - rest @ torch.linalg.pinv(span) @ span
    assert outside.abs().max() < 1e-2


def test_what_is_told_is_right_complete_and_clean_in_the_first_phase(phrasebook):
    import torch

    draw = torch.Generator().manual_seed(2)
    labels = torch.tensor([[1, 2, 3, 4]]).repeat(500, 1)
    every = phrasebook.texts.view(8, 8, 5, 10, *phrasebook.texts.shape[1:])[1, 2, 3, 4].float()
    spread = (every - every.mean(0)).flatten(1).norm(dim=1).max()

    def distance(imperfect: bool) -> torch.Tensor:
        told = phrasebook.draw(labels, draw, imperfect)
        empty = (told == phrasebook.empty).flatten(1).all(1)
        assert 0.03 < empty.float().mean() < 0.15
        return (told[~empty] - every.mean(0)).flatten(1).norm(dim=1)

    white = 0.15 * every[0].numel() ** 0.5 * 1.3
    assert distance(False).max() < spread + white
    assert distance(True).max() > distance(False).max()


@pytest.fixture
def examples(phrasebook):
    import torch

    from brainflix.embedded.training.denoiser import Examples

    draw = torch.Generator().manual_seed(3)
    return Examples(
        torch.randn(12, 4, 8, 8, 8, generator=draw).half(),
        torch.randint(5, (12, 4), generator=draw),
        torch.rand(12, 8, 8, 8, generator=draw) < 0.1,
        phrasebook,
    )


def test_a_stopped_denoiser_goes_on_to_the_same_weights(examples, tmp_path):
    import torch

    from brainflix.embedded.training.denoiser import Phase, train_denoiser

    phase = Phase("test", 4, 1e-3, 0.0, True, batch=3)
    whole, _ = train_denoiser(examples, phase, 5)

    def stop(model, step):
        raise KeyboardInterrupt

    state = tmp_path / "state.pt"
    with pytest.raises(KeyboardInterrupt):
        train_denoiser(examples, phase, 5, state=state, on_snapshot=stop, every=2)
    resumed, _ = train_denoiser(examples, phase, 5, state=state, every=2)
    for first, second in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(first, second)
    other, _ = train_denoiser(examples, phase, 6)
    assert not torch.equal(next(whole.parameters()), next(other.parameters()))


def test_a_curve_goes_on_in_the_middle_of_a_stretch():
    import torch

    from brainflix.embedded.training.loop import Curve

    values = torch.arange(6, dtype=torch.float32)
    whole, first, second = (Curve("test", every=3) for _ in range(3))
    for step, value in enumerate(values):
        whole.log(step, loss=value)
        (first if step < 2 else second).log(step, loss=value)
        if step == 1:
            second.restore(first.state())
    assert whole.rows == second.rows
    assert [row["loss"] for row in whole.rows] == pytest.approx([1.0, 4.0])


@pytest.fixture
def elsewhere(monkeypatch):
    """Make another device the one to train on, without values: mixing it with the CPU fails.

    Generators and autocast do not exist for it, so they are done without.
    """
    import contextlib

    import torch

    from brainflix.embedded.training import (
        assessment,
        classifiers,
        conditioning,
        denoiser,
        image_text,
        loop,
        text,
        vae,
    )

    where = torch.device("meta")
    loops = (classifiers, image_text, denoiser, text, vae)
    for module in (assessment, conditioning, loop, *loops):
        monkeypatch.setattr(module, "device", lambda: where)
    for module in loops:
        monkeypatch.setattr(module, "seeded", lambda seed: None)
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: contextlib.nullcontext())
    return where


def test_training_needs_nothing_from_another_device(examples, elsewhere):
    from dataclasses import replace

    import torch

    from brainflix.embedded.training.denoiser import Examples, Phase, train_denoiser

    book = examples.phrasebook
    moved = Examples(
        *(part.to(elsewhere) for part in (examples.latents, examples.labels, examples.reached)),
        replace(
            book,
            texts=book.texts.to(elsewhere),
            without=[part.to(elsewhere) for part in book.without],
            mean=book.mean.to(elsewhere),
            empty=book.empty.to(elsewhere),
        ),
    )
    phase = Phase("test", 2, 1e-3, 0.0, True, batch=3)
    model, _ = train_denoiser(moved, phase, 5)
    assert {part.device for part in model.parameters()} == {elsewhere}
    left = replace(moved.phrasebook, mean=torch.zeros(book.mean.shape))  # one tensor is forgotten
    with pytest.raises(RuntimeError, match="device"):
        train_denoiser(Examples(moved.latents, moved.labels, moved.reached, left), phase, 5)


@pytest.mark.parametrize("part", ["vae", "text", "clip", "frame", "video"])
def test_no_training_loop_mixes_devices(part, elsewhere, monkeypatch):
    import torch

    from brainflix.embedded.training import vae
    from brainflix.embedded.training.classifiers import train_classifier
    from brainflix.embedded.training.data import make_pool
    from brainflix.embedded.training.image_text import train_clip
    from brainflix.embedded.training.text import train_text_encoder

    monkeypatch.setattr(vae, "encode_clips", lambda model, clips: torch.arange(8.0))
    pool = make_pool(4, 1)
    model = {
        "vae": lambda: vae.train_vae(pool, 2, 1, seed=0, batch=4),
        "text": lambda: train_text_encoder(4, 2, seed=0, batch=4),
        "clip": lambda: train_clip(pool, 2, seed=0, batch=4),
        "frame": lambda: train_classifier(pool, False, 2, seed=0),
        "video": lambda: train_classifier(pool, True, 2, seed=0),
    }[part]()[0]
    assert {parameter.device for parameter in model.parameters()} == {elsewhere}


def test_the_denoiser_is_assessed_where_it_lies(unseen, elsewhere, monkeypatch):
    import torch

    from brainflix.embedded.training import assessment
    from brainflix.embedded.training.denoiser import build_scheduler
    from brainflix.generation.sampler import Sampler
    from brainflix.models.space_time import SpaceTimeTransformer

    seen = []

    class Recorder(SpaceTimeTransformer):
        def forward(self, hidden_states, timestep, encoder_hidden_states):
            seen.append({part.device for part in (hidden_states, timestep, encoder_hidden_states)})
            return super().forward(hidden_states, timestep, encoder_hidden_states)

    # a scheduler reads its time steps, which have no values there
    monkeypatch.setattr(
        Sampler,
        "timesteps",
        lambda self, strength=1.0, device=None: torch.tensor([900, 400], device=device),
    )
    monkeypatch.setattr(Sampler, "start", lambda self, noise, times: noise)
    monkeypatch.setattr(
        Sampler,
        "run",
        lambda self, denoise, sample, times, text, negative: [
            denoise(sample, time, text) for time in times
        ][-1],
    )
    monkeypatch.setattr("brainflix.generation.denoisers.as_function", lambda model: model)
    monkeypatch.setattr(
        assessment, "encode_text", lambda encoder, tokenizer, texts: torch.zeros(len(texts), 3, 6)
    )
    monkeypatch.setattr(
        assessment, "decode_latents", lambda vae, latents: np.zeros(latents.shape[0])
    )
    model = Recorder(
        height=8, width=8, patch=4, dim=16, layers=1, heads=2, text_dim=6, text_tokens=3, local=4
    )
    parts = {
        "denoiser": model.to(elsewhere),
        "vae": None,
        "text_encoder": None,
        "tokenizer": None,
        "scheduler": build_scheduler(),
    }
    assessment.generate_from_captions(parts, unseen[False], seed=0, steps=2)
    assert seen
    assert all(devices == {elsewhere} for devices in seen)


def test_a_time_step_may_lie_on_another_device():
    import torch

    from brainflix.models.space_time import SpaceTimeTransformer

    model = SpaceTimeTransformer(
        height=8, width=8, patch=4, dim=16, layers=1, heads=2, text_dim=6, text_tokens=3, local=4
    ).to("meta")
    noisy, text = (torch.zeros(shape, device="meta") for shape in ((2, 4, 8, 8, 8), (2, 3, 6)))
    assert model(noisy, torch.tensor(5), text).device.type == "meta"
