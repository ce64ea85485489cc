"""Samplers that claim to sample, on densities that are known; and those that do not claim it."""

import math

import pytest
import torch
from known_energies import box_bounds, generators, meters, rng, run, uniform

from ibc.energies import BoundNetworkEnergy, UnitSpace
from ibc.random import PerEpisodeRandom
from ibc.samplers import (
    DFO,
    HMC,
    MALA,
    ULA,
    AutoregressiveDFO,
    Candidates,
    GradientDescent,
    IBCLangevin,
    Tempering,
    find_modes,
)
from ibc.samplers.reflection import reflect

COUNT = 4000  # chains, which are independent: so the set at the end is a sample in the statistical sense
GRID = 20_001

SAMPLE = {
    "mala": MALA(
        num_candidates=COUNT, num_iterations=200, step=0.05
    ),
    "hmc": HMC(num_candidates=COUNT, num_iterations=40, num_leapfrog=5),
    "tempering": Tempering(
        HMC(num_candidates=COUNT, num_iterations=20, num_leapfrog=5), [4.0, 1.0]
    ),
    "ula": ULA(
        num_candidates=COUNT, num_iterations=400, step_init=0.02, step_final=0.004
    ),
}  # fmt: skip
OPTIMIZE = {
    "langevin": IBCLangevin(
        num_candidates=COUNT, num_iterations=100, step_init=0.1, step_final=1e-5
    ),
    "dfo": DFO(num_candidates=COUNT, num_iterations=8, noise_std=0.3, shrink=0.5),
}


def two_wells(u):
    """Uneven wells, one deeper and one wider, with a barrier that can be crossed."""
    return -torch.log(
        0.7 * torch.exp(-0.5 * ((u - 0.5) / 0.15) ** 2)
        + 0.5 * torch.exp(-0.5 * ((u + 0.4) / 0.3) ** 2)
    )


def at_a_bound(u):
    """Most of the mass lies where the box ends."""
    return 3.0 * (1.0 - u)


DENSITIES = {"two_wells": two_wells, "bound": at_a_bound}


def kolmogorov_smirnov(sample, energy):
    """The largest difference between the sample's distribution and that of exp(-E) on the box."""
    grid = torch.linspace(-1.1, 1.1, GRID, dtype=torch.float64)
    density = torch.exp(-energy(grid))
    cdf = torch.cumulative_trapezoid(density, grid)
    cdf = torch.cat([cdf.new_zeros(1), cdf]) / cdf[-1]
    sample = sample.double().sort().values
    at = ((sample + 1.1) / 2.2 * (GRID - 1)).clamp(0, GRID - 1).long()
    rank = torch.arange(1, len(sample) + 1, dtype=torch.float64) / len(sample)
    return (cdf[at] - rank).abs().max().item()


def draw(sampler, energy, size=1, seed=0):
    bounds, source = box_bounds(size), rng(seed)
    init = uniform(1, sampler.num_candidates, bounds, source)
    return run(sampler, energy, init, bounds, source).action[0]


@pytest.mark.unchecked
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("name", SAMPLE)
def test_samples_have_the_density_of_the_energy(name, density):
    energy = DENSITIES[density]
    found = draw(SAMPLE[name], lambda a: energy(a[..., 0]))[:, 0]
    assert kolmogorov_smirnov(found, energy) < 1.95 / COUNT**0.5  # level 0.001


@pytest.mark.parametrize("name", OPTIMIZE)
def test_optimizers_do_not_sample(name):
    """And say so: their candidates crowd at the bottom."""
    found = draw(OPTIMIZE[name], lambda a: two_wells(a[..., 0]))[:, 0]
    assert kolmogorov_smirnov(found, two_wells) > 5 * 1.95 / COUNT**0.5


@pytest.mark.unchecked
@pytest.mark.parametrize("name", ["hmc", "mala"])
def test_correlated_dimensions(name):
    """Every direction of a narrow Gaussian has its variance, and the two axes are independent."""
    angle = torch.tensor([[0.8, -0.6], [0.6, 0.8]])
    std = torch.tensor([0.25, 0.05])
    found = draw(SAMPLE[name], lambda a: 0.5 * ((a @ angle) / std).square().sum(-1), size=2)
    whitened = (found @ angle) / std
    covariance = whitened.T @ whitened / COUNT
    torch.testing.assert_close(covariance, torch.eye(2), atol=4 * (2 / COUNT) ** 0.5, rtol=0)


@pytest.mark.parametrize("step", [0.4, 0.1])
def test_bias_of_ula_is_known(step):
    """Variance 1 / (k (1 - s k / 4)); the optimizer of the paper has far less at the same step."""
    k = 4.0
    bounds = box_bounds()
    bounds.unit_low.fill_(-50.0)
    bounds.unit_high.fill_(50.0)
    init = torch.zeros(1, 20_000, 1)
    sampler = ULA(num_candidates=20_000, num_iterations=120, step_init=step, step_final=step)
    found = run(sampler, lambda a: 0.5 * k * a[..., 0] ** 2, init, bounds, rng()).action
    expected = 1 / (k * (1 - step * k / 4))
    assert found.var().item() == pytest.approx(expected, rel=0.04)


def test_trajectories_run_backwards():
    """With reversed momenta, through reflections at the bounds, in the units of a task."""
    bounds = meters().double()
    energy = lambda a: 3 * torch.cos(2 * bounds.to_unit(a)).sum(-1)  # noqa: E731
    sampler = HMC(num_candidates=5, num_iterations=1, num_leapfrog=20)
    unit = torch.rand(2, 5, 2).double() * 2 - 1
    momentum, step = torch.randn(2, 5, 2).double(), torch.tensor([0.1, 0.2]).view(2, 1, 1).double()
    space = UnitSpace(energy, bounds)
    there = sampler.trajectory(space, unit, momentum, step)
    assert (there[0] - unit).abs().max() > 0.5
    back = sampler.trajectory(space, there[0], -there[1], step)
    torch.testing.assert_close(back[0], unit)
    torch.testing.assert_close(-back[1], momentum)


def test_each_candidate_is_accepted_by_itself():
    """One accept or refuse for all would move either all or none."""
    sampler = HMC(num_candidates=200, num_iterations=1, num_leapfrog=1, step_size=0.6)
    init = torch.zeros(1, 200, 1)
    energy = lambda a: 4 * a[..., 0].square()  # noqa: E731
    moved = (run(sampler, energy, init, box_bounds(), rng()).action != init).float().mean()
    assert 0.2 < moved < 0.95


def test_one_leapfrog_step_is_a_langevin_step():
    bounds, step = box_bounds(2), 0.01
    unit, xi = torch.rand(1, 7, 2) - 0.5, 0.3 * torch.randn(1, 7, 2)
    energy = lambda a: (a**4).sum(-1)  # noqa: E731
    sampler = MALA(num_candidates=7, num_iterations=1, step=step)
    space = UnitSpace(energy, bounds)
    moved, _ = sampler.trajectory(space, unit, xi, torch.full((1, 1, 1), step**0.5))
    torch.testing.assert_close(moved, unit - 0.5 * step * 4 * unit**3 + math.sqrt(step) * xi)


def test_reflection_keeps_volume_and_the_dimension_of_no_width():
    bounds = box_bounds(2)
    bounds.unit_low[1] = bounds.unit_high[1] = 0.25
    path = torch.stack([torch.linspace(-8, 8, 8001), torch.zeros(8001)], -1).unsqueeze(0)
    inside, turned = reflect(path, UnitSpace(lambda a: a[..., 0], bounds))
    assert (inside[..., 1] == 0.25).all()
    slope = (inside[0, 1:, 0] - inside[0, :-1, 0]) / (16 / 8000)
    # Where the path bends there is no slope; elsewhere it is as steep as it was.
    assert ((slope.abs() - 1).abs() < 1e-2).float().mean() > 0.99
    assert ((slope < 0) == turned[0, 1:, 0]).float().mean() > 0.99


def test_temperature_is_that_of_the_density():
    """At temperature T a bowl of curvature k has variance T / k."""
    sampler = Tempering(HMC(num_candidates=COUNT, num_iterations=30, num_leapfrog=5), [0.2])
    found = draw(sampler, lambda a: 5 * a[..., 0] ** 2)
    assert found.var().item() == pytest.approx(0.2 / 10, rel=0.1)
    with pytest.raises(ValueError, match="positive"):
        Tempering(OPTIMIZE["dfo"], [1.0, 0.0])


class Prefixes(BoundNetworkEnergy):
    """Each dimension is best at half of the one before, seen through prefix energies only."""

    is_autoregressive = True

    def __init__(self, bounds):
        self.bounds = bounds

    def conditional(self, action, j):
        wanted = 0.6 if j == 0 else 0.5 * action[..., j - 1]
        return 500 * (action[..., j] - wanted) ** 2

    def prefix(self, action, j):
        return self.conditional(action[..., : j + 1], j)

    def unit_energy(self, action):
        return sum(self.conditional(action, j) for j in range(action.shape[-1]))


def test_one_dimension_after_another_works_where_all_at_once_fails():
    size, best = 20, torch.tensor([0.6 * 0.5**j for j in range(20)])
    joint = DFO(num_candidates=256, num_iterations=5, noise_std=0.3, shrink=0.5)
    single = AutoregressiveDFO(num_candidates=256, num_iterations=5, noise_std=0.3, shrink=0.5)
    bounds = box_bounds(size)
    source = PerEpisodeRandom(generators(1), torch.device("cpu"))
    init = uniform(1, 256, bounds, source)
    error = {}
    for name, sampler in {"joint": joint, "single": single}.items():
        out = run(sampler, Prefixes(bounds), init, bounds, source)
        torch.testing.assert_close(out.energy, Prefixes(bounds)(out.action))
        error[name] = (out.best() - best).abs().max().item()
    assert error["single"] < 0.05
    assert error["joint"] > 3 * error["single"]


def test_beginnings_survive_by_temperature():
    """With few candidates and one round: what a hot search keeps of the first dimension is no better than chance."""
    bounds, batch = box_bounds(2), 200
    source = rng()
    init = uniform(batch, 16, bounds, source)
    error = {}
    for temperature in (0.01, 1e6):
        sampler = AutoregressiveDFO(
            num_candidates=16, num_iterations=1, noise_std=0.1, shrink=0.5, temperature=temperature
        )
        found = run(sampler, Prefixes(bounds), init, bounds, source).action[..., 0]
        error[temperature] = (found - 0.6).abs().mean().item()
    assert error[0.01] < 0.1
    assert error[1e6] > 2 * error[0.01]


def test_finalists_are_judged_by_all_their_dimensions():
    """The best of the last set, recorded where it is scored, is among what is returned."""

    class Recorded(Prefixes):
        def prefix(self, action, j):
            if j == action.shape[-1] - 1:
                self.last = action
            return super().prefix(action, j)

    bounds, source = box_bounds(3), rng()
    energy = Recorded(bounds)
    init = uniform(50, 16, bounds, source)
    sampler = AutoregressiveDFO(
        num_candidates=16, num_iterations=1, noise_std=0.1, shrink=0.5, temperature=1e6
    )
    found = run(sampler, energy, init, bounds, source)
    torch.testing.assert_close(found.energy.amin(1), Prefixes(bounds)(energy.last).amin(1))


class TestModes:
    """The set of distinct answers."""

    def modes(self, **settings):
        bounds = meters(1)
        unit = torch.tensor([[-0.5, -0.48, 0.6, 0.61, 0.0], [0.9, 0.9, 0.9, 0.9, 0.9]])
        energy = torch.tensor([[0.2, 0.1, 0.3, 0.25, 5.0], [1.0, 0.5, 2.0, 3.0, 4.0]])
        candidates = Candidates(bounds.from_unit(unit.unsqueeze(-1)), energy)
        out = find_modes(candidates, bounds.half_range, **settings)
        return bounds.to_unit(out.action)[..., 0], out.energy, out.found

    def test_distinct_and_best_first(self):
        unit, energy, found = self.modes(count=3, radius=0.1, max_gap=1.0)
        torch.testing.assert_close(unit[0], torch.tensor([-0.48, 0.61, -0.48]))
        assert found.tolist() == [[True, True, False], [True, False, False]]
        torch.testing.assert_close(energy[1], torch.full((3,), 0.5))

    def test_the_gap_decides_what_is_an_answer(self):
        unit, _, found = self.modes(count=3, radius=0.1)
        assert found[0].all()
        assert unit[0, 2] == pytest.approx(0.0, abs=1e-6)

    def test_finds_all_valleys_of_an_energy(self):
        bounds = box_bounds(2)
        wells = torch.tensor([[0.5, 0.5], [-0.5, 0.5], [0.0, -0.7]])
        energy = lambda a: ((a.unsqueeze(-2) - wells) ** 2).sum(-1).amin(-1) * 10  # noqa: E731
        descent = GradientDescent(
            num_candidates=64, num_iterations=40, step_init=0.1, step_final=0.01
        )
        found = run(descent, energy, uniform(1, 64, bounds, rng()), bounds, rng())
        modes = find_modes(found, bounds.half_range, count=5, radius=0.1, max_gap=0.1)
        assert modes.found.tolist() == [[True, True, True, False, False]]
        for well in wells:
            assert ((modes.candidates.action[0] - well).abs().amax(-1) < 0.02).any()

    @pytest.mark.parametrize(("count", "radius"), [(0, 0.1), (3, 0.0)])
    def test_nonsense(self, count, radius):
        with pytest.raises(ValueError, match="count >= 1"):
            self.modes(count=count, radius=radius)
