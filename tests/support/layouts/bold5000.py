"""BOLD5000, small, as it lies on disk: betas of regions, lists, pictures of three sources."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

REGIONS = [
    f"{side}{name}" for side in ("LH", "RH") for name in ("EarlyVis", "LOC", "OPA", "PPA", "RSC")
]
FOLDERS = {"n0": "ImageNet", "COCO": "COCO"}
NAMES = [
    *(f"n01440764_{100 + k}.JPEG" for k in range(5)),
    *(f"COCO_train2014_{k:012d}.jpg" for k in range(1000, 1005)),
    *(f"airport{k}.jpg" for k in range(1, 6)),
]
REPEATED = ["n01440764_100.JPEG", "COCO_train2014_000000001001.jpg", "airport2.jpg"]
PER_RUN = 6


def presented(subject: str, repeats: int) -> list[str]:
    """Return the pictures in the order of recording; the last subject lacks a repeated one."""
    rng = np.random.default_rng(sum(map(ord, subject)))
    repeated = REPEATED[:-1] if subject == "CSI4" else REPEATED
    once = [name for name in NAMES if name not in REPEATED]
    shown = once + repeated * repeats
    return [shown[k] for k in rng.permutation(len(shown))]


def write_study(
    root: Path, subjects: tuple[str, ...] = ("CSI1", "CSI4"), repeats: int = 4, held: bool = False
) -> dict:
    """Write the folders BOLD5000_GLMsingle_ROI_betas and BOLD5000_Stimuli; return the truth."""
    betas = root / "BOLD5000_GLMsingle_ROI_betas" / "py"
    stimuli = root / "BOLD5000_Stimuli"
    scenes = stimuli / "Scene_Stimuli"
    for folder in (betas, scenes / "Presented_Stimuli", stimuli / "Image_Labels"):
        folder.mkdir(parents=True, exist_ok=True)
    (scenes / "repeated_stimuli_113_list.txt").write_text("\n".join(REPEATED) + "\n")
    (stimuli / "Image_Labels" / "imagenet_final_labels.txt").write_text(
        "n01440764 tench, Tinca tinca\nn01443537 goldfish, Carassius auratus\n"
    )
    truth: dict = {"pictures": write_pictures(scenes / "Presented_Stimuli", held)}
    for number, subject in enumerate(subjects):
        shown = presented(subject, repeats)
        write_lists(stimuli / "Stimuli_Presentation_Lists" / subject, subject, shown)
        rng = np.random.default_rng(number)
        regions = {}
        for k, region in enumerate(REGIONS):
            drive = {
                name: np.random.default_rng([k, i]).standard_normal(3 + number + k % 2)
                for i, name in enumerate(NAMES)
            }
            clean = np.stack([drive[name] for name in shown])
            values = (clean + 0.3 * rng.standard_normal(clean.shape)).astype(np.float32)
            file = f"{subject}_GLMbetas-TYPED-FITHRF-GLMDENOISE-RR_allses_{region}.npy"
            np.save(betas / file, values)
            regions[region] = values
        truth[subject] = {"shown": shown, "regions": regions}
    return truth


def write_pictures(folder: Path, held: bool, size: int = 16) -> dict[str, np.ndarray]:
    """Write a picture for each name, as files in three folders or held in img_dict.npy."""
    rng = np.random.default_rng(5)
    pictures = {name: rng.integers(0, 256, (size, size, 3), dtype=np.uint8) for name in NAMES}
    if held:
        np.save(folder / "img_dict.npy", pictures, allow_pickle=True)
        return pictures
    for name, values in pictures.items():
        place = next((v for k, v in FOLDERS.items() if name.startswith(k)), "Scene")
        (folder / place).mkdir(exist_ok=True)
        Image.fromarray(values).save(folder / place / name)
    return pictures


def write_lists(folder: Path, subject: str, shown: list[str]) -> None:
    """Write a list a run; from the second time on a repeated picture is called rep_."""
    seen: set[str] = set()
    runs = [shown[first : first + PER_RUN] for first in range(0, len(shown), PER_RUN)]
    for number, run in enumerate(runs):
        session, place = number // 2 + 1, number % 2 + 1
        lines = []
        for name in run:
            lines.append(f"rep_{name}" if name in seen else name)
            seen.add(name)
        path = folder / f"{subject}_sess{session:02d}" / f"CSI_sess{session:02d}_run{place:02d}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
