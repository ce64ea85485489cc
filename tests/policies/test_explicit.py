"""Explicit policies: likelihoods that integrate to one, samplers with known answers, memories that survive."""

import itertools

import pytest
import torch
from conftest import built
from known_energies import rng
from small import CPU, config_of, make_obs, row_noise

from ibc.checkpoint import Checkpoint
from ibc.component import describe
from ibc.control import PolicyActor
from ibc.data import WindowDataset
from ibc.errors import UserError
from ibc.losses import NeighborRegression
from ibc.nn import ObsEncoder, RecurrentEncoder
from ibc.policies import CategoricalPolicy, DiffusionPolicy, EDMPolicy, MDNPolicy
from ibc.policies.baselines.diffusion import cosine_schedule
from ibc.policies.loading import build_policy, make_policy
from ibc.spec import Batch, ObsField, Spec


@pytest.fixture
def dataset(spec, episodes):
    return WindowDataset(episodes, spec, CPU)


def make(name, spec, dataset, *overrides):
    policy = make_policy(config_of(name, *overrides)["policy"], spec)
    policy.fit(dataset)
    return policy.eval()


def small_encoder():
    return ObsEncoder(num_gates=0)


def vector_spec(size):
    return Spec(
        obs={"state": ObsField((2,), "float32")}, obs_horizon=1, action_dim=size, action_horizon=1,
        action_low=(-1.0,) * size, action_high=(1.0,) * size,
    )  # fmt: skip


class TestNearest:
    def test_gives_back_what_it_has_seen(self, spec, dataset):
        policy = make("nearest", spec, dataset)
        batch = dataset.batch(torch.tensor([0, 4, 11]))
        torch.testing.assert_close(policy.act_flat(batch.obs, rng()), batch.action)

    def test_its_memory_is_in_the_checkpoint(self, spec, dataset):
        policy = make("nearest", spec, dataset)
        saved = Checkpoint(policy=describe(policy), spec=spec, weights=policy.state_dict())
        obs = make_obs(spec)
        again = build_policy(saved, CPU)
        assert len(again.memory) == len(dataset)
        assert torch.equal(again.act_flat(obs, rng()), policy.act_flat(obs, rng()))

    @pytest.mark.unchecked
    def test_learned_weights_leave_out_what_does_not_matter(self, dataset):
        """Of two components one decides the action and the other, larger one, is noise."""
        spec = vector_spec(1)
        policy = make_policy(config_of("nearest")["policy"], spec)
        optimizer = torch.optim.Adam(policy.parameters(), lr=0.05)
        for i in range(120):
            source = rng(i)
            state = source.normal(128, 1, 2) * torch.tensor([1.0, 3.0])
            batch = Batch({"state": state}, torch.tanh(state[:, 0, :1]))
            optimizer.zero_grad()
            loss, _ = NeighborRegression()(policy, batch, source)
            loss.backward()
            optimizer.step()
        weight = policy.log_weight.exp()
        assert weight[0] > 5 * weight[1]

    def test_one_example_has_no_neighbors(self, spec, dataset):
        with pytest.raises(UserError, match="at least 2"):
            NeighborRegression()(
                make("nearest", spec, dataset), dataset.batch(torch.arange(1)), rng()
            )


class TestCategorical:
    def policy(self, size=2, bins=5):
        torch.manual_seed(0)
        policy = CategoricalPolicy(
            vector_spec(size), encoder=small_encoder(), width=16, num_blocks=1, num_bins=bins
        ).eval()
        for parameter in policy.parameters():
            parameter.data.mul_(5)
        policy.bounds.unit_high.fill_(0.5)
        return policy

    def test_likelihood_sums_to_one_over_the_bins(self):
        policy = self.policy()
        width = 1.5 / 5
        middles = [-1 + width * (i + 0.5) for i in range(5)]
        grid = torch.tensor(list(itertools.product(middles, middles)))
        obs = {"state": torch.ones(25, 1, 2)}
        assert (policy.log_prob_unit(obs, grid).exp() * width**2).sum().item() == pytest.approx(1)

    def test_acts_as_often_as_it_says(self):
        policy, count = self.policy(bins=3), 20_000
        obs = {"state": torch.ones(count, 1, 2)}
        unit = policy.bounds.to_unit(policy.act_flat(obs, rng()))
        bins = policy.bin_of(unit)
        seen = torch.bincount(3 * bins[:, 0] + bins[:, 1], minlength=9) / count
        middles = [-1 + 0.5 * (i + 0.5) for i in range(3)]
        grid = torch.tensor(list(itertools.product(middles, middles)))
        said = policy.log_prob_unit({"state": torch.ones(9, 1, 2)}, grid).exp() * 0.25
        torch.testing.assert_close(seen, said, atol=4 * 0.5 / count**0.5, rtol=0)

    def test_one_dimension_has_no_weight_without_use(self):
        policy = self.policy(size=1)
        obs, action = {"state": torch.ones(3, 1, 2)}, torch.zeros(3, 1)
        policy.log_prob_unit(obs, action).sum().backward()
        used = [p for p in policy.parameters() if p.numel()]
        assert all(p.grad is not None and p.grad.any() for p in used)


class TestVariational:
    @pytest.mark.unchecked
    def test_the_bound_is_below_the_likelihood(self, spec, dataset):
        """Against the likelihood by many draws from the prior."""
        policy = make("cvae", spec, dataset, "policy.latent_size=2")
        batch = dataset.batch(torch.arange(4))
        right = policy.bounds.to_unit(batch.action)
        with torch.no_grad():
            draws = [policy.evidence_unit(batch.obs, right, rng(i)) for i in range(200)]
            bound = torch.stack([likelihood - kl for likelihood, kl in draws]).mean(0)
            features = policy.encoder(batch.obs)
            z = torch.randn(20_000, 1, 2).expand(-1, 4, -1)
            mean = policy.network(torch.cat([features.expand(20_000, -1, -1), z], -1))
            normal = torch.distributions.Normal(mean, policy.log_std.exp())
            likelihood = normal.log_prob(right).sum(-1).logsumexp(0) - torch.tensor(20_000.0).log()
        assert (bound < likelihood + 0.02).all()
        assert (bound > likelihood - 2.0).all()


class Exact(DiffusionPolicy):
    """Knows the noise in data from a Gaussian of mean 0.3 and deviation 0.2."""

    def predict_noise(self, features, noisy, level):
        keep = self.keep[level].unsqueeze(-1)
        variance = keep * 0.2**2 + 1 - keep
        return (1 - keep).sqrt() * (noisy - keep.sqrt() * 0.3) / variance


class TestDiffusion:
    def test_what_it_is_trained_on_has_the_exact_predictor_as_its_optimum(self):
        """Error of ``scale`` times the exact prediction: its mean square is least at one."""
        policy = Exact(
            vector_spec(1), encoder=small_encoder(), width=4, num_blocks=1, dropout=0.0
        ).eval()  # fmt: skip
        source, obs = rng(), {"state": torch.zeros(50_000, 1, 2)}
        unit, exact = 0.3 + 0.2 * source.normal(50_000, 1), policy.predict_noise

        def error(scale):
            policy.predict_noise = lambda *seen: scale * exact(*seen)
            return policy.noise_error_unit(obs, unit, rng(1)).square().mean().item()

        values = [error(scale) for scale in (0.9, 1.0, 1.1)]
        assert values[1] < min(values[0], values[2])
        # The optimum's own error: what of the noise cannot be told from the action.
        keep = policy.keep
        assert values[1] == pytest.approx(
            (keep * 0.2**2 / (keep * 0.2**2 + 1 - keep)).mean().item(), rel=0.03
        )

    @pytest.mark.parametrize(("steps", "eta"), [(200, 1.0), (200, 0.0)])
    def test_with_the_exact_noise_it_draws_from_the_data(self, steps, eta):
        policy = Exact(
            vector_spec(1), encoder=small_encoder(), width=4, num_blocks=1, dropout=0.0,
            num_levels=200, num_steps=steps, eta=eta,
        ).eval()  # fmt: skip
        policy.bounds.unit_low.fill_(-9.0)
        policy.bounds.unit_high.fill_(9.0)
        found = policy.act_flat({"state": torch.zeros(8000, 1, 2)}, rng())
        assert found.mean().item() == pytest.approx(0.3, abs=0.01)
        assert found.std().item() == pytest.approx(0.2, rel=0.05)

    @pytest.mark.parametrize("steps", [1, 7, 100])
    def test_steps_start_at_pure_noise_and_end_clean(self, steps, spec, dataset):
        pairs = make("diffusion", spec, dataset, f"policy.num_steps={steps}").steps()
        assert len(pairs) == steps
        assert pairs[0][0] == 99
        assert pairs[-1][1] == -1
        assert all(level > after for level, after in pairs)

    def test_schedule_falls_from_almost_all_to_almost_nothing(self):
        keep = cosine_schedule(100)
        assert (keep[1:] < keep[:-1]).all()
        assert keep[0] > 0.99
        assert keep[-1] < 0.01

    def test_too_many_steps(self, spec, dataset):
        with pytest.raises(UserError, match="between 1 and num_levels"):
            make("diffusion", spec, dataset, "policy.num_steps=101")


class TestRecurrentEncoder:
    def encoder(self, spec):
        return built(RecurrentEncoder(hidden_size=7), spec).eval()

    def test_order_of_history_matters(self, spec):
        encoder, obs = self.encoder(spec), make_obs(spec)
        turned = {name: array.flip(1) for name, array in obs.items()}
        assert encoder(obs).shape == (3, 7)
        assert not torch.allclose(encoder(obs), encoder(turned))

    def test_weights_do_not_grow_with_history(self, spec):
        from dataclasses import replace

        sizes = {
            sum(p.numel() for p in self.encoder(replace(spec, obs_horizon=h)).parameters())
            for h in (1, 2, 9)
        }
        assert len(sizes) == 1

    def test_training_windows_and_closed_loop_agree(self, spec, episodes):
        """The features of a window from the data are those of the same history seen while acting."""
        from ibc.data.dataset import window_index

        encoder, dataset = self.encoder(spec), WindowDataset(episodes, spec, CPU)
        t = torch.arange(len(episodes[0]))
        trained = encoder(dataset.batch(t).obs)
        for i in t.tolist():
            index = window_index(t[i].numpy(), spec.obs_horizon)
            seen = {n: torch.from_numpy(a[index]).unsqueeze(0) for n, a in episodes[0].obs.items()}
            torch.testing.assert_close(encoder(seen)[0], trained[i], atol=1e-5, rtol=1e-5)

    @pytest.mark.parametrize("name", ["mse", "implicit"])
    def test_in_closed_loop_it_is_given_more_than_its_observations(self, name, spec, dataset):
        """A history of several frames, beside the one previous action."""
        assert spec.obs_horizon > 1
        policy = make(name, spec, dataset, "encoder=recurrent", "encoder.num_gates=3")
        obs = make_obs(spec)
        actor = PolicyActor(policy)
        for env_index in range(3):
            actor.reset(env_index, seed=env_index)
        acted = actor.act([0, 1, 2], {n: array.numpy() for n, array in obs.items()})
        plain = policy.act(obs, row_noise(0, 1, 2))
        torch.testing.assert_close(torch.from_numpy(acted), plain)

    def test_as_the_encoder_of_a_policy(self, spec, dataset):
        policy = make("mse", spec, dataset, "encoder=recurrent", "encoder.num_gates=3")
        policy.train().predict_unit(make_obs(spec)).square().sum().backward()
        assert all(p.grad.any() for p in policy.parameters())


@pytest.mark.parametrize(
    ("policy", "wrong"),
    [
        (MDNPolicy, {"temperature": 0.0}),
        (MDNPolicy, {"num_components": 0}),
        (CategoricalPolicy, {"temperature": -1.0}),
        (CategoricalPolicy, {"num_bins": 0}),
        (EDMPolicy, {"min_std": 0.0}),
        (EDMPolicy, {"min_std": 5.0}),
        (EDMPolicy, {"data_std": 0.0}),
    ],
)
def test_numbers_without_a_meaning_are_refused(policy, wrong):
    with pytest.raises(UserError, match="it must be"):
        policy(vector_spec(1), **wrong)
