"""Data sets of demonstrations for training: read, compared with the environment, cut into windows."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ibc.data.dataset import WindowDataset
from ibc.data.episode import Episode, Frames
from ibc.data.formats import read_episodes
from ibc.data.kept_frames import keep_frames, several_sizes
from ibc.data.layouts import fit_layout
from ibc.data.manifest import manifest
from ibc.data.selection import Selection
from ibc.data.transforms import (
    keep_best,
    reweight_by_return,
    split_episodes,
    temporal_subsample,
)
from ibc.environment import Environment
from ibc.errors import NoDataError, UserError
from ibc.spec import ObsField, Spec

#: Without an environment, the limits of actions are their range in the data and this part of it on either side.
ACTION_MARGIN = 0.1
#: Part of all action numbers that may lie outside of the environment's limits; more means other units.
MAX_OUTSIDE = 0.5


def load_dataset(
    path: str | Path,
    *,
    obs_horizon: int = 2,
    action_horizon: int = 1,
    env: Environment | None = None,
    selection: Selection | None = None,
    device: str | torch.device = "cpu",
) -> WindowDataset:
    """The demonstrations at ``path``, in any format of ``ibc.data.formats``, as training windows.

    Args:
        path: a file or folder.
        obs_horizon: To, observations that the policy sees at once.
        action_horizon: Ta, actions that it predicts at once.
        env: holds shapes, limits and names against the data; without one they are taken from the data, and actions
            are limited to their range with a margin.
        selection: what is used of the data; everything if None.
        device: where vectors are kept.

    Raises:
        UserError: the data cannot be read, or differs from the environment.
    """
    dataset, _ = load_split(
        path,
        obs_horizon=obs_horizon,
        action_horizon=action_horizon,
        env=env,
        selection=selection,
        device=device,
    )
    return dataset


def load_split(
    path: str | Path,
    *,
    obs_horizon: int = 2,
    action_horizon: int = 1,
    env: Environment | None = None,
    selection: Selection | None = None,
    device: str | torch.device = "cpu",
    holdout: float = 0.0,
    action_limits: tuple[Sequence[float], Sequence[float]] | None = None,
) -> tuple[WindowDataset, WindowDataset | None]:
    """As :func:`load_dataset`, in two parts: what is learned from, and what is measured on.

    Args:
        path: a file or folder.
        obs_horizon: To, observations that the policy sees at once.
        action_horizon: Ta, actions that it predicts at once.
        env: see :func:`load_dataset`.
        selection: what is used of the data; everything if None.
        device: where vectors are kept.
        holdout: part of the episodes that is held out, drawn at random once for each number of episodes; at least one
            where it is above 0. Held-out episodes are not selected or weighted.
        action_limits: lowest and highest action of each dimension, instead of those of environment or data.

    Raises:
        UserError: as :func:`load_dataset`; or too few episodes are left, or limits do not fit the actions.
    """
    selection = Selection() if selection is None else selection
    everything = load_episodes(Path(path), selection, env)
    if selection.num_episodes is not None and len(everything) < selection.num_episodes:
        print(f"{path} has {len(everything)} episodes; data.num_episodes={selection.num_episodes}")
    shown, held_out = split_episodes(everything, holdout)
    if short := sum(len(episode) < selection.frame_skip for episode in everything):
        print(
            f"{short} of {len(everything)} episodes are shorter than data.frame_skip={selection.frame_skip}, and left out"
        )
    episodes = transformed(shown, selection)
    if not episodes:
        raise UserError(f"data.frame_skip={selection.frame_skip} leaves no step of {path}")
    low, high = _limits(everything, env, action_limits)
    spec = Spec(
        obs=_fields(episodes[0]),
        obs_horizon=obs_horizon,
        action_dim=episodes[0].action.shape[1],
        action_horizon=action_horizon,
        action_low=tuple(float(x) for x in low),
        action_high=tuple(float(x) for x in high),
    )
    about = {**manifest(Path(path), episodes), "held_out_episodes": len(held_out)}
    device = torch.device(device)
    is_measured = bool(held_out)
    held_out = [one for e in held_out for one in temporal_subsample(e, selection.frame_skip)]
    if is_measured and not held_out:
        raise UserError(f"data.frame_skip={selection.frame_skip} leaves no held-out step of {path}")
    return WindowDataset(episodes, spec, device, about=about), (
        WindowDataset(held_out, spec, device) if held_out else None
    )


def load_episodes(
    path: Path, selection: Selection, env: Environment | None = None
) -> list[Episode]:
    """The first ``num_episodes``, laid out as the environment's, with the chosen observations; nothing else selected.

    Raises:
        UserError: the data cannot be read, has no such observation, or differs in shape between episodes.
    """
    request = selection.request(env)
    found = islice(alike(path, read_episodes(path, request)), _count(selection))
    episodes = keep_frames(path, found, request, selection.cameras(), selection.num_episodes)
    _check_pictures(path, episodes)
    if env is not None:
        episodes = fit_layout(episodes, env.obs_fields, env.config.id)
    if selection.obs_names is not None:
        episodes = _with_obs(episodes, selection.obs_names, path)
    if env is not None:
        check_matches(episodes, env)
    return episodes


def _count(selection: Selection) -> int | None:
    return selection.num_episodes and min(selection.num_episodes, sys.maxsize)


def alike(path: Path, episodes: Iterable[Episode]) -> Iterator[Episode]:
    """The episodes, of which each has what the first has; pictures may still be of several sizes.

    Raises:
        UserError: naming the first that has something else.
    """
    first: dict[str, object] = {}
    for number, episode in enumerate(episodes):
        kinds: dict[str, object] = {"action": episode.action.shape[1:]}
        for name, array in sorted(episode.obs.items()):
            kinds[name] = "pictures" if isinstance(array, Frames) else array.shape[1:]
        first = first or kinds
        if kinds != first:
            raise UserError(f"{path}, episode {number}: {kinds} differ from {first} before")
        yield episode


def _check_pictures(path: Path, episodes: Sequence[Episode]) -> None:
    """Raise UserError where pictures that are left as they are have several sizes."""
    shapes = {name: array.shape[1:] for name, array in episodes[0].obs.items()}
    for number, episode in enumerate(episodes):
        for name, array in episode.obs.items():
            if array.shape[1:] != shapes[name]:
                raise UserError(several_sizes(path, number, name, array.shape, shapes[name]))


def transformed(episodes: Sequence[Episode], selection: Selection) -> list[Episode]:
    """Select and weight episodes, and change their pace, as is asked for."""
    episodes = list(episodes)
    if selection.keep_best is not None:
        episodes = keep_best(episodes, selection.keep_best)
    if selection.return_temperature is not None:
        episodes = reweight_by_return(episodes, selection.return_temperature)
    return [one for e in episodes for one in temporal_subsample(e, selection.frame_skip)]


def check_matches(episodes: Sequence[Episode], env: Environment) -> None:
    """Hold the data against the environment.

    Single numbers beyond the action space are clipped later; where most are, the units are others. Human demonstrations
    of the door leave it in four steps of five, by a third of its range at most.

    Raises:
        UserError: naming the observation or the action dimension in which they differ.
    """
    for name, field in _fields(episodes[0]).items():
        expected = env.obs_fields.get(name)
        if expected is None:
            raise UserError(
                f"the data has an observation '{name}', {env.config.id} has "
                f"{', '.join(env.obs_fields)}; choose with data.obs_names, or rename it: "
                f"data.rename={{{name}: NAME}}"
            )
        if field != expected:
            raise UserError(
                f"observation '{name}' is {field.dtype} {field.shape} in the data and "
                f"{expected.dtype} {expected.shape} in {env.config.id}"
            )
    action_dim = episodes[0].action.shape[1]
    if action_dim != len(env.action_low):
        raise UserError(
            f"the data has {action_dim}-D actions, {env.config.id} takes {len(env.action_low)}-D"
        )
    action = np.concatenate([episode.action for episode in episodes])
    margin = 1e-3 * np.maximum(1.0, np.abs(action))  # rounding
    outside = (action < env.action_low - margin) | (action > env.action_high + margin)
    if outside.mean() > MAX_OUTSIDE:
        raise UserError(
            f"{outside.mean():.0%} of the data's actions, from {action.min():.3g} to {action.max():.3g}, are outside "
            f"{env.config.id}'s {env.action_low.min():.3g} to {env.action_high.max():.3g}: other units?"
        )


def find_data(path: Path, search: Sequence[str]) -> Path:
    """The path itself, or where it is found below one of the ``search`` folders.

    Raises:
        NoDataError: it is in none of them.
    """
    path = path.expanduser()
    if path.is_absolute() or path.exists():
        return path
    places = [Path(folder).expanduser() for folder in search]
    for place in places:
        if (place / path).exists():
            return place / path
    raise NoDataError(
        f"no demonstrations at {path}; looked in {', '.join(str(p) for p in [Path(), *places])}"
    )


def _with_obs(episodes: list[Episode], names: Sequence[str], path: Path) -> list[Episode]:
    have = episodes[0].obs
    if not names:
        raise UserError(f"data.obs_names is empty; {path} has {', '.join(have)}")
    unknown = sorted(set(names) - set(have))
    if unknown:
        raise UserError(f"{path} has no observation {', '.join(unknown)}; it has {', '.join(have)}")
    return [replace(e, obs={name: e.obs[name] for name in names}) for e in episodes]


def _limits(
    episodes: Sequence[Episode],
    env: Environment | None,
    given: tuple[Sequence[float], Sequence[float]] | None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The limits of actions: given, of the environment, or their range in the data with a margin."""
    size = episodes[0].action.shape[1]
    if given is not None:
        try:
            low, high = (np.broadcast_to(np.asarray(side, np.float32), (size,)) for side in given)
        except (TypeError, ValueError) as error:
            raise UserError(
                f"data.action_limits={given}; it is [lowest, highest], each a number or a list of {size}"
            ) from error
        if not (low < high).all():
            raise UserError(f"data.action_limits={given}; the lower must be below the upper")
        return low, high
    if env is not None:
        return env.action_low, env.action_high
    action = np.concatenate([episode.action for episode in episodes])
    low, high = action.min(0), action.max(0)
    margin = ACTION_MARGIN * (high - low)
    return low - margin, high + margin


def _fields(episode: Episode) -> dict[str, ObsField]:
    return {n: ObsField(array.shape[1:], str(array.dtype)) for n, array in episode.obs.items()}
