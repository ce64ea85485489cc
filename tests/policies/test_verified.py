"""Best of N: an energy chooses among another policy's samples."""

from dataclasses import replace

import pytest
import torch

from ibc.energies import Energy
from ibc.errors import UserError
from ibc.policies import ImplicitPolicy, MSEPolicy, Policy, VerifiedPolicy
from ibc.random import BatchRandom, PerEpisodeRandom
from ibc.spec import ObsField, Spec


def task(action_horizon=1):
    return Spec(
        obs={"state": ObsField((2,), "float32")},
        obs_horizon=1,
        action_dim=2,
        action_horizon=action_horizon,
        action_low=(-1.0, -1.0),
        action_high=(1.0, 1.0),
    )


class Noise(Policy):
    """Normal actions, whatever is seen."""

    def fit(self, dataset):
        pass

    def act_flat(self, obs, rng):
        return rng.normal(len(obs["state"]), self.spec.action_size)


class ToState(Energy):
    """The squared distance of the action from the observation."""

    def bind(self, obs):
        return lambda action: (action - obs["state"]).square().sum(-1)


@pytest.fixture
def verified():
    policy = VerifiedPolicy(ImplicitPolicy(task()), Noise(task()), num_samples=5)
    policy.policy.energy = ToState()
    return policy


def test_the_sample_of_lowest_energy_acts(verified):
    obs = {"state": torch.randn(4, 1, 2)}
    found = verified.act_flat(obs, BatchRandom(torch.Generator().manual_seed(1)))
    source = BatchRandom(torch.Generator().manual_seed(1))
    samples = torch.stack([verified.proposer.act_flat(obs, source) for _ in range(5)], 1)
    best = (samples - obs["state"]).square().sum(-1).argmin(1)
    torch.testing.assert_close(found, samples[torch.arange(4), best])


def test_a_policy_made_of_policies_is_not_saved(verified, tmp_path):
    """Its file could not be read: the parts have specifications of their own."""
    with pytest.raises(UserError, match="save the policies that it is made of"):
        verified.save(tmp_path / "verified.pt")
    assert not list(tmp_path.iterdir())


def test_an_episode_depends_on_its_own_numbers_alone(verified):
    obs = {"state": torch.randn(3, 1, 2)}

    def source(rows):
        generators = [torch.Generator().manual_seed(i) for i in rows]
        return PerEpisodeRandom(generators, torch.device("cpu"))

    together = verified.act(obs, source([0, 1, 2]))
    alone = verified.act({"state": obs["state"][1:2]}, source([1]))
    torch.testing.assert_close(together[1:2], alone)


def test_refusals():
    with pytest.raises(UserError, match="num_samples=0"):
        VerifiedPolicy(ImplicitPolicy(task()), MSEPolicy(task()), num_samples=0)
    with pytest.raises(UserError, match="action_horizon 2, the checkpoint 1"):
        VerifiedPolicy(ImplicitPolicy(task()), MSEPolicy(task(2)))
    other = replace(task(), obs={"camera": ObsField((2,), "float32")})
    with pytest.raises(UserError, match="sees camera, which the checkpoint does not"):
        VerifiedPolicy(ImplicitPolicy(task()), MSEPolicy(other))
