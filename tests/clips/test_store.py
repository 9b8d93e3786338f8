"""Clips on disk: the same as in memory, a few at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from brainflix.clips.clips import VideoClips, random_rows
from brainflix.clips.store import FrameStore, blocks, take
from brainflix.config.recipe import EvaluationConfig
from brainflix.errors import DataError
from brainflix.evaluation.baselines import grey_clip, repeated
from brainflix.evaluation.comparison import paired
from brainflix.evaluation.pooling import over_subjects
from brainflix.evaluation.scoring import Scorer, score_system, with_q
from brainflix.metrics.catalogue import MODEL_FREE, usable
from brainflix.metrics.models import MetricModels

SHAPE = (7, 3, 16, 20, 3)


@pytest.fixture
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)


def stores(frames: np.ndarray, folder: Path) -> dict[str, FrameStore]:
    flat = FrameStore.create(folder / "flat", frames.shape)
    flat.append(frames[:3])
    flat[3:5] = frames[3:5]
    flat[6] = frames[6]
    flat[np.array([5])] = frames[5:6]
    with h5py.File(folder / "clips.h5", "w", userblock_size=512) as file:
        file["contiguous"] = frames
        file.create_dataset("packed", data=frames, compression="gzip", chunks=(2, *SHAPE[1:]))
    with h5py.File(folder / "clips.h5") as file:
        opened = {name: FrameStore.open(file[name]) for name in ("contiguous", "packed")}
    return {"flat": flat, **opened}


@pytest.mark.parametrize("kind", ["flat", "contiguous", "packed"])
def test_a_store_indexes_as_an_array_does(kind: str, frames: np.ndarray, tmp_path: Path) -> None:
    store = stores(frames, tmp_path)[kind]
    assert store.shape == SHAPE
    assert len(store) == 7
    assert store.dtype == np.uint8
    picks = (
        0,
        -1,
        slice(1, 5),
        slice(None, None, 2),
        [3, 1, 2],
        np.array([0, 1, 1, 5]),
        slice(4, 4),
    )
    for rows in (*picks, np.arange(7) % 2 == 0):
        np.testing.assert_array_equal(store[rows], frames[rows])
    view = take(take(store, [5, 2, 3]), [2, 0])
    np.testing.assert_array_equal(view[:], frames[[3, 5]])
    store.close()
    np.testing.assert_array_equal(store[2], frames[2])


def test_a_store_refuses_what_does_not_fit(frames: np.ndarray, tmp_path: Path) -> None:
    store = FrameStore.create(tmp_path / "flat", SHAPE)
    with pytest.raises(DataError, match="more clips than"):
        store.append(np.concatenate([frames, frames]))
    with pytest.raises(DataError, match="another shape"):
        store[0] = frames[0, :1]
    with pytest.raises(DataError, match="read only"):
        store.take([0, 1])[0] = frames[0]
    (tmp_path / "flat").write_bytes(b"\0" * 100)
    with pytest.raises(DataError, match="end before their last frame"):
        FrameStore(tmp_path / "flat", SHAPE)[:]


def test_blocks_cover_all_clips(frames: np.ndarray) -> None:
    one = frames[0].nbytes
    assert [*blocks(frames, 3 * one)] == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert len([*blocks(frames, 1)]) == 7


def test_views_take_no_memory(frames: np.ndarray) -> None:
    grey = repeated(grey_clip(SHAPE[1:]), 10_000)
    assert take(grey, np.arange(5000)).strides[0] == 0
    np.testing.assert_array_equal(take(frames, [4, 2])[[1]], frames[[2]])
    assert set(random_rows(50, 8, 3)) <= set(random_rows(50, 20, 3))


def clips(frames: object) -> VideoClips:
    return VideoClips(frames, tuple("abcdefg"), tuple("uuvvwwx"))


OPTIONS = EvaluationConfig(permutations=199, bootstrap=199)


def test_clips_on_disk_score_as_clips_in_memory(frames: np.ndarray, tmp_path: Path) -> None:
    predicted = np.clip(frames + np.random.default_rng(1).normal(0, 60, SHAPE), 0, 255)
    predicted = predicted.astype(np.uint8)
    with h5py.File(tmp_path / "predicted.h5", "w") as file:
        file["frames"] = predicted[:, :, ::2, ::2]
    with h5py.File(tmp_path / "predicted.h5") as file:
        smaller = FrameStore.open(file["frames"])
    metrics, _ = usable([name.replace("50way", "3way") for name in MODEL_FREE], MetricModels())
    scorer = Scorer(metrics, MetricModels(), OPTIONS)
    grey = repeated(grey_clip(SHAPE[1:]), 7)
    from_disk = score_system(
        scorer, clips(stores(frames, tmp_path)["flat"]), smaller, {"grey": grey}
    )
    in_memory = score_system(
        scorer, clips(frames), predicted[:, :, ::2, ::2].copy(), {"grey": grey.copy()}
    )
    for name, entry in from_disk.entries.items():
        expected = in_memory.entries[name]
        assert entry.baselines == pytest.approx(expected.baselines)
        assert replace(entry, baselines=expected.baselines) == expected
    assert [row[:3] for row in from_disk.rows] == [row[:3] for row in in_memory.rows]


def test_large_sets_have_their_baselines_on_some_clips(
    frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    from brainflix.evaluation import scoring

    monkeypatch.setattr(scoring, "_BASELINE_SAMPLES", 4 * frames[0].size)
    metrics, _ = usable(("psnr", "identification@pixel"), MetricModels())
    scorer = Scorer(metrics, MetricModels(), OPTIONS)
    found = score_system(scorer, clips(frames), frames[::-1], {"copy": frames})
    entry = found.entries["psnr"]
    assert entry.notes["baseline_clips"] == 4
    assert entry.baselines["copy"] == 100
    scored = {row.clip for row in found.rows if (row.metric, row.system) == ("psnr", "copy")}
    assert len(scored) == 4


def test_systems_are_set_beside_each_other(frames: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    metrics, _ = usable(("psnr", "mse"), MetricModels())
    scorer = Scorer(metrics, MetricModels(), OPTIONS)
    true = clips(frames)
    found = {}
    for name, spread in (("good", 20), ("bad", 90)):
        shown = np.clip(frames + rng.normal(0, spread, SHAPE), 0, 255).astype(np.uint8)
        found[name] = score_system(scorer, true, shown, {})
    compared = paired(found["good"].scores, found["bad"].scores, true, OPTIONS)
    assert compared["mse"].difference < 0 < compared["psnr"].difference
    assert compared["mse"].p == compared["psnr"].p > 1 / 8  # four groups, sixteen flips
    alone = VideoClips(frames, true.ids, true.ids)
    compared = paired(found["good"].scores, found["bad"].scores, alone, OPTIONS)
    assert {compared[name].better for name in ("mse", "psnr")} == {"this"}
    backwards = paired(found["bad"].scores, found["good"].scores, alone, OPTIONS)
    assert {backwards[name].better for name in ("mse", "psnr")} == {"other"}
    entries = {name: one.entries for name, one in found.items()}
    tested = [entry for metrics in with_q(entries).values() for entry in metrics.values()]
    assert all(entry.p <= entry.q <= 1 for entry in tested)
    together = over_subjects(
        {n: f.scores for n, f in found.items()}, dict.fromkeys(found, true), OPTIONS
    )
    assert together["psnr"].subjects == 2
    assert together["psnr"].value == pytest.approx(
        np.mean([f.entries["psnr"].value for f in found.values()])
    )
    low, high = together["psnr"].interval
    assert low <= together["psnr"].value <= high


class Watched:
    """Clips that remember how many were asked for at once, and how often each was read."""

    def __init__(self, frames: np.ndarray) -> None:
        self.frames, self.shape, self.dtype = frames, frames.shape, frames.dtype
        self.most, self.reads = 0, np.zeros(len(frames), dtype=int)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, rows: object) -> np.ndarray:
        found = self.frames[rows]
        self.reads[rows] += 1
        self.most = max(self.most, len(found) if found.ndim == 5 else 1)
        return found


def test_clips_are_read_a_few_at_a_time_and_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    from brainflix.clips import clips as clips_module
    from brainflix.metrics import optical_flow
    from brainflix.metrics import pairwise as pairs

    true, predicted = np.random.default_rng(0).integers(0, 256, (2, 24, *SHAPE[1:]), dtype=np.uint8)
    one = true[0].nbytes
    for module, name in ((clips_module, "_READ"), (pairs, "_READ"), (pairs, "_HELD")):
        monkeypatch.setattr(module, name, 4 * one)
    monkeypatch.setattr(optical_flow, "_FLOW_PIXELS", 10 * true[0, 0, ..., 0].size * 2)
    watched = Watched(true), Watched(predicted)
    names = tuple(map(str, range(24)))
    metrics, _ = usable([name.replace("50way", "3way") for name in MODEL_FREE], MetricModels())
    found = score_system(
        Scorer(metrics, MetricModels(), OPTIONS),
        VideoClips(watched[0], names, names),
        watched[1],
        {},
    )
    assert found.entries["ssim@rgb"].notes["sampled_pairs"] == 24 * 3
    assert found.entries["epe"].n == 5
    for source in watched:
        assert source.most <= 4
        assert source.reads.max() <= 3  # features, pairs, and flow of some
