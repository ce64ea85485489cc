"""A decision takes the threads it is given, and leaves the others' setting as it was."""

import numpy as np
import pytest
import torch

from ibc.control import Controller
from ibc.errors import UserError

OBS = {"state": np.zeros(2, np.float32)}


class Counter:
    """Notes how many threads torch has while it decides."""

    def __init__(self):
        self.threads = []

    def reset(self, env_index, seed):
        pass

    def act(self, env_indices, obs):
        self.threads.append(torch.get_num_threads())
        if len(self.threads) == 2:
            raise RuntimeError("the second decision fails")
        return np.zeros((len(env_indices), 1, 2), np.float32)


@pytest.mark.parametrize(("given", "seen"), [({}, 1), ({"num_threads": None}, 3)])
def test_threads_of_a_decision(given, seen):
    torch.set_num_threads(3)
    actor = Counter()
    controller = Controller(actor, **given)
    controller.reset()
    controller.step(OBS)
    assert torch.get_num_threads() == 3
    with pytest.raises(RuntimeError, match="second"):
        controller.step(OBS)
    assert torch.get_num_threads() == 3
    assert actor.threads == [seen, seen]


def test_no_threads_are_refused():
    with pytest.raises(UserError, match="num_threads=0; it must be at least 1"):
        Controller(Counter(), num_threads=0)
