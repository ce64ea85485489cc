"""Your own image encoder in a policy: derive from ibc.ImageEncoder, make the networks in build."""

import numpy as np
import torch
from torch import nn

import ibc
from ibc.data import WindowDataset


class StridedEncoder(ibc.ImageEncoder):
    """Two strided convolutions and a linear layer on their mean."""

    def __init__(self, *, width: int = 16) -> None:
        super().__init__()
        self.width = width

    def build(self, channels: int) -> None:
        self.layers = nn.Sequential(
            nn.Conv2d(channels, self.width, 5, stride=2),
            nn.ReLU(),
            nn.Conv2d(self.width, self.width, 3, stride=2),
            nn.ReLU(),
        )
        self.feature_size = self.width

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.layers(image).mean((-2, -1))


def episode(rng: np.random.Generator, steps: int = 10) -> ibc.Episode:
    """A camera that sees a bright column; the action is where it is."""
    where = rng.integers(0, 24, steps + 1)
    image = np.zeros((steps + 1, 24, 24, 3), np.uint8)
    image[np.arange(steps + 1), :, where] = 255
    return ibc.Episode(
        obs={"camera": image},
        action=(where[:-1, None] / 12 - 1).astype(np.float32),
        reward=np.zeros(steps, np.float32),
        success=np.zeros(steps, np.bool_),
        terminated=False,
        truncated=True,
    )


def main() -> None:
    rng = np.random.default_rng(0)
    spec = ibc.Spec(
        obs={"camera": ibc.ObsField((24, 24, 3), "uint8")}, obs_horizon=1, action_dim=1, action_horizon=1,
        action_low=(-1.0,), action_high=(1.0,),
    )  # fmt: skip
    data = WindowDataset([episode(rng) for _ in range(30)], spec)
    policy = ibc.ImplicitPolicy(spec, ibc.MLPEnergy(ibc.ObsEncoder(StridedEncoder(width=8))))
    ibc.Trainer(policy, data, num_steps=30, batch_size=32, warmup_steps=5).fit()
    print("parameters:", sum(p.numel() for p in policy.parameters()))


if __name__ == "__main__":
    main()
