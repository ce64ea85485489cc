"""The control loop of a robot, which is a process of its own (simulated_robot.py): an action for each frame."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np

import ibc
from ibc.samplers import Anytime

ROBOT = Path(__file__).with_name("simulated_robot.py")


def main(
    checkpoint: str = "pretrained/particle_2d.pt", num_steps: int = 50, seconds: float = 0.1
) -> None:
    policy = ibc.load_policy(checkpoint, device="cpu")
    policy.sampler = Anytime(policy.sampler, 0.4 * seconds)  # the best action of that time
    controller = ibc.Controller(policy)
    controller.reset(seed=0)
    frame = {name: np.zeros(field.shape) for name, field in policy.spec.obs.items()}
    controller.step(frame)  # the first decision is slow; the robot is not moving yet
    controller.reset(seed=0)

    wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    wire.bind(("127.0.0.1", 0))
    port = wire.getsockname()[1]
    robot = subprocess.Popen([sys.executable, ROBOT, str(port), str(num_steps), str(seconds)])
    wire.settimeout(20)  # a robot that is silent for so long is gone
    seen = missed = 0
    last = -1
    while True:
        data, address = wire.recvfrom(1 << 16)
        message = json.loads(data)
        if "counts" in message:
            break
        missed += message["step"] - last - 1  # frames that have not come
        last, seen = message["step"], seen + 1
        action = controller.step({name: np.array(v) for name, v in message["obs"].items()})
        wire.sendto(json.dumps({"step": last, "action": action.tolist()}).encode(), address)
    robot.wait(20)

    nearest = message["nearest"]
    print(
        f"{seen} frames, {missed} missed; decision {1e3 * np.median(controller.latencies):.0f} ms"
    )
    print(
        f"robot: {message['counts']['executed']} actions executed, {message['counts']['late']} late"
    )
    print(f"nearest to the goals: {nearest['first']:.3f} and {nearest['second']:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]), *map(float, sys.argv[3:]))
