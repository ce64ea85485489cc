"""Implicit behavior cloning as a reader of the paper would write it first: the yardstick of ``scripts/benchmark.py``.

Float32 throughout, observations copied for every candidate, gradients by automatic differentiation.
"""

import torch
import torch.nn.functional as F
from torch import nn


class PlainBlock(nn.Module):
    """Two dense layers with rectifiers before them, and a way around."""

    def __init__(self, width):
        super().__init__()
        self.dense1 = nn.Linear(width, width)
        self.dense2 = nn.Linear(width, width)

    def forward(self, h):
        return h + self.dense2(torch.relu(self.dense1(torch.relu(h))))


class PlainEnergy(nn.Module):
    """A residual network on the observation and the action side by side (IBC paper, appendix D)."""

    def __init__(self, obs_size, action_size, *, width, num_blocks):
        super().__init__()
        self.dense_in = nn.Linear(obs_size + action_size, width)
        self.blocks = nn.ModuleList(PlainBlock(width) for _ in range(num_blocks))
        self.dense_out = nn.Linear(width, 1)

    def forward(self, obs, action):
        """Energies (B, N) of actions (B, N, A) for observations (B, O)."""
        tiled = obs.unsqueeze(1).expand(-1, action.shape[1], -1)
        h = self.dense_in(torch.cat([tiled, action], dim=-1))
        for block in self.blocks:
            h = block(h)
        return self.dense_out(h).squeeze(-1)


def plain_info_nce(energy, obs, action, negatives):
    """The demonstrated action against its negatives."""
    candidates = torch.cat([action.unsqueeze(1), negatives], dim=1)
    target = torch.zeros(len(action), dtype=torch.int64, device=action.device)
    return F.cross_entropy(-energy(obs, candidates), target)


def plain_gradient(energy, obs, action, create_graph=False):
    """``dE/da``."""
    action = action.detach().requires_grad_()
    total = energy(obs, action).sum()
    return torch.autograd.grad(total, action, create_graph=create_graph)[0]


def plain_gradient_penalty(energy, obs, action, margin=1.0):
    """Mean over candidates of the squared excess of the steepest slope."""
    slope = plain_gradient(energy, obs, action, create_graph=True).abs().amax(-1)
    return (slope - margin).clamp(min=0).square().mean()


def plain_dfo(energy, obs, *, low, high, num_candidates, num_iterations, std, shrink, generator):
    """The best action (A,) for one observation (1, O), derivative-free."""
    size = len(low)
    random = {"generator": generator, "device": low.device}
    action = low + (high - low) * torch.rand(1, num_candidates, size, **random)
    with torch.no_grad():
        for iteration in range(num_iterations):
            values = energy(obs, action)
            if iteration == num_iterations - 1:
                return action[0, values[0].argmin()]
            probabilities = torch.softmax(-values[0], dim=0)
            index = torch.multinomial(
                probabilities, num_candidates, replacement=True, generator=generator
            )
            shake = std * torch.randn(num_candidates, size, **random)
            action = torch.clamp(action[0, index] + shake, low, high).unsqueeze(0)
            std *= shrink
    raise ValueError("num_iterations must be at least 1")


def plain_langevin(
    energy, obs, action, *, low, high, num_iterations, step_init, step_final, generator
):
    """Candidates (B, N, A) after noisy descent with a quadratic schedule."""
    limit = 0.1 * 0.5 * (high - low)
    for i in range(num_iterations):
        fraction = 1 - i / (num_iterations - 1)
        step = (step_init - step_final) * fraction**2 + step_final
        rng = torch.randn(action.shape, generator=generator, device=action.device)
        delta = step * (0.5 * plain_gradient(energy, obs, action) + rng)
        action = torch.clamp(action - torch.clamp(delta, -limit, limit), low, high)
    return action.detach()
