"""Collect demonstrations, train the default recipe on them, evaluate it and film it."""

import sys
from pathlib import Path

from ibc_envs.particle import ParticleExpert

import ibc


def main(num_episodes: int = 500, num_steps: int = 3000) -> None:
    data_path = Path("particle_demos")
    env = {"id": "Particle-v0", "success_when": "last", "n_dim": 2, "expert": ParticleExpert()}
    if not data_path.exists():
        ibc.collect_demonstrations(env, data_path, num_episodes=num_episodes)

    data = ibc.load_dataset(data_path, obs_horizon=2)
    policy = ibc.ImplicitPolicy(data.spec)
    ibc.Trainer(policy, data, num_steps=num_steps).fit()
    policy.save("particle.pt")

    result = ibc.evaluate(policy, env, seeds=range(100_000, 100_020))
    print(f"success: {result.success_rate:.0%}")
    Path("particle.mp4").write_bytes(ibc.record_video(policy, env, seeds=[100_000]))
    print("files: particle.pt particle.mp4")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
