"""Training steps as people take them: states, pictures and chunks of actions, of random numbers."""

import time
from dataclasses import dataclass, field

import numpy as np
import torch

from benchmarks.config import compose
from benchmarks.results import Row
from ibc.cli.config import Config
from ibc.construct import call, construct
from ibc.data import Episode, WindowDataset
from ibc.policies.loading import make_policy
from ibc.spec import ObsField, Spec
from ibc.training import Trainer

EPISODES, LENGTH = 20, 50
#: Steps before the time counts, and seconds in which it does.
WARMUP, SECONDS = 3, 5.0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is trained.

    Attributes:
        obs: shape and type of the only observation.
        action_dim, horizon: numbers of an action, and actions of a chunk.
        overrides: of the training command.
    """

    obs: ObsField
    action_dim: int = 2
    horizon: int = 1
    overrides: list[str] = field(default_factory=list)


def chunks(policy: str) -> Recipe:
    """Chunks of 8 actions of 7 numbers."""
    overrides = [f"policy={policy}", "trainer.batch_size=256"]
    return Recipe(obs=ObsField((20,), "float32"), action_dim=7, horizon=8, overrides=overrides)


RECIPES = {
    "train_states": Recipe(obs=ObsField((20,), "float32")),
    "train_pictures": Recipe(
        obs=ObsField((90, 120, 3), "uint8"),
        overrides=["encoder=spatial_softmax", "trainer.batch_size=128"],
    ),
    "train_chunks": chunks("implicit_preconditioned"),
    "train_chunks_diffusion": chunks("edm"),
}


def make_trainer(name: str, device: torch.device) -> Trainer:
    """A trainer of that recipe on random episodes."""
    recipe = RECIPES[name]
    config: Config = compose("train", ["env=particle", *recipe.overrides])
    spec = Spec(
        obs={"seen": recipe.obs},
        obs_horizon=config["obs_horizon"],
        action_dim=recipe.action_dim,
        action_horizon=recipe.horizon,
        action_low=(-1.0,) * recipe.action_dim,
        action_high=(1.0,) * recipe.action_dim,
    )
    torch.manual_seed(0)
    data = WindowDataset([_episode(spec, seed) for seed in range(EPISODES)], spec, device=device)
    return call(  # type: ignore[no-any-return]
        Trainer,
        "trainer",
        make_policy(config["policy"], spec).to(device),
        data,
        loss=construct(config["loss"], "loss"),
        optimizer=construct(config["optimizer"], "optimizer"),
        **config["trainer"],
    )


def time_training(name: str, device: torch.device) -> Row:
    """Milliseconds of a step, and steps a second."""
    trainer = make_trainer(name, device)
    for _ in range(WARMUP):
        metrics = trainer.train_step()
    trainer.numbers(metrics)  # waits for the device
    first, start = trainer.step, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        metrics = trainer.train_step()
        if device.type == "cpu" or trainer.step % 50 == 0:
            trainer.numbers(metrics)
    trainer.numbers(metrics)
    seconds = (time.perf_counter() - start) / (trainer.step - first)
    return {"ms": 1e3 * seconds, "steps_per_second": 1 / seconds}


def _episode(spec: Spec, seed: int) -> Episode:
    rng = np.random.default_rng(seed)
    shape = (LENGTH + 1, *spec.obs["seen"].shape)
    is_image = spec.obs["seen"].is_image
    return Episode(
        obs={
            "seen": rng.integers(0, 256, shape, np.uint8)
            if is_image
            else rng.normal(size=shape).astype(np.float32)
        },
        action=rng.uniform(-1, 1, (LENGTH, spec.action_dim)).astype(np.float32),
        reward=np.zeros(LENGTH, np.float32),
        success=np.ones(LENGTH, np.bool_),
        terminated=False,
        truncated=True,
    )
