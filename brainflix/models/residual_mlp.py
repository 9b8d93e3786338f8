"""A residual multilayer perceptron: blocks of (linear, norm, GELU, dropout) x 2 with a skip."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from brainflix.errors import ConfigError


@dataclass(frozen=True)
class ResidualMLPConfig:
    """Shape of a :class:`ResidualMLP`.

    Parameters
    ----------
    width : int
        Units of every layer.
    blocks : int
        Residual blocks; with none the network is the identity.
    dropout : float
        Share of units dropped behind each activation, 0 to below 1.
    """

    width: int
    blocks: int = 3
    dropout: float = 0.3

    def __post_init__(self) -> None:
        if self.width < 1 or self.blocks < 0 or not 0 <= self.dropout < 1:
            raise ConfigError(
                "a residual MLP of impossible shape",
                expected="width >= 1, blocks >= 0, 0 <= dropout < 1",
                found=self,
            )

    def build(self) -> ResidualMLP:
        """Return the network with fresh weights, drawn from torch's global generator."""
        return ResidualMLP(self)


class ResidualBlock(nn.Module):
    """x + f(x), f = (linear, norm, GELU, dropout) twice.

    The second norm starts at zero, so that the block starts as the identity (Goyal et al. 2017,
    arXiv:1706.02677, section 5.1) and learns a departure from its input.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        last = nn.LayerNorm(width)
        nn.init.zeros_(last.weight)
        self.branch = nn.Sequential(
            nn.Linear(width, width),
            nn.LayerNorm(width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            last,
            nn.GELU(),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        return x + self.branch(x)


class ResidualMLP(nn.Module):
    """Residual blocks of one width, see :class:`ResidualMLPConfig`."""

    def __init__(self, config: ResidualMLPConfig) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.Sequential(
            *(ResidualBlock(config.width, config.dropout) for _ in range(config.blocks))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        return self.blocks(x)
