"""History by a recurrent network instead of a stack of frames."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field, replace

from jaxtyping import Float
from torch import Tensor, nn

from ibc.nn.encoders import ObsEncoder
from ibc.spec import Obs, Spec


@dataclass(eq=False, repr=False)
class RecurrentEncoder(ObsEncoder):
    """Each time step of a window through one encoder, then a gated recurrent unit from the oldest to the newest.

    The state starts at zero with every window, in training as in closed loop: what is trained is what acts, and an
    episode may begin or be resumed anywhere. How far back it sees is ``obs_horizon``; unlike for a stack of frames, the
    number of weights does not grow with it.

    Args:
        hidden_size: of the recurrent state, which is the feature vector.
        image_encoder, share_cameras, image_normalization, sqrt_std, noise_std: of :class:`ObsEncoder`, per step.
        num_gates, num_distance_features, angles: of :class:`ObsEncoder`, per step.
    """

    _: KW_ONLY
    hidden_size: int = 128
    num_gates: int = 0
    random_shift_pixels: int = field(init=False, default=0)
    color_jitter: float = field(init=False, default=0.0)
    random_crop: None = field(init=False, default=None)

    def build(self, spec: Spec) -> None:
        super().build(replace(spec, obs_horizon=1))
        self.recurrent = nn.GRU(self.feature_size, self.hidden_size, batch_first=True)
        self.feature_size = self.hidden_size

    def forward(self, obs: Obs) -> Float[Tensor, "B F"]:
        mine = {name: obs[name] for name in (*self.vector_names, *self.image_names)}
        batch, horizon = next(iter(mine.values())).shape[:2]
        steps = {name: array.flatten(0, 1).unsqueeze(1) for name, array in mine.items()}
        features = super().forward(steps).view(batch, horizon, -1)
        _, last = self.recurrent(features)
        state: Tensor = last[-1]
        return state
