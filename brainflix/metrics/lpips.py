"""LPIPS from weights at hand: the published network in plain torch.

The weights are the state of ``lpips.LPIPS(net="alex")`` or ``net="vgg"`` of the package lpips,
saved with ``torch.save`` or as safetensors. Neither that package nor torchvision is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from brainflix.errors import ModelError
from brainflix.metrics.networks import Compare

if TYPE_CHECKING:
    from torch import Tensor

_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_STAGES = 5
_CHUNK = 16  # frames at a time


def load_perceptual(name: str) -> Compare:
    """Return LPIPS distances of clips, the mean over frames, from a folder or a file of weights.

    Raises
    ------
    ModelError
        Where there are no weights, or other ones than LPIPS's.
    """
    import torch

    weights = _read(Path(name).expanduser())
    stages = [_stage(weights, k, name) for k in range(_STAGES)]
    shift, scale = (torch.tensor(v).view(1, 3, 1, 1) for v in (_SHIFT, _SCALE))

    def features(frames: NDArray[Any]) -> list[Tensor]:
        x = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float()
        x = (x / 127.5 - 1 - shift) / scale
        found = []
        for stage in stages:
            x = stage.forward(x)
            found.append(x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10))
        return found

    @torch.inference_mode()
    def compare(true: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.float64]:
        flat = [clips.reshape(-1, *clips.shape[2:]) for clips in (true, predicted)]
        distances = []
        for k in range(0, len(flat[0]), _CHUNK):
            pair = [features(frames[k : k + _CHUNK]) for frames in flat]
            total = torch.zeros(len(pair[0][0]))
            for stage, a, b in zip(stages, *pair, strict=True):
                weighted = (a - b).square() * stage.linear
                total += weighted.sum(dim=1).mean(dim=(1, 2))
            distances.append(total.numpy())
        return (
            np.asarray(np.concatenate(distances), np.float64).reshape(true.shape[:2]).mean(axis=1)
        )

    return compare


class _Stage:
    """The convolutions between two places where LPIPS looks, and the weights it looks with."""

    def __init__(self, layers: list[tuple[Tensor, Tensor]], linear: Tensor, pool: int) -> None:
        self.layers, self.linear, self.pool = layers, linear, pool

    def forward(self, x: Tensor) -> Tensor:
        """Return the stage's output for (image, channel, height, width)."""
        from torch.nn.functional import conv2d, max_pool2d, relu

        if self.pool:
            x = max_pool2d(x, self.pool, stride=2)
        for weight, bias in self.layers:
            side = weight.shape[-1]
            stride, padding = (4, 2) if side == 11 else (1, side // 2)
            x = relu(conv2d(x, weight, bias, stride=stride, padding=padding))
        return x


def _stage(weights: Mapping[str, Tensor], k: int, name: str) -> _Stage:
    prefix = f"net.slice{k + 1}."
    places = sorted(
        int(key.removeprefix(prefix).partition(".")[0])
        for key in weights
        if key.startswith(prefix) and key.endswith(".weight")
    )
    linear = weights.get(f"lin{k}.model.1.weight")
    if not places or linear is None:
        raise ModelError(
            "these are not the weights of LPIPS",
            expected=f"{prefix}*.weight and lin{k}.model.1.weight",
            found=", ".join(sorted(weights)[:4]),
            where=name,
        )
    layers = [(weights[f"{prefix}{p}.weight"], weights[f"{prefix}{p}.bias"]) for p in places]
    alexnet = weights["net.slice1.0.weight"].shape[-1] == 11
    pool = (3 if k in (1, 2) else 0) if alexnet else (2 if k else 0)
    return _Stage(layers, linear.view(1, -1, 1, 1), pool)


def _read(path: Path) -> dict[str, Any]:
    import torch
    from safetensors.torch import load_file

    files = [path] if path.is_file() else []
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in {".safetensors", ".pth", ".pt"})
    if len(files) != 1:
        raise ModelError(
            "no weights of LPIPS",
            expected="a file of weights, or a folder with one",
            found=", ".join(p.name for p in files) or "none",
            where=path,
        )
    try:
        if files[0].suffix == ".safetensors":
            return dict(load_file(files[0]))
        return dict(torch.load(files[0], map_location="cpu", weights_only=True))
    except Exception as error:  # whatever a damaged file makes the libraries raise
        raise ModelError(
            "the weights of LPIPS cannot be read", found=str(error)[:200], where=files[0]
        ) from error
