"""The closed loop in environments: it collects demonstrations, evaluates policies and films them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ibc.control import Controller, PolicyActor
from ibc.data.episode import Episode
from ibc.environment import Environment
from ibc.errors import UserError
from ibc.spec import NumpyObs, Spec


@dataclass
class _Run:
    """An episode in progress."""

    seed: int
    obs: list[NumpyObs]
    action: list[NDArray[np.float32]] = field(default_factory=list)
    reward: list[float] = field(default_factory=list)
    success: list[bool] = field(default_factory=list)
    terminated: bool = False
    truncated: bool = False

    def episode(self, report: Mapping[str, float]) -> Episode:
        return Episode(
            obs={name: np.stack([o[name] for o in self.obs]) for name in self.obs[0]},
            action=np.stack(self.action).astype(np.float32),
            reward=np.array(self.reward, dtype=np.float32),
            success=np.array(self.success, dtype=np.bool_),
            terminated=self.terminated,
            truncated=self.truncated,
            seed=self.seed,
            report=report,
        )


def rollout(
    envs: Sequence[Environment],
    controller: Controller,
    seeds: Sequence[int],
    *,
    on_step: Callable[[Environment], None] | None = None,
) -> Iterator[Episode]:
    """One episode for each seed, in several environments at once, yielded in the order of ``seeds``.

    An environment that finishes takes the next seed, so none waits for another and no outcome depends on the others.

    Args:
        envs: environments of one kind.
        controller: chooses the actions.
        seeds: of the resets.
        on_step: called with the environment after each reset and step (a camera).

    Raises:
        UserError: there is no environment, or its observations or actions are not those that the policy was trained on.
    """
    if not envs:
        raise UserError("episodes need an environment: num_envs must be at least 1")
    if isinstance(controller.actor, PolicyActor):
        check_fit(controller.actor.policy.spec, envs[0])
    waiting = deque(enumerate(seeds))
    running: dict[int, _Run] = {}
    order: dict[int, int] = {}
    finished: dict[int, Episode] = {}
    next_out = 0
    while waiting or running:
        for index, env in enumerate(envs):
            if index not in running and waiting:
                order[index], seed = waiting.popleft()
                running[index] = _Run(seed, [env.reset(seed)])
                controller.reset(seed, env_index=index)
                if on_step is not None:
                    on_step(env)
        actions = controller.step_many({index: run.obs[-1] for index, run in running.items()})
        for index, run in list(running.items()):
            action = actions[index]
            obs, reward, success, run.terminated, run.truncated = envs[index].step(action)
            run.obs.append(obs)
            run.action.append(action)
            run.reward.append(reward)
            run.success.append(success)
            if envs[index].is_broken:  # whatever was reached before
                run.success = [False] * len(run.success)
            if on_step is not None:
                on_step(envs[index])
            if run.terminated or run.truncated:
                finished[order[index]] = running.pop(index).episode(envs[index].report())
        while next_out in finished:
            yield finished.pop(next_out)
            next_out += 1


def check_fit(spec: Spec, env: Environment) -> None:
    """Hold what a policy sees and does against an environment.

    Raises:
        UserError: naming the observation, or the numbers of actions, that differ.
    """
    for name, expected in spec.obs.items():
        found = env.obs_fields.get(name)
        if found is None:
            raise UserError(
                f"the policy needs an observation '{name}'; {env.config.id} has {', '.join(env.obs_fields)}"
            )
        if found != expected:
            raise UserError(
                f"observation '{name}' of {env.config.id} is {found.dtype} {found.shape}; "
                f"the policy was trained on {expected.dtype} {expected.shape}"
            )
    if len(env.action_low) != spec.action_dim:
        raise UserError(
            f"{env.config.id} takes actions of {len(env.action_low)} numbers; the policy gives {spec.action_dim}"
        )
