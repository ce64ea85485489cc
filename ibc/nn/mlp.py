"""Pre-activation residual networks, the body of every policy here."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ibc.nn.spectral_norm import spectral_norm


def initialise(module: nn.Module, std: float = 0.05) -> None:
    """Draw all weights *and biases* of dense layers from N(0, std^2), as the official networks do.

    (google-research/ibc, ``networks/layers/resnet.py``; zero biases leave an energy without kinks in the action.)
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=std)
            if layer.bias is not None:
                nn.init.normal_(layer.bias, std=std)


class ResidualBlock(nn.Module):
    """``h + W2 relu(W1 relu(h) + b1) + b2``, with dropout after each rectifier."""

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dense1 = nn.Linear(width, width)
        self.dense2 = nn.Linear(width, width)
        self.dropout = dropout

    def forward(self, h: Float[Tensor, "... W"]) -> Float[Tensor, "... W"]:
        """Features to features."""
        inner = self.dense1(F.dropout(F.relu(h), self.dropout, self.training))
        residual: Tensor = self.dense2(F.dropout(F.relu(inner), self.dropout, self.training))
        return h + residual


class ResidualMLP(nn.Module):
    """Dense, ``num_blocks`` residual blocks, dense: "depth 8" in the papers is four blocks here.

    There is no activation at the end: it would flatten an energy's tails (IBC paper, appendix B.3).
    """

    def __init__(
        self, in_size: int, out_size: int, *, width: int, num_blocks: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.dense_in = nn.Linear(in_size, width)
        self.blocks = nn.ModuleList(ResidualBlock(width, dropout) for _ in range(num_blocks))
        self.dense_out = nn.Linear(width, out_size)
        initialise(self)

    def forward(self, x: Float[Tensor, "... I"]) -> Float[Tensor, "... O"]:
        """Any batch shape."""
        h = self.dense_in(x)
        for block in self.blocks:
            h = block(h)
        out: Tensor = self.dense_out(h)
        return out


class EnergyHead(nn.Module):
    """A residual MLP on (features, action) whose first layer is split: the features' half is computed once.

    The search for an action evaluates thousands of candidates against one observation; only the action's half of the
    first layer and the blocks are paid for each of them.

    With ``num_residuals = 0`` the energy is the network's one output, as in the papers. Otherwise the network gives a
    vector r of that length and the energy is ``|r|^2 / 2``: bounded below, with a quadratic minimum wherever r
    vanishes, at one action or at several. With ``self_consistent`` that vector is ``a - f(o, a)``, f being the network:
    energy is low where the network gives back the action it is given. It starts as a bowl around zero and contains
    regression, for which f ignores the action, so it learns fast in hundreds of dimensions.
    """

    def __init__(
        self,
        feature_size: int,
        action_size: int,
        *,
        width: int,
        num_blocks: int,
        num_residuals: int,
        self_consistent: bool,
        normed: bool,
    ) -> None:
        super().__init__()
        self.num_residuals = action_size if self_consistent else num_residuals
        self.self_consistent = self_consistent
        self.dense_features = nn.Linear(feature_size, width)
        self.dense_action = nn.Linear(action_size, width, bias=False)
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in range(num_blocks))
        self.dense_out = nn.Linear(width, max(1, self.num_residuals))
        initialise(self)
        if normed:
            spectral_norm(self)

    def forward(
        self, context: Float[Tensor, "B 1 W"], action: Float[Tensor, "B N A"]
    ) -> Float[Tensor, "B N"]:
        """Energies of candidates, given ``context = dense_features(features)[:, None]``."""
        h = context + self.dense_action(action)
        for block in self.blocks:
            h = block(h)
        out: Tensor = self.dense_out(h)
        if self.self_consistent:
            out = action - out
        return 0.5 * out.square().sum(-1) if self.num_residuals else out.squeeze(-1)

    @torch.no_grad()
    def action_gradient(
        self, context: Float[Tensor, "B 1 W"], action: Float[Tensor, "B N A"]
    ) -> Float[Tensor, "B N A"]:
        """``dE/da`` by hand: no graph is kept, and nothing is differentiated but the action."""
        blocks = [
            (block.dense1.weight, block.dense1.bias, block.dense2.weight, block.dense2.bias)
            for block in self.blocks
            if isinstance(block, ResidualBlock)
        ]
        h = context + self.dense_action(action)
        before: list[tuple[Tensor, Tensor]] = []
        for w1, b1, w2, b2 in blocks:
            inner = F.linear(F.relu(h), w1, b1)
            before.append((h, inner))
            h = h + F.linear(F.relu(inner), w2, b2)
        weight = self.dense_out.weight
        direct = torch.zeros(())  # what does not pass through the network
        if self.self_consistent:
            direct = action - self.dense_out(h)
            gradient = -direct @ weight
        else:
            gradient = self.dense_out(h) @ weight if self.num_residuals else weight.expand_as(h)
        for (h, inner), (w1, _, w2, _) in zip(reversed(before), reversed(blocks), strict=True):
            back = (gradient @ w2).mul_(inner > 0)
            gradient = gradient + (back @ w1).mul_(h > 0)
        through: Tensor = gradient @ self.dense_action.weight
        return through + direct.to(through)
