"""Slow tests: train until something is learned (make test-slow)."""

import numpy as np
import pytest
import torch

from ibc.cli.config import compose
from ibc.cli.train import train_in
from ibc.construct import construct
from ibc.data import Episode, WindowDataset
from ibc.policies.loading import make_policy
from ibc.random import PerEpisodeRandom
from ibc.spec import ObsField, Spec
from ibc.training import Trainer

pytestmark = pytest.mark.slow
CPU = torch.device("cpu")


def two_answers(count=400):
    """One-step episodes whose answer is +0.5 or -0.5 with equal right, whichever of two states is seen."""
    rng = np.random.default_rng(0)
    return [
        Episode(
            obs={"state": np.full((2, 3), rng.choice([-1, 1]), np.float32)},
            action=np.array([[rng.choice([-0.5, 0.5])]], np.float32),
            reward=np.zeros(1, np.float32),
            success=np.ones(1, np.bool_),
            terminated=True,
            truncated=False,
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize(
    ("policy", "found"),
    [
        ("implicit_info_nce", 0.5),
        ("mdn", 0.5),
        ("mse", 0.0),
        ("implicit", 0.48),  # the other answer, at the other end of the range, draws it nearer
    ],
)
def test_two_answers(policy, found):
    """The point of implicit policies: an answer that was demonstrated, not the mean of both."""
    torch.manual_seed(0)
    spec = Spec(
        obs={"state": ObsField((3,), "float32")},
        obs_horizon=1,
        action_dim=1,
        action_horizon=1,
        action_low=(-1.0,),
        action_high=(1.0,),
    )
    dataset = WindowDataset(two_answers(), spec, CPU)
    overrides = [
        f"policy={policy}",
        "env=particle",
        "trainer.num_steps=1500",
        "trainer.warmup_steps=50",
        "trainer.batch_size=64",
        "network.width=64",
    ]
    config = compose("train", overrides)
    trainer = Trainer(
        make_policy(config["policy"], spec),
        dataset,
        loss=construct(config["loss"], "loss"),
        **config["trainer"],
    )
    for _ in range(trainer.num_steps):
        trainer.train_step()
    obs = {"state": torch.ones(100, 1, 3)}
    rng = PerEpisodeRandom([torch.Generator().manual_seed(i) for i in range(100)], CPU)
    size = trainer.policy.eval().act(obs, rng).abs().flatten()
    assert (size - found).abs().quantile(0.9) < (0.05 if found else 0.25)


@pytest.mark.parametrize(("experiment", "threshold"), [("particle_2d", 0.8)])
def test_particle(experiment, threshold, tmp_path, monkeypatch):
    """A third of the experiment's steps already solve most episodes."""
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(2)
    full = compose("train", [f"experiment={experiment}"])["trainer"]["num_steps"]
    overrides = [
        f"experiment={experiment}",
        "video=false",
        f"trainer.num_steps={full // 3}",
        "evaluation.num_episodes=50",
    ]
    (tmp_path / "run").mkdir()
    figures = train_in(tmp_path / "run", compose("train", overrides))
    assert figures["success_rate"] >= threshold


@pytest.mark.parametrize(("env", "threshold"), [("particle", 0.8), ("block_push", 0.9)])
def test_the_default_recipe(env, threshold, tmp_path, monkeypatch):
    """What a command trains that names a task and nothing else, in a third of its steps."""
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(2)
    overrides = [f"env={env}", "video=false", "trainer.num_steps=2000", "data.num_episodes=1000",
                 "evaluation.num_episodes=50"]  # fmt: skip
    (tmp_path / "run").mkdir()
    figures = train_in(tmp_path / "run", compose("train", overrides))
    assert figures["success_rate"] >= threshold
