"""Judge the decisions of a controller, and act on doubt."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ibc.detection import Decision, Detector
from ibc.detection.decision import best_of, repeated_search, searched
from ibc.errors import UserError
from ibc.policies import ComposedPolicy, Policy
from ibc.spec import NumpyObs

#: Searches from other random numbers that ``on_doubt="search"`` takes the best of.
MORE_SEARCHES = 8
#: What ``on_doubt`` may be beside a function and None.
REACTIONS = ("stop", "search")

#: What is done on doubt: nothing, one of ``REACTIONS``, or a function of an observation that returns an action (D,).
OnDoubt = str | Callable[[NumpyObs], Any] | None


class InDoubt(RuntimeError):
    """A decision is in doubt, and the controller was told to stop.

    Attributes:
        env_index: of the environment.
        confidence: of the decision.
    """

    def __init__(self, env_index: int, confidence: float) -> None:
        super().__init__(f"environment {env_index}: the decision has confidence {confidence:.3g}")
        self.env_index, self.confidence = env_index, confidence


class Monitor:
    """The confidence of each episode's latest decision.

    Args:
        policy: whose decisions are judged.
        detector: calibrated for it.
        on_doubt: see :class:`ibc.control.Controller`.

    Raises:
        UserError: another reaction, a search is asked for where the policy has none, or the detector is another's.
    """

    def __init__(self, policy: Policy, detector: Detector, on_doubt: OnDoubt) -> None:
        is_known = isinstance(on_doubt, str) and on_doubt in REACTIONS
        if on_doubt is not None and not callable(on_doubt) and not is_known:
            raise UserError(
                f"on_doubt={on_doubt}; allowed: {', '.join(REACTIONS)}, or a function of an observation"
            )
        if on_doubt == "search":
            searched(policy)
        detector.check_policy(policy)
        self.policy, self.detector, self.on_doubt = policy, detector, on_doubt
        self._values: dict[int, deque[float]] = {}
        self._numbers: dict[int, int] = {}

    def reset(self, env_index: int) -> None:
        """Begin an episode."""
        self._values[env_index] = deque(maxlen=self.detector.window)
        self._numbers[env_index] = -1

    def judge(
        self,
        env_indices: Sequence[int],
        numbers: Sequence[int],
        obs: NumpyObs,
        chunks: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], list[float]]:
        """Compute the confidence of decisions, and search again where that is asked for.

        Args:
            env_indices: (E,) of the decisions.
            numbers: (E,), chunks that went before in the same episode. A decision with the number of the last one takes
                its place: where a user's function acts, or searches overlap, there are more decisions than chunks.
            obs: windows ``{name: (E, To, *shape)}``.
            chunks: (E, Ta, D), what was decided.

        Returns:
            Chunks, and the confidence of each.

        Raises:
            InDoubt: a decision is in doubt, and ``on_doubt="stop"``.
        """
        for index, number in zip(env_indices, numbers, strict=True):
            if number != self._numbers[index]:
                self._values[index].append(0.0)
            self._numbers[index] = number
        confidences = self._update(env_indices, obs, chunks)
        doubtful = [
            row for row, value in enumerate(confidences) if self.detector.is_doubtful(value)
        ]
        if doubtful and self.on_doubt == "stop":
            raise InDoubt(env_indices[doubtful[0]], confidences[doubtful[0]])
        if doubtful and self.on_doubt == "search":
            some = {name: array[doubtful] for name, array in obs.items()}
            device = next(self.policy.parameters()).device
            seen = {name: torch.from_numpy(array).to(device) for name, array in some.items()}
            searches = repeated_search(self.policy, seen, MORE_SEARCHES)
            if isinstance(self.policy, ComposedPolicy):  # which may have hard constraints
                best = self.policy.choose_again(searches, seen, doubtful)
            else:
                best = best_of(searches)
            found = best.cpu().numpy()
            chunks = chunks.copy()
            chunks[doubtful] = found.reshape(len(doubtful), *chunks.shape[1:])
            again = self._update([env_indices[row] for row in doubtful], some, chunks[doubtful])
            for row, value in zip(doubtful, again, strict=True):
                confidences[row] = value
        return chunks, confidences

    def asks(self, confidence: float) -> bool:
        """Whether the user's function is asked instead of a decision with this confidence."""
        return callable(self.on_doubt) and self.detector.is_doubtful(confidence)

    def ask(self, obs: NumpyObs) -> NDArray[np.float32]:
        """The action (D,) that the user's function gives for an observation ``{name: (*shape)}``.

        Raises:
            UserError: it is not one action.
        """
        assert callable(self.on_doubt)
        action = np.array(self.on_doubt(obs), np.float32)
        if action.shape != (self.policy.spec.action_dim,) or not np.isfinite(action).all():
            raise UserError(
                f"on_doubt returned {action.tolist()}; it must return one action of {self.policy.spec.action_dim} numbers"
            )
        return action

    def _update(
        self, env_indices: Sequence[int], obs: NumpyObs, chunks: NDArray[np.float32]
    ) -> list[float]:
        """Put the values of decisions in place of the latest ones, and return their confidence."""
        device = next(self.policy.parameters()).device
        # As in calibration: terms of a composition see more than the policy.
        names = obs if isinstance(self.policy, ComposedPolicy) else self.policy.spec.obs
        seen = {name: torch.from_numpy(obs[name]).to(device) for name in names}
        action = torch.from_numpy(chunks.reshape(len(chunks), -1)).to(device)
        number = torch.tensor([self._numbers[index] for index in env_indices], device=device)
        decision = Decision(self.policy, seen, action, number)
        measured = self.detector.measure(decision).double().cpu().numpy()
        values = self.detector.value(measured, number.cpu().numpy())
        confidences = []
        for index, value in zip(env_indices, values, strict=True):
            self._values[index][-1] = float(value)
            confidences.append(self.detector.confidence(float(np.mean(self._values[index]))))
        return confidences
