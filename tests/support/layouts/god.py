"""Generic Object Decoding, small, as it lies on disk: sbj_k.npz or SubjectK.h5, and pictures."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import h5py
import numpy as np

CLASSES = {
    "n01518878": "ostrich",
    "n01639765": "frog",
    "n01768244": "trilobite",
    "n02002556": "white_stork",
    "n02128385": "leopard",
    "n03237416": "drum",
}
TRAIN_CLASSES, TEST_CLASSES = list(CLASSES)[:4], list(CLASSES)[4:]
ROIS = {"V1": slice(0, 8), "V2": slice(6, 14), "VC": slice(0, 20)}
VOXELS = 24


def picture_names(per_class: int = 3) -> dict[str, list[str]]:
    """Return names as ImageNet has them; a test class has one picture."""
    return {
        "train": [f"{c}_{100 + 37 * k}" for c in TRAIN_CLASSES for k in range(per_class)],
        "test": [f"{c}_{4000 + k}" for k, c in enumerate(TEST_CLASSES)],
    }


def label(name: str) -> float:
    """Return the number by which BData and the lists name a picture."""
    category, _, image = name[1:].partition("_")
    return int(category) + int(image) * 1e-6


def write_pictures(
    root: Path, names: dict[str, list[str]], size: int = 16
) -> dict[str, np.ndarray]:
    """Write images_256.npz (floats of 0-255, as published), the lists and the class index."""
    rng = np.random.default_rng(7)
    pictures = {
        split: rng.integers(0, 256, (len(listed), size, size, 3)).astype(np.float64)
        for split, listed in names.items()
    }
    root.mkdir(parents=True, exist_ok=True)
    np.savez(root / "images_256.npz", train_images=pictures["train"], test_images=pictures["test"])
    for split, file in (("train", "training"), ("test", "testing")):
        path = root / f"imagenet_{file}_label.csv"
        with open(path, "w", encoding="utf-8", newline="") as stream:
            for name in names[split]:
                csv.writer(stream).writerow([f"{label(name):.6f}", f"{name}.JPEG"])
    index = {str(k): [number, text] for k, (number, text) in enumerate(CLASSES.items())}
    (root / "imagenet_class_index.json").write_text(json.dumps(index))
    return pictures


def responses(rng: np.random.Generator, names: list[str]) -> np.ndarray:
    """Return responses that follow the picture (trial, voxel)."""
    drive = {name: np.random.default_rng(int(name[-3:])).standard_normal(VOXELS) for name in names}
    clean = np.stack([drive[name] for name in names])
    return clean + 0.3 * rng.standard_normal(clean.shape)


def write_npz_study(root: Path, subjects: int = 2, repeats: int = 5, order: str = "image") -> dict:
    """Write the arrays that MinD-Vis shares; training pictures in each subject's own order."""
    names = picture_names()
    pictures = write_pictures(root, names)
    truth: dict = {"names": names, "pictures": pictures}
    for number in range(1, subjects + 1):
        rng = np.random.default_rng(number)
        index = rng.permutation(len(names["train"]))
        train = responses(rng, [names["train"][k] for k in index])
        count = len(names["test"])
        shown = np.repeat(np.arange(count), repeats)
        if order == "repeat":
            shown = np.tile(np.arange(count), repeats)
        elif order == "shuffled":
            rng.shuffle(shown)
        single = responses(rng, [names["test"][k] for k in shown])
        averaged = np.stack([single[shown == k].mean(axis=0) for k in range(count)])
        masks = {}
        for name, part in ROIS.items():
            masks[name] = np.zeros(VOXELS, dtype=bool)
            masks[name][part] = True
        np.savez(root / f"sbj_{number}.npz", train, single, averaged, index, **masks)
        truth[f"sub-{number:02d}"] = {
            "train": train, "single": single, "averaged": averaged, "index": index, "shown": shown
        }  # fmt: skip
    return truth


def write_bdata_study(root: Path, repeats: int = 5, matlab: bool = False) -> dict:
    """Write one subject as BData: runs of training, test and imagery, with coordinates in mm."""
    names = picture_names()
    pictures = write_pictures(root, names)
    rng = np.random.default_rng(3)
    shown = [("train", name) for name in names["train"]]
    shown += [("test", name) for _ in range(repeats) for name in rng.permutation(names["test"])]
    shown += [("imagery", name) for name in names["test"]]
    values = responses(rng, [str(name) for _, name in shown])
    kinds = np.array([{"train": 1, "test": 2, "imagery": 3}[kind] for kind, _ in shown], float)
    labels = np.array([label(str(name)) for _, name in shown])
    runs = np.arange(len(shown)) // 4 + 1.0
    data = np.column_stack([values, runs, kinds, labels])
    width = data.shape[1]
    keys, rows = ["VoxelData", *(f"ROI_{name}" for name in ROIS)], []
    for part in [slice(0, VOXELS), *ROIS.values()]:
        row = np.full(width, np.nan)
        row[:VOXELS] = 0
        row[part] = 1
        rows.append(row)
    place = np.stack(np.unravel_index(np.arange(VOXELS), (4, 3, 2)), axis=1) * 3.0 - [9, 60, 12]
    for axis, name in enumerate(("voxel_x", "voxel_y", "voxel_z")):
        keys.append(name)
        rows.append(np.r_[place[:, axis], [np.nan] * 3])
    for column, name in enumerate(("Run", "DataType", "Label")):
        keys.append(name)
        row = np.full(width, np.nan)
        row[VOXELS + column] = 1
        rows.append(row)
    meta = np.stack(rows)
    if matlab:
        import scipy.io

        cells = {"key": np.array(keys, dtype=object), "value": meta}
        scipy.io.savemat(root / "Subject1.mat", {"dataSet": data, "metaData": cells})
    else:
        with h5py.File(root / "Subject1.h5", "w") as file:
            file["dataSet"] = data
            file["metaData/key"] = [key.encode() for key in keys]
            file["metaData/description"] = [b"" for _ in keys]
            file["metaData/value"] = meta
    return {"names": names, "pictures": pictures, "data": data, "kinds": kinds, "place": place}
