"""Policies with a network over chunks and no energy: what they do with a network that is known."""

import pytest
import torch

from ibc.errors import UserError
from ibc.losses import ImplicitMaximumLikelihood, TwoStepRegression
from ibc.nn.sequence import ChunkTransformer, FiLMMLP, TemporalUNet
from ibc.policies import FlowMatchingPolicy, MSEPolicy, OneStepPolicy, TwoStepPolicy
from ibc.random import BatchRandom, PerEpisodeRandom
from ibc.spec import Batch, ObsField, Spec
from ibc.training.default_loss import default_loss

KINDS = {"flow": FlowMatchingPolicy, "two_step": TwoStepPolicy, "one_step": OneStepPolicy}
NETWORKS = {
    "film_mlp": lambda: FiLMMLP(width=16, num_blocks=2),
    "temporal_unet": lambda: TemporalUNet(widths=(8, 16)),
    "transformer": lambda: ChunkTransformer(width=16, num_layers=1, num_heads=2),
}


@pytest.fixture
def task():
    return Spec(
        obs={"state": ObsField((3,), "float32")},
        obs_horizon=2,
        action_dim=2,
        action_horizon=3,
        action_low=(-1.0, -1.0),
        action_high=(1.0, 1.0),
    )


def rng(seed=0):
    return BatchRandom(torch.Generator().manual_seed(seed))


def observe(batch):
    return {"state": torch.randn(batch, 2, 3)}


def randomize(module):
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return module


@pytest.mark.parametrize("widths", [(64, 128), (64, 32, 128), (8,)])
@pytest.mark.parametrize("action_dim", [2, 80])
def test_a_u_net_of_any_widths(widths, action_dim):
    network = TemporalUNet(widths=widths)
    network.build(action_dim, 4, 16)
    modulations = network.modulations(torch.randn(5, 16))
    assert network(torch.randn(5, 3, 4 * action_dim), modulations).shape == (5, 3, 4 * action_dim)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("kind", KINDS)
class TestContract:
    def test_every_parameter_is_trained(self, task, kind, network):
        policy = randomize(KINDS[kind](task, network=NETWORKS[network]()))
        batch = Batch(observe(5), torch.rand(5, task.action_size))
        value, metrics = default_loss(policy)(policy, batch, rng())
        value.backward()
        assert not [name for name, p in policy.named_parameters() if p.grad is None]
        assert all(bool(torch.isfinite(metric)) for metric in metrics.values())

    def test_an_episode_depends_on_its_own_numbers_alone(self, task, kind, network):
        policy = randomize(KINDS[kind](task, network=NETWORKS[network]()))
        obs = observe(3)

        def generators():
            return [torch.Generator().manual_seed(i) for i in range(3)]

        together = policy.act(obs, PerEpisodeRandom(generators(), torch.device("cpu")))
        alone = policy.act(
            {"state": obs["state"][1:2]},
            PerEpisodeRandom(generators()[1:2], torch.device("cpu")),
        )
        assert together.shape == (3, 3, 2)
        torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-5)


def test_flow_of_a_gaussian_ends_in_its_distribution(task):
    """The velocity of ``(1 - t) z + t a`` for ``a ~ N(0, d^2)`` is linear in x and known."""
    policy, d = FlowMatchingPolicy(task, num_steps=300), 0.4

    def velocity(x, t):
        t = t.unsqueeze(1)
        return x * (t * d**2 - (1 - t)) / ((1 - t) ** 2 + t**2 * d**2)

    policy.bind_network = lambda obs: velocity
    policy.bounds.clamp_unit = lambda unit: unit
    found = policy.act_flat(observe(2000), rng())
    assert float(found.std()) == pytest.approx(d, rel=0.03)


def test_two_steps_of_a_known_network(task):
    policy = TwoStepPolicy(task, time=0.9)
    policy.bind_network = lambda obs: lambda chunk, number: chunk + 0.25 + 0.1 * number.unsqueeze(1)
    found = policy.act_flat(observe(2), rng())
    torch.testing.assert_close(found, torch.full_like(found, 0.9 * 0.25 + 0.25 + 0.09))
    one = TwoStepPolicy(task, num_steps=1)
    one.bind_network = policy.bind_network
    found = one.act_flat(observe(2), rng())
    torch.testing.assert_close(found, torch.full_like(found, 0.25))


def test_two_step_loss_before_training(task):
    action = torch.rand(64, task.action_size)
    batch, square = Batch(observe(64), action), float(action.square().mean())
    value, _ = TwoStepRegression()(TwoStepPolicy(task), batch, rng())
    assert float(value.detach()) == pytest.approx(2 * square, rel=1e-5)
    value, _ = TwoStepRegression()(TwoStepPolicy(task, num_steps=1), batch, rng())
    assert float(value.detach()) == pytest.approx(square, rel=1e-5)


def test_the_nearest_sample_that_is_not_near_already_is_trained(task):
    policy = OneStepPolicy(task)
    samples = torch.tensor([0.005, 0.2, 0.5]).view(1, 3, 1).repeat(1, 1, task.action_size)
    policy.sample_unit = lambda obs, num, rng: samples
    batch = Batch(observe(1), torch.zeros(1, task.action_size))
    value, metrics = ImplicitMaximumLikelihood(reject_distance=0.01)(policy, batch, rng())
    assert float(value.detach()) == pytest.approx(0.04)
    assert float(metrics["nearest_mse"]) == pytest.approx(0.005**2)
    value, _ = ImplicitMaximumLikelihood(reject_distance=0.0)(policy, batch, rng())
    assert float(value.detach()) == pytest.approx(0.005**2)
    value, _ = ImplicitMaximumLikelihood(reject_distance=1.0)(policy, batch, rng())
    assert float(value.detach()) == pytest.approx(0.005**2)  # all are near: the nearest
    samples[0, 0] = 0.009  # is it, too, where it comes after others and near ones hardly differ
    samples[0, 1:] = torch.tensor([[0.001], [0.005]])
    value, _ = ImplicitMaximumLikelihood(reject_distance=0.01)(policy, batch, rng())
    assert float(value.detach()) == pytest.approx(0.001**2)


def test_one_step_learns_both_of_two_actions(task):
    """Regression would learn the mean; the nearest sample splits the noise between them."""
    torch.manual_seed(0)
    policy = OneStepPolicy(task, network=FiLMMLP(width=32, num_blocks=1))
    optimizer = torch.optim.Adam(policy.parameters(), lr=3e-3)
    loss, source = ImplicitMaximumLikelihood(num=8), rng()
    obs = {"state": torch.zeros(64, 2, 3)}
    for _ in range(150):
        side = torch.where(torch.rand(64, 1) < 0.5, -0.6, 0.6)
        value, _ = loss(policy, Batch(obs, side.expand(-1, task.action_size)), source)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    found = policy.act_flat({"state": torch.zeros(400, 2, 3)}, source).mean(1)
    assert float((found.abs() - 0.6).abs().median()) < 0.1
    assert 0.25 < float((found > 0).float().mean()) < 0.75


def test_refusals(task):
    with pytest.raises(UserError, match="num_steps=3"):
        TwoStepPolicy(task, num_steps=3)
    with pytest.raises(UserError, match="time=1"):
        TwoStepPolicy(task, time=1.0)
    with pytest.raises(UserError, match="num_steps=0"):
        FlowMatchingPolicy(task, num_steps=0)
    batch = Batch(observe(2), torch.zeros(2, task.action_size))
    for loss in (TwoStepRegression(), ImplicitMaximumLikelihood()):
        with pytest.raises(UserError, match="MSEPolicy has not"):
            loss(MSEPolicy(task), batch, rng())
