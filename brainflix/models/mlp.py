"""A plain multilayer perceptron: (linear, norm, GELU, dropout) layers of one width, no skips."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from brainflix.errors import ConfigError


@dataclass(frozen=True)
class MLPConfig:
    """Shape of an :class:`MLP`.

    Parameters
    ----------
    width : int
        Units of every layer.
    blocks : int
        Blocks of two layers, as many as a residual block has; with none the network is the
        identity.
    dropout : float
        Share of units dropped behind each activation, 0 to below 1.
    """

    width: int
    blocks: int = 3
    dropout: float = 0.3

    def __post_init__(self) -> None:
        if self.width < 1 or self.blocks < 0 or not 0 <= self.dropout < 1:
            raise ConfigError(
                "an MLP of impossible shape",
                expected="width >= 1, blocks >= 0, 0 <= dropout < 1",
                found=self,
            )

    def build(self) -> MLP:
        """Return the network with fresh weights, drawn from torch's global generator."""
        return MLP(self)


class MLP(nn.Module):
    """Layers of one width, see :class:`MLPConfig`.

    Unlike a residual MLP it does not start as the identity, so what lies before it has to be found
    again by training.
    """

    def __init__(self, config: MLPConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        for _ in range(2 * config.blocks):
            layers += [
                nn.Linear(config.width, config.width),
                nn.LayerNorm(config.width),
                nn.GELU(),
                nn.Dropout(config.dropout),
            ]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        return self.layers(x)
