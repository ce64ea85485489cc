"""The head of an energy network: compares many actions with one observation's features."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ibc.errors import UserError
from ibc.nn.mlp import ResidualBlock, initialize
from ibc.nn.spectral_norm import spectral_norm

#: What an energy is made of; see :class:`EnergyHead`.
HEADS = ("scalar", "quadratic", "reconstruction")


class EnergyHead(nn.Module):
    """A residual MLP on (features, action) whose first layer is split: the features' half is computed once.

    The search for an action evaluates thousands of candidates against one observation; only the action's half of the
    first layer and the blocks are paid for each of them.

    Kinds of heads:

    - ``scalar``: the network's one output, as in the papers.
    - ``quadratic``: ``|r|^2 / 2`` of ``num_outputs`` outputs r: bounded below, with a quadratic minimum wherever r
      vanishes, at one action or at several.
    - ``reconstruction``: ``|a - f(o, a)|^2 / 2``, f being the network: low where the network returns its input. It
      starts as a quadratic around zero and contains regression, for which f ignores the action, so it learns fast in
      hundreds of dimensions.

    Args:
        feature_size, action_size: F and A.
        width, num_blocks: of the residual MLP.
        kind, num_outputs: see above.
        normed: whether dense layers are spectrally normalized.

    Raises:
        UserError: an unknown kind.
    """

    def __init__(
        self,
        feature_size: int,
        action_size: int,
        *,
        width: int,
        num_blocks: int,
        kind: str,
        num_outputs: int,
        normed: bool,
    ) -> None:
        super().__init__()
        if kind not in HEADS:
            raise UserError(f"head={kind}; allowed: {', '.join(HEADS)}")
        self.kind = kind
        sizes = {"scalar": 1, "quadratic": num_outputs, "reconstruction": action_size}
        self.dense_features = nn.Linear(feature_size, width)
        self.dense_action = nn.Linear(action_size, width, bias=False)
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in range(num_blocks))
        self.dense_out = nn.Linear(width, sizes[kind])
        initialize(self)
        if normed:
            spectral_norm(self)

    def weights(self) -> HeadWeights:
        """The weights of everything behind the features, normalized where they are; read once for each binding."""
        blocks: list[Tensor] = []
        for block in self.blocks:
            assert isinstance(block, ResidualBlock)
            first, second = block.dense1, block.dense2
            blocks += [first.weight, first.bias, second.weight, second.bias]
        return HeadWeights(
            (self.dense_action.weight, *blocks, self.dense_out.weight, self.dense_out.bias),
            self.kind,
        )


@dataclass(frozen=True)
class HeadWeights:
    """An energy head as plain tensors: the action's layer, four a block, and the output layer's two."""

    tensors: tuple[Tensor, ...]
    kind: str

    @property
    def action(self) -> Float[Tensor, "W A"]:
        """The action's half of the first layer."""
        return self.tensors[0]

    @property
    def blocks(self) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Weight and bias of the first, then of the second layer of each block."""
        inner = self.tensors[1:-2]
        return [
            (inner[i], inner[i + 1], inner[i + 2], inner[i + 3]) for i in range(0, len(inner), 4)
        ]

    @property
    def out(self) -> tuple[Float[Tensor, "K W"], Float[Tensor, " K"]]:
        """Weight and bias of the output layer."""
        return self.tensors[-2], self.tensors[-1]

    def energy(
        self, context: Float[Tensor, "B 1 W"], action: Float[Tensor, "B N A"]
    ) -> Float[Tensor, "B N"]:
        """Energies of candidates, actions in the unit cube; differentiable to any order."""
        h = context + F.linear(action, self.action)
        for w1, b1, w2, b2 in self.blocks:
            h = h + F.linear(F.relu(F.linear(F.relu(h), w1, b1)), w2, b2)
        out = F.linear(h, *self.out)
        if self.kind == "reconstruction":
            out = action - out
        return 0.5 * out.square().sum(-1) if self.kind != "scalar" else out.squeeze(-1)

    def gradient(
        self, context: Float[Tensor, "B 1 W"], action: Float[Tensor, "B N A"]
    ) -> Float[Tensor, "B N A"]:
        """``dE/da`` written out, itself differentiable: cheaper than differentiating twice automatically."""
        h = context + F.linear(action, self.action)
        before: list[tuple[Tensor, Tensor]] = []
        for w1, b1, w2, b2 in self.blocks:
            inner = F.linear(F.relu(h), w1, b1)
            before.append((h > 0, inner > 0))
            h = h + F.linear(F.relu(inner), w2, b2)
        weight, bias = self.out
        if self.kind == "reconstruction":
            residual = action - F.linear(h, weight, bias)
            gradient = -residual @ weight
        elif self.kind == "quadratic":
            gradient = F.linear(h, weight, bias) @ weight
        else:
            gradient = weight.expand_as(h)
        for (h_open, inner_open), (w1, _, w2, _) in zip(
            reversed(before), reversed(self.blocks), strict=True
        ):
            gradient = gradient + (((gradient @ w2) * inner_open) @ w1) * h_open
        through = gradient @ self.action
        return through + residual if self.kind == "reconstruction" else through
