"""The learning rate over a fit, and which state a fit keeps."""

import lightning
import pytest
import torch

from brainflix.errors import DataError
from brainflix.learning.training import Curves, FitPlan, fit, one_cycle


@pytest.mark.parametrize("steps", [1, 2, 9, 10, 11, 500])
def test_the_learning_rate_rises_and_falls(steps):
    rates = [one_cycle(step, steps) for step in range(steps + 2)]
    peak = rates.index(max(rates))
    assert 0 < rates[0] <= 1
    assert all(0 <= rate <= 1 for rate in rates)
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert peak <= max(1, steps // 10)
    assert rates[-1] == pytest.approx(0, abs=1e-9)


def test_curves_fill_what_was_not_logged():
    curves = Curves()
    curves.add(0, {"a": 1.0})
    curves.add(1, {"a": 2.0, "b": 3.0})
    assert curves.as_json()["curves"] == {"a": [1.0, 2.0], "b": [None, 3.0]}


class Line(lightning.LightningModule):
    """One weight that is pulled to one, judged by its distance to a goal."""

    def __init__(self, goal: float):
        super().__init__()
        self.save_hyperparameters()
        self.goal = goal
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch, index):
        return 0.5 * (self.weight - 1.0).square()

    def validation_step(self, batch, index):
        self.log("validation_loss", (self.weight - self.goal).abs())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.2)


class Nothing(lightning.LightningDataModule):
    def train_dataloader(self):
        return [torch.zeros(1)]

    def val_dataloader(self):
        return [torch.zeros(1)]


PLAN = FitPlan(max_epochs=8, patience=8, precision="32-true", seed=0)


@pytest.mark.parametrize(("goal", "best"), [(0.0, 0), (0.36, 2), (1.0, 8)])
def test_the_best_state_is_kept_and_the_start_is_one_of_them(tmp_path, goal, best):
    path, curves = fit(Line(goal), Nothing(), PLAN, tmp_path, "line")
    assert curves.best == best
    kept = Line.load_from_checkpoint(path, weights_only=True)
    assert kept.weight.item() == pytest.approx(1 - 0.8**best)
    assert {found.name for found in tmp_path.iterdir()} == {"line.ckpt", "logs"}


def test_a_fit_stops_after_epochs_without_gain(tmp_path):
    plan = FitPlan(max_epochs=50, patience=3, precision="32-true", seed=0)
    _, curves = fit(Line(0.36), Nothing(), plan, tmp_path, "line")
    assert curves.epochs[-1] == 5


def test_a_loss_that_is_not_finite_is_an_error(tmp_path):
    with pytest.raises(DataError, match="not finite") as caught:
        fit(Line(float("nan")), Nothing(), PLAN, tmp_path, "line")
    assert caught.value.remedy


def test_global_choices_of_torch_are_restored(tmp_path):
    state = torch.get_rng_state()
    fit(Line(1.0), Nothing(), PLAN, tmp_path, "line")
    assert torch.equal(state, torch.get_rng_state())
    assert not torch.are_deterministic_algorithms_enabled()
