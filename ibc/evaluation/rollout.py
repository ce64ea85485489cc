"""The one closed loop: it collects demonstrations, evaluates policies and films them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ibc.control.actor import Actor
from ibc.data.dataset import window_index
from ibc.data.episode import Episode
from ibc.environment import Environment
from ibc.spec import NumpyObs


@dataclass
class _Run:
    """An episode in progress in one slot."""

    env_index: int
    seed: int
    obs: list[NumpyObs]
    action: list[NDArray[np.float32]] = field(default_factory=list)
    reward: list[float] = field(default_factory=list)
    success: list[bool] = field(default_factory=list)
    plan: deque[NDArray[np.float32]] = field(default_factory=deque)
    terminated: bool = False
    truncated: bool = False

    def window(self, obs_horizon: int) -> NumpyObs:
        index = window_index(np.array(len(self.obs) - 1), obs_horizon)
        return {name: np.stack([self.obs[i][name] for i in index]) for name in self.obs[0]}

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
    actor: Actor,
    seeds: Sequence[int],
    *,
    obs_horizon: int,
    on_step: Callable[[Environment], None] | None = None,
    latencies: list[float] | None = None,
) -> Iterator[Episode]:
    """One episode for each seed, in several environments at once, yielded in the order of ``seeds``.

    An environment that finishes takes the next seed, so none waits for another and no outcome depends on the others.
    The actor is asked for all environments that need a new action together, and its action chunks are carried out to
    their end before it is asked again.

    Args:
        envs: environments of one kind.
        actor: decides.
        seeds: of the resets.
        obs_horizon: observations in a window.
        on_step: called with the environment after each reset and step (a camera).
        latencies: receives the seconds of each call of the actor.
    """
    waiting = deque(enumerate(seeds))
    running: dict[int, _Run] = {}
    order: dict[int, int] = {}
    finished: dict[int, Episode] = {}
    next_out = 0
    while waiting or running:
        for env_index, env in enumerate(envs):
            if env_index not in running and waiting:
                order[env_index], seed = waiting.popleft()
                running[env_index] = _Run(env_index, seed, [env.reset(seed)])
                actor.reset(env_index, seed)
                if on_step is not None:
                    on_step(env)
        _plan([run for run in running.values() if not run.plan], actor, obs_horizon, latencies)
        for env_index, run in list(running.items()):
            action = run.plan.popleft()
            obs, reward, success, run.terminated, run.truncated = envs[env_index].step(action)
            run.obs.append(obs)
            run.action.append(action)
            run.reward.append(reward)
            run.success.append(success)
            if on_step is not None:
                on_step(envs[env_index])
            if run.terminated or run.truncated:
                finished[order[env_index]] = running.pop(env_index).episode(
                    envs[env_index].report()
                )
        while next_out in finished:
            yield finished.pop(next_out)
            next_out += 1


def _plan(
    runs: Sequence[_Run], actor: Actor, obs_horizon: int, latencies: list[float] | None
) -> None:
    """Ask the actor for all runs that have no action left."""
    if not runs:
        return
    windows = [run.window(obs_horizon) for run in runs]
    obs = {name: np.stack([window[name] for window in windows]) for name in windows[0]}
    start = time.perf_counter()
    chunks = actor.act([run.env_index for run in runs], obs)
    if latencies is not None:
        latencies.append(time.perf_counter() - start)
    for run, chunk in zip(runs, chunks, strict=True):
        run.plan.extend(chunk)
