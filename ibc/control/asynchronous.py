"""Search for the next actions while the present ones are executed."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ibc.control.confidence import InDoubt, OnDoubt
from ibc.control.controller import Controller, action_of
from ibc.control.observations import stacked
from ibc.control.plan import WAYS, Chunk, Plan
from ibc.detection import Detector
from ibc.errors import UserError
from ibc.policies import ComposedPolicy, ImplicitPolicy, Policy
from ibc.samplers import Anytime
from ibc.spec import COMMITTED_ACTIONS, PREVIOUS_CHUNK, NumpyObs
from ibc.threads import limit_threads

#: The part of the deadline that a search may take; the rest is for the encoder and the last evaluation.
SEARCH_PART = 0.8


@dataclass
class _Search:
    """A search under way, for some environments: it ends at a step in a simulation, and when it ends otherwise."""

    env_indices: list[int]
    seen_at: dict[int, int]
    ends_at: dict[int, int]
    result: Future[tuple[NDArray[np.float32], list[float]]]


@dataclass
class _Course:
    """The plan of an episode, the step that comes next, and when the last search began."""

    plan: Plan
    now: int = 0
    began: int | None = None
    search: _Search | None = field(default=None, repr=False)


class AsynchronousController(Controller):
    """Acts at a fixed rate, and searches in the background for what comes after the actions under way.

    A search that begins at some step sees the observation of that step, and its result comes a number of steps later:
    the deadline in steps. The ways to deal with it:

    - ``committed``: the actions that will be executed until the deadline are held, and the rest of the chunk is
      searched *given* them, from the plan so far: the new chunk continues what is under way.
    - ``naive``: the new chunk replaces the old one when it comes, whatever that does to the motion. Hard constraints
      are refused here, and with ``ensembled``: motions are executed that were not checked.
    - ``ensembled``: a step's action is the mean of what all chunks say of it (Zhao et al. 2023).
    - ``blocking``: the robot holds still until the chunk is there.

    The search of an implicit policy or a composition ends at the deadline with the best it has found; it is changed on
    a copy of the policy, ``actor.policy``, which has the reports as well. Where a chunk is used up before the next one
    is there, the robot holds. The first action of an episode is waited for.

    Args:
        policy: whose chunks are longer than the deadline.
        rate: steps in a second.
        deadline_ms: milliseconds from an observation to the actions for it.
        way: see above.
        num_execute_steps: actions of a chunk, counted from its observation, that are executed before the next chunk is
            there: its search begins so much earlier. If None there is always one under way, as for ``ensembled``.
        hold_action: (D,), executed where nothing is planned; the last action is repeated if None.
        simulated: in a simulation, whose time stands still: results are held back for the steps of the deadline,
            and the search has all its time.
        detector: see :class:`Controller`. It judges in the background, after the search, and so takes part of the time
            from the end of the search to the next one; a chunk has its confidence from the step that takes it over.
        on_doubt: see :class:`Controller`.

    Raises:
        UserError: another way; a rate or deadline that is not positive; chunks that are too short; a policy whose
            search cannot hold actions; ``num_execute_steps`` for ``ensembled``; or another ``hold_action``.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        rate: float,
        deadline_ms: float,
        way: str = "committed",
        num_execute_steps: int | None = None,
        hold_action: ArrayLike | None = None,
        simulated: bool = False,
        detector: Detector | None = None,
        on_doubt: OnDoubt = None,
    ) -> None:
        if way not in WAYS:
            raise UserError(f"way={way}; allowed: {', '.join(WAYS)}")
        if (
            not 0 < rate < math.inf
            or not 0 <= deadline_ms < math.inf
            or not deadline_ms + simulated
        ):
            raise UserError(f"rate={rate}, deadline_ms={deadline_ms}; both must be positive")
        self.delay = math.ceil(deadline_ms * rate / 1000 - 1e-9)
        horizon = policy.spec.action_horizon
        if way != "blocking" and self.delay >= horizon:
            raise UserError(
                f"deadline_ms={deadline_ms} is {self.delay} steps, the policy's chunks have {horizon}: "
                "each is over before it is there"
            )
        if num_execute_steps is not None and way != "blocking" and num_execute_steps <= self.delay:
            raise UserError(
                f"num_execute_steps={num_execute_steps}, and a chunk is there after {self.delay} steps: "
                "none of it would be executed"
            )
        if num_execute_steps is not None and way == "ensembled":
            raise UserError(
                "way=ensembled begins a search whenever one has ended; leave out num_execute_steps"
            )
        if way in ("naive", "ensembled") and isinstance(policy, ComposedPolicy) and policy.hard:
            raise UserError(
                f"way={way} mixes motions of several chunks, for which no hard constraint is checked; choose committed or blocking"
            )
        if way == "committed" and not hasattr(policy, "search"):
            raise UserError(f"a {type(policy).__name__} cannot hold actions; choose another way")
        if not simulated:
            policy = _limited(policy, SEARCH_PART * deadline_ms / 1000)
        super().__init__(
            policy, num_execute_steps=num_execute_steps, detector=detector, on_doubt=on_doubt
        )
        self.way, self.simulated = way, simulated
        self.every = max(1, self.delay, (num_execute_steps or 0) - self.delay)
        self.spec = policy.spec
        self.hold = None
        if hold_action is not None:
            self.hold = action_of(hold_action, self.spec.action_dim, "hold_action")
        self._worker = ThreadPoolExecutor(1, "search")
        self._courses: dict[int, _Course] = {}
        self._is_closed = False

    def reset(self, seed: int = 0, *, env_index: int = 0) -> None:
        course = self._courses.get(env_index)
        if course is not None and course.search is not None:
            course.search.result.exception()  # the episode's random numbers are its own
        super().reset(seed, env_index=env_index)
        self._courses[env_index] = _Course(Plan(self.way, self.hold))

    def decide_anew(self, *, env_index: int = 0, executed: ArrayLike | None = None) -> None:
        super().decide_anew(env_index=env_index, executed=executed)
        course = self._courses[env_index]
        course.plan.last = self._episodes[env_index].previous
        course.plan.chunks.clear()
        course.search = course.began = None

    def step_many(self, obs: Mapping[int, Mapping[str, Any]]) -> dict[int, NDArray[np.float32]]:
        if self._is_closed:
            raise UserError("the controller is closed; make another one")
        checked = self._remembered(obs)
        try:
            self._take_results(obs)
            operated = self._ask(checked) if self.delay else set()  # so that searches know of it
            due = [index for index in obs if self._is_due(self._courses[index])]
            if due:
                self._begin(due)
                self._take_results(obs)
            operated |= self._ask({i: seen for i, seen in checked.items() if i not in operated})
        except Exception as error:  # of a search, or doubt: the step is over all the same
            if isinstance(error, InDoubt):
                self._episodes[error.env_index].confidence = error.confidence
            for index in obs:
                self._courses[index].now += 1
            raise
        actions = {}
        for index in obs:
            course = self._courses[index]
            if index not in operated:
                course.plan.execute(course.now)
            assert course.plan.last is not None
            self._episodes[index].previous = course.plan.last
            actions[index] = course.plan.last.copy()  # the plan stays as it is
            course.now += 1
        return actions

    def _ask(self, obs: Mapping[int, NumpyObs]) -> set[int]:
        """Let the user's function act where there is doubt; returns where."""
        asked = set()
        for index, seen in obs.items():
            if self.monitor is not None and self.monitor.asks(self._episodes[index].confidence):
                self._courses[index].plan.last = self.monitor.ask(seen)
                asked.add(index)
        return asked

    def close(self) -> None:
        """Wait for the search under way, and end its thread; no step follows."""
        self._is_closed = True
        self._worker.shutdown()

    def _is_due(self, course: _Course) -> bool:
        if course.search is not None:
            return False
        if self.way == "blocking":
            return course.plan.left(course.now) == 0
        if self.way == "ensembled":
            return True
        return course.began is None or course.now - course.began >= self.every

    def _begin(self, env_indices: list[int]) -> None:
        windows = [self._window_of(index) for index in env_indices]
        obs = stacked(windows, self.fields)
        seen_at = {index: self._courses[index].now for index in env_indices}
        ends_at = {  # the first action of an episode is waited for
            index: now + (0 if self._courses[index].began is None else self.delay)
            for index, now in seen_at.items()
        }
        result = self._worker.submit(self._act, env_indices, obs, list(seen_at.values()))
        search = _Search(env_indices, seen_at, ends_at, result)
        for index, now in seen_at.items():
            course = self._courses[index]
            is_first, course.began, course.search = course.began is None, now, search
            if is_first or self.simulated:
                result.exception()  # waits; what went wrong is raised where the result is taken over

    def _act(
        self, env_indices: list[int], obs: NumpyObs, steps: list[int]
    ) -> tuple[NDArray[np.float32], list[float]]:
        start = time.perf_counter()
        with limit_threads(self.num_threads):
            judged = self._judged(env_indices, obs, steps)
        self.latencies.append(time.perf_counter() - start)
        return judged

    def _take_results(self, env_indices: Iterable[int]) -> None:
        for index in env_indices:
            course = self._courses[index]
            search = course.search
            if search is None or not search.result.done():
                continue
            if self.simulated and course.now < search.ends_at[index]:
                continue
            course.search = None
            if search.result.exception() is not None:
                self._forget(search)
            chunks, confidences = search.result.result()
            row = search.env_indices.index(index)
            chunk: Chunk = chunks[row]
            self._episodes[index].confidence = confidences[row]
            if self.way == "blocking":
                chunk = chunk[: self.num_execute_steps]
            if self.monitor is not None and self.monitor.asks(confidences[row]):
                course.plan.chunks.clear()  # a search goes on from what is executed
            else:
                course.plan.add(chunk, search.seen_at[index], course.now)

    def _forget(self, search: _Search) -> None:
        """Give up a search that has failed; where nothing has been planned, the next step decides anew."""
        for index in search.env_indices:
            course = self._courses[index]
            if course.search is search:
                course.search = None
            if course.plan.last is None:
                course.began = None

    def _window_of(self, index: int) -> NumpyObs:
        course, window = self._courses[index], self._window(self._episodes[index])
        if self.way != "committed":
            return window
        committed = np.full((self.spec.action_horizon, self.spec.action_dim), np.nan, np.float32)
        if course.plan.last is None:
            return {**window, COMMITTED_ACTIONS: committed, PREVIOUS_CHUNK: committed}
        ahead = course.plan.ahead(course.now, self.spec.action_horizon)
        committed[: self.delay] = ahead[: self.delay]
        return {**window, COMMITTED_ACTIONS: committed, PREVIOUS_CHUNK: ahead}


def _limited(policy: Policy, seconds: float) -> Policy:
    """A copy of a policy whose search ends after some time; the policy itself if it searches no energy."""
    if isinstance(policy, ImplicitPolicy):
        policy = copy.copy(policy)
        policy.sampler = Anytime(policy.sampler, seconds)
    elif isinstance(policy, ComposedPolicy):
        inner = _limited(policy.policy, seconds)
        policy = copy.copy(policy)
        policy._modules = {**policy._modules, "policy": inner}  # the copy has shared the map
    return policy
