"""All metrics without a model on 1,200 pairs of 6 x 256 x 256 frames: time and peak memory.

``python benchmarks/evaluation.py [pairs]``; the clips are made up and lie on disk, 2.8 GB.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from brainflix.clips.clips import VideoClips
from brainflix.clips.store import FrameStore
from brainflix.config.recipe import EvaluationConfig
from brainflix.evaluation.baselines import grey_clip, repeated
from brainflix.evaluation.scoring import Scorer, score_system
from brainflix.metrics.catalogue import MODEL_FREE, usable
from brainflix.metrics.models import MetricModels

FRAMES, SIDE, COARSE = 6, 256, 32


def made_up(path, pairs):
    """Return stores of true and predicted clips: soft blocks that move, and the same in noise."""
    rng = np.random.default_rng(0)
    shape = (pairs, FRAMES, SIDE, SIDE, 3)
    true, predicted = (FrameStore.create(path / name, shape) for name in ("true", "predicted"))
    for _ in range(pairs):
        picture = rng.integers(0, 256, (COARSE, COARSE, 3))
        speed = rng.integers(-2, 3, 2)
        clip = np.stack([np.roll(picture, k * speed, axis=(0, 1)) for k in range(FRAMES)])
        noisy = np.clip(clip // 2 + rng.integers(0, 128, clip.shape), 0, 255)
        for store, values in ((true, clip), (predicted, noisy)):
            large = values.astype(np.uint8).repeat(SIDE // COARSE, 1).repeat(SIDE // COARSE, 2)
            store.append(large[None])
    return true, predicted


class Still:
    """Clips whose first frame stands still."""

    def __init__(self, clips):
        self.clips, self.shape, self.dtype = clips, clips.shape, clips.dtype

    def __len__(self):
        return len(self.clips)

    def __getitem__(self, rows):
        found = self.clips[rows]
        first = found[..., :1, :, :, :]
        return np.broadcast_to(first, found.shape)


def peak():
    """Return the peak resident memory of this process, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main():
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 1200
    options = EvaluationConfig(permutations=10_000, bootstrap=10_000)
    metrics, _ = usable(MODEL_FREE, MetricModels())
    scorer = Scorer(metrics, MetricModels(), options)
    with tempfile.TemporaryDirectory() as folder:
        true, predicted = made_up(Path(folder), pairs)
        names = tuple(str(k) for k in range(pairs))
        groups = tuple(str(k // 8) for k in range(pairs))
        clips = VideoClips(true, names, groups)
        start, cpu = time.perf_counter(), time.process_time()
        baselines = {
            "grey": repeated(grey_clip(true.shape[1:]), pairs),
            "still_first_frame": Still(predicted),
        }
        found = score_system(scorer, clips, predicted, baselines)
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    for name, entry in found.entries.items():
        low, high = entry.interval
        print(
            f"{name:30s} {entry.value:8.4f} [{low:8.4f}, {high:8.4f}]  "
            f"chance {entry.chance:8.4f}  P {entry.p:.4f}  n {entry.n}  "
            f"pairs {entry.notes.get('sampled_pairs', 'all')}"
        )
    print(f"{pairs} pairs of {FRAMES} x {SIDE} x {SIDE}, {len(metrics)} metrics, 2 baselines:")
    print(f"{wall:.0f} s, {cpu:.0f} s of processor time, peak {peak():.2f} GiB")


if __name__ == "__main__":
    main()
