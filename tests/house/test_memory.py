"""Memory stays where it was: each measured in a process of its own, where nothing earlier hides what grows."""

import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.unchecked,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

BEGIN = """
from pathlib import Path
import resource, torch
torch.set_num_threads(1)

def resident():  # now, not at most: importing this much has a peak of its own
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

def growth(work, times):
    for _ in range(times // 10):
        work()
    before = resident()
    for _ in range(times):
        work()
    print((resident() - before) // 1024)
"""

TRAINING_STEP = """
from ibc.nn.energy_head import EnergyHead

head = EnergyHead(
    6, 3, width=32, num_blocks=2, kind="quadratic", num_outputs=5, normed=False
)
optimizer = torch.optim.Adam(head.parameters())
context, action = torch.randn(16, 1, 32), torch.randn(16, 17, 3)

def work():
    weights = head.weights()
    energy = weights.energy(context, action)
    optimizer.zero_grad()
    energy.square().sum().backward()
    optimizer.step()
    with torch.no_grad():
        weights.to(torch.bfloat16).gradient(context, action)
"""

ACTION = """
import numpy as np
from ibc.policies.loading import build_policy
from ibc.checkpoint import load_checkpoint
from ibc.control import PolicyActor


checkpoint = load_checkpoint(Path("pretrained/particle_2d.pt"))
policy = build_policy(checkpoint, torch.device("cpu"))
policy.sampler.num_candidates, policy.sampler.num_iterations = 8, 1
actor = PolicyActor(policy)
actor.reset(0, 0)
horizon = checkpoint.spec.obs_horizon
obs = {
    name: np.zeros((1, horizon, *field.shape), field.dtype)
    for name, field in checkpoint.spec.obs.items()
}

def work():
    actor.act([0], obs)
"""

GROWS = """
kept = []

def work():
    kept.append(torch.ones(1_000))
"""


def measured(program, times):
    """Growth in KiB."""
    command = [sys.executable, "-c", f"{BEGIN}{program}\ngrowth(work, {times})"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return int(run.stdout)


@pytest.mark.parametrize(
    ("program", "times"), [(TRAINING_STEP, 500), (ACTION, 2_000)], ids=["steps", "actions"]
)
def test_memory_does_not_grow(program, times):
    assert measured(program, times) < 1024


def test_what_grows_is_noticed():
    assert measured(GROWS, 500) > 1024
