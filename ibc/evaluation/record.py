"""Videos of a policy in closed loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ibc.constraints import KeepOutDisk
from ibc.control import Controller
from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.errors import UserError
from ibc.evaluation.evaluate import env_config
from ibc.evaluation.metrics import is_success
from ibc.evaluation.rollout import rollout
from ibc.evaluation.term_images import Watched, beside
from ibc.evaluation.video import Frame, caption, encode_mp4
from ibc.policies import ComposedPolicy, Policy


@dataclass(frozen=True)
class Film:
    """One episode.

    Attributes:
        seed: of the reset.
        success: whether it succeeded.
        frames: with captions, the outcome in the last ones.
        fps: frames a second.
    """

    seed: int
    success: bool
    frames: Sequence[Frame]
    fps: float

    def encode(self) -> bytes:
        """The content of an MP4 file."""
        return encode_mp4(list(self.frames), self.fps)


def record_video(
    policy: Policy | Controller,
    env: str | Mapping[str, Any] | EnvConfig,
    *,
    seeds: Sequence[int],
    num_execute_steps: int | None = None,
) -> bytes:
    """One episode after another as the content of an MP4 file, each with its outcome in the last frames.

    It takes the arguments of :func:`record_films`.

    Raises:
        UserError: the environment cannot be made or rendered.
    """
    return join(record_films(policy, env, seeds=seeds, num_execute_steps=num_execute_steps))


def join(films: Sequence[Film]) -> bytes:
    """Films one after another as the content of an MP4 file.

    Raises:
        UserError: there is none.
    """
    if not films:
        raise UserError("no episode to film; give at least one seed")
    return encode_mp4([frame for film in films for frame in film.frames], films[0].fps)


def seeds_to_film(rows: Sequence[Mapping[str, Any]], count: int = 2) -> list[int]:
    """The first episodes that failed and the first that succeeded, ``count`` of each, by their seeds."""
    by_outcome = [
        [row["seed"] for row in rows if row["success"] == value] for value in (False, True)
    ]
    return [seed for seeds in by_outcome for seed in seeds[:count]]


def record_films(
    policy: Policy | Controller,
    env: str | Mapping[str, Any] | EnvConfig,
    *,
    seeds: Sequence[int],
    num_execute_steps: int | None = None,
) -> list[Film]:
    """Film an episode for each seed.

    Beside a composed policy's episode stand the energies of all terms over the action plane, decision by decision.
    An environment that reads its attribute ``keep_out`` draws the fixed disks of the composition: centers and radii.

    Args:
        policy: a policy, or a controller of a policy or an expert.
        env: as for :func:`ibc.evaluation.evaluate.evaluate`.
        seeds: of the resets.
        num_execute_steps: see :class:`ibc.control.Controller`.

    Raises:
        UserError: the environment cannot be made or rendered.
    """
    config = env_config(env)
    environment = Environment(config, render=True)
    films: list[Film] = []
    raw: list[Frame] = []
    watched = None
    if isinstance(policy, ComposedPolicy):
        unwrapped: Any = environment.gym_env.unwrapped
        disks = (m for m in policy.modules() if isinstance(m, KeepOutDisk) and m.observed is None)
        unwrapped.keep_out = [(disk.center.cpu().numpy(), disk.radius) for disk in disks]
        executed = num_execute_steps or policy.spec.action_horizon
        policy = watched = Watched(policy)
    if not isinstance(policy, Controller):
        policy = Controller(policy, num_execute_steps=num_execute_steps)
    for seed in seeds:
        raw.clear()
        if watched is not None:
            watched.pictures.clear()
        (episode,) = rollout(
            [environment], policy, [seed], on_step=lambda e: raw.append(e.render())
        )
        if watched is not None:
            decisions = np.arange(len(raw)) // executed
            raw[:] = [
                beside(frame, watched.pictures[min(int(k), len(watched.pictures) - 1)])
                for frame, k in zip(raw, decisions, strict=True)
            ]
        success = is_success(episode, config.success_when)
        outcome = "success" if success else "failure"
        frames = [
            caption(frame, f"{config.id}  seed {seed}  t = {t / environment.fps:.1f} s")
            for t, frame in enumerate(raw)
        ]
        frames += [caption(raw[-1], f"{config.id}  seed {seed}  {outcome}")] * int(environment.fps)
        films.append(Film(seed, success, frames, environment.fps))
    environment.close()
    return films
