"""Plays a robot: a process with its own clock, noisy sensors, frames that get lost, and no patience for late actions.

It sends what it senses to a port of this machine and takes set-points for it: one JSON datagram each.
"""

import json
import random
import socket
import sys
import time

import numpy as np

PERIOD = 0.05  # seconds of its physics in a step; the clock may be slower
NOISE, LOST, PATIENCE = (
    0.002,
    0.1,
    2,
)  # standard deviation, share of frames, steps that an action may take


def main(port: int, num_steps: int = 50, seconds: float = 0.1) -> None:
    rng, luck = np.random.default_rng(0), random.Random(0)
    position, first, second = rng.uniform(0.1, 0.9, (3, 2))
    velocity, set_point = np.zeros(2), position
    wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    wire.setblocking(False)
    counts = {"lost": 0, "late": 0, "executed": 0}
    nearest = {"first": np.inf, "second": np.inf}
    clock = time.monotonic()
    for step in range(num_steps):
        state = {"pos_agent": position, "vel_agent": velocity}
        noisy = {k: (v + NOISE * rng.normal(size=2)).tolist() for k, v in state.items()}
        obs = {**noisy, "pos_first_goal": first.tolist(), "pos_second_goal": second.tolist()}
        if luck.random() < LOST:
            counts["lost"] += 1
        else:
            wire.sendto(json.dumps({"step": step, "obs": obs}).encode(), ("127.0.0.1", port))
        clock += seconds
        time.sleep(max(0.0, clock - time.monotonic()))
        try:
            while True:
                action = json.loads(wire.recv(1 << 16))
                is_late = step - action["step"] >= PATIENCE
                counts["late" if is_late else "executed"] += 1
                set_point = set_point if is_late else np.array(action["action"])
        except BlockingIOError:
            pass  # nothing more has come; without a new set-point it keeps the last one
        for _ in range(10):
            velocity = velocity + PERIOD / 10 * (10 * (set_point - position) - 5 * velocity)
            position = position + PERIOD / 10 * velocity
        for name, goal in (("first", first), ("second", second)):
            nearest[name] = min(nearest[name], float(np.linalg.norm(position - goal)))
    wire.sendto(json.dumps({"counts": counts, "nearest": nearest}).encode(), ("127.0.0.1", port))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]), *map(float, sys.argv[3:]))
