"""Your own environment and expert: any Gymnasium environment, and a function that returns an action."""

import sys
from pathlib import Path

import gymnasium as gym
import numpy as np

import ibc


class ReachEnv(gym.Env):
    """Move a point to a goal in the plane by velocity commands."""

    observation_space = gym.spaces.Dict(
        {name: gym.spaces.Box(-1, 1, (2,), np.float32) for name in ("position", "goal")}
    )
    action_space = gym.spaces.Box(-0.1, 0.1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position, self.goal = self.np_random.uniform(-1, 1, (2, 2)).astype(np.float32)
        return self._obs(), {}

    def step(self, action):
        self.position = np.clip(self.position + action, -1, 1).astype(np.float32)
        reached = bool(np.linalg.norm(self.position - self.goal) < 0.05)
        return self._obs(), float(reached), reached, False, {"success": reached}

    def _obs(self):
        return {"position": self.position, "goal": self.goal}


gym.register("Reach-v0", entry_point=ReachEnv, max_episode_steps=50)


def expert(obs):
    """Go straight to the goal."""
    return np.clip(obs["goal"] - obs["position"], -0.1, 0.1)


def main(num_episodes: int = 100, num_steps: int = 500) -> None:
    env = {"id": "Reach-v0", "expert": expert}
    path = Path("reach_demos")
    if not path.exists():
        ibc.collect_demonstrations(env, path, num_episodes=num_episodes)
    data = ibc.load_dataset(path, obs_horizon=1)
    policy = ibc.ImplicitPolicy(data.spec)
    ibc.Trainer(policy, data, num_steps=num_steps, batch_size=128).fit()
    print(f"success: {ibc.evaluate(policy, 'Reach-v0', seeds=range(1000, 1050)).success_rate:.0%}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
