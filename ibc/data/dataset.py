"""Training examples: windows of observations and chunks of actions cut from episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from ibc.data.episode import Episode
from ibc.data.frame_table import FrameTable
from ibc.errors import UserError
from ibc.spec import Batch, Obs, Spec

#: How many pictures the statistics of a camera are taken from.
STATISTICS_PICTURES = 500
#: Part of an action's range that counts as a change of mind.
KEYFRAME_JUMP = 0.1


def window_index(t: NDArray[np.int64], obs_horizon: int) -> NDArray[np.int64]:
    """Time steps (..., To) seen at step ``t`` of an episode: the first frame stands in for those before it.

    The one padding rule, used for training windows and in closed loop alike.
    """
    window: NDArray[np.int64] = np.maximum(t[..., None] + np.arange(1 - obs_horizon, 1), 0)
    return window


def evenly_spread(count: int, most: int) -> Int[Tensor, " N"]:
    """At most so many of the numbers from 0 to ``count - 1``, evenly spread."""
    return torch.linspace(0, count - 1, min(most, count), dtype=torch.float64).long()


class WindowDataset:
    """All windows of some episodes, gathered by index: vectors from memory, pictures from wherever they are.

    Index i is one step of one episode. The observation window ends at that step, padded at the start with the first
    frame; the action chunk begins at it, padded at the end with the last action.
    """

    def __init__(
        self,
        episodes: Sequence[Episode],
        spec: Spec,
        device: torch.device | str = "cpu",
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self.spec = spec
        self.about = dict(about or {})
        lengths = np.array([len(episode) for episode in episodes])
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        t = np.concatenate([np.arange(length) for length in lengths])
        start = np.repeat(starts, lengths)
        last = np.repeat(starts + lengths - 1, lengths)
        obs_index = window_index(t, spec.obs_horizon) + start[:, None]
        action_index = (t + start)[:, None] + np.arange(spec.action_horizon)
        self._first = torch.from_numpy(t == 0).to(device)
        self._obs_index = torch.from_numpy(obs_index).to(device)
        self._action_index = torch.from_numpy(np.minimum(action_index, last[:, None])).to(device)
        self._obs: dict[str, Tensor | FrameTable] = {}
        for name, field in spec.obs.items():
            arrays = [episode.obs[name][:-1] for episode in episodes]
            if not field.is_image:
                self._obs[name] = torch.from_numpy(np.concatenate(arrays)).to(device)
            elif sum(a.nbytes for a in arrays) <= free_memory(torch.device(device)) // 2:
                self._obs[name] = torch.cat(
                    [torch.from_numpy(np.asarray(a)).to(device) for a in arrays]
                )
            else:
                self._obs[name] = FrameTable(arrays)
        action = np.concatenate([episode.action for episode in episodes])
        clipped = np.clip(action, spec.action_low, spec.action_high).astype(np.float32)
        self.num_clipped = int((action != clipped).any(axis=1).sum())
        self._action = torch.from_numpy(clipped).to(device)

    def __len__(self) -> int:
        """Number of windows: one for each recorded step."""
        return len(self._obs_index)

    @property
    def is_on_device(self) -> bool:
        """Whether all examples are in the memory of one device, and a batch is gathered without the host."""
        return all(isinstance(array, Tensor) for array in self._obs.values())

    def observations(self) -> Obs:
        """For statistics: every single vector ``{name: (M, *shape)}``, and pictures from all over the data."""
        steps = len(self._first)
        some = evenly_spread(steps, STATISTICS_PICTURES)
        return {
            name: array[some] if self.spec.obs[name].is_image else array  # type: ignore[misc]
            for name, array in self._obs.items()
        }

    def actions(self) -> Float[Tensor, "M A"]:
        """Every action chunk, flat, for statistics."""
        return self._action[self._action_index].flatten(1)

    def action_range(self) -> tuple[Float[Tensor, " D"], Float[Tensor, " D"]]:
        """The smallest and the largest action of each dimension."""
        return self._action.amin(0), self._action.amax(0)

    def keyframes(self) -> Int[Tensor, " K"]:
        """Examples at which the demonstrator changes its mind: the action jumps by a tenth of its range or more.

        Such moments are rare and decide everything, while "the same as before" explains all others (Wen et al. 2021,
        keyframe-focused imitation learning).
        """
        action = self._action
        span = action.amax(0) - action.amin(0)
        jump = ((action[1:] - action[:-1]).abs() > KEYFRAME_JUMP * span).any(1)
        return torch.nonzero(jump & ~self._first[1:]).squeeze(1) + 1

    def check_fits(self, spec: Spec) -> None:
        """Hold it against what a policy was made for; limits of actions may be others.

        Raises:
            UserError: naming what differs.
        """
        for key in ("obs", "obs_horizon", "action_dim", "action_horizon"):
            if (own := getattr(spec, key)) != (its := getattr(self.spec, key)):
                raise UserError(f"the policy was made for {key}={own}; the data has {its}")

    def batch(self, index: Int[Tensor, " B"]) -> Batch:
        """The windows at ``index``."""
        obs = {name: array[self._obs_index[index]] for name, array in self._obs.items()}
        return Batch(obs, self._action[self._action_index[index]].flatten(1))


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a GPU; none elsewhere, where pictures stay in their files."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0


class ShuffledIndices:
    """An endless, reproducible order of examples: every one once an epoch, in a new permutation each time.

    A pure function of ``(seed, step)``, so a resumed run sees exactly what it would have seen. Examples in
    ``oversample`` come ``1 + repeats`` times an epoch. Indices are on ``device``.
    """

    def __init__(
        self,
        num_examples: int,
        batch_size: int,
        seed: int,
        oversample: Int[Tensor, " K"] | None = None,
        repeats: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.device = torch.device(device)
        self.pool = torch.arange(num_examples)
        if oversample is not None:
            self.pool = torch.cat([self.pool, oversample.cpu().repeat(repeats)])
        self.num_examples = len(self.pool)
        self.batch_size = batch_size
        self.seed = seed
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64, device=self.device)

    def __call__(self, step: int) -> Int[Tensor, " B"]:
        """The indices of batch number ``step``."""
        epoch, start = divmod(step * self.batch_size, self.num_examples)
        order = self._permutation(epoch)
        while len(order) < start + self.batch_size:
            epoch += 1
            order = torch.cat([order, self._permutation(epoch)])
        return order[start : start + self.batch_size]

    def _permutation(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            (state,) = np.random.SeedSequence([self.seed, epoch]).generate_state(1, np.uint64)
            generator = torch.Generator().manual_seed(int(state >> np.uint64(1)))
            order = self.pool[torch.randperm(self.num_examples, generator=generator)]
            self._order = order.to(self.device)
            self._epoch = epoch
        return self._order
