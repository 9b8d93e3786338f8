"""Trunks beside the residual MLP: a plain MLP and gated linear units."""

import pytest
import torch
from torch.nn import functional as F

from brainflix.errors import ConfigError
from brainflix.models.mlp import MLPConfig
from brainflix.models.residual_mlp import ResidualMLPConfig
from brainflix.models.swiglu import SwiGLUConfig


def test_swiglu_starts_as_the_identity_and_a_plain_mlp_does_not():
    x = torch.randn(5, 12)
    assert torch.equal(SwiGLUConfig(12, 3, 0.5).build().train()(x), x)
    assert not torch.allclose(MLPConfig(12, 3, 0.0).build()(x), x, atol=0.1)


@pytest.mark.parametrize("config", [MLPConfig, SwiGLUConfig, ResidualMLPConfig])
def test_without_blocks_a_trunk_is_the_identity_and_any_leading_axes_pass(config):
    x = torch.randn(2, 3, 6)
    assert torch.equal(config(6, 0).build()(x), x)
    assert config(6, 2).build()(x).shape == x.shape


def test_a_swiglu_block_is_the_published_formula():
    torch.manual_seed(0)
    block = SwiGLUConfig(6, 1, 0.0, expansion=2.0).build().blocks[0]
    torch.nn.init.normal_(block.leave.weight)
    x = torch.randn(4, 6)
    n = block.norm(x)
    a, b = block.enter.weight.split(12)
    c, d = block.enter.bias.split(12)
    gated = F.silu(n @ a.T + c) * (n @ b.T + d)
    assert torch.allclose(block(x), x + gated @ block.leave.weight.T, atol=1e-6)


def test_a_plain_mlp_is_its_layers_in_order():
    torch.manual_seed(0)
    network = MLPConfig(6, 1, 0.0).build()
    first, norm, _, _, second, last, _, _ = network.layers
    x = torch.randn(4, 6)
    expected = F.gelu(last(second(F.gelu(norm(first(x))))))
    assert torch.allclose(network(x), expected, atol=1e-6)


def test_trunks_of_one_shape_have_about_as_many_weights():
    counts = [
        sum(p.numel() for p in config(240, 2).build().parameters())
        for config in (ResidualMLPConfig, MLPConfig, SwiGLUConfig)
    ]
    assert max(counts) < 1.03 * min(counts)


def test_a_swiglu_network_learns_what_is_no_identity():
    torch.manual_seed(0)
    network = SwiGLUConfig(8, 2, 0.0, expansion=2.0).build()
    x = torch.randn(64, 8)
    y = x + torch.relu(x.roll(1, dims=1))
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        loss = (network(x) - y).square().mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1 * (x - y).square().mean().item()


@pytest.mark.parametrize("config", [MLPConfig, SwiGLUConfig])
@pytest.mark.parametrize(
    "shape", [{"width": 0}, {"width": 4, "blocks": -1}, {"width": 4, "dropout": 1.0}]
)
def test_impossible_shapes_are_refused(config, shape):
    with pytest.raises(ConfigError, match="impossible shape"):
        config(**shape)


def test_a_swiglu_network_without_gated_units_is_refused():
    with pytest.raises(ConfigError, match="impossible shape"):
        SwiGLUConfig(4, expansion=0.1)
