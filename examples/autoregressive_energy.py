"""Choose every part of a policy: an autoregressive energy, its search, its loss and its optimizer."""

import sys
from functools import partial

import torch

import ibc
from ibc.losses import NeighborNegatives, PrefixInfoNCE, UniformNegatives
from ibc.samplers import AutoregressiveDFO


def main(data_path: str = "particle_demos", num_steps: int = 3000) -> None:
    data = ibc.load_dataset(data_path, obs_horizon=1)
    energy = ibc.AutoregressiveEnergy(
        ibc.ObsEncoder(num_gates=128, num_distance_features=16, noise_std=0.02), width=128
    )
    search = AutoregressiveDFO(
        num_candidates=256, num_iterations=4, noise_std=0.1, shrink=0.3, temperature=0.1
    )
    policy = ibc.ImplicitPolicy(data.spec, energy, search)
    near = NeighborNegatives(num=4, min_std=0.003, max_std=1.0)
    ibc.Trainer(
        policy,
        data,
        loss=PrefixInfoNCE(negatives=[UniformNegatives(num=4), near]),
        optimizer=partial(torch.optim.AdamW, lr=2e-3, weight_decay=1e-4),
        batch_size=256,
        num_steps=num_steps,
    ).fit()
    policy.save("autoregressive.pt")

    policy = ibc.load_policy("autoregressive.pt")
    policy.sampler.num_candidates = 64  # a cheaper search of the same energy
    env = {"id": "Particle-v0", "success_when": "last"}
    print(f"success: {ibc.evaluate(policy, env, seeds=range(100_000, 100_020)).success_rate:.0%}")


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:]))
