"""The head of an energy network: compares many actions with one observation's features."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ibc.errors import UserError
from ibc.nn.mixed_precision import dense, narrowing_linear, widening_linear
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
        balanced: whether the first weights of an action of more than 32 numbers start smaller, by 32 over their number.
            Noise that grows with the root of their number otherwise hides the features.

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
        balanced: bool = False,
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
        if balanced:
            with torch.no_grad():
                self.dense_action.weight.mul_(min(1.0, 32 / action_size))
        if normed:
            spectral_norm(self)

    def weights(self) -> HeadWeights:
        """Return the weights of everything behind the features, normalized where they are; read once per binding."""
        blocks: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        for block in self.blocks:
            assert isinstance(block, ResidualBlock)
            first, second = block.dense1, block.dense2
            blocks.append((first.weight, first.bias, second.weight, second.bias))
        out = self.dense_out
        return HeadWeights(self.dense_action.weight, blocks, out.weight, out.bias, self.kind)


@dataclass(frozen=True)
class HeadWeights:
    """An energy head as plain tensors.

    Attributes:
        action: the action's half of the first layer.
        blocks: weight and bias of the first, then of the second layer of each block.
        out, out_bias: the output layer.
        kind: of the head.
    """

    action: Float[Tensor, "W A"]
    blocks: list[tuple[Tensor, Tensor, Tensor, Tensor]]
    out: Float[Tensor, "K W"]
    out_bias: Float[Tensor, " K"]
    kind: str

    def to(self, dtype: torch.dtype | None) -> HeadWeights:
        """Convert the residual blocks to a dtype, if one is given.

        The first and the output layer stay in full precision (of energies, almost: ``ibc/nn/mixed_precision.py``): the
        last digits of an action and the small differences of energies depend on them.
        """
        if dtype is None:
            return self
        blocks = [
            (w1.to(dtype), b1.to(dtype), w2.to(dtype), b2.to(dtype))
            for w1, b1, w2, b2 in self.blocks
        ]
        return replace(self, blocks=blocks)

    def energy(
        self, context: Float[Tensor, "B 1 W"], action: Float[Tensor, "B N A"]
    ) -> Float[Tensor, "B N"]:
        """Compute the energy of candidates, actions in the unit cube; differentiable to any order."""
        dtype = self.blocks[0][0].dtype if self.blocks else action.dtype
        h = narrowing_linear(action, self.action, context, dtype)
        for w1, b1, w2, b2 in self.blocks:
            h = h + dense(F.relu(dense(F.relu(h), w1, b1)), w2, b2)
        out = widening_linear(h, self.out, self.out_bias)
        if self.kind == "reconstruction":
            out = action - out
        return 0.5 * out.square().sum(-1) if self.kind != "scalar" else out.squeeze(-1)

    def gradient(
        self, context: Float[Tensor, "B 1 W"], action: Float[Tensor, "B N A"]
    ) -> Float[Tensor, "B N A"]:
        """Compute ``dE/da``, written out and differentiable: cheaper than differentiating twice automatically.

        A scalar head's does not depend on what the last block adds, which is left out, and begins the same for all.
        """
        h = F.linear(action, self.action).add_(context)
        passed: list[tuple[Tensor, Tensor]] = []
        for w1, b1, w2, b2 in self.blocks:
            h = h.to(w1.dtype)
            inner = F.linear(F.relu(h), w1, b1)
            passed.append((h, inner))
            if self.kind != "scalar" or len(passed) < len(self.blocks):
                h = F.linear(F.relu(inner), w2, b2).add_(h)
        if self.kind == "scalar":
            gradient = self.out.unsqueeze(0)
        else:
            out = F.linear(h.to(action.dtype), self.out, self.out_bias)
            gradient = (out - action if self.kind == "reconstruction" else out) @ self.out
        for (before, inner), (w1, _, w2, _) in zip(
            reversed(passed), reversed(self.blocks), strict=True
        ):
            gradient = gradient.to(w1.dtype)
            gradient = gradient + relu_transposed(
                relu_transposed(gradient @ w2, inner) @ w1, before
            )
        gradient = (gradient.to(action.dtype) @ self.action).expand_as(action)
        return gradient + action - out if self.kind == "reconstruction" else gradient


def relu_transposed(vector: Float[Tensor, "#B #N W"], x: Float[Tensor, "B N W"]) -> Tensor:
    """``J^T vector`` with J the derivative of ``relu(x)``, in one pass; differentiable in ``vector``."""
    slope: Tensor = torch.ops.aten.threshold_backward(vector.expand_as(x), x, 0.0)
    return slope
