"""A residual network of gated linear units: blocks of (norm, SwiGLU, dropout) with a skip."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from brainflix.errors import ConfigError


@dataclass(frozen=True)
class SwiGLUConfig:
    """Shape of a :class:`SwiGLU`.

    Parameters
    ----------
    width : int
        Units of a block's input and output.
    blocks : int
        Residual blocks; with none the network is the identity.
    dropout : float
        Share of gated units dropped, 0 to below 1.
    expansion : float
        Gated units for each unit of the width. With 2/3 a block has as many weights as the two
        square layers of a residual MLP's block (Shazeer 2020, section 2).
    """

    width: int
    blocks: int = 3
    dropout: float = 0.3
    expansion: float = 2 / 3

    def __post_init__(self) -> None:
        if self.width < 1 or self.blocks < 0 or not 0 <= self.dropout < 1 or self.hidden < 1:
            raise ConfigError(
                "a SwiGLU network of impossible shape",
                expected="width >= 1, blocks >= 0, 0 <= dropout < 1, at least one gated unit",
                found=self,
            )

    @property
    def hidden(self) -> int:
        """Gated units of a block."""
        return round(self.expansion * self.width)

    def build(self) -> SwiGLU:
        """Return the network with fresh weights, drawn from torch's global generator."""
        return SwiGLU(self)


class SwiGLUBlock(nn.Module):
    """x + D (silu(A n) * B n), n = norm(x) (Shazeer 2020, arXiv:2002.05202, equation 6).

    D starts at zero, so that the block starts as the identity and learns a departure from it.
    """

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.enter = nn.Linear(width, 2 * hidden)
        self.dropout = nn.Dropout(dropout)
        self.leave = nn.Linear(hidden, width)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        gate, value = self.enter(self.norm(x)).chunk(2, dim=-1)  # each (..., hidden)
        return x + self.leave(self.dropout(F.silu(gate) * value))


class SwiGLU(nn.Module):
    """Gated residual blocks of one width, see :class:`SwiGLUConfig`."""

    def __init__(self, config: SwiGLUConfig) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.Sequential(
            *(
                SwiGLUBlock(config.width, config.hidden, config.dropout)
                for _ in range(config.blocks)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        return self.blocks(x)
