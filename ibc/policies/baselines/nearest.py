"""The policy without a network: do what was done in the most similar situation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ibc.nn import ActionBounds, Normalizer
from ibc.policies.base import Policy, Statistics, chunk_limits
from ibc.random import RandomSource
from ibc.spec import Obs, Spec

#: At most so many windows are remembered, spread evenly over the data.
MEMORY = 100_000
#: Pictures are compared at this size.
THUMBNAIL = 8


class NearestNeighborPolicy(Policy):
    """The action chunk of the remembered window nearest to what is seen.

    Distances are weighed by one number for each component of the window. They start equal (the paper's baseline, with
    no training) and can be learned: as a soft choice among neighbors, other examples of a batch must predict each
    one's action (neighborhood components, Goldberger et al. 2005).
    """

    memory: Tensor
    answers: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.vectors = sorted(name for name, field in spec.obs.items() if not field.is_image)
        self.images = sorted(name for name, field in spec.obs.items() if field.is_image)
        sizes = [int(torch.Size(spec.obs[name].shape).numel()) for name in self.vectors]
        self.normalizers = nn.ModuleList(Normalizer(size) for size in sizes)
        pixels = [THUMBNAIL**2 * spec.obs[name].shape[-1] for name in self.images]
        self.bounds = ActionBounds(spec.action_size)
        size = spec.obs_horizon * (sum(sizes) + sum(pixels))
        self.log_weight = nn.Parameter(torch.zeros(size))
        self.register_buffer("memory", torch.zeros(0, size))
        self.register_buffer("answers", torch.zeros(0, spec.action_size))

    def fit(self, dataset: Statistics) -> None:
        """See :class:`Policy`; remembers the windows themselves."""
        obs = dataset.observations()
        for name, normalizer in zip(self.vectors, self.normalizers, strict=True):
            assert isinstance(normalizer, Normalizer)
            normalizer.fit(obs[name].reshape(len(obs[name]), -1))
        actions = dataset.actions()
        self.bounds.fit(actions, *chunk_limits(self.spec, actions))
        stride = -(-len(actions) // MEMORY)
        kept = torch.arange(0, len(actions), stride)
        with torch.no_grad():
            parts = [self.window(dataset.batch(index).obs) for index in torch.split(kept, 1024)]
        self.memory = torch.cat(parts)
        self.answers = self.bounds.to_unit(actions[kept.to(actions.device)])

    def window(self, obs: Obs) -> Float[Tensor, "B F"]:
        """Everything seen, as one vector, standardized and not yet weighed."""
        parts: list[Tensor] = []
        for name, normalizer in zip(self.vectors, self.normalizers, strict=True):
            batch, horizon = obs[name].shape[:2]
            parts.append(normalizer(obs[name].reshape(batch, horizon, -1)).flatten(1))
        for name in self.images:
            pixels = obs[name].flatten(0, 1).movedim(-1, 1).float() / 127.5 - 1.0
            small = F.adaptive_avg_pool2d(pixels, THUMBNAIL)
            parts.append(small.reshape(len(obs[name]), -1))
        return torch.cat(parts, -1)

    def leave_one_out(self, obs: Obs, unit_action: Float[Tensor, "B A"]) -> Float[Tensor, "B A"]:
        """What the other examples of a batch suggest for each: their actions, the nearer ones counting more."""
        seen = self.window(obs) * self.log_weight.exp()
        norm = seen.square().sum(-1)
        square = norm.unsqueeze(1) + norm - 2 * seen @ seen.T
        itself = torch.eye(len(seen), dtype=torch.bool, device=seen.device)
        return torch.softmax(-square.masked_fill(itself, torch.inf), 1) @ unit_action

    @torch.no_grad()
    def act_flat(self, obs: Obs, rng: RandomSource) -> Float[Tensor, "B A"]:
        weight = self.log_weight.exp()
        distance = torch.cdist(self.window(obs) * weight, self.memory * weight)
        return self.bounds.from_unit(self.answers[distance.argmin(1)])

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """The memory is as large as it was saved."""
        for name in ("memory", "answers"):
            setattr(self, name, torch.empty_like(state_dict[name], device=self.log_weight.device))
        return super().load_state_dict(state_dict, strict, assign)
