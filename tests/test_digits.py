"""Real voxels to real pictures: cross-validated identification beside ridge."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import loadmat

from brainflix.alignment.options import RidgeHeadsOptions
from brainflix.artifacts.responses import Trials
from brainflix.artifacts.stimuli import Clips
from brainflix.crossvalidation import CrossvalidatedStudy, crossvalidate_study
from brainflix.regression.options import ResidualNetworkOptions

FILE = Path(__file__).parents[1].parent / "shared/data/digits69/digit69_28x28.mat"


@pytest.fixture
def digits() -> CrossvalidatedStudy:
    if not FILE.is_file():
        pytest.skip(f"{FILE} is not here")
    data = loadmat(FILE)
    pictures = data["stimTrn"].astype(np.float32).reshape(90, 28, 28).transpose(0, 2, 1) / 255
    ids = np.array([f"picture-{k:02d}" for k in range(90)])
    train = np.array(["train"] * 90)
    trials = Trials(
        "digits69/sub-01",
        data["fmriTrn"].astype(np.float32)[:, None],  # (trial, window, voxel)
        ids,
        np.zeros(90, dtype=np.int64),
        np.array(["run-01"] * 90),
        train,
    )
    return CrossvalidatedStudy(
        Clips("digits69", ids, train, ids), {"digits69/sub-01": trials}, {"pixels": pictures}
    )


def test_pictures_are_identified_from_real_responses(digits):
    """The figure to compare with is ridge's .908 of pairs, in ten folds."""
    torch.set_num_threads(1)
    scores = crossvalidate_study(
        digits,
        RidgeHeadsOptions(target="pixels", max_epochs=5),
        ResidualNetworkOptions(
            heads={"pixels": {"losses": {"mse": 1.0, "contrastive": 0.1}}},
            width=128,
            max_epochs=10,
        ),
        folds=10,
    )["digits69/sub-01"]["pixels"]
    print(scores)
    assert scores["ridge"]["identification"] > 0.9
    assert scores["network"]["identification"] > 0.9
