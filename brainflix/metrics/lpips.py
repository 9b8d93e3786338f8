"""LPIPS from local weights: the published network in plain torch.

The weights are the state of ``lpips.LPIPS(net="alex")`` or ``net="vgg"`` of the package lpips,
saved with ``torch.save`` or as safetensors. torchmetrics' LPIPS needs torchvision and downloads its
weights; this one needs neither that, nor the package lpips, nor a connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import VideoClips
from brainflix.errors import ModelError
from brainflix.metrics.base import Metric, Note
from brainflix.metrics.pairwise import score_pairs
from brainflix.statistics.chance import Scores

if TYPE_CHECKING:
    from torch import Tensor

    from brainflix.metrics.models import ClipDistance

Floats = NDArray[np.float64]
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_STAGES = 5
_CHUNK = 16  # frames at a time


def load_lpips(name: str) -> ClipDistance:
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
        # (image, height, width, channel) -> (image, channel, height, width), normalised as trained
        x = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float()
        x = (x / 127.5 - 1 - shift) / scale
        normalised = []
        for stage in stages:
            x = stage.forward(x)
            # the channels at each place, as a unit vector
            normalised.append(x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10))
        return normalised

    @torch.inference_mode()
    def compare(true: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.float64]:
        # (clip, frame, ...) -> (image, ...)
        flat = [clips.reshape(-1, *clips.shape[2:]) for clips in (true, predicted)]
        distances = []
        for k in range(0, len(flat[0]), _CHUNK):
            pair = [features(frames[k : k + _CHUNK]) for frames in flat]
            total = torch.zeros(len(pair[0][0]))
            # weighted squared differences of the unit vectors, the mean over places, all stages
            for stage, a, b in zip(stages, *pair, strict=True):
                weighted = (a - b).square() * stage.linear
                total += weighted.sum(dim=1).mean(dim=(1, 2))
            distances.append(total.numpy())
        return (
            np.asarray(np.concatenate(distances), np.float64).reshape(true.shape[:2]).mean(axis=1)
        )

    return compare


class _Stage:
    """The convolutions before one of the layers that LPIPS compares, and that layer's weights."""

    def __init__(self, layers: list[tuple[Tensor, Tensor]], linear: Tensor, pool: int) -> None:
        self.layers, self.linear, self.pool = layers, linear, pool

    def forward(self, x: Tensor) -> Tensor:
        """Return the stage's output for (image, channel, height, width)."""
        from torch.nn.functional import conv2d, max_pool2d, relu

        if self.pool:
            x = max_pool2d(x, self.pool, stride=2)
        for weight, bias in self.layers:
            side = weight.shape[-1]
            # AlexNet's first convolution alone has 11 x 11 weights, stride 4 and padding 2
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
    # AlexNet pools before its second and third stage, VGG before all but the first
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
            "the weights of LPIPS are missing",
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


class _LpipsKernel:
    """ClipDistances clips by a perceptual distance."""

    def __init__(self, compare: ClipDistance) -> None:
        self.compare = compare

    def own(self, true: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Floats]:
        """Return distances of prediction i from clip i."""
        return {"lpips": self.compare(true, predicted)}

    def every(self, true: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Floats]:
        """Return distances of every prediction from every clip."""
        rows = [self.compare(true, np.repeat(one[None], len(true), axis=0)) for one in predicted]
        return {"lpips": np.stack(rows)}


class Lpips(Metric):
    """LPIPS, the mean over frames, where its weights are given."""

    def score(self, true: VideoClips, predicted: VideoClips, *, pairs: bool) -> dict[str, Scores]:
        compare = self.models.require("perceptual_distance")
        kernel = _LpipsKernel(compare)
        return score_pairs(
            {lambda names: kernel: {"lpips": True}}, true, predicted, pairs=pairs, seed=self.seed
        )

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "LPIPS",
            shows="Perceptual distance of frames in the features of a network for images, weighted "
            "by people's judgements of distortions (Zhang et al. 2018), the mean over frames. Less "
            "is better.",
            hides="Motion. It was fitted to small distortions of the same picture, not to pictures "
            "of the same thing.",
            better="lower",
        )
