"""A contract over every policy in configs/policy, found by walking the folder."""

import numpy as np
import pytest
import torch
from conftest import ROOT, random_episode
from small import CPU, config_of, make_obs, row_noise

import ibc
from ibc.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from ibc.component import describe
from ibc.construct import construct
from ibc.control import PolicyActor
from ibc.data import WindowDataset
from ibc.errors import UserError
from ibc.losses import MSE, InfoNCE, NegativeLogLikelihood
from ibc.losses.negatives import UniformNegatives
from ibc.policies import MDNPolicy
from ibc.policies.loading import build_policy, make_policy
from ibc.random import BatchRandom
from ibc.samplers import DFO, Sampler
from ibc.samplers.base import score

POLICIES = sorted(path.stem for path in (ROOT / "configs/policy").glob("*.yaml"))
WITHOUT_PROPOSAL = ("policy.energy.proposal=false", "policy.init_std=null")


@pytest.fixture(params=POLICIES)
def name(request):
    return request.param


@pytest.fixture
def dataset(spec, episodes):
    return WindowDataset(episodes, spec, CPU)


@pytest.fixture
def policy(name, spec, dataset):
    policy = make_policy(config_of(name)["policy"], spec)
    policy.fit(dataset)
    return policy


def test_acts_in_the_shape_and_the_box_of_the_task(policy, spec):
    action = policy.eval().act(make_obs(spec), row_noise(0, 1, 2))
    assert action.shape == (3, spec.action_horizon, spec.action_dim)
    assert (action >= torch.tensor(spec.action_low) - 1e-5).all()
    assert (action <= torch.tensor(spec.action_high) + 1e-5).all()


def test_an_item_does_not_depend_on_its_neighbors(policy, spec):
    obs = make_obs(spec)
    together = policy.eval().act(obs, row_noise(4, 5, 6))
    for b in range(3):
        alone = policy.act({n: o[b : b + 1] for n, o in obs.items()}, row_noise(4 + b))
        torch.testing.assert_close(alone[0], together[b], atol=1e-4, rtol=1e-4)


def test_training_reaches_every_parameter(policy, name, dataset):
    loss = construct(config_of(name)["loss"], "loss")
    optimizer = torch.optim.SGD(policy.parameters(), lr=1e-3)
    for _ in range(2):  # an output layer that begins at zero hides the others in the first step
        value, metrics = loss(policy.train(), dataset.batch(torch.arange(8)), generator())
        value.backward()
        optimizer.step()
        assert torch.isfinite(value)
        assert all(torch.isfinite(metric) for metric in metrics.values())
    silent = [n for n, p in policy.named_parameters() if p.grad is None or not p.grad.any()]
    # An InfoNCE loss cannot see a constant added to the energy, which is what this one parameter is.
    assert silent in ([], ["energy.head.dense_out.bias"])  # of a scalar head


def generator():
    return BatchRandom(torch.Generator().manual_seed(0))


def test_a_checkpoint_is_enough_to_act(policy, name, spec, tmp_path):
    path = tmp_path / "checkpoint.pt"
    saved = Checkpoint(policy=describe(policy), spec=spec, weights=policy.state_dict())
    save_checkpoint(path, saved)
    loaded = load_checkpoint(path)
    assert loaded.spec == spec
    obs = make_obs(spec)
    expected = policy.eval().act(obs, row_noise(0, 1, 2))
    actual = build_policy(loaded, CPU).act(obs, row_noise(0, 1, 2))
    assert torch.equal(actual, expected)


def test_actor_follows_the_seed_of_the_episode(policy, spec):
    obs = {n: o[:1].repeat(2, *[1] * (o.dim() - 1)).numpy() for n, o in make_obs(spec).items()}
    actor = PolicyActor(policy)
    actor.reset(0, 11)
    actor.reset(5, 11)
    same = actor.act([0, 5], obs)
    np.testing.assert_allclose(same[0], same[1], atol=1e-5)


@pytest.mark.unchecked
def test_moves_to_another_device(policy, spec):
    """Nothing may be created on the CPU behind a model that is elsewhere: the meta device has no data to mix."""
    policy.to("meta").eval()

    class MetaNoise:
        def uniform(self, *shape):
            return torch.empty(shape, device="meta")

        normal = uniform

    obs = {n: o.to("meta") for n, o in make_obs(spec).items()}
    assert policy.act(obs, MetaNoise()).device.type == "meta"


def test_temperature_of_a_mixture_sharpens_its_weights_and_nothing_else(spec, episodes):
    """Weights to the power of 1 / T, renewed to sum to one."""
    policy = make_policy(config_of("mdn")["policy"], spec)
    policy.fit(WindowDataset(episodes, spec, CPU))
    obs = make_obs(spec)
    log_weight, *rest = policy.eval().mixture(obs)
    policy.temperature = 0.25
    sharp, *same = policy.mixture(obs)
    assert (sharp - log_weight).abs().max() > 0.01
    torch.testing.assert_close(sharp, torch.log_softmax(4 * log_weight, -1))
    torch.testing.assert_close(same, rest)


@pytest.mark.unchecked
@pytest.mark.parametrize("width", [64, 512])
def test_mixture_density_stays_finite_on_repeated_data(spec, width):
    """Identical targets pull a component's deviation to zero; larger networks get there faster."""
    dataset = WindowDataset([random_episode(spec, 6, 0)], spec, CPU)
    config = config_of("mdn", f"network.width={width}", "network.num_blocks=2")
    policy = make_policy(config["policy"], spec)
    policy.fit(dataset)
    assert isinstance(policy, MDNPolicy)
    optimizer = torch.optim.Adam(policy.parameters(), lr=3e-3)
    batch = dataset.batch(torch.zeros(16, dtype=torch.int64))
    loss = NegativeLogLikelihood()
    for _ in range(60):
        value, _ = loss(policy, batch, generator())
        assert torch.isfinite(value)
        optimizer.zero_grad()
        value.backward()
        assert all(torch.isfinite(p.grad).all() for p in policy.parameters())
        optimizer.step()
    assert torch.isfinite(policy.act(batch.obs, generator())).all()


@pytest.mark.parametrize(
    ("name", "loss", "need"),
    [
        ("mse", InfoNCE(negatives=[UniformNegatives(4)]), "an energy"),
        ("implicit_info_nce", MSE(), "a direct prediction"),
        ("mse", NegativeLogLikelihood(), "an explicit density"),
    ],
    indirect=["name"],
)
def test_a_loss_says_what_it_needs(policy, dataset, loss, need):
    with pytest.raises(UserError, match=need):
        loss(policy, dataset.batch(torch.arange(2)), generator())


class TestProposal:
    """A search that starts where a second head says."""

    OPTIONS = ("policy.energy.proposal=true", "policy.init_std=0.05")

    def make(self, spec, dataset, *overrides):
        policy = make_policy(config_of("implicit", *overrides)["policy"], spec)
        policy.fit(dataset)
        return policy.eval()

    def test_one_candidate_that_does_not_move_is_the_proposal(self, spec, dataset):
        policy = self.make(spec, dataset, *self.OPTIONS)
        policy.sampler = DFO(num_candidates=1, num_iterations=1, noise_std=1.0, shrink=1.0)
        obs = make_obs(spec)
        expected = policy.bounds.clamp_unit(policy.predict_unit(obs))
        found = policy.bounds.to_unit(policy.act_flat(obs, row_noise(0, 1, 2)))
        torch.testing.assert_close(found, expected)

    def test_candidates_surround_it(self, spec, dataset):
        policy = self.make(spec, dataset, *self.OPTIONS)
        policy.sampler = DFO(num_candidates=4000, num_iterations=1, noise_std=1.0, shrink=1.0)
        policy.bounds.unit_low.fill_(-10.0)
        policy.bounds.unit_high.fill_(10.0)
        obs = make_obs(spec)
        found = policy.bounds.to_unit(policy.search(obs, row_noise(0, 1, 2)).action)
        shift = found - policy.predict_unit(obs).unsqueeze(1)
        assert shift.std().item() == pytest.approx(0.05, rel=0.05)

    def test_the_energy_does_not_train_it_and_regression_does(self, spec, dataset):
        policy = self.make(spec, dataset, *self.OPTIONS)
        batch = dataset.batch(torch.arange(4))
        policy.energy.bind(batch.obs)(batch.action.unsqueeze(1)).sum().backward()
        assert all(p.grad is None for p in policy.energy.proposal.parameters())
        loss, _ = MSE()(policy, batch, BatchRandom(torch.Generator()))
        loss.backward()
        assert all(p.grad.any() for p in policy.energy.proposal.parameters())

    def test_without_one(self, spec, dataset):
        with pytest.raises(UserError, match=r"policy\.energy\.proposal=true"):
            self.make(spec, dataset, "policy.energy.proposal=false", "policy.init_std=0.1")
        policy = self.make(spec, dataset, *WITHOUT_PROPOSAL)
        with pytest.raises(UserError, match=r"policy\.energy\.proposal=true"):
            MSE()(policy, dataset.batch(torch.arange(4)), BatchRandom(torch.Generator()))


class Still(Sampler):
    """Leaves candidates where they start, so that one sees where that is."""

    num_candidates = 6

    def __call__(self, space, init, rng):
        return score(space, init)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_warm_search_starts_at_the_previous_action(share, spec, dataset):
    warm = f"policy.warm_start_fraction={share}"
    settings = config_of("implicit", *WITHOUT_PROPOSAL, warm)["policy"]
    policy = make_policy(settings, spec)
    policy.fit(dataset)
    policy.sampler = Still()
    previous = torch.tensor([[[0.3, -0.4]], [[torch.nan, torch.nan]]])
    obs = {**make_obs(spec, batch=2), "previous_action": previous}
    first, second = policy.search(obs, row_noise(0, 1)).action
    chunk = torch.tensor([0.3, -0.4]).repeat(spec.action_horizon)
    assert torch.isclose(first, chunk, atol=1e-5).all(-1).tolist() == [share > 0, *[False] * 5]
    near = (first - chunk).abs().amax(-1) < 0.6  # twelve deviations; a random chunk is farther
    assert near.sum() == share * Still.num_candidates
    assert torch.isfinite(second).all()
    del obs["previous_action"]
    assert not (policy.search(obs, row_noise(0, 1)).action == chunk).any()


@pytest.mark.unchecked
def test_numbers_of_numpy_are_saved_as_numbers(tmp_path):
    limits = {"action_low": np.float32([-1, -1]), "action_high": tuple(np.float32([1, 1]))}
    spec = ibc.Spec(
        obs={"v": ibc.ObsField((3,), "float32")},
        obs_horizon=1,
        action_dim=2,
        action_horizon=1,
        **limits,
    )
    sampler = ibc.DFO(num_candidates=8, num_iterations=2, noise_std=np.float64(0.1), shrink=0.5)
    policy = ibc.ImplicitPolicy(spec, ibc.MLPEnergy(width=8), sampler)
    policy.save(tmp_path / "policy.pt")
    again = ibc.load_policy(tmp_path / "policy.pt", device="cpu")
    assert again.spec == spec == ibc.Spec.from_dict(spec.to_dict())
    assert again.sampler.noise_std == 0.1
