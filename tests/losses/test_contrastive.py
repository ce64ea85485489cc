"""Contrastive divergence, regularizers, persistent chains and unrolled optimization, by their optima."""

import math

import numpy as np
import pytest
import torch
from known_energies import BowlPolicy, fitted_stiffness, meters, rng

from ibc.energies import (
    UnitSpace,
)
from ibc.errors import UserError
from ibc.losses import (
    Combined,
    ContrastiveDivergence,
    EnergyMagnitude,
    GradientPenalty,
    InfoNCE,
    PathPenalty,
    ReplayedNegatives,
    SampledNegatives,
    UniformNegatives,
    Unrolled,
)
from ibc.losses.contrastive import LAST_STEP, entropy_term, limited
from ibc.losses.regularizers import penalize
from ibc.nn import (
    ActionBounds,
)
from ibc.samplers import DFO, HMC, AutoregressiveDFO, GradientDescent, IBCLangevin
from ibc.spec import Batch

STEPS = IBCLangevin(num_candidates=8, num_iterations=5, step_init=0.1, step_final=0.01)


class TestContrastiveDivergence:
    exact = SampledNegatives(
        16, HMC(num_candidates=16, num_iterations=10, num_leapfrog=2, step_size=0.5)
    )

    @pytest.mark.unchecked
    def test_with_exact_samples_the_optimum_is_the_density(self):
        """The likelihood's gradient is the difference of energies; its zero is at stiffness 1 / variance."""
        policy, source = BowlPolicy(), rng()
        optimizer = torch.optim.Adam(policy.energy.parameters(), lr=0.05)
        loss, tail = ContrastiveDivergence(negatives=[self.exact]), []
        for step in range(120):
            batch = Batch({"state": torch.zeros(512, 1, 1)}, 0.7 * source.normal(512, 1))
            value, _ = loss(policy, batch, source)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            if step >= 70:
                tail.append(policy.energy.stiffness.item())
        assert np.mean(tail) == pytest.approx(1 / 0.7**2, rel=0.05)

    def test_what_the_loss_adds_up(self):
        """A difference beyond the margin has no gradient left; the entropy term comes on top, by its weight."""
        batch = Batch({"state": torch.zeros(8, 1, 1)}, torch.zeros(8, 1))
        values = {}
        for name, options in {
            "plain": {}, "entropy": {"entropy_weight": 0.3}, "limited": {"margin": 1e-3},
        }.items():  # fmt: skip
            policy = BowlPolicy()
            loss = ContrastiveDivergence(negatives=[UniformNegatives(4)], **options)
            value, metrics = loss(policy, batch, rng())
            value.backward()
            values[name] = value.item(), policy.energy.stiffness.grad.item(), metrics
        policy = BowlPolicy()
        negatives = UniformNegatives(4)(policy.space, batch.action.unsqueeze(1), rng())
        term = entropy_term(policy.space, negatives)
        term.backward()
        plain = -0.5 * negatives.square().mean().item()  # of stiffness one
        assert values["plain"][0] == pytest.approx(0.5 * plain)
        assert values["plain"][1] == pytest.approx(plain)
        assert values["entropy"][0] == pytest.approx(0.5 * plain + 0.3 * term.item())
        slope = plain + 0.3 * policy.energy.stiffness.grad.item()
        assert values["entropy"][1] == pytest.approx(slope)
        assert values["entropy"][2]["entropy_term"].item() == pytest.approx(term.item())
        assert values["limited"][:2] == (pytest.approx(-1e-3), 0.0)

    def test_limits(self):
        gap = torch.tensor([-5.0, -0.1, 0.4], requires_grad=True)
        torch.testing.assert_close(limited(gap, None, soft=False), gap)
        hard = limited(gap, 1.0, soft=False)
        torch.testing.assert_close(hard, torch.tensor([-1.0, -0.1, 0.4]))
        soft = limited(gap, 1.0, soft=True)
        assert (soft > hard).all()
        assert (soft < hard + math.log(2)).all()
        soft.sum().backward()
        assert gap.grad[0] < 0.02
        assert gap.grad[2] > 0.7

    @pytest.mark.parametrize("size", [1, 3])
    def test_entropy_term_is_the_gradient_through_the_last_step(self, size):
        """For E = theta a^2 / 2 the step leads to (1 - s theta) a, whose entropy is d log(1 - s theta) more."""
        policy, theta = BowlPolicy(), 0.5
        policy.bounds = ActionBounds(size)
        negatives = torch.randn(4, 5, size)
        term = entropy_term(policy.space, negatives)
        term.backward()
        after = negatives * (1 - LAST_STEP * theta)
        pull = (theta * after * (-LAST_STEP * negatives)).sum(-1).mean().item()
        widen = size * -LAST_STEP / (1 - LAST_STEP * theta)
        assert policy.energy.stiffness.grad.item() == pytest.approx(pull - widen, rel=1e-4)

    def test_nonsense(self):
        with pytest.raises(ValueError, match="at least one"):
            ContrastiveDivergence(negatives=[])
        with pytest.raises(ValueError, match="needs a margin"):
            ContrastiveDivergence(negatives=[UniformNegatives(2)], soft=True)


class TestRegularizers:
    def test_magnitude(self):
        policy = BowlPolicy()
        action = torch.tensor([[[1.0], [2.0]]])
        value = EnergyMagnitude(weight=3.0)(policy.space, action, rng())
        assert value.item() == pytest.approx(3 * (0.25**2 + 1.0**2) / 2)

    def test_two_penalties_of_one_kind_are_added(self):
        policy, action = BowlPolicy(), torch.tensor([[[1.0], [2.0]]])
        kinds = [EnergyMagnitude(weight=weight) for weight in (1.0, 3.0)]
        total, reported = penalize(kinds, policy.space, action, rng())
        assert total.item() == pytest.approx(4 * (0.25**2 + 1.0**2) / 2)
        assert reported["energy_magnitude"] == total

    def test_the_whole_path_is_seen(self):
        """A wall of energy between start and end: the end alone is flat and would pass."""
        policy = BowlPolicy()
        policy.energy.stiffness.data.fill_(40.0)
        end = torch.zeros(4, 1, 1)
        sampler = GradientDescent(
            num_candidates=4, num_iterations=20, step_init=0.05, step_final=0.05
        )
        path = PathPenalty(sampler=sampler, chains=4)
        assert GradientPenalty()(policy.space, end, rng()).item() == 0
        value = path(policy.space, end, rng())
        value.backward()
        assert value.item() > 10
        assert policy.energy.stiffness.grad.item() > 0
        search = DFO(num_candidates=4, num_iterations=1, noise_std=0.1, shrink=0.5)
        with pytest.raises(UserError, match="DFO; it needs a sampler that follows gradients"):
            PathPenalty(sampler=search, chains=4)(policy.space, end, rng())


class TestReplayed:
    positive = torch.tensor([[[0.3]], [[-0.9]], [[0.31]]])

    def test_chains_go_on_where_they_were_left(self):
        visits = []

        class Stay(IBCLangevin):
            def __call__(self, space, init, rng):
                visits.append(init)
                return super().__call__(space, init, rng)

        still = Stay(num_candidates=3, num_iterations=2, step_init=0.1, step_final=0.1)
        draw = ReplayedNegatives(3, still, restart=0.0)
        space = UnitSpace(lambda a: a[..., 0] ** 2, meters(1))
        first = draw(space, self.positive, rng())
        draw(space, self.positive.flip(0), rng(5))
        torch.testing.assert_close(visits[1], first.flip(0))
        assert not draw(space, self.positive, rng()).requires_grad

    def test_some_begin_anew(self):
        draw = ReplayedNegatives(
            400, IBCLangevin(num_candidates=400, num_iterations=1, step_init=1e-9, step_final=1e-9), restart=0.25
        )  # fmt: skip
        space = UnitSpace(lambda a: 0 * a[..., 0], ActionBounds(1))
        first = draw(space, self.positive, rng())
        second = draw(space, self.positive, rng(1))
        kept = ((first - second).abs() < 1e-6).float().mean().item()
        assert kept == pytest.approx(0.75, abs=0.05)

    def test_what_it_remembers_survives_a_checkpoint(self):
        loss = Combined(
            [InfoNCE(negatives=[UniformNegatives(2), ReplayedNegatives(4, STEPS)])], [1.0]
        )
        batch = Batch({"state": torch.zeros(3, 1, 1)}, self.positive[:, 0])
        loss(BowlPolicy(), batch, rng())
        state = {name: value.clone() for name, value in loss.state_dict().items()}
        other = Combined(
            [InfoNCE(negatives=[UniformNegatives(2), ReplayedNegatives(4, STEPS)])], [1.0]
        )
        other.load_state_dict(state)
        values = [part(BowlPolicy(), batch, rng(3))[0] for part in (loss, other)]
        assert torch.equal(*values)
        with pytest.raises(ValueError, match="has no state"):
            Unrolled(num=1, num_steps=1, step_size=0.1).load_state_dict(state)

    def test_what_it_remembered_can_be_restored_in_place(self):
        """As after a measure on other examples; a recorded step finds the chains where they were."""
        draw = ReplayedNegatives(4, STEPS)
        space = UnitSpace(lambda a: a[..., 0] ** 2, ActionBounds(1))
        draw(space, self.positive, rng())
        chains, before = draw.chains, draw.chains.clone()
        memory = draw.state_dict()
        draw(space, self.positive, rng(1))
        draw.load_state_dict(memory)
        assert draw.chains is chains
        torch.testing.assert_close(chains, before, rtol=0, atol=0, equal_nan=True)
        draw.load_state_dict({})
        assert draw.chains is None

    def test_a_sampler_that_ends_with_fewer_candidates_is_refused(self):
        few = AutoregressiveDFO(num_candidates=8, num_iterations=2, noise_std=0.1, shrink=0.5)
        space = UnitSpace(lambda a: a[..., 0] ** 2, ActionBounds(1))
        with pytest.raises(UserError, match="8 negatives are wanted of a sampler that ends with 4"):
            ReplayedNegatives(8, few)(space, self.positive, rng())

    @pytest.mark.unchecked
    def test_persistent_chains_of_exact_steps_recover_the_density(self):
        """Two short steps each time would never get there from an even spread."""
        negatives = ReplayedNegatives(
            8, HMC(num_candidates=8, num_iterations=2, num_leapfrog=2, step_size=0.3), restart=0.0
        )  # fmt: skip
        policy, source = BowlPolicy(), rng()
        data = 0.7 * source.normal(256, 1)
        optimizer = torch.optim.Adam(policy.energy.parameters(), lr=0.03)
        loss, tail = ContrastiveDivergence(negatives=[negatives]), []
        for step in range(250):
            batch = Batch({"state": torch.zeros(256, 1, 1)}, data)
            optimizer.zero_grad()
            loss(policy, batch, source)[0].backward()
            optimizer.step()
            if step >= 150:
                tail.append(policy.energy.stiffness.item())
        assert np.mean(tail) == pytest.approx(1 / data.square().mean().item(), rel=0.08)


@pytest.mark.unchecked
def test_unrolled_learns_the_step_that_lands():
    """For a bowl and answers at its bottom, curvature 1 / step size lands in one step; anything else does not."""
    loss = Unrolled(num=4, num_steps=3, step_size=0.5)
    assert fitted_stiffness(loss, data_std=1e-6, steps=300) == pytest.approx(2.0, rel=0.02)
