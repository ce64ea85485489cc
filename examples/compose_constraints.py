"""Add constraints to a trained policy at test time: its energy and theirs are summed, nothing is trained again."""

import sys

import ibc
from ibc.constraints import PDController


def main(checkpoint: str = "pretrained/particle_2d.pt", num_episodes: int = 20) -> None:
    policy = ibc.load_policy(checkpoint)
    assert isinstance(policy, ibc.ImplicitPolicy)

    # The particle follows its set-point on a spring, so a disk is kept by predicting where it will be.
    dynamics = PDController(
        "pos_agent", "vel_agent", stiffness=10, damping=5, substep=0.005, substeps=10, lookahead=20
    )
    disk = ibc.KeepOutDisk([0.5, 0.5], radius=0.1, model=dynamics)
    left_of = ibc.Custom(lambda obs, action: action[..., 0] - 0.95)  # positive where violated

    composed = ibc.ComposedPolicy(policy, ibc.AllOf(policy.energy, disk, left_of), hard=True)
    env = {"id": "Particle-v0", "success_when": "last", "n_dim": 2}
    for name, one in (("without", policy), ("with constraints", composed)):
        result = ibc.evaluate(one, env, seeds=range(100_000, 100_000 + num_episodes))
        ways = [((e.obs["pos_agent"] - 0.5) ** 2).sum(1) ** 0.5 for e in result.episodes]
        nearest = min(float(way.min()) for way in ways if way[0] >= 0.1)  # some start in the disk
        print(
            f"{name}: success {result.success_rate:.0%}, nearest to the disk's center {nearest:.3f}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:]))
