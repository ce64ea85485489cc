"""The autoregressive energy and its loss."""

import pytest
import torch
from conftest import built
from known_energies import BowlPolicy, rng
from torch import nn

from ibc.energies import (
    AutoregressiveEnergy,
    BoundEnergy,
    Energy,
)
from ibc.losses import (
    NeighborNegatives,
    PrefixInfoNCE,
    UniformNegatives,
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


class TestAutoregressive:
    def bound(self, size=3):
        spec = vector_spec(size)
        energy = built(
            AutoregressiveEnergy(encoder(), width=12, num_blocks=1, head_width=12, head_blocks=1),
            spec,
        ).double()
        for parameter in energy.parameters():
            parameter.data.mul_(6)
        energy.bounds.half_range.fill_(2.0)
        energy.bounds.unit_high.fill_(0.8)
        return energy.bind({"state": torch.randn(4, 1, 2).double()})

    def test_prefix_and_conditionals_agree(self):
        bound, action = self.bound(), torch.randn(4, 6, 3).double()
        together = bound.conditionals(action, action.unsqueeze(2))[:, :, 0]
        for j in range(3):
            torch.testing.assert_close(bound.prefix(action, j), together[..., j])

    @pytest.mark.parametrize("j", [0, 1, 2])
    def test_a_dimension_does_not_see_later_ones(self, j):
        bound, action = self.bound(), torch.randn(4, 6, 3).double()
        changed = action.clone()
        changed[..., j + 1 :] += 1
        torch.testing.assert_close(bound.prefix(changed, j), bound.prefix(action, j))
        changed[..., j] += 1
        assert (bound.prefix(changed, j) - bound.prefix(action, j)).abs().min() > 1e-6

    @pytest.mark.unchecked
    def test_whole_energy_is_a_normalized_likelihood(self):
        bound = self.bound(2)
        cells = (torch.arange(60).double() + 0.5) / 60 * 1.8 - 1.0
        grid = bound.bounds.from_unit(torch.cartesian_prod(cells, cells)).expand(4, -1, -1)
        total = torch.exp(-bound(grid)).sum(1) * (1.8 / 60) ** 2
        torch.testing.assert_close(total, torch.ones(4).double(), atol=5e-3, rtol=0)

    def test_loss_is_the_sum_over_dimensions(self):
        """The example of the reference: values of three candidates in two dimensions."""
        energy = torch.tensor([[0.01, 0.25, 0.49], [0.12, 0.03, 3.0]])

        class GivenBound(BoundEnergy):
            is_autoregressive = True

            def __call__(self, action):
                raise NotImplementedError

            def conditionals(self, prefix, values):
                return energy.T.view(1, 1, 3, 2)

        class Given(Energy):
            def bind(self, obs):
                return GivenBound()

        policy = BowlPolicy()
        policy.energy, policy.bounds = Given(), ActionBounds(2)
        batch = Batch({"state": torch.zeros(1, 1, 1)}, torch.zeros(1, 2))
        value, _ = PrefixInfoNCE(negatives=[UniformNegatives(2)])(policy, batch, rng())
        assert value.item() == pytest.approx(1.6433324625, abs=1e-5)

    @pytest.mark.unchecked
    @pytest.mark.parametrize("temperature", [1.0, 0.5])
    def test_each_dimension_learns_its_density_given_the_demonstrated_ones_before_it(
        self, temperature
    ):
        """The second dimension is the first and a little noise: slope one, and curvatures of temperature / variance."""

        class Line(Energy):
            def __init__(self):
                super().__init__()
                self.log_curvature = nn.Parameter(torch.ones(2))
                self.slope = nn.Parameter(torch.zeros(()))

            def bind(self, obs):
                return BoundLine(self)

        class BoundLine(BoundEnergy):
            is_autoregressive = True

            def __init__(self, line):
                self.line = line

            def __call__(self, action):
                raise NotImplementedError

            def conditionals(self, prefix, values):
                wanted = self.line.slope * prefix[..., :1].unsqueeze(2)
                shift = values - torch.cat([torch.zeros_like(wanted), wanted], -1)
                return 0.5 * self.line.log_curvature.exp() * shift.square()

        policy, source = BowlPolicy(), rng()
        policy.energy, policy.bounds = Line(), ActionBounds(2)
        optimizer = torch.optim.Adam(policy.energy.parameters(), lr=0.1)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 300)
        kinds = [UniformNegatives(16), NeighborNegatives(4, 0.03, 1.0)]
        loss = PrefixInfoNCE(negatives=kinds, temperature=temperature)
        for _ in range(300):
            first = 0.3 * source.normal(2048, 1)
            action = torch.cat([first, first + 0.1 * source.normal(2048, 1)], 1)
            optimizer.zero_grad()
            loss(policy, Batch({"state": torch.zeros(2048, 1, 1)}, action), source)[0].backward()
            optimizer.step()
            schedule.step()
        assert policy.energy.slope.item() == pytest.approx(1.0, abs=0.02)
        expected = torch.tensor([temperature / 0.3**2, temperature / 0.1**2])
        torch.testing.assert_close(
            policy.energy.log_curvature.detach().exp(), expected, atol=0, rtol=0.06
        )

    def test_thirty_dimensions(self, spec):
        """Wide actions cost memory in proportion to their square at most; nothing is special about few."""
        wide = vector_spec(30)
        energy = built(
            AutoregressiveEnergy(encoder(), width=8, num_blocks=1, head_width=8, head_blocks=1),
            wide,
        )
        policy = BowlPolicy()
        policy.energy, policy.bounds = energy, energy.bounds
        batch = Batch({"state": torch.randn(4, 1, 2)}, torch.rand(4, 30))
        value, metrics = PrefixInfoNCE(negatives=[UniformNegatives(5)])(policy, batch, rng())
        value.backward()
        assert value.item() == pytest.approx(metrics["chance"].item(), rel=0.1)
        assert all(p.grad.any() for p in energy.parameters())
