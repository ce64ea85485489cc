"""Any Gymnasium environment, seen the way everything here sees it: named observations, flat actions, success."""

from __future__ import annotations

import ctypes.util
import math
import os
import sys
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import cv2
import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from ibc.env_config import STATISTICS, EnvConfig
from ibc.errors import UserError
from ibc.simulator import (
    as_frame,
    as_number,
    as_success,
    is_finite,
    named_observation,
    unpack,
)
from ibc.spec import NumpyObs, ObsField, as_float32

#: Steps after which an episode is cut where neither registration nor configuration says.
DEFAULT_HORIZON = 1000


class Environment:
    """A Gymnasium environment with observations ``{name: array}`` of float32 vectors and uint8 images.

    A bare vector is called ``state``, a bare picture ``image``; nested names are joined by ``/``.

    Attributes:
        is_broken: whether the simulator has returned NaN or infinity in this episode.
    """

    def __init__(self, config: EnvConfig, *, render: bool = False) -> None:
        """Raises UserError for an unknown id, wrong arguments, or spaces that cannot be handled."""
        self.config = config
        self._frame_shape: tuple[int, ...] | None = None
        choose_renderer()
        kwargs = dict(config.kwargs)
        if config.max_episode_steps is not None:
            kwargs["max_episode_steps"] = config.max_episode_steps
        if render:
            kwargs["render_mode"] = "rgb_array"
        try:
            self.gym_env = gym.make(config.id, disable_env_checker=True, **kwargs)
            own = getattr(self.gym_env.unwrapped, "own_time_limit", None)
            spec = self.gym_env.spec
            if spec is None or spec.max_episode_steps is None:
                limit = DEFAULT_HORIZON if own is None else own
                self.gym_env = gym.wrappers.TimeLimit(self.gym_env, limit)
        except Exception as error:  # constructors of environments fail with types of their own
            reason = " ".join(str(error).split())
            raise UserError(f"cannot make environment {config.id}: {reason}") from error
        if own is not None and (config.max_episode_steps or 0) > own:
            raise UserError(
                f"env.max_episode_steps={config.max_episode_steps}; {config.id} ends after {own} steps itself: "
                "choose its own option (env.horizon of particles)"
            )
        action_space = self.gym_env.action_space
        if not isinstance(action_space, gym.spaces.Box):
            raise UserError(f"{config.id} has {action_space} actions; only Box is supported")
        self._action_space = action_space
        self.action_low = as_float32(action_space.low.reshape(-1))
        self.action_high = as_float32(action_space.high.reshape(-1))
        boxes = _boxes(self.gym_env.observation_space, config.id)
        self.obs_fields = {
            name: ObsField(box.shape, "uint8" if _is_image(box) else "float32")
            for name, box in boxes.items()
        }
        self.observation_space = gym.spaces.Dict(
            {
                name: box
                if _is_image(box)
                else gym.spaces.Box(-np.inf, np.inf, box.shape, np.float32)
                for name, box in boxes.items()
            }
        )

    @property
    def fps(self) -> float:
        """Frames a second at which a recording shows real time: what the environment says, else 20."""
        return float((self.gym_env.metadata or {}).get("render_fps") or 20)

    def reset(self, seed: int) -> NumpyObs:
        """Begin the episode that the seed determines.

        Raises:
            UserError: the seed is no whole number from 0 on, or what comes back is not Gymnasium's.
        """
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise UserError(f"seed={seed}; it must be a whole number, at least 0")
        result = self.gym_env.reset(seed=int(seed))
        obs, _ = unpack("reset", result, 2, self.config.id)
        self._seed, self._length = seed, 0
        self._return, self.is_broken = 0.0, False
        self._info: Mapping[str, Any] = {}
        self._values: dict[str, list[float]] = defaultdict(list)
        self._last = self._named(obs)
        if not is_finite(self._last, 0.0):
            raise UserError(f"{self.config.id} begins with NaN or infinity, seed {seed}")
        return self._last

    def step(self, action: NDArray[np.float32]) -> tuple[NumpyObs, float, bool, bool, bool]:
        """Apply a flat action, clipped to the action space.

        A simulator that returns NaN or infinity ends the episode as a failure, with a line that names the seed; the
        last observation stands for the broken one.

        Returns:
            Observation, reward, whether the task is solved now, terminated, truncated.

        Raises:
            UserError: the action is not finite or of another size, or what comes back is not Gymnasium's.
        """
        if (found := np.shape(action)) != self.action_low.shape:
            wrong = f"has shape {found}, not {self.action_low.shape}"
            raise UserError(f"an action for {self.config.id} {wrong}")
        if not np.isfinite(action).all():
            raise UserError(f"an action for {self.config.id} is NaN or infinite, seed {self._seed}")
        result = self.gym_env.step(self._inside(action))
        raw, reward, terminated, truncated, info = unpack("step", result, 5, self.config.id)
        reward = as_number("the reward", reward, self.config.id)
        obs = self._named(raw)
        self._length += 1
        if not is_finite(obs, reward):
            print(
                f"{self.config.id}, seed {self._seed}: NaN or infinity after step {self._length}; "
                "the episode counts as a failure"
            )
            obs, reward, terminated, info = self._last, 0.0, True, self._info
            self.is_broken = True
        self._last = obs
        self._return += reward
        self._info = info
        for _, key in self.config.reported().values():
            value = float(reward) if key == "reward" else info.get(key)
            if isinstance(value, (int, float, np.number, np.bool_)):
                self._values[key].append(float(value))
        over = bool(terminated or truncated)
        if self.is_broken:
            success = False
        elif self.config.success_return is not None:
            success = over and self._return >= self.config.success_return
        elif self.config.success_key in info:
            success = as_success(
                info[self.config.success_key], self.config.success_key, self.config.id
            )
        elif not over:  # some environments tell at the end only
            success = False
        else:
            raise UserError(
                f"{self.config.id} puts no '{self.config.success_key}' into info; it has "
                f"{sorted(info)}: choose env.success_key or env.success_return"
            )
        return obs, reward, success, bool(terminated), bool(truncated)

    def _inside(self, action: NDArray[np.float32]) -> NDArray[Any]:
        """An action in the shape, the type and the exact limits of the action space."""
        low, high = self._action_space.low, self._action_space.high
        whole = np.rint(action) if low.dtype.kind in "iu" else action
        exact = whole.astype(low.dtype if low.dtype.kind == "f" else np.float64)
        inside: NDArray[Any] = np.clip(exact.reshape(low.shape), low, high).astype(low.dtype)
        return inside

    def tells_everything(self) -> bool:
        """Whether success and all numbers of ``env.report`` are known after the latest step."""
        config = self.config
        knows = config.success_return is not None or config.success_key in self._info
        return knows and all(
            self._values[key] and (statistic != "last" or key in {"reward", *self._info})
            for statistic, key in config.reported().values()
        )

    def report(self) -> dict[str, float]:
        """Return the numbers of ``env.report`` after the latest step; NaN if the simulator has broken.

        Raises:
            UserError: ``info`` has no such entry, or it is not one number.
        """
        if self.is_broken:
            return dict.fromkeys(self.config.reported(), math.nan)
        for statistic, key in self.config.reported().values():
            is_gone = statistic == "last" and key not in {"reward", *self._info}
            if is_gone or not self._values[key]:
                raise UserError(
                    f"env.report={self.config.report}: info['{key}'] of {self.config.id} is not a number; "
                    f"it has reward, {', '.join(sorted(self._info))}"
                )
        return {
            name: float(STATISTICS[statistic](self._values[key]))
            for name, (statistic, key) in self.config.reported().items()
        }

    def render(self) -> NDArray[np.uint8]:
        """The picture of the current state, (H, W, 3)."""
        try:
            frame = self.gym_env.render()
        except Exception as error:  # back ends fail with types of their own
            raise UserError(
                f"cannot render {self.config.id}: {' '.join(str(error).split())}; without a display, "
                "MuJoCo needs the system package libegl1 (with libopengl0) or libosmesa6"
            ) from error
        picture = as_frame(frame, self.config.id)
        self._frame_shape = self._frame_shape or picture.shape[:2]
        if picture.shape[:2] != self._frame_shape:  # a film has one size
            size = self._frame_shape[::-1]
            return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        return picture

    def close(self) -> None:
        """Release renderers and simulators."""
        self.gym_env.close()

    def _named(self, obs: Any) -> NumpyObs:
        return named_observation(_flatten(obs), self.obs_fields, self.config.id)


def choose_renderer() -> None:
    """Tell MuJoCo how to render without a display, unless the user has said so: EGL if installed, else OSMesa.

    With neither, nothing is said: MuJoCo would then fail on being imported, and not only on being asked for pictures.
    """
    if sys.platform != "linux" or "DISPLAY" in os.environ or "MUJOCO_GL" in os.environ:
        return
    for library, backend in (("EGL", "egl"), ("OSMesa", "osmesa")):
        if ctypes.util.find_library(library):
            os.environ["MUJOCO_GL"] = backend
            return


def _is_image(part: gym.spaces.Box | NDArray[Any]) -> bool:
    return part.dtype == np.uint8 and len(part.shape) == 3


def _flatten(node: Any, name: str = "") -> dict[str, Any]:
    """The arrays of an observation, or the spaces of an observation space, by their joined names."""
    if isinstance(node, Mapping):
        out: dict[str, Any] = {}
        for key, child in node.items():
            out |= _flatten(child, f"{name}/{key}" if name else str(key))
        return out
    part = node if isinstance(node, gym.spaces.Box) else np.asarray(node)
    return {name or ("image" if _is_image(part) else "state"): node}


def _boxes(space: gym.Space[Any], env_id: str) -> dict[str, gym.spaces.Box]:
    flat = _flatten(space)
    for node in flat.values():
        if not isinstance(node, gym.spaces.Box):
            raise UserError(
                f"{env_id} has {node} among its observations; only Box and Dict are supported"
            )
    return flat
