"""Clips written in every form that the evaluation reads, and reconstructions made by damage."""

from __future__ import annotations

from pathlib import Path

import av
import h5py
import numpy as np
from PIL import Image

from brainflix.simulation import world

N, FRAMES, SIZE = 6, 8, 32


def true_clips(n: int = N, seed: int = 0, size: int = SIZE) -> np.ndarray:
    """Render clips of the simulated world, uint8 (clip, frame, height, width, 3)."""
    scenes = world.sample_scenes(n, np.random.default_rng(seed))
    return np.stack([world.render(scene, size=size) for scene in scenes])


def damaged(clips: np.ndarray, noise: float = 25.0, seed: int = 1) -> np.ndarray:
    """Shift, tint and add noise to clips."""
    rng = np.random.default_rng(seed)
    changed = np.roll(clips, (1, 2), axis=(2, 3)) * np.array([0.9, 1.0, 0.8])
    return np.clip(changed + noise * rng.normal(size=clips.shape), 0, 255).astype(np.uint8)


def write_video(path: Path, frames: np.ndarray, rate: int = 4, codec: str = "ffv1") -> Path:
    """Write one clip; ffv1 in mkv or avi loses nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.codec_context.thread_count = 1
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def write_gif(path: Path, frames: np.ndarray, milliseconds: int = 330) -> Path:
    """Write one clip as Pillow does, which merges equal neighbouring frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [Image.fromarray(np.ascontiguousarray(frame)) for frame in frames]
    images[0].save(path, save_all=True, append_images=images[1:], duration=milliseconds, loop=0)
    return path


def write_pictures(folder: Path, frames: np.ndarray, suffix: str = ".png", first: int = 0) -> Path:
    """Write one clip as numbered pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, frame in enumerate(frames, start=first):
        Image.fromarray(frame).save(folder / f"frame{k}{suffix}")
    return folder


def write_set(root: Path, clips: np.ndarray, form: str = "mkv", names=None, **options) -> Path:
    """Write clips under names ``clip0``, ... in one form."""
    for k, clip in enumerate(clips):
        name = names[k] if names else f"clip{k}"
        if form == "png":
            write_pictures(root / name, clip, **options)
        elif form == "npy":
            root.mkdir(parents=True, exist_ok=True)
            np.save(root / f"{name}.npy", clip)
        elif form == "gif":
            write_gif(root / f"{name}.gif", clip, **options)
        else:
            codec = {"mkv": "ffv1", "avi": "ffv1", "mp4": "libx264", "webm": "libvpx-vp9"}[form]
            write_video(root / f"{name}.{form}", clip, codec=codec, **options)
    return root


def write_h5(path: Path, clips: np.ndarray, dataset: str = "videos", names=None) -> str:
    """Write clips as a dataset of any HDF5 file; return how it is named on the command line."""
    with h5py.File(path, "w") as file:
        file[dataset] = clips
        if names is not None:
            file["clip"] = list(names)
    return f"{path}::{dataset}"
