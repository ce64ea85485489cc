"""The loop around a policy: history of observations, queue of actions, random numbers of each episode."""

from __future__ import annotations

import operator
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ibc.control.actor import Actor
from ibc.control.confidence import InDoubt, Monitor, OnDoubt
from ibc.control.observations import checked_obs, stacked
from ibc.control.policy_actor import PolicyActor
from ibc.data.dataset import window_index
from ibc.detection import Detector
from ibc.errors import UserError
from ibc.policies import Policy
from ibc.spec import PREVIOUS_ACTION, NumpyObs, ObsField
from ibc.threads import limit_threads

#: Latencies that are kept, of more calls than an evaluation has: a robot may act for weeks.
MOST_LATENCIES = 1_000_000


@dataclass
class _Episode:
    """What is remembered of one episode: observations, actions to come, the last one returned, confidence, steps."""

    history: deque[NumpyObs]
    queue: deque[NDArray[np.float32]] = field(default_factory=deque)
    previous: NDArray[np.float32] | None = None
    confidence: float = 1.0
    steps: int = 0


class Controller:
    """Acts step by step, on a robot or in an environment.

    The policy sees the last ``obs_horizon`` observations; before there are as many, the first one stands in for those
    that are missing. Its action chunk is executed, or the first ``num_execute_steps`` actions of it, before it is asked
    again. Beside the observations it is given the last action of its previous chunk, as observation
    ``previous_action`` (1, D), NaN at first: warm starts and limits on changes of the action use it.

    Args:
        policy: a policy, or any :class:`ibc.control.Actor`, such as an expert.
        num_execute_steps: actions of a chunk that are executed; all of them if None.
        obs_horizon: observations in a window, for an actor that is no policy.
        num_threads: of the processor that a decision takes; None leaves torch's setting. One is the steadiest beside
            other processes; a search of ten thousand candidates is faster by more (docs/performance.md).
        exact: ask the policy for one environment at a time, as on a robot. The rounding of a matrix product depends on
            its size, so an action otherwise depends in its last digits on how many are computed together.
        detector: judges every decision of the policy (:class:`ibc.detection.Detector`); see :attr:`confidence`.
        on_doubt: what is done where the detector doubts a decision. ``stop`` raises :class:`ibc.control.InDoubt` before
            anything of it is executed; ``search`` takes the best of more searches, and executes that whatever its
            confidence; a function of the observation ``{name: (*shape)}`` gives the action (D,) of each step until a
            decision is not in doubt: an operator, or one that holds still. None goes on as without a detector.

    Attributes:
        latencies: seconds of each call of the policy, with its detector; of the latest ``MOST_LATENCIES`` calls.

    Raises:
        UserError: ``num_execute_steps`` is not between 1 and the length of the policy's chunks, ``num_threads`` is
            below 1, ``exact`` is asked for with another number of threads than one, there is nothing that a detector
            could judge, it was calibrated for another ``num_execute_steps``, or ``on_doubt`` without a detector.
    """

    def __init__(
        self,
        policy: Policy | Actor,
        *,
        num_execute_steps: int | None = None,
        obs_horizon: int = 1,
        num_threads: int | None = 1,
        exact: bool = False,
        detector: Detector | None = None,
        on_doubt: OnDoubt = None,
    ) -> None:
        if not isinstance(policy, Policy | Actor):
            raise UserError(
                f"a controller takes a policy (ibc.load_policy) or an actor, not a {type(policy).__name__}"
            )
        self.fields: Mapping[str, ObsField] = {}
        self._chunk_steps = num_execute_steps or 1
        if isinstance(policy, Policy):
            spec = policy.spec
            self._chunk_steps = num_execute_steps or spec.action_horizon
            obs_horizon, self.fields = spec.obs_horizon, spec.obs
            if num_execute_steps is not None and num_execute_steps > spec.action_horizon:
                raise UserError(
                    f"num_execute_steps={num_execute_steps}; the policy's chunks have {spec.action_horizon} actions"
                )
        self.monitor = _monitor(policy, detector, on_doubt, self._chunk_steps)
        if isinstance(policy, Policy):
            policy = PolicyActor(policy)
        if num_execute_steps is not None and num_execute_steps < 1:
            raise UserError(f"num_execute_steps={num_execute_steps}; it must be at least 1")
        if num_threads is not None and num_threads < 1:
            raise UserError(f"num_threads={num_threads}; it must be at least 1")
        if exact and num_threads != 1:
            raise UserError(
                f"exact=true with num_threads={num_threads}; sums of several threads are rounded differently, "
                "so it needs num_threads=1"
            )
        self.actor = policy
        self.num_threads = num_threads
        self.exact = exact
        self.num_execute_steps = num_execute_steps
        self.obs_horizon = obs_horizon
        self.latencies: deque[float] = deque(maxlen=MOST_LATENCIES)
        self._episodes: dict[int, _Episode] = {}

    def reset(self, seed: int = 0, *, env_index: int = 0) -> None:
        """Begin an episode: forget observations and actions, and restart the random numbers from ``seed``."""
        seed = operator.index(seed)
        self._episodes[env_index] = _Episode(deque(maxlen=self.obs_horizon))
        self.actor.reset(env_index, seed)
        if self.monitor is not None:
            self.monitor.reset(env_index)

    def decide_anew(self, *, env_index: int = 0, executed: ArrayLike | None = None) -> None:
        """Give up the actions of the chunk under way, which have not been executed: the next step asks the policy.

        Args:
            env_index: of the environment.
            executed: (D,), the action that was executed last, where that is not the one returned last.

        Raises:
            UserError: ``reset`` was not called for the environment, or ``executed`` is no action.
        """
        episode = self._episode(env_index)
        if executed is not None:
            size = (
                self.actor.policy.spec.action_dim if isinstance(self.actor, PolicyActor) else None
            )
            episode.previous = action_of(executed, size, "executed")
        episode.queue.clear()

    @property
    def confidence(self) -> float:
        """How usual the decision under way is: a conformal p-value in [0, 1].

        1 before the first decision, and without a detector. Of environment 0; :meth:`confidence_of` tells of others.
        """
        return self.confidence_of(0)

    def confidence_of(self, env_index: int) -> float:
        """See :attr:`confidence`.

        Raises:
            UserError: ``reset`` was not called for the environment.
        """
        return self._episode(env_index).confidence

    def step(self, obs: Mapping[str, Any]) -> NDArray[np.float32]:
        """The action (D,) for an observation ``{name: (*shape)}``, environment units, images uint8 (H, W, C).

        Of entries that the policy does not use, numbers are kept for terms of a composition, where all observations of
        the window have them in the same shape; others are left out.

        Raises:
            UserError: ``reset`` was not called, or the observation is not what the policy was trained on.
            InDoubt: the decision is in doubt, and ``on_doubt="stop"``.
        """
        return self.step_many({0: obs})[0]

    def step_many(self, obs: Mapping[int, Mapping[str, Any]]) -> dict[int, NDArray[np.float32]]:
        """The next action of several environments, by their index; the policy is asked once for all that need it.

        Raises:
            UserError, InDoubt: see :meth:`step`; nothing is remembered of observations of which one is refused.
        """
        checked = self._remembered(obs)
        try:
            self._decide_all(list(obs))
        except InDoubt as doubt:  # the step is over all the same
            self._episodes[doubt.env_index].confidence = doubt.confidence
            for index in obs:
                self._episodes[index].steps += 1
            raise
        actions = {}
        for index, seen in checked.items():
            episode = self._episodes[index]
            if self.monitor is not None and self.monitor.asks(episode.confidence):
                episode.queue = deque([self.monitor.ask(seen)])
            episode.previous = episode.queue.popleft()
            episode.steps += 1
            actions[index] = episode.previous.copy()  # a loop may convert its units where it lies
        return actions

    def _remembered(self, obs: Mapping[int, Mapping[str, Any]]) -> dict[int, NumpyObs]:
        """Put observations, as the policy takes them, into the histories of their environments."""
        checked = {index: checked_obs(seen, self.fields) for index, seen in obs.items()}
        episodes = {index: self._episode(index) for index in checked}
        for index, episode in episodes.items():
            episode.history.append(checked[index])
        return checked

    def _decide_all(self, env_indices: list[int]) -> None:
        asked = [index for index in env_indices if not self._episodes[index].queue]
        for together in ([index] for index in asked) if self.exact else [asked] if asked else []:
            self._decide(together)

    def _episode(self, env_index: int) -> _Episode:
        if env_index not in self._episodes:
            raise UserError("call reset() before the first step of an episode")
        return self._episodes[env_index]

    def _decide(self, env_indices: list[int]) -> None:
        windows = [self._window(self._episodes[index]) for index in env_indices]
        obs = stacked(windows, self.fields)
        steps = [self._episodes[index].steps for index in env_indices]
        start = time.perf_counter()
        with limit_threads(self.num_threads):
            chunks, confidences = self._judged(env_indices, obs, steps)
        self.latencies.append(time.perf_counter() - start)
        for index, chunk, confidence in zip(env_indices, chunks, confidences, strict=True):
            self._episodes[index].queue.extend(chunk[: self.num_execute_steps])
            self._episodes[index].confidence = confidence

    def _judged(
        self, env_indices: list[int], obs: NumpyObs, steps: Sequence[int]
    ) -> tuple[NDArray[np.float32], list[float]]:
        """The actor's chunks (E, Ta, D), and the confidence of each; ``steps`` came before them in their episodes."""
        chunks, confidences = self.actor.act(env_indices, obs), [1.0] * len(env_indices)
        if self.monitor is not None:
            numbers = [step // self._chunk_steps for step in steps]
            chunks, confidences = self.monitor.judge(env_indices, numbers, obs, chunks)
        if not np.isfinite(chunks).all():
            raise UserError("the policy's action is not finite: an observation may be out of range")
        if isinstance(self.actor, PolicyActor):
            self.actor.record(env_indices)
        return chunks, confidences

    def _window(self, episode: _Episode) -> NumpyObs:
        history = list(episode.history)
        index = window_index(np.array(len(history) - 1), self.obs_horizon)
        window = stacked([history[i] for i in index], self.fields)
        if isinstance(self.actor, PolicyActor):
            unknown = np.full(self.actor.policy.spec.action_dim, np.nan, dtype=np.float32)
            previous = unknown if episode.previous is None else episode.previous
            window = {PREVIOUS_ACTION: previous[None], **window}
        return window


def action_of(given: ArrayLike, size: int | None, name: str) -> NDArray[np.float32]:
    """An action (D,) that a user gives.

    Raises:
        UserError: it is not one of ``size`` finite numbers.
    """
    action = np.array(given, np.float32)
    if action.shape != (size or action.size,) or not np.isfinite(action).all():
        raise UserError(f"{name}={action.tolist()}; the policy's actions are {size} finite numbers")
    return action


def _monitor(
    policy: Policy | Actor, detector: Detector | None, on_doubt: OnDoubt, chunk_steps: int
) -> Monitor | None:
    if detector is None:
        if on_doubt is not None:
            raise UserError("on_doubt needs a detector")
        return None
    if not isinstance(detector, Detector):
        raise UserError(f"detector={detector}; it is a Detector, such as ibc.Detector.load(PATH)")
    if not isinstance(policy, Policy):
        raise UserError(
            f"a detector judges decisions of a policy, not of a {type(policy).__name__}"
        )
    detector.check_steps(chunk_steps)
    return Monitor(policy, detector, on_doubt)
