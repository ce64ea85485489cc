"""Small configurations, energies and observations that several tests use."""

import torch
from conftest import built

from ibc.cli.config import compose
from ibc.energies import MLPEnergy
from ibc.nn import ConvMaxPool, ObsEncoder
from ibc.random import PerEpisodeRandom
from ibc.spec import ObsField, Spec

CPU = torch.device("cpu")
BATCH = 3
#: Of the particle in two dimensions.
PARTICLE = Spec(
    obs={
        name: ObsField((2,), "float32")
        for name in ("pos_agent", "vel_agent", "pos_first_goal", "pos_second_goal")
    },
    obs_horizon=1,
    action_dim=2,
    action_horizon=1,
    action_low=(0.0, 0.0),
    action_high=(1.0, 1.0),
)
SMALL = ["network.width=16", "env=particle"]


def config_of(name, *overrides):
    """The configuration of a small network of a policy in configs/policy."""
    small = ["env=particle"] if name == "nearest" else SMALL  # the neighbors have no network
    return compose("train", [f"policy={name}", *small, *overrides])


def tiny(*overrides):
    """The configuration of a run of a few seconds, whose episodes in evaluation are short."""
    return compose(
        "train",
        [
            "experiment=particle_2d",
            "debug=quick",
            "network.width=16",
            "network.num_blocks=1",
            "+env.max_episode_steps=10",
            "+env.demo_overrides.max_episode_steps=50",
            "video=false",
            *overrides,
        ],
    )


def row_noise(*seeds):
    """A random stream for each row."""
    return PerEpisodeRandom([torch.Generator().manual_seed(s) for s in seeds], CPU)


def make_energy(spec, image_encoder=ConvMaxPool, **kwargs):
    """An energy of small networks for a task."""
    encoder = ObsEncoder(image_encoder(), num_gates=0)
    return built(MLPEnergy(encoder, width=16, num_blocks=2, **kwargs), spec)


def make_obs(spec, batch=BATCH):
    """Random observations of a task."""
    obs = {}
    for name, field in spec.obs.items():
        shape = (batch, spec.obs_horizon, *field.shape)
        obs[name] = (
            torch.randint(0, 256, shape, dtype=torch.uint8)
            if field.is_image
            else torch.randn(shape)
        )
    return obs
