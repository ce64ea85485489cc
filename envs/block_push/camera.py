"""Pictures of a simulation: quick ones to observe, fine ones to look at."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray


class Camera:
    """A renderer of one size and quality, made without a display."""

    def __init__(
        self, model: mujoco.MjModel, name: str, size: tuple[int, int], *, fine: bool
    ) -> None:
        """Pictures of ``size`` (H, W) from the camera ``name``; ``fine`` ones have shadows and smooth edges.

        Raises:
            RuntimeError: nothing here can render.
        """
        height, width = size
        model.vis.global_.offheight, model.vis.global_.offwidth = height, width
        # Read once, when the renderer is made. Without them a picture takes a tenth of the time.
        quality = model.vis.quality
        quality.offsamples, quality.shadowsize = (4, 2048) if fine else (0, 512)
        quality.numslices, quality.numstacks = (28, 16) if fine else (12, 8)
        try:
            self._renderer = mujoco.Renderer(model, height, width)
        except Exception as error:  # back ends fail with types of their own
            raise RuntimeError(
                "MuJoCo cannot render here: without a display, install the system package libegl1 (with libopengl0) "
                "or libosmesa6, and set MUJOCO_GL to egl or osmesa"
            ) from error
        self._camera = model.camera(name).id
        self._fine = fine

    def __call__(self, data: mujoco.MjData) -> NDArray[np.uint8]:
        """The picture (H, W, 3) of the current state."""
        self._renderer.update_scene(data, self._camera)
        flags = self._renderer.scene.flags
        flags[mujoco.mjtRndFlag.mjRND_SHADOW] = self._fine
        flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        return self._renderer.render()

    def close(self) -> None:
        """Release the renderer."""
        self._renderer.close()
