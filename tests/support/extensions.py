"""Components of a user's own, as a file that a configuration names under ``extensions``.

They are as small as they can be and still need what the recipes to come need: an encoder of voxels
as tokens that starts from a pretrained model, a generator that takes a keyframe and the predictions
of two paths, one that takes a caption, and one that needs the clip before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch

from brainflix.artifacts.predicted import finished
from brainflix.components import (
    CAPTIONERS,
    FINETUNINGS,
    GENERATORS,
    PRETRAININGS,
    REGRESSORS,
)
from brainflix.config.recipe import (
    CaptionerConfig,
    FinetuningConfig,
    GenerationConfig,
    PretrainingConfig,
    RegressionConfig,
    Takes,
)
from brainflix.finetuning.component import Finetuning
from brainflix.generation.captions import Captioner
from brainflix.generation.generators import Generator
from brainflix.learning.training import Curves
from brainflix.pretraining.component import Pretraining
from brainflix.regression.regressor import Regressor

PATCH = 16  # voxels of a token


def tokens(volumes: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Cut volumes (..., voxel) into tokens (..., token, dim), the last voxels wrapped round."""
    count = -(-volumes.shape[-1] // PATCH)
    wrapped = np.take(volumes, np.arange(count * PATCH) % volumes.shape[-1], axis=-1)
    return wrapped.reshape(*volumes.shape[:-1], count, PATCH) @ basis


@PRETRAININGS.register("patch_basis")
class PatchBasis(Pretraining):
    """Principal directions of patches of neighbouring voxels, over all runs of all subjects."""

    class Options(PretrainingConfig):
        """Options of the pretraining."""

        dim: int = 4

    def fit(self, recordings, folder):
        """Leave ``basis.npy``, (voxel of a patch, dim)."""
        rows = []
        for found in recordings:
            assert len(found.voxels) == found.runs[0].shape[1]
            rows += [tokens(run, np.eye(PATCH)).reshape(-1, PATCH) for run in found.runs]
        _, _, axes = np.linalg.svd(np.concatenate(rows)[::7], full_matrices=False)
        np.save(folder / "basis.npy", axes[: self.options.dim].T.astype(np.float32))


@REGRESSORS.register("voxel_tokens")
class VoxelTokens(Regressor):
    """Tokens of voxel patches, by a pretrained basis, to each target by least squares."""

    class Options(RegressionConfig):
        """Options of the encoder; ``model`` is a pretraining's folder."""

        model: str
        penalty: float = 10.0

    def fit(self, cohort, folder, name):
        """Fit each subject by itself; the voxels' places must be those of the responses."""
        basis = np.load(f"{self.options.model}/basis.npy")
        predicted = {}
        for subject, found in cohort.subjects.items():
            trials, study = found.trials, found.trials.study
            assert found.shared is None
            assert len(trials.voxels) == trials.responses.shape[2]
            rows = tokens(trials.responses, basis)  # (trial, window, token, dim)
            rows = rows.reshape(len(rows), -1).astype(np.float64)
            fit = trials.training & ~np.isin(trials.clip, cohort.validation[study])
            clips = cohort.clips[study].rows(trials.clip)
            single = {}
            for target in self.options.heads:
                values = cohort.targets[study][target]
                flat = values.reshape(len(values), -1)[clips].astype(np.float64)
                mean = flat[fit].mean(axis=0)
                gram = rows[fit] @ rows[fit].T + self.options.penalty * np.eye(fit.sum())
                weights = np.linalg.solve(gram, flat[fit] - mean)
                guess = rows[~trials.training] @ rows[fit].T @ weights + mean
                single[target] = guess.reshape(-1, *values.shape[1:]).astype(np.float32)
            predicted[subject] = finished(
                {"network": single, "ridge": single},
                trials.clip[~trials.training],
                cohort.clips[study],
            )
        curves = Curves()
        curves.add(0, {"validation_loss": 1.0})
        return predicted, curves


class Painting(GenerationConfig):
    """Options of a generator that paints instead of sampling."""

    takes: ClassVar[Mapping[str, Takes]] = {
        "brightness": Takes(("target",)),
        "colour": Takes(("target",)),
        "keyframe": Takes(("generator",)),
        "caption": Takes(("captioner",)),
    }


@GENERATORS.register("painter")
class Painter(Generator):
    """A flat clip whose grey levels say what it was given."""

    Options = Painting

    def predict_step(self, batch, batch_idx=0):
        """Paint by the mean of vectors, by the keyframe, or by the caption's length."""
        count = len(batch["index"])
        frames, height, width = self.clip_shape
        clips = torch.zeros(count, frames, height, width, 3)
        for channel, name in enumerate(("brightness", "colour")):
            if name in batch:
                level = torch.sigmoid(batch[name].float().flatten(1).mean(dim=1))
                clips[..., channel] = (255 * level).reshape(-1, 1, 1, 1)
        if "keyframe" in batch:
            clips[..., 2] = batch["keyframe"][..., 0].float()
        if "caption" in batch:
            length = torch.tensor([float(len(text)) for text in batch["caption"]])
            clips[..., 0] = length.reshape(-1, 1, 1, 1)
        return {"index": batch["index"], "frames": clips.to(torch.uint8)}


@GENERATORS.register("continued")
class Continued(Generator):
    """Each clip is one grey level above the one before it in the same film."""

    class Options(Painting):
        """The clip before is needed."""

        follows: ClassVar[bool] = True

    def predict_step(self, batch: dict[str, Any], batch_idx: int = 0) -> dict[str, Any]:
        """Add one to the clip before; a film's first clip is black."""
        first = ~batch["has_previous"].reshape(-1, 1, 1, 1, 1)
        clips = torch.where(first, torch.zeros_like(batch["previous"]), batch["previous"] + 1)
        return {"index": batch["index"], "frames": clips}


@CAPTIONERS.register("grey_level")
class GreyLevel(Captioner):
    """As many letters as the clip's first grey level says."""

    class Options(CaptionerConfig):
        """Options of the captioner."""

        takes: ClassVar[Mapping[str, Takes]] = {"clips": Takes(("generator",))}
        requires: ClassVar[tuple[tuple[str, ...], ...]] = (("clips",),)

    def write(self, inputs):
        """Return a text for each clip."""
        return ["a" * int(clip[0, 0, 0, 0]) for clip in inputs["clips"]]


@FINETUNINGS.register("mean_frame")
class MeanFrame(Finetuning):
    """The mean frame of the training clips; test clips must not be among them."""

    class Options(FinetuningConfig):
        """Options of the finetuning."""

    def fit(self, training, folder):
        """Leave ``mean.npy``."""
        for clips in training.clips.values():
            assert set(clips.split) == {"train"}
        for trials in training.trials.values():
            assert set(trials.split) == {"train"}
        frames = np.concatenate([*training.frames.values()])
        np.save(folder / "mean.npy", frames.mean(axis=(0, 1)))
