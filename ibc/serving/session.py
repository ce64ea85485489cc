"""What a policy server keeps of one client, and its answers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ibc.control import Controller, InDoubt, PolicyActor
from ibc.control.confidence import OnDoubt
from ibc.detection import Detector
from ibc.errors import UserError
from ibc.policies import ComposedPolicy, Policy
from ibc_client.messages import VERSION, MessageError, array_of

#: Seeds that generators take.
MAX_SEED = 2**63 - 1


class Session:
    """One client: its own history of observations, chunk of actions and random numbers.

    The first message is ``hello``, with the version of the messages. ``reset`` with a seed begins an episode; ``step``
    with an observation is answered by the action for it, and by its ``confidence`` where there is a detector; with
    ``anew: true`` the policy is asked, even if actions of its last chunk are left, and ``executed`` says which action
    was executed instead of the last answer. Answers have the ``id`` of the request.

    Args:
        policy: shared by all clients; one session answers at a time.
        num_execute_steps, detector, on_doubt: see :class:`ibc.control.Controller`. With ``stop`` the answer to a step
            whose decision is in doubt is an error with its confidence; the next step decides anew.
    """

    def __init__(
        self,
        policy: Policy,
        num_execute_steps: int | None = None,
        detector: Detector | None = None,
        on_doubt: OnDoubt = None,
    ) -> None:
        self.spec = policy.spec
        self._takes_more = isinstance(
            policy, ComposedPolicy
        )  # terms have observations of their own
        self.controller = Controller(
            policy, num_execute_steps=num_execute_steps, detector=detector, on_doubt=on_doubt
        )
        self._was_greeted = False

    def answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a request; nothing of the session changes where it is refused.

        Raises:
            MessageError, UserError: the request cannot be answered; one line for the client.
        """
        kind = message["type"]
        if kind == "hello":
            return self._hello(message)
        if not self._was_greeted:
            raise MessageError("the first message is hello, with the version")
        if kind == "reset":
            return self._reset(message)
        if kind == "step":
            return self._step(message)
        raise MessageError(f"there is no message {kind!r:.40}; there are hello, reset, step")

    def _hello(self, message: Mapping[str, Any]) -> dict[str, Any]:
        if message.get("version") != VERSION:
            raise MessageError(
                f"the server has version {VERSION} of the messages, the client {message.get('version')!r:.40}"
            )
        self._was_greeted = True
        fields = {
            name: {"shape": list(field.shape), "dtype": field.dtype}
            for name, field in self.spec.obs.items()
        }
        return {
            "type": "hello",
            "version": VERSION,
            "obs": fields,
            "action_dim": self.spec.action_dim,
        }

    def _reset(self, message: Mapping[str, Any]) -> dict[str, Any]:
        seed = message.get("seed")
        if type(seed) is not int or not 0 <= seed <= MAX_SEED:
            raise MessageError(f"seed={seed!r:.40}; allowed: whole numbers from 0 to {MAX_SEED}")
        self.controller.reset(seed)
        return {"type": "ready", "id": message.get("id")}

    def _step(self, message: Mapping[str, Any]) -> dict[str, Any]:
        obs = message.get("obs")
        if not isinstance(obs, dict):
            raise MessageError("a step needs obs, a map of arrays by name")
        further = set() if self._takes_more else set(obs) - set(self.spec.obs)
        if not set(self.spec.obs) <= set(obs) or further:
            names, given = ", ".join(sorted(self.spec.obs)), ", ".join(sorted(map(str, obs)))
            raise UserError(f"the policy needs observations {names}; it was given {given:.200}")
        arrays = {name: array_of(value) for name, value in obs.items()}
        if message.get("anew") is True:
            executed = message.get("executed")
            self.controller.decide_anew(executed=None if executed is None else array_of(executed))
        reply = {"id": message.get("id")}
        start = time.perf_counter()
        try:
            action = self.controller.step(arrays)
        except InDoubt as doubt:
            reason = f"in doubt: confidence {doubt.confidence:.3g}"
            return {**reply, "type": "error", "message": reason, "confidence": doubt.confidence}
        finally:
            self._forget_records()
        if self.controller.monitor is not None:
            reply["confidence"] = self.controller.confidence
        seconds = time.perf_counter() - start
        return {**reply, "type": "action", "action": action, "seconds": seconds}

    def _forget_records(self) -> None:
        """Drop what a controller keeps for evaluations: a session may last for weeks."""
        self.controller.latencies.clear()
        if isinstance(self.controller.actor, PolicyActor):
            self.controller.actor.reports.clear()
