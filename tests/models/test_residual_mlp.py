"""Networks: residual blocks and subject heads."""

import numpy as np
import pytest
import torch

from brainflix.errors import ConfigError, DataError
from brainflix.models.residual_mlp import ResidualMLPConfig
from brainflix.models.subject_heads import SubjectHeadsConfig


def test_a_residual_mlp_starts_as_the_identity():
    network = ResidualMLPConfig(width=12, blocks=3, dropout=0.5).build().train()
    x = torch.randn(5, 12)
    assert torch.equal(network(x), x)


def test_a_residual_mlp_learns_what_is_no_identity():
    torch.manual_seed(0)
    network = ResidualMLPConfig(width=8, blocks=2, dropout=0.0).build()
    x = torch.randn(64, 8)
    y = x + torch.relu(x.roll(1, dims=1))
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        loss = (network(x) - y).square().mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1 * (x - y).square().mean().item()


def test_a_block_is_the_published_order_of_layers():
    block = ResidualMLPConfig(width=6, blocks=1, dropout=0.0).build().blocks[0]
    with torch.no_grad():
        block.branch[5].weight.fill_(0.7)
    x = torch.randn(4, 6)
    first, norm, _, _, second, last, _, _ = block.branch
    hidden = torch.nn.functional.gelu(norm(first(x)))
    expected = x + torch.nn.functional.gelu(last(second(hidden)))
    assert torch.allclose(block(x), expected, atol=1e-6)


@pytest.mark.parametrize(
    "shape", [{"width": 0}, {"width": 4, "blocks": -1}, {"width": 4, "dropout": 1.0}]
)
def test_impossible_shapes_are_refused(shape):
    with pytest.raises(ConfigError, match="impossible shape"):
        ResidualMLPConfig(**shape)


def test_heads_of_unequal_subjects_equal_their_own_linear_maps():
    torch.manual_seed(0)
    heads = SubjectHeadsConfig({"a/sub-1.5": 7, "b/sub-02": 3}, dim=4).build().eval()
    responses = {"b/sub-02": torch.randn(2, 3), "a/sub-1.5": torch.randn(5, 7)}
    mean, scale = torch.randn(7), torch.rand(7) + 0.5
    heads.set_statistics("a/sub-1.5", mean, scale)
    out = heads(responses)
    head = heads["a/sub-1.5"].linear
    standard = (responses["a/sub-1.5"].numpy() - mean.numpy()) / scale.numpy()
    expected = standard @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    assert out.shape == (7, 4)
    np.testing.assert_allclose(out[2:].detach().numpy(), expected, atol=1e-5)


def test_statistics_are_part_of_the_state():
    heads = SubjectHeadsConfig({"a/1": 2}, dim=1).build()
    heads.set_statistics("a/1", torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    other = SubjectHeadsConfig({"a/1": 2}, dim=1).build()
    other.load_state_dict(heads.state_dict())
    assert other["a/1"].mean.tolist() == [1.0, 2.0]
    assert other["a/1"].scale.tolist() == [3.0, 4.0]


def test_an_unknown_subject_and_another_voxel_count_are_refused():
    heads = SubjectHeadsConfig({"a/1": 2}, dim=1).build()
    with pytest.raises(DataError, match="no head for the subject a/2"):
        heads({"a/2": torch.zeros(1, 2)})
    with pytest.raises(DataError, match="another length"):
        heads({"a/1": torch.zeros(1, 3)})
    with pytest.raises(ConfigError):
        SubjectHeadsConfig({}, dim=1)
