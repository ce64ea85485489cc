"""The noise-conditioned energy, its loss and its sampler."""

import pytest
import torch
from conftest import built
from known_energies import BowlPolicy, rng, run
from torch import nn

from ibc.energies import (
    BoundEnergy,
    Energy,
    NoiseConditionedEnergy,
    action_gradient,
    as_bound,
)
from ibc.errors import UserError
from ibc.losses import (
    NoiseConditionedScoreMatching,
)
from ibc.nn import (
    ActionBounds,
    ObsEncoder,
)
from ibc.spec import Batch, ObsField, Spec


def vector_spec(size, obs=2):
    return Spec(
        obs={"state": ObsField((obs,), "float32")},
        obs_horizon=1,
        action_dim=size,
        action_horizon=1,
        action_low=(-1.0,) * size,
        action_high=(1.0,) * size,
    )


def encoder():
    return ObsEncoder(num_gates=0)


class TestLevels:
    def test_the_level_matters_and_the_finest_is_the_default(self):
        energy = built(NoiseConditionedEnergy(encoder(), head="scalar", width=16, num_blocks=1, min_std=0.02, max_std=0.5, num_levels=4), vector_spec(2))  # fmt: skip
        bound, action = energy.bind({"state": torch.randn(3, 1, 2)}), torch.randn(3, 5, 2)
        assert bound.sigmas[0] == 0.5
        assert bound.sigmas[-1] == pytest.approx(0.02)
        fine, rough = (bound.at(torch.full((3, 1), level))(action) for level in (0.02, 0.5))
        torch.testing.assert_close(bound(action), fine)
        torch.testing.assert_close(
            action_gradient(bound, action), action_gradient(bound.finest(), action)
        )
        assert (fine - rough).abs().mean() > 1e-3

    @pytest.mark.unchecked
    def test_optimum_at_each_level_is_the_denoiser_of_that_level(self):
        class Leveled(Energy):
            def __init__(self):
                super().__init__()
                self.stiffness = nn.Parameter(torch.zeros(2))

            def bind(self, obs):
                return BoundLeveled(self.stiffness)

        class BoundLeveled(BoundEnergy):
            sigmas = (1.0, 0.25)

            def __init__(self, stiffness):
                self.stiffness = stiffness

            def at(self, sigma):
                rough = (sigma > 0.5).float()
                k = self.stiffness[0] * rough + self.stiffness[1] * (1 - rough)
                return as_bound(lambda action: 0.5 * k * action.square().sum(-1))

            def __call__(self, action):
                return self.at(torch.full((len(action), 1), 0.25))(action)

        class TwoLevels:
            """Uniform draws that pick one of the two levels."""

            def __init__(self):
                self.source = rng()

            def uniform(self, *shape):
                return self.source.uniform(*shape).round()

            def normal(self, *shape):
                return self.source.normal(*shape)

        policy, source = BowlPolicy(), TwoLevels()
        policy.energy = Leveled()
        optimizer = torch.optim.Adam(policy.energy.parameters(), lr=0.02)
        for _ in range(300):
            batch = Batch({"state": torch.zeros(2048, 1, 1)}, 0.7 * source.normal(2048, 1))
            optimizer.zero_grad()
            NoiseConditionedScoreMatching(floor=0.0)(policy, batch, source)[0].backward()
            optimizer.step()
        for k, level in zip(policy.energy.stiffness.tolist(), (1.0, 0.25), strict=True):
            assert k == pytest.approx(level**2 / (level**2 + 0.7**2), rel=0.05)

    @pytest.mark.unchecked
    def test_annealed_sampling_has_the_distribution_of_the_data(self):
        """With the exact denoisers of a Gaussian, what is sampled has its deviation."""
        from ibc.samplers import AnnealedLangevin

        class Gaussian(BoundEnergy):
            sigmas = tuple(1.0 * 0.6**i for i in range(10))

            def at(self, sigma):
                share = (sigma**2 / (sigma**2 + 0.3**2)).unsqueeze(-1)
                return as_bound(lambda action: 0.5 * (share * action.square()).sum(-1))

            def __call__(self, action):
                return self.at(torch.full((len(action), 1), self.sigmas[-1]))(action)

        bounds = ActionBounds(1)
        bounds.unit_low.fill_(-9.0)
        bounds.unit_high.fill_(9.0)
        sampler = AnnealedLangevin(num_candidates=5000, steps_per_level=200, rate=0.2)
        found = run(sampler, Gaussian(), torch.zeros(1, 5000, 1), bounds, rng()).action
        rank = (torch.arange(5000) + 1) / 5000
        cdf = torch.distributions.Normal(0.0, 0.3).cdf(found.flatten().sort().values)
        assert (
            cdf - rank
        ).abs().max().item() < 1.95 / 5000**0.5  # Kolmogorov and Smirnov, level 0.001
        assert found.std().item() == pytest.approx(0.3, rel=0.05)

    def test_needs_levels(self):
        from ibc.samplers import AnnealedLangevin

        with pytest.raises(UserError, match="levels of noise"):
            AnnealedLangevin(num_candidates=1, steps_per_level=1)(
                BowlPolicy().space, torch.zeros(1, 1, 1), rng()
            )
