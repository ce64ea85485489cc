"""MuJoCo, or one line on why it is not to be had."""

from __future__ import annotations

import os

#: What to do where nothing renders.
REMEDY = "install the system package libegl1 (with libopengl0) and set it to egl, or libosmesa6 and osmesa"

try:
    import mujoco
except AttributeError as error:  # it loads at once the library that MUJOCO_GL names
    raise ImportError(
        f"MuJoCo cannot be used with MUJOCO_GL={os.environ.get('MUJOCO_GL')}: {REMEDY}"
    ) from error

__all__ = ["REMEDY", "mujoco"]
