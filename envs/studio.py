"""How MuJoCo's tabletop tasks are seen: their surroundings, a camera to observe by, and one for films."""

from __future__ import annotations

import numpy as np
from ibc_envs.camera import Camera
from ibc_envs.physics import mujoco
from numpy.typing import NDArray

#: Of a scene's XML: its lights, and what belongs into ``<asset>``.
VISUAL = """<visual>
    <headlight ambient="0.38 0.38 0.38" diffuse="0.25 0.25 0.25" specular="0 0 0"/>
    <map znear="0.02" zfar="12"/>
    <rgba haze="0.93 0.94 0.96 1"/>
  </visual>"""
SURFACES = """<texture name="sky" type="skybox" builtin="gradient" rgb1="0.95 0.96 0.98" rgb2="0.82 0.86 0.91" width="64" height="384"/>
    <material name="table" rgba="0.86 0.84 0.80 1" specular="0.1" shininess="0.1"/>
    <material name="rim" rgba="0.50 0.42 0.35 1" specular="0.1" shininess="0.1"/>"""
#: Height and width of films.
FILM_SIZE = (480, 640)


class Cameras:
    """The cameras ``observation`` and ``film`` of a scene; the second is set up when it is first asked for."""

    def __init__(
        self, model: mujoco.MjModel, data: mujoco.MjData, observed: tuple[int, int] | None
    ) -> None:
        """Of a simulation's state; ``observed``: height and width of observations, or None.

        Raises:
            RuntimeError: pictures are observed, and nothing here can render.
        """
        self._model, self._data = model, data
        self._eye = (
            None if observed is None else Camera(self._model, "observation", observed, fine=False)
        )
        self._film: Camera | None = None

    def observe(self) -> dict[str, NDArray[np.uint8]]:
        """``rgb`` (H, W, 3), or nothing where no pictures are observed."""
        return {} if self._eye is None else {"rgb": self._eye(self._data)}

    def film(self) -> NDArray[np.uint8]:
        """A picture for films, (480, 640, 3).

        Raises:
            RuntimeError: nothing here can render.
        """
        if self._film is None:
            self._film = Camera(self._model, "film", FILM_SIZE, fine=True)
        return self._film(self._data)

    def close(self) -> None:
        """Release the renderers; pictures are observed no more."""
        for camera in (self._eye, self._film):
            if camera is not None:
                camera.close()
        self._eye = self._film = None
