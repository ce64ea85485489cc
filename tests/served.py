"""A policy server in a thread, and a policy whose answers are known."""

import asyncio
import contextlib
import threading
import time

import torch

from ibc.policies import Policy
from ibc.serving import PolicyServer
from ibc.spec import ObsField, Spec


class Sum(Policy):
    """The sum of the last two observations and a random number, after some seconds."""

    def __init__(self, spec):
        super().__init__(spec)
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.seconds = 0.0
        self.fails = False

    def fit(self, dataset):
        """Nothing to learn."""

    def act_flat(self, obs, rng):
        if self.fails:
            raise ZeroDivisionError
        time.sleep(self.seconds)
        state = obs["state"].flatten(1).sum(-1, keepdim=True)
        return (self.weight * state + rng.uniform(len(state), self.spec.action_size)).detach()


def sum_policy(action_horizon=2):
    """Of a state and a small picture."""
    return Sum(
        Spec(
            obs={"state": ObsField((3,), "float32"), "front": ObsField((4, 5, 3), "uint8")},
            obs_horizon=2,
            action_dim=2,
            action_horizon=action_horizon,
            action_low=(-9.0, -9.0),
            action_high=(9.0, 9.0),
        )
    )


class Running:
    """A server in a thread, until ``stop``; at the same port again after ``start``."""

    def __init__(self, policy, **kwargs):
        self.policy, self.kwargs, self.port = policy, kwargs, 0
        self.start()

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.port}"

    def start(self):
        self.loop = asyncio.new_event_loop()
        self.ends = asyncio.Event()
        begun = threading.Event()

        async def listen():
            async with PolicyServer(self.policy, **self.kwargs).listen(port=self.port) as port:
                self.port = port
                begun.set()
                await self.ends.wait()

        self.thread = threading.Thread(target=lambda: self.loop.run_until_complete(listen()))
        self.thread.start()
        assert begun.wait(10)

    def stop(self):
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.ends.set)
            self.thread.join()
            self.loop.close()


@contextlib.contextmanager
def serving(policy, **kwargs):
    """A running server."""
    running = Running(policy, **kwargs)
    try:
        yield running
    finally:
        running.stop()
