"""Long runs: environments, decisions and renderers, each in a process of its own that must not grow."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch

import benchmarks.envs  # noqa: F401  registers environments of studies
from benchmarks.faults.attempt import Outcome
from ibc import Controller
from ibc.cli.config import compose
from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.policies.loading import make_policy
from ibc.spec import ObsField, Spec

#: Steps of each environment, decisions of each policy and openings of each renderer, or as many as fit into so many
#: seconds.
STEPS, DECISIONS, OPENINGS = 1_000_000, 10_000, 300
STEPPING, DECIDING, OPENING = 240.0, 40.0, 200.0
#: Bytes by which a process may grow after its first tenth.
GROWTH = 32 * 2**20
TABLETOP = (
    "block_push",
    "block_push_discontinuous",
    "block_push_multimodal",
    "block_insert",
    "block_sort",
)
OTHERS = ("particle", "planar_sweep", "bimanual_sweep", "push_t")
PICTURES = (["env=particle"], ["env=block_push", "env.pixels=true"], ["env=bimanual_sweep", "env.pixels=true"],
            ["env=planar_sweep", "env.pixels=true"], ["env=push_t"])  # fmt: skip
#: Numbers of an observation that is no further from the origin than this are plausible, in the units of the tasks.
PLAUSIBLE = 1e4


def steps(names: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
    """Environments of this project under random actions."""
    for name in names:
        yield apart(f"steps of {name}", lambda name=name: _steps(name))


def decisions_and_pictures() -> Iterator[tuple[str, Outcome]]:
    """Every kind of policy, every renderer."""
    configs = Path(__file__).parents[2] / "configs/policy"
    for path in sorted(configs.glob("*.yaml")):
        if path.stem != "nearest":  # has no network, and needs demonstrations
            yield apart(f"decisions of {path.stem}", lambda name=path.stem: _decisions(name))
    for overrides in PICTURES:
        yield apart(f"openings of {overrides[0]}", lambda o=overrides: _openings(o))


def apart(case: str, work: Callable[[], int], limit: float = 900.0) -> tuple[str, Outcome]:
    """Run ``work`` in a forked process; the line of the outcome is what it has counted, or why it failed."""
    start = time.monotonic()
    receiving, sending = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            torch.set_num_threads(1)
            message = f"done {work()}"
        except BaseException as error:
            message = f"lost {type(error).__name__}: {error}"
        os.write(sending, message[:2000].encode())
        os._exit(0)
    os.close(sending)
    while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
        if time.monotonic() - start > limit:
            os.kill(pid, 9)
        time.sleep(0.02)
    with os.fdopen(receiving) as pipe:
        kind, _, line = (pipe.read() or "crash ").partition(" ")
    seconds = time.monotonic() - start
    kind = "hang" if os.WIFSIGNALED(ended[1]) and seconds > limit else kind
    return case, Outcome(kind, line, seconds)


class Footprint:
    """Memory, open files and threads of this process, which must stay as they were when this was made."""

    def __init__(self) -> None:
        self.start = self._now()

    def check(self, count: int) -> None:
        """Raise RuntimeError where they grew."""
        names = ("bytes", "open files", "threads")
        for name, before, now in zip(names, self.start, self._now(), strict=True):
            if now - before > (GROWTH if name == "bytes" else 0):
                raise RuntimeError(f"{name} grew from {before} to {now} in {count}")

    @staticmethod
    def _now() -> tuple[int, int, int]:
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return resident, len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


def _repeat(count: int, seconds: float, once: Callable[[int], None]) -> int:
    """Do something many times, at most for some seconds; what the process takes is compared with its first tenth."""
    end, footprint, done = time.monotonic() + seconds, None, 0
    while done < count and time.monotonic() < end:
        once(done)
        done += 1
        if footprint is None and (done == count // 10 or time.monotonic() > end - 0.9 * seconds):
            footprint = Footprint()
    if footprint is not None:
        footprint.check(done)
    return done


def _steps(name: str) -> int:
    config = compose("collect", [f"env={name}", "data.path=x"])["env"]
    env = Environment(EnvConfig.from_mapping(config))
    rng = np.random.default_rng(0)
    low, high = env.action_low, env.action_high
    over = [True]

    def once(number: int) -> None:
        if over[0]:
            env.reset(number % 2**31)
        # extremes as often as anything between: a simulator is hardest to hold at its limits
        action = (
            rng.uniform(low, high)
            if number % 2
            else np.where(rng.random(len(low)) < 0.5, low, high)
        )
        obs, reward, _, terminated, truncated = env.step(action.astype(np.float32))
        worst = max(float(np.abs(value).max(initial=0)) for value in obs.values())
        if not np.isfinite(reward) or worst > PLAUSIBLE:
            raise RuntimeError(f"step {number}: reward {reward}, an observation of {worst}")
        over[0] = terminated or truncated

    return _repeat(STEPS, STEPPING, once)


def _decisions(name: str) -> int:
    spec = Spec(
        obs={"state": ObsField((3,), "float32")},
        obs_horizon=1,
        action_dim=2,
        action_horizon=1,
        action_low=(-1.0, -1.0),
        action_high=(1.0, 1.0),
    )
    config = compose(
        "train", [f"policy={name}", "env=particle", "network.width=16", "encoder.num_gates=0"]
    )
    controller = Controller(make_policy(config["policy"], spec))
    rng = np.random.default_rng(0)

    def once(number: int) -> None:
        if number % 50 == 0:
            controller.reset(seed=number)
            controller.latencies.clear()
        action = controller.step({"state": rng.normal(size=3).astype(np.float32)})
        if not np.isfinite(action).all():
            raise RuntimeError(f"decision {number}: {action}")

    return _repeat(DECISIONS, DECIDING, once)


def _openings(overrides: list[str]) -> int:
    config = compose("collect", [*overrides, "data.path=x"])["env"]

    def once(number: int) -> None:
        env = Environment(EnvConfig.from_mapping(config), render=True)
        env.reset(number)
        frame = env.gym_env.render()
        if not isinstance(frame, np.ndarray) or frame.std() == 0:
            raise RuntimeError(f"opening {number} shows nothing")
        env.close()

    return _repeat(OPENINGS, OPENING, once)


gym.logger.min_level = gym.logger.ERROR
