"""Demonstrations with two right actions: an energy keeps both, regression predicts their mean, which is wrong."""

import sys

import numpy as np

import ibc
from ibc.data import WindowDataset


def demonstrations(count: int) -> list[ibc.Episode]:
    """One-step episodes whose action is +0.5 or -0.5, each half of the time, for any observation."""
    rng = np.random.default_rng(0)
    return [
        ibc.Episode(
            obs={"state": rng.normal(size=(2, 3)).astype(np.float32)},
            action=np.array([[rng.choice([-0.5, 0.5])]], np.float32),
            reward=np.zeros(1, np.float32),
            success=np.ones(1, np.bool_),
            terminated=True,
            truncated=False,
        )
        for _ in range(count)
    ]


def main(num_steps: int = 400) -> None:
    spec = ibc.Spec(
        obs={"state": ibc.ObsField((3,), "float32")},
        obs_horizon=1,
        action_dim=1,
        action_horizon=1,
        action_low=(-1.0,),
        action_high=(1.0,),
    )
    data = WindowDataset(demonstrations(400), spec)
    implicit = ibc.ImplicitPolicy(spec, ibc.MLPEnergy(width=64, head="quadratic"))
    regression = ibc.MSEPolicy(spec, width=64)
    for policy in (implicit, regression):
        ibc.Trainer(policy, data, num_steps=num_steps, batch_size=64, warmup_steps=50).fit()
        controller = ibc.Controller(policy)
        actions = []
        for seed in range(8):
            controller.reset(seed)
            observation = np.random.default_rng(seed).normal(size=3).astype(np.float32)
            actions.append(float(controller.step({"state": observation})[0]))
        print(f"{type(policy).__name__}: {np.round(actions, 2)}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
