"""Ask a policy server for actions, at a fixed rate, whatever happens to the server or the network."""

from __future__ import annotations

import asyncio
import contextlib
import operator
import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ibc_client.link import Link, ServerError
from ibc_client.messages import MessageError, array_of, confidence_of

#: Seconds that :meth:`Client.reset` waits for a server.
CONNECT_SECONDS = 10.0

Observation = Mapping[str, ArrayLike]
Action = NDArray[np.float32]


@dataclass(frozen=True)
class Decision:
    """The action of one step.

    Attributes:
        action: (D,), in the units of the policy's training data.
        is_safe_action: whether it is the user's safe action instead of the policy's.
        reason: why, in one line; empty for the policy's own.
        policy_seconds: what the policy needed for it; 0 for a safe action.
        confidence: of the policy's decision, a conformal p-value in [0, 1]; None where the server has no detector, or
            has not answered. A safe action has one where the decision it stands for is in doubt.
    """

    action: Action
    is_safe_action: bool = False
    reason: str = ""
    policy_seconds: float = 0.0
    confidence: float | None = None


class Client:
    """A policy elsewhere. Every step returns an action in time: the policy's, or the safe one and why.

    An answer that comes too late is dropped, and the next step asks the policy anew: an action is only ever returned of
    a chunk whose earlier actions have been returned. A lost connection is made again in the background; the episode
    then begins anew at the server, with the seed of the last reset. Not for several threads at once.

    Args:
        url: such as ``ws://127.0.0.1:8765``.
        safe_action: (D,), or a function of the observation that returns it, such as the present position.
        timeout: seconds that a step may take.
        token: of the server, if it asks for one.

    Raises:
        ValueError: the address is not one of a WebSocket.
    """

    def __init__(
        self,
        url: str,
        *,
        safe_action: ArrayLike | Callable[[Observation], ArrayLike],
        timeout: float = 0.1,
        token: str | None = None,
    ) -> None:
        if not url.startswith(("ws://", "wss://")):
            raise ValueError(f"url={url}; it begins with ws:// or wss://")
        self.timeout, self.safe_action = timeout, safe_action
        self.action_dim: int | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._link = Link(url, token)
        self._executed: Action | None = None  # instead of what the server may have decided
        self._within(CONNECT_SECONDS, self._link.open())

    def reset(self, seed: int = 0) -> None:
        """Begin an episode, whose random numbers follow from ``seed``; waits for the server.

        Raises:
            ServerError: there is none within ``CONNECT_SECONDS``, or it refuses this client.
            ValueError: the safe action is not of the size of the policy's actions.
        """
        self.action_dim = self._within(CONNECT_SECONDS, self._link.reset(operator.index(seed)))
        self._executed = None
        if not callable(self.safe_action):
            self._safe({})

    def step(self, obs: Observation) -> Decision:
        """The action for an observation ``{name: (*shape)}``, after ``timeout`` seconds at most.

        Raises:
            ServerError: ``reset`` has not been called.
            ValueError: the safe action was needed, and is not a vector of finite numbers of the right size.
        """
        if self.action_dim is None:
            raise ServerError("call reset() before the first step")
        try:
            request: dict[str, Any] = {"type": "step", "anew": self._executed is not None}
            if self._executed is not None:
                request["executed"] = self._executed
            if not isinstance(obs, Mapping):
                raise MessageError(f"an observation is a map of arrays, not a {type(obs).__name__}")
            request["obs"] = {name: np.asarray(value) for name, value in obs.items()}
            answer = self._within(self.timeout, self._link.ask(request))
            action = array_of(answer.get("action"))
            if action.shape != (self.action_dim,) or not np.isfinite(action).all():
                raise MessageError("the server answered no action")
        except (ServerError, ValueError) as error:
            self._executed = self._safe(obs)
            confidence = getattr(error, "confidence", None)
            return Decision(self._executed.copy(), True, str(error), confidence=confidence)
        self._executed = None
        seconds = answer.get("seconds")
        return Decision(
            action.astype(np.float32),
            policy_seconds=seconds if isinstance(seconds, float) else 0.0,
            confidence=confidence_of(answer),
        )

    def close(self) -> None:
        """End the connection."""
        if self._thread.is_alive():
            with contextlib.suppress(ServerError):
                self._within(CONNECT_SECONDS, self._link.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _safe(self, obs: Observation) -> Action:
        chosen = self.safe_action(obs) if callable(self.safe_action) else self.safe_action
        action = np.array(chosen, np.float32)
        if action.shape != (self.action_dim,) or not np.isfinite(action).all():
            raise ValueError(
                f"safe_action is {action}; the policy's actions are {self.action_dim} numbers"
            )
        return action

    def _within(self, seconds: float, work: Coroutine[Any, Any, Any]) -> Any:
        """Run ``work`` in the thread of the connection; give it up after some seconds."""
        if self._loop.is_closed():
            work.close()
            raise ServerError("the client is closed")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(seconds)
        except TimeoutError:
            future.cancel()
            trouble = f": {self._link.trouble}" if self._link.trouble else ""
            raise ServerError(f"no answer within {seconds:g} s{trouble}") from None
