"""Proposal densities: their draws have the density that is claimed."""

import pytest
import torch
from conftest import built
from known_energies import rng

from ibc.nn import (
    FlowDensity,
    GaussianDensity,
    MixtureDensity,
)
from ibc.nn.flow import LIMIT, spline


def densities(features=3, size=2):
    return {
        "gaussian": built(GaussianDensity(), features, size),
        "mixture": built(
            MixtureDensity(num_components=3, width=8, num_blocks=1), features, size
        ),
        "flow": built(FlowDensity(num_layers=3, num_bins=5, width=8, num_blocks=1), features, size),
    }  # fmt: skip


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("name", ["gaussian", "mixture", "flow"])
class TestDensities:
    """What is drawn has the density that is claimed."""

    def make(self, name, size):
        torch.manual_seed(1)
        density = densities(size=size)[name]
        for parameter in density.parameters():  # bend them visibly
            parameter.data.mul_(8.0 if name == "flow" else 2.0)
        density.fit(torch.rand(500, size) - 0.3)
        return density

    def test_integrates_to_one(self, name, size):
        density = self.make(name, size)
        edge = LIMIT if name == "flow" else 10.0
        count = 40_001 if size == 1 else 401
        cells = edge * (2 * (torch.arange(count) + 0.5) / count - 1)
        grid = torch.cartesian_prod(*[cells] * size).view(1, -1, size)
        total = density.log_prob(torch.ones(1, 3), grid).exp().sum() * (2 * edge / count) ** size
        assert total.item() == pytest.approx(1, abs=0.02)

    @pytest.mark.unchecked
    def test_draws_follow_it(self, name, size):
        density, features = self.make(name, size), torch.tensor([[0.3, -1.0, 2.0]])
        draws = density.sample(features, 40_000, rng())
        assert not draws.requires_grad
        other = density.sample(features, 40_000, rng(1))
        # For f = exp(-|x|^2): its mean over draws against its integral, by importance from a wide uniform.
        wide = 12 * torch.rand(1, 400_000, size) - 6
        if name == "flow":
            wide = LIMIT * (2 * torch.rand(1, 400_000, size) - 1)
        volume = (wide.amax((0, 1)) - wide.amin((0, 1))).prod()
        inside = volume * density.log_prob(features, wide).exp() * test_function(wide)
        both = torch.cat([draws, other], 1)
        assert test_function(both).mean().item() == pytest.approx(inside.mean().item(), abs=0.02)


def test_function(x):
    return torch.exp(-(x - 0.2).square().sum(-1))


test_function.__test__ = False


def test_spline_is_inverted_and_its_slope_is_the_derivative():
    torch.manual_seed(0)
    shape = (2, 50, 1, 6)
    width, height = (2 * LIMIT * torch.softmax(torch.randn(shape).double(), -1) for _ in range(2))
    slope = torch.rand(2, 50, 1, 7).double() + 0.2
    x = LIMIT * (2 * torch.rand(2, 50, 1).double() - 1)
    y, log_slope = spline(x, width, height, slope, inverse=False)
    back, minus = spline(y, width, height, slope, inverse=True)
    torch.testing.assert_close(back, x)
    torch.testing.assert_close(minus, -log_slope)
    h = 1e-6
    up, _ = spline(x + h, width, height, slope, inverse=False)
    down, _ = spline(x - h, width, height, slope, inverse=False)
    torch.testing.assert_close((up - down) / (2 * h), log_slope.exp(), atol=1e-5, rtol=1e-4)
