"""The closed loop in several processes: each has the policy and some of the environments."""

from __future__ import annotations

import copy
import multiprocessing
import signal
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pickle import PicklingError
from typing import Any

from ibc.control import Actor, Controller, PolicyActor
from ibc.data.episode import Episode
from ibc.device import configure_device, reduced_precision
from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.errors import UserError
from ibc.evaluation.rollout import rollout
from ibc.policies import Policy

#: What a policy reported of each decision of an episode, and the latencies of decisions.
Remarks = tuple[list[dict[str, float]], list[float]]


@dataclass(frozen=True)
class _Work:
    """What one process does.

    Attributes:
        actor: a policy in the memory of the processor, or an expert.
        device: on which the policy acts.
    """

    env: EnvConfig
    actor: Policy | Actor
    device: str
    precision: str
    options: dict[str, Any]
    seeds: Sequence[int]
    num_envs: int


def run_episodes(
    env: EnvConfig, controller: Controller, seeds: Sequence[int], *, num_envs: int, processes: int
) -> Generator[Episode]:
    """One episode for each seed, in their order, in this process or in several."""
    if processes > 1:
        yield from rollout_in_processes(
            env, controller, seeds, num_envs=num_envs, processes=processes
        )
        return
    envs = [Environment(env) for _ in range(min(num_envs, len(seeds)))]
    try:
        yield from rollout(envs, controller, seeds)
    finally:
        for one in envs:
            one.close()


def rollout_in_processes(
    env: EnvConfig, controller: Controller, seeds: Sequence[int], *, num_envs: int, processes: int
) -> Generator[Episode]:
    """One episode for each seed, in the order of ``seeds``, as of :func:`ibc.evaluation.rollout.rollout`.

    An episode depends on its seed alone, so that it is the same in whichever process it runs. Process p of P takes
    seeds p, p + P, ... Latencies and reports are added to ``controller``, as if it had acted itself. A program that
    calls this guards its main part by ``if __name__ == "__main__"``, since every process imports it.

    Args:
        env: the environments.
        controller: of a policy or an expert that can be sent to another process.
        seeds: of the resets.
        num_envs: environments at once, over all processes.
        processes: at least 1; not more are started than there are seeds.

    Raises:
        UserError: of an environment or a policy, a process has ended unexpectedly, or ``controller`` is of another
            class or has a detector, which the processes would be without.
    """
    if type(controller) is not Controller or controller.monitor is not None:
        this = type(controller).__name__ + (" with a detector" if controller.monitor else "")
        raise UserError(
            f"processes={processes} is for a Controller without detector, not this {this}; give processes=1"
        )
    count = min(processes, len(seeds))
    each = -(-min(num_envs, len(seeds)) // count)
    context = multiprocessing.get_context("spawn")
    workers, receivers = [], []
    try:
        for index in range(count):
            receiver, sender = context.Pipe(duplex=False)
            work = _work(env, controller, seeds[index::count], each)
            worker = context.Process(target=_serve, args=(work, sender), daemon=True)
            _start(worker)
            sender.close()  # so that the end of the process is the end of the pipe
            workers.append(worker)
            receivers.append(receiver)
        for number, seed in enumerate(seeds):
            episode, (reports, latencies) = _receive(receivers[number % count])
            controller.latencies.extend(latencies)
            if reports and isinstance(controller.actor, PolicyActor):
                controller.actor.reports[seed] = deque(reports)
            yield episode
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()


def _work(env: EnvConfig, controller: Controller, seeds: Sequence[int], num_envs: int) -> _Work:
    options: dict[str, Any] = {
        "num_execute_steps": controller.num_execute_steps,
        "num_threads": controller.num_threads,
        "exact": controller.exact,
    }
    actor: Policy | Actor = controller.actor
    device = "cpu"
    if isinstance(actor, PolicyActor):
        device = str(actor.device)
        actor = actor.policy if device == "cpu" else copy.deepcopy(actor.policy).cpu()
    else:
        options["obs_horizon"] = controller.obs_horizon
    precision = "float32" if reduced_precision() is None else "bfloat16"
    return _Work(env, actor, device, precision, options, seeds, num_envs)


def _start(worker: Any) -> None:
    try:
        worker.start()
    except (PicklingError, AttributeError, TypeError) as error:
        raise UserError(
            f"what acts cannot be sent to another process ({error}); give processes=1"
        ) from error


def _receive(receiver: Connection) -> tuple[Episode, Remarks]:
    try:
        found = receiver.recv()
    except EOFError as error:
        raise UserError(
            "a process of the evaluation has ended unexpectedly; with processes=1 it says why"
        ) from error
    if isinstance(found, str):
        raise UserError(found)
    episode, remarks = found
    return episode, remarks


def _serve(work: _Work, sender: Connection) -> None:
    """Send every episode as it ends; of an error, one line."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asked ends this one
    try:
        for found in _episodes(work):
            sender.send(found)
    except BrokenPipeError:
        pass  # nobody is waiting
    except UserError as error:
        sender.send(str(error))
    except Exception as error:
        text = " ".join(str(error).split())
        sender.send(f"a process of the evaluation failed: {type(error).__name__}: {text}")


def _episodes(work: _Work) -> Iterator[tuple[Episode, Remarks]]:
    device = configure_device(work.device, work.precision)
    actor = work.actor
    controller = Controller(
        actor.to(device) if isinstance(actor, Policy) else actor, **work.options
    )
    envs = [Environment(work.env) for _ in range(min(work.num_envs, len(work.seeds)))]
    for episode in rollout(envs, controller, work.seeds):
        reports: list[dict[str, float]] = []
        if isinstance(controller.actor, PolicyActor):
            reports = list(controller.actor.reports.pop(episode.seed or 0, []))
        latencies = list(controller.latencies)
        controller.latencies.clear()
        yield episode, (reports, latencies)
    for env in envs:
        env.close()
