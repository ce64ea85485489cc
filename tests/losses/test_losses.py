"""Losses: invariances, and optima that can be written down."""

import pytest
import torch
from known_energies import BowlPolicy, box_bounds, fitted_stiffness, rng

from ibc.energies import MLPEnergy, UnitSpace
from ibc.losses import (
    Combined,
    DenoisingScoreMatching,
    GradientPenalty,
    InfoNCE,
    NeighborNegatives,
    SampledNegatives,
    UniformNegatives,
    info_nce,
)
from ibc.losses.negatives import Negatives
from ibc.nn import ActionBounds, default_encoder
from ibc.policies import ImplicitPolicy
from ibc.samplers import IBCLangevin
from ibc.spec import Batch, ObsField, Spec


class TestInfoNCE:
    energy = torch.randn(6, 9, generator=torch.Generator().manual_seed(0))

    def test_a_constant_changes_nothing(self):
        shift = torch.randn(6, 1)
        torch.testing.assert_close(info_nce(self.energy + shift), info_nce(self.energy))

    def test_the_order_of_negatives_changes_nothing(self):
        order = torch.cat([torch.tensor([0]), 1 + torch.randperm(8)])
        torch.testing.assert_close(info_nce(self.energy[:, order]), info_nce(self.energy))

    def test_lower_energy_of_the_positive_is_better(self):
        better = self.energy.clone()
        better[:, 0] -= 1
        assert (info_nce(better) < info_nce(self.energy)).all()

    def test_gradient_does_not_vanish_however_wrong(self):
        energy = torch.tensor([[100.0, 0.0]], requires_grad=True)
        info_nce(energy).sum().backward()
        assert energy.grad[0, 0] == pytest.approx(1.0)

    def test_kinds_of_negatives_have_terms_of_their_own(self):
        """A second kind that is told apart perfectly must not hide behind the first, nor add to its softmax."""
        batch = Batch({"state": torch.zeros(64, 1, 1)}, torch.zeros(64, 1))
        one = InfoNCE(negatives=[UniformNegatives(7)])(BowlPolicy(), batch, rng())[0]
        two = InfoNCE(negatives=[UniformNegatives(7), UniformNegatives(7)])
        twice, metrics = two(BowlPolicy(), batch, rng())
        assert twice.item() == pytest.approx(one.item(), rel=0.1)
        assert metrics["chance"].item() == pytest.approx(torch.tensor(8.0).log().item())

    def test_temperature_for_each_dimension(self):
        """For an action of n numbers, that repeats one, energies are n times as large, and the loss is the same."""

        class Repeated(Negatives):
            def __call__(self, space, positive, rng):
                return rng.normal(len(positive), 8, 1).expand(-1, -1, positive.shape[-1])

        losses, policy = [], BowlPolicy()
        for size in (1, 5):
            policy.bounds = box_bounds(size, 4.0)
            loss = InfoNCE(negatives=[Repeated()], temperature=0.5, per_dimension=True)
            batch = Batch({"state": torch.zeros(64, 1, 1)}, torch.full((64, size), 0.2))
            losses.append(loss(policy, batch, rng())[0].item())
        assert losses[1] == pytest.approx(losses[0])

    def test_needs_negatives(self):
        with pytest.raises(ValueError, match="at least one kind"):
            InfoNCE(negatives=[])


class TestNeighborNegatives:
    @pytest.mark.unchecked
    @pytest.mark.parametrize("std", [0.3, 1.0])
    def test_the_optimum_is_the_density_of_the_data(self, std):
        """E = -log p: stiffness 1 / data_std^2, at any scale of the neighborhood, without a correction."""
        loss = InfoNCE(negatives=[NeighborNegatives(8, std, std)])
        assert fitted_stiffness(loss, data_std=0.7) == pytest.approx(1 / 0.7**2, rel=0.06)

    @pytest.mark.unchecked
    def test_negatives_around_the_answer_itself_would_be_biased(self):
        """Why there is a shaken center: without it the middle of the set gives the answer away."""

        class Lopsided(Negatives):
            def __call__(self, space, positive, rng):
                return positive + rng.normal(len(positive), 8, 1)

        stiffness = fitted_stiffness(InfoNCE(negatives=[Lopsided()]), data_std=0.7)
        assert abs(stiffness * 0.7**2 - 1) > 0.2

    def test_positive_and_negatives_are_equally_far_from_the_center(self):
        draw = NeighborNegatives(4, 0.5, 0.5)
        positive = torch.zeros(20_000, 1, 3)
        out = draw(BowlPolicy().space, positive, rng())
        # Around a shaken center, negatives have twice the variance as seen from the positive.
        assert out.var().item() == pytest.approx(2 * 0.25, rel=0.03)
        assert (out[:, 0] * out[:, 1]).mean().item() == pytest.approx(0.25, rel=0.05)

    def test_scales_are_log_uniform(self):
        draw = NeighborNegatives(256, 0.01, 1.0)
        out = draw(BowlPolicy().space, torch.zeros(4000, 1, 1), rng())
        scale = (out - out.mean(1, keepdim=True)).std(1).log10().flatten()
        assert scale.mean().item() == pytest.approx(-1.0, abs=0.05)
        assert scale.std().item() == pytest.approx(2 / 12**0.5, abs=0.05)

    @pytest.mark.parametrize("limits", [(0.0, 1.0), (1.0, 0.5)])
    def test_nonsense(self, limits):
        with pytest.raises(ValueError, match="0 < min_std <= max_std"):
            NeighborNegatives(4, *limits)


@pytest.mark.unchecked
def test_uniform_negatives_recover_the_density_too():
    loss = InfoNCE(negatives=[UniformNegatives(16)])
    assert fitted_stiffness(loss, data_std=0.7) == pytest.approx(1 / 0.7**2, rel=0.06)


@pytest.mark.unchecked
def test_denoising_recovers_the_least_squares_denoiser():
    """At one noise level s the gradient is y - E[a | y], here y * s^2 / (s^2 + data_std^2)."""
    loss = DenoisingScoreMatching(min_std=0.5, max_std=0.5)
    expected = 0.5**2 / (0.5**2 + 0.7**2)
    assert fitted_stiffness(loss, data_std=0.7) == pytest.approx(expected, rel=0.03)


@pytest.mark.unchecked
def test_denoising_puts_the_minimum_of_a_certain_answer_at_curvature_one():
    assert fitted_stiffness(DenoisingScoreMatching(), data_std=1e-6) == pytest.approx(1.0, rel=0.01)


def small_policy(*, action_horizon, **kwargs):
    spec = Spec(
        obs={"state": ObsField((2,), "float32")},
        obs_horizon=1,
        action_dim=3,
        action_horizon=action_horizon,
        action_low=(-1.0,) * 3,
        action_high=(1.0,) * 3,
    )
    energy = MLPEnergy(default_encoder(), width=32, **kwargs)
    return ImplicitPolicy(spec, energy=energy, sampler=TestSampledNegatives.sampler)


def test_noise_grows_with_the_root_of_the_size_of_an_action():
    """Of 12 numbers, reference 3: twice the noise."""
    policy = small_policy(action_horizon=4)
    batch = Batch({"state": torch.randn(8, 1, 2)}, torch.rand(8, 12) * 2 - 1)
    grown = DenoisingScoreMatching(min_std=0.5, max_std=1.0, reference_size=3)
    doubled = DenoisingScoreMatching(min_std=1.0, max_std=2.0)
    torch.testing.assert_close(grown(policy, batch, rng())[0], doubled(policy, batch, rng())[0])
    plain = DenoisingScoreMatching(min_std=0.5, max_std=1.0)
    assert not torch.allclose(grown(policy, batch, rng())[0], plain(policy, batch, rng())[0])
    longer = DenoisingScoreMatching(min_std=0.5, max_std=1.0, reference_size=24)
    torch.testing.assert_close(longer(policy, batch, rng())[0], plain(policy, batch, rng())[0])


def test_denoising_trains_a_proposal():
    policy = small_policy(action_horizon=1, proposal=True, relative=False)
    batch = Batch({"state": torch.randn(8, 1, 2)}, torch.rand(8, 3) * 2 - 1)
    loss = DenoisingScoreMatching(min_std=0.5, max_std=1.0)
    value, metrics = loss(policy, batch, rng())
    right = policy.bounds.to_unit(batch.action)
    error = (policy.predict_unit(batch.obs) - right).square().mean().detach()
    torch.testing.assert_close(metrics["mse"], error)
    torch.testing.assert_close(value.detach(), metrics["denoising"] + error)
    value.backward()
    assert all(p.grad is not None and p.grad.any() for p in policy.energy.proposal.parameters())
    shaped = [p.grad.clone() for p in policy.energy.encoder.parameters() if p.grad is not None]
    policy.predict_unit(batch.obs).sum().backward()  # which leaves the encoder as it is
    again = [p.grad for p in policy.energy.encoder.parameters() if p.grad is not None]
    assert shaped
    assert all(torch.equal(a, b) for a, b in zip(shaped, again, strict=True))


class TestSampledNegatives:
    sampler = IBCLangevin(num_candidates=6, num_iterations=50, step_init=1.0, step_final=0.1)

    def test_are_where_the_energy_is_low_and_carry_no_gradient(self):
        policy = BowlPolicy()
        policy.energy.stiffness.data.fill_(20.0)
        space = policy.space
        out = SampledNegatives(4, self.sampler)(space, torch.zeros(32, 1, 1), rng())
        assert out.shape == (32, 4, 1)
        assert not out.requires_grad
        uniform = UniformNegatives(4)(space, torch.zeros(32, 1, 1), rng())
        assert out.abs().mean() < 0.3 * uniform.abs().mean()

    def test_not_more_than_the_sampler_has(self):
        with pytest.raises(ValueError, match="exceeds the sampler's 6"):
            SampledNegatives(7, self.sampler)


class TestGradientPenalty:
    def test_is_measured_in_the_unit_cube(self):
        """The same energy in millimeters must be punished like that in meters."""
        results = []
        for scale in (1.0, 1000.0):
            bounds = ActionBounds(2)
            bounds.half_range.fill_(scale)
            unit = torch.tensor([[[0.5, -0.25], [0.9, 0.9]]])
            energy = lambda a, s=scale: 2 * (a / s).square().sum(-1)  # noqa: E731
            results.append(GradientPenalty()(UnitSpace(energy, bounds), unit, rng()).item())
        # Slopes 2 and 3.6 in the largest component, margin 1.
        assert results[0] == pytest.approx((1.0**2 + 2.6**2) / 2)
        assert results[1] == pytest.approx(results[0], rel=1e-4)

    def test_trains_the_energy(self):
        policy = BowlPolicy()
        policy.energy.stiffness.data.fill_(10.0)
        GradientPenalty(weight=3.0)(policy.space, torch.ones(1, 1, 1), rng()).backward()
        assert policy.energy.stiffness.grad.item() == pytest.approx(3 * 2 * (10 - 1))


class TestCombined:
    def test_is_the_sum_of_its_parts_on_their_part_of_the_batch(self):
        policy = BowlPolicy()
        batch = Batch({"state": torch.zeros(8, 1, 1)}, torch.linspace(-1, 1, 8).view(8, 1))
        denoising = DenoisingScoreMatching(min_std=0.5, max_std=0.5)
        ranking = InfoNCE(negatives=[UniformNegatives(4)])
        both, metrics = Combined([denoising, ranking], [1.0, 0.5])(policy, batch, rng())
        source = rng()
        first = denoising(policy, batch, source)[0]
        half = Batch({"state": batch.obs["state"][:4]}, batch.action[:4])
        second = ranking(policy, half, source)[0]
        torch.testing.assert_close(both, first + second)
        assert {"denoising", "info_nce"} <= set(metrics)

    def test_weights(self):
        policy = BowlPolicy()
        batch = Batch({"state": torch.zeros(8, 1, 1)}, torch.linspace(-1, 1, 8).view(8, 1))
        one = DenoisingScoreMatching(min_std=0.5, max_std=0.5)
        weighted, _ = Combined([one], [1.0], [3.0])(policy, batch, rng())
        torch.testing.assert_close(weighted, 3 * one(policy, batch, rng())[0])
        with pytest.raises(ValueError, match="weights"):
            Combined([one], [1.0], [1.0, 2.0])

    @pytest.mark.parametrize("fractions", [[1.0], [1.0, 0.0], [0.5, 1.5]])
    def test_nonsense(self, fractions):
        with pytest.raises(ValueError, match="fractions"):
            Combined([DenoisingScoreMatching(), DenoisingScoreMatching()], fractions)
