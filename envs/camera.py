"""Pictures of a simulation: quick ones to observe, fine ones to look at."""

from __future__ import annotations

import importlib
import os
import weakref
from typing import Any

import numpy as np
from ibc_envs.physics import REMEDY, mujoco
from numpy.typing import NDArray

#: Room for the scene's geoms.
_MAX_GEOMS = 200


class Camera:
    """Renders without a display, at one size and quality.

    Not MuJoCo's own ``Renderer``: that is tied to the back end chosen when MuJoCo was first imported, by whomever.
    This asks ``MUJOCO_GL`` when it is made, and takes EGL if nothing is said.
    """

    def __init__(
        self, model: mujoco.MjModel, name: str, size: tuple[int, int], *, fine: bool
    ) -> None:
        """Pictures of ``size`` (H, W) from the camera ``name``; ``fine`` ones have shadows and smooth edges.

        Raises:
            RuntimeError: nothing here can render.
        """
        self._model = model
        self._picture = np.empty((*size, 3), np.uint8)
        self._area = mujoco.MjrRect(0, 0, size[1], size[0])
        self._gl = _gl_context(size)
        self._gl.make_current()
        # Read once, here. Without antialiasing and shadows a picture takes a tenth of the time.
        model.vis.global_.offheight, model.vis.global_.offwidth = size
        quality = model.vis.quality
        quality.offsamples, quality.shadowsize = (4, 4096) if fine else (0, 512)
        quality.numslices, quality.numstacks = (28, 16) if fine else (12, 8)
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        # Also when forgotten: at the interpreter's end the back end is gone before its contexts, and complains.
        self._release = weakref.finalize(self, _release, self._gl, self._context)
        self._scene = mujoco.MjvScene(model, _MAX_GEOMS)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = fine
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        self._option = mujoco.MjvOption()
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._camera.fixedcamid = model.camera(name).id

    def __call__(self, data: mujoco.MjData) -> NDArray[np.uint8]:
        """The picture (H, W, 3) of the current state."""
        self._gl.make_current()
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(
            self._model, data, self._option, None, self._camera, everything, self._scene
        )
        mujoco.mjr_render(self._area, self._scene, self._context)
        mujoco.mjr_readPixels(self._picture, None, self._area, self._context)
        return self._picture[::-1].copy()

    def close(self) -> None:
        """Release the context."""
        self._release()


def _release(gl: Any, context: mujoco.MjrContext) -> None:
    gl.make_current()
    context.free()
    gl.free()


def _gl_context(size: tuple[int, int]) -> Any:
    backend = os.environ.get("MUJOCO_GL", "").lower() or "egl"
    try:
        return importlib.import_module(f"mujoco.{backend}").GLContext(size[1], size[0])
    except Exception as error:  # back ends fail with types of their own
        raise RuntimeError(f"MuJoCo cannot render with MUJOCO_GL={backend}: {REMEDY}") from error
