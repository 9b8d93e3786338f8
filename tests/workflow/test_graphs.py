"""Recipes as graphs, from files to videos, with components that only these tests have.

Nothing in a rule, in config/ or in cli/ knows any of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
EXTENSION = ROOT / "tests" / "support" / "extensions.py"
SNAKEMAKE = Path(sys.executable).parent / "snakemake"
TARGET = {"encoder": "clip_image", "model": "embedded:clip"}
CONFIG = {
    "extensions": [str(EXTENSION)],
    "studies": {
        "films": {
            "root": "data/films",
            "subjects": ["sub-01", "sub-02"],
            "simulation": {
                "voxels": 200,
                "train_runs": 4,
                "train_clips_per_run": 6,
                "train_repeats": 2,
                "test_clips": 5,
                "test_repeats": 2,
                "noise": 0.4,
                "seed": 3,
            },
            "preprocessing": {"selection": {"alpha": 0.2, "correction": "none"}},
        }
    },
    "stimuli": {"frames": 2, "height": 16, "width": 16},
    "targets": {"clip_image": TARGET, "clip_text": {**TARGET, "encoder": "clip_text"}},
    "evaluation": {"metrics": ["psnr"], "permutations": 99, "bootstrap": 100},
}
TOKENS = {
    "component": "voxel_tokens",
    "model": "pretraining:patches",
    "heads": {"clip_image": {}},
    "validation_fraction": 0.25,
}
EXPERIMENTS = {
    # voxels as tokens behind a pretraining, and no alignment
    "tokens": {
        "pretraining": {"patches": {"component": "patch_basis", "dim": 3}},
        "regression": TOKENS,
        "generation": {"component": "painter", "inputs": {"brightness": "clip_image"}},
    },
    # two decoding paths side by side into one generator; a finetuned model next to them
    "paths": {
        "pretraining": {"patches": {"component": "patch_basis"}},
        "paths": {
            "seen": {"regression": TOKENS},
            "said": {"regression": {**TOKENS, "heads": {"clip_text": {}}}},
        },
        "finetuning": {"mean": {"component": "mean_frame", "targets": ["clip_image"]}},
        "generation": {
            "component": "painter",
            "inputs": {
                "brightness": {"target": "clip_image", "path": "seen"},
                "colour": "clip_text",
            },
        },
    },
    # generator -> captioner -> generator, and the first one's clips as keyframes
    "chain": {
        "pretraining": {"patches": {"component": "patch_basis"}},
        "regression": TOKENS,
        "generators": {"sketch": {"component": "painter", "inputs": {"brightness": "clip_image"}}},
        "captioners": {
            "words": {"component": "grey_level", "inputs": {"clips": {"generator": "sketch"}}}
        },
        "generation": {
            "component": "painter",
            "inputs": {"caption": {"captioner": "words"}, "keyframe": {"generator": "sketch"}},
        },
    },
    # each clip from the one before
    "films_on": {
        "pretraining": {"patches": {"component": "patch_basis"}},
        "regression": TOKENS,
        "generation": {
            "component": "continued",
            "batch_size": 3,
            "inputs": {"brightness": "clip_image"},
        },
    },
}


def snakemake(folder, *arguments):
    """Run snakemake in a folder, with no environment active."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    settings = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [SNAKEMAKE, "-s", ROOT / "Snakefile", "--configfile", "mine.yaml", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | settings,
        check=False,
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Run all four graphs from files to videos."""
    folder = tmp_path_factory.mktemp("graphs")
    experiments = {
        name: {"cohorts": {"films": "all"}, **section} for name, section in EXPERIMENTS.items()
    }
    (folder / "mine.yaml").write_text(yaml.safe_dump({**CONFIG, "experiments": experiments}))
    videos = [
        f"results/{name}/videos/films/{subject}.h5"
        for name in EXPERIMENTS
        for subject in ("sub-01", "sub-02")
    ]
    mark = "results/paths/finetuning/mean/brainflix_model.json"
    page = "results/tokens/report/index.html"
    result = snakemake(folder, "--cores", "2", *videos, mark, page)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return folder


def frames(folder, place, variant="network"):
    """Return a subject's clips, (clip, frame, height, width, 3)."""
    with h5py.File(folder / f"results/{place}/films/sub-02.h5") as file:
        return file[f"frames/{variant}"][()].astype(int)


def test_voxel_tokens_with_a_pretraining_and_no_alignment_make_videos(done):
    assert not (done / "results/tokens/alignment").exists()
    assert (done / "results/tokens/pretraining/patches/basis.npy").is_file()
    assert np.load(done / "results/tokens/pretraining/patches/basis.npy").shape == (16, 3)
    assert len(np.unique(frames(done, "tokens/videos")[:, 0, 0, 0, 0])) > 1
    assert (done / "results/tokens/report/index.html").is_file()


def test_two_paths_meet_in_one_generator(done):
    clips = frames(done, "paths/videos", "oracle")
    assert (done / "results/paths/paths/seen/regression/predictions.h5").is_file()
    assert (done / "results/paths/paths/said/regression/predictions.h5").is_file()
    assert (clips[..., 0] != clips[..., 1]).any()
    assert clips[..., 2].max() == 0
    assert np.load(done / "results/paths/finetuning/mean/mean.npy").shape == (16, 16, 3)


def test_a_generators_clips_are_captioned_for_another(done):
    for variant in ("network", "ridge", "shuffled", "oracle"):
        sketch = frames(done, "chain/generators/sketch", variant)
        clips = frames(done, "chain/videos", variant)
        np.testing.assert_array_equal(clips[..., 0], sketch[..., 0])  # by way of the caption
        np.testing.assert_array_equal(clips[..., 2], sketch[..., 0])  # by way of the keyframe


def test_each_clip_follows_the_one_before_it_in_its_film(done):
    for variant in ("network", "oracle"):
        clips = frames(done, "films_on/videos", variant)
        np.testing.assert_array_equal(clips[:, 0, 0, 0, 0], np.arange(len(clips)))


def test_stages_that_a_recipe_leaves_out_are_nowhere(done):
    rules = snakemake(done, "--list-rules").stdout.split()
    assert "align" not in rules
    assert {"pretrain", "finetune", "regress", "generate_input", "caption"} <= set(rules)


def test_a_circle_of_inputs_is_refused(done, tmp_path):
    circle = {
        **EXPERIMENTS["chain"],
        "cohorts": {"films": "all"},
        "generators": {
            "sketch": {"component": "painter", "inputs": {"caption": {"captioner": "words"}}}
        },
    }
    text = yaml.safe_dump({**CONFIG, "experiments": {"chain": circle}})
    (tmp_path / "mine.yaml").write_text(text)
    result = snakemake(tmp_path, "-n")
    assert result.returncode == 2
    assert "a circle of inputs" in result.stderr
    assert "Traceback" not in result.stderr
