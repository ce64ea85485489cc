"""The control loop of a robot: no environment, a fixed rate, one action for each observation."""

import sys
import time

import numpy as np

import ibc


class Robot:
    """Stands in for a driver: reads sensors and takes set-points. Replace it by your own."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.position, self.first, self.second = rng.uniform(0.1, 0.9, (3, 2)).astype(np.float32)
        self.velocity = np.zeros(2, np.float32)

    def read(self) -> dict[str, np.ndarray]:
        return {
            "pos_agent": self.position,
            "vel_agent": self.velocity,
            "pos_first_goal": self.first,
            "pos_second_goal": self.second,
        }

    def command(self, set_point: np.ndarray, seconds: float) -> None:
        for _ in range(10):
            acceleration = 10 * (set_point - self.position) - 5 * self.velocity
            self.position = self.position + self.velocity * seconds / 10
            self.velocity = self.velocity + acceleration * seconds / 10


def main(checkpoint: str = "pretrained/particle_2d.pt", num_steps: int = 50) -> None:
    controller = ibc.Controller(ibc.load_policy(checkpoint))
    robot, period = Robot(), 0.05
    late = 0
    controller.reset(seed=0)
    for _ in range(num_steps):
        start = time.monotonic()
        action = controller.step(robot.read())
        robot.command(action, period)
        left = period - (time.monotonic() - start)
        late += left < 0
        time.sleep(max(0.0, left))
    print(
        f"{num_steps} steps, {late} late; decision {1e3 * np.median(controller.latencies):.0f} ms (median)"
    )
    print(f"distance to the second goal: {np.linalg.norm(robot.position - robot.second):.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:]))
