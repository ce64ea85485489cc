"""A policy server under load: clients that leave, read nothing or send damaged bytes, beside eight that count answers.

python -m benchmarks.robot.serve pretrained/particle_2d.pt results/serve.json
"""

import contextlib
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from ibc import Controller, load_policy
from ibc.device import configure_device, provenance
from ibc.evaluation.evaluate import write_json
from ibc.policies import Policy
from ibc_client import Client
from ibc_client.messages import VERSION, encode

CLIENTS, REQUESTS, EPISODE = 8, 1000, 12
#: Seconds that a client allows for an answer; there are eight of them, and one policy.
TIMEOUT = 5.0
ROGUES = ("damaged", "leaving", "reading nothing")

Counts = dict[str, int]


@contextlib.contextmanager
def server(checkpoint: Path) -> Iterator[tuple[str, int]]:
    """``ibc serve`` in a process of its own: its address and process id."""
    command = [sys.executable, "-m", "ibc", "serve", f"checkpoint={checkpoint}", "port=0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        yield line.split()[2].rstrip(";"), process.pid
        assert process.poll() is None, "the server has ended"
    finally:
        process.terminate()
        process.wait(20)


def random_obs(policy: Policy, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Noise in the shapes that the policy sees."""
    return {
        name: rng.integers(0, 256, field.shape, np.uint8)
        if field.is_image
        else rng.uniform(0, 1, field.shape).astype(np.float32)
        for name, field in policy.spec.obs.items()
    }


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def count_answers(
    url: str, number: int, requests: int, policy: Policy, counts: Counts, lock: threading.Lock
) -> None:
    """Ask in episodes, leave now and then in the middle of one, and compare each answer with a controller's."""
    rng = np.random.default_rng(number)
    asked = 0
    while asked < requests:
        with Client(url, safe_action=np.zeros(policy.spec.action_dim), timeout=TIMEOUT) as client:
            seed = int(rng.integers(1 << 30))
            client.reset(seed)
            own = Controller(policy)
            own.reset(seed)
            for _ in range(min(int(rng.integers(1, EPISODE)), requests - asked)):
                obs = random_obs(policy, rng)
                decision = client.step(obs)
                asked += 1
                with lock:
                    expected = own.step(obs)
                    if decision.is_safe_action:
                        counts["safe"] += 1
                        print(decision.reason, file=sys.stderr)
                        break
                    counts["answers"] += 1
                    counts["wrong"] += not np.array_equal(decision.action, expected)
            if rng.random() < 0.5:  # leave with a request under way
                client.timeout = 1e-3
                client.step(random_obs(policy, rng))
                counts["disconnects"] += 1


def disturb(url: str, kind: str, policy: Policy, ends: threading.Event, counts: Counts) -> None:
    """Connect again and again, and send what no client should."""
    rng = random.Random(kind)
    step = encode({"type": "step", "obs": random_obs(policy, np.random.default_rng(0)), "id": 1})
    while not ends.is_set():
        with contextlib.suppress(OSError, WebSocketException), connect(url, proxy=None) as rogue:
            rogue.socket.settimeout(0.5)
            rogue.send(encode({"type": "hello", "version": VERSION}))
            rogue.send(encode({"type": "reset", "seed": 0, "id": 0}))
            for _ in range(20):
                cut = rng.randrange(len(step))
                flipped = step[:cut] + bytes([rng.randrange(256)]) + step[cut + 1 :]
                rogue.send(rng.choice((step[:cut], flipped, rng.randbytes(64))))
                counts[kind] += 1
                if kind == "damaged":
                    rogue.recv(1)
                elif kind == "leaving":
                    rogue.socket.sendall(b"\x82\xfe" + rng.randbytes(20))
                    rogue.socket.close()
                    break
            if kind == "reading nothing":
                ends.wait(1)
        ends.wait(0.05)


def load(url: str, policy: Policy, requests: int) -> Counts:
    """All of them at once: what they have counted."""
    counts = dict.fromkeys(("answers", "safe", "wrong", "disconnects", *ROGUES), 0)
    ends, lock = threading.Event(), threading.Lock()
    clients = [
        threading.Thread(
            target=count_answers, args=(url, i, requests // CLIENTS, policy, counts, lock)
        )
        for i in range(CLIENTS)
    ]
    rogues = [
        threading.Thread(target=disturb, args=(url, kind, policy, ends, counts)) for kind in ROGUES
    ]
    for thread in clients + rogues:
        thread.start()
    for thread in clients:
        thread.join()
    ends.set()
    for thread in rogues:
        thread.join()
    return counts


def overhead(url: str, policy: Policy, requests: int) -> dict[str, float]:
    """Milliseconds of one client's step beyond those of the policy."""
    rng = np.random.default_rng(0)
    over, own = [], []
    with Client(url, safe_action=np.zeros(policy.spec.action_dim), timeout=TIMEOUT) as client:
        client.reset(0)
        for _ in range(requests):
            obs = random_obs(policy, rng)
            start = time.perf_counter()
            decision = client.step(obs)
            over.append(1e3 * (time.perf_counter() - start - decision.policy_seconds))
            own.append(1e3 * decision.policy_seconds)
    p50, p95 = np.percentile(over, [50, 95])
    return {
        "overhead_ms": float(p50),
        "overhead_p95_ms": float(p95),
        "policy_ms": float(np.median(own)),
    }


def socket_p95_ms(busy_ms: float, requests: int) -> float:
    """What a bare socket to a process that is busy for so long costs: the share of the machine itself."""
    mine, other = socket.socketpair()
    child = os.fork()
    if child == 0:
        while other.recv(1) != b"q":
            end = time.perf_counter() + busy_ms / 1e3
            while time.perf_counter() < end:
                pass
            other.send(b"a")
        os._exit(0)
    times = []
    for _ in range(requests):
        start = time.perf_counter()
        mine.send(b"x")
        mine.recv(1)
        times.append(1e3 * (time.perf_counter() - start) - busy_ms)
    mine.send(b"q")
    os.waitpid(child, 0)
    return float(np.percentile(times, 95))


def main(checkpoint: Path, output: Path, requests: int = REQUESTS) -> None:
    """Measure, print and write."""
    torch.set_num_threads(1)
    configure_device("cpu", "auto")  # as the server, whose answers are compared bit by bit
    bare = socket_p95_ms(20.0, 200)
    policy = load_policy(checkpoint, device="cpu")
    with server(checkpoint) as (url, pid):
        alone = overhead(url, policy, requests // 2)
        load(url, policy, requests // 2)  # memory grows until all threads have had their first work
        before = memory_mb(pid)
        counts = load(url, policy, requests)
        after = memory_mb(pid)
    content: dict[str, Any] = {
        "command": f"python -m benchmarks.robot.serve {checkpoint} {output}",
        "clients": CLIENTS,
        **alone,
        "socket_p95_ms": bare,
        "counts": counts,
        "memory_mb": [before, after],
        "about": provenance(),
    }
    write_json(output, content)
    print({key: value for key, value in content.items() if key != "about"})
    assert counts["wrong"] == 0


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
