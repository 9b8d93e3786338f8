"""A study of arrays with all that its description can say, small: three file formats, videos."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import yaml

from support.studies_on_disk import write_video

TRAIN, TEST, VOXELS = 10, 3, 18


def write_study(root: Path, videos: bool = True) -> dict:
    """Write arrays, videos and the YAML file that describes them; return the arrays."""
    rng = np.random.default_rng(0)
    drive = rng.standard_normal((TRAIN + TEST, VOXELS))
    train = drive[:TRAIN, None] + 0.3 * rng.standard_normal((TRAIN, 2, VOXELS))
    train[3, 1] = np.nan  # a repeat that was not recorded
    shown = np.repeat(np.arange(TEST), 4)
    rng.shuffle(shown)
    test = drive[TRAIN + shown] + 0.3 * rng.standard_normal((len(shown), VOXELS))
    place = np.stack(np.unravel_index(np.arange(VOXELS) + 4, (4, 3, 2)), axis=1)
    root.mkdir(parents=True, exist_ok=True)
    with h5py.File(root / "sub-01.h5", "w") as file:
        file["betas/train"] = train.astype(np.float32)
        file["place/ijk"] = place
        file["place/affine"] = np.diag([3.0, 3.0, 3.0, 1.0])
    np.savez(root / "test.npz", betas=test.T.astype(np.float32), shown=shown + 1)
    np.save(root / "groups.npy", np.arange(TRAIN) // 2)
    np.save(root / "test_groups.npy", 100 + np.arange(TEST))
    (root / "train.json").write_text(
        json.dumps([[f"clip {k}", f"again {k}"] for k in range(TRAIN)])
    )
    (root / "test.txt").write_text("\n".join(f"test clip {k}" for k in range(TEST)))
    names = {"train": [f"a{k:02d}.mp4" for k in range(TRAIN)]}
    names["test"] = [f"b{k:02d}.mp4" for k in reversed(range(TEST))]
    for split, files in names.items():
        (root / split).mkdir(exist_ok=True)
        for name in files:
            if videos:
                write_video(root / split / name, 2.0, seed=int.from_bytes(name.encode(), "big"))
            else:
                (root / split / name).touch()
    (root / "order.txt").write_text("".join(f"test/{name}\n" for name in names["test"]))
    description = {
        "subjects": {
            "sub-01": {
                "train": {"responses": "sub-01.h5:betas/train"},
                "test": {
                    "responses": "test.npz:betas",
                    "axes": ["voxel", "trial"],
                    "clips": "test.npz:shown",
                },
                "position": "sub-01.h5:place/ijk",
                "affine": "sub-01.h5:place/affine",
                "shape": [4, 3, 2],
                "space": "T1w",
            }
        },
        "first_index": 1,
        "stimuli": {"train": "train/", "test": "order.txt"},
        "captions": {"train": "train.json", "test": "test.txt"},
        "groups": {"train": "groups.npy", "test": "test_groups.npy"},
        "clips_per_group": 5,
    }
    (root / "study.yaml").write_text(yaml.safe_dump(description))
    return {"train": train, "test": test, "shown": shown, "names": names, "place": place}
