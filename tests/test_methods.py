"""Ways to train an energy, on problems whose optimum can be written down; contracts over configs/loss."""

import itertools
import math

import numpy as np
import pytest
import torch
from conftest import ROOT, built
from known_energies import Bowl, BowlPolicy, fitted_stiffness, meters, rng, run
from test_policies import config_of
from torch import nn

from ibc.component import construct
from ibc.data import WindowDataset
from ibc.energies import (
    AutoregressiveEnergy,
    BoundEnergy,
    Energy,
    NoiseConditionedEnergy,
    UnitSpace,
    action_gradient,
    as_bound,
)
from ibc.errors import UserError
from ibc.losses import (
    Combined,
    ContrastiveDivergence,
    EnergyMagnitude,
    InfoNCE,
    NeighborNegatives,
    NoiseConditionedScoreMatching,
    PathPenalty,
    PrefixInfoNCE,
    RankingNCE,
    ReplayedNegatives,
    SampledNegatives,
    UniformNegatives,
    Unrolled,
    info_nce,
    ranking_nce,
)
from ibc.losses.contrastive import LAST_STEP, entropy_term, limited
from ibc.nn import (
    ActionBounds,
    FlowDensity,
    GaussianDensity,
    MixtureDensity,
    ObsEncoder,
    UniformDensity,
)
from ibc.nn.flow import LIMIT, spline
from ibc.policies.loading import make_policy
from ibc.samplers import HMC, GradientDescent, IBCLangevin
from ibc.spec import Batch, ObsField, Spec

CPU = torch.device("cpu")
LOSSES = sorted(path.stem for path in (ROOT / "configs/loss").glob("*.yaml"))
NEGATIVES = sorted(path.stem for path in (ROOT / "configs/negatives").glob("*.yaml"))
STEPS = IBCLangevin(num_candidates=8, num_iterations=5, step_init=0.1, step_final=0.01)


def make(spec, dataset, name, *overrides):
    config = config_of(name, *overrides)
    policy = make_policy(config["policy"], spec)
    policy.fit(dataset)
    return policy.train(), construct(config["loss"], "loss")


def silent_after(policy, loss, dataset):
    value, metrics = loss(policy, dataset.batch(torch.arange(8)), rng())
    value.backward()
    assert torch.isfinite(value)
    assert all(torch.isfinite(metric) for metric in metrics.values())
    return [n for n, p in policy.named_parameters() if p.grad is None or not p.grad.any()]


@pytest.fixture
def dataset(spec, episodes):
    return WindowDataset(episodes, spec, CPU)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_reaches_every_parameter(name, spec, dataset):
    # A quadratic head: gradients of a scalar one with respect to actions do not depend on the last biases.
    policy, loss = make(spec, dataset, "implicit_info_nce", f"loss={name}")
    assert silent_after(policy, loss, dataset) == []


@pytest.mark.parametrize("name", NEGATIVES)
def test_every_kind_of_negatives_reaches_every_parameter(name, spec, dataset):
    policy, loss = make(spec, dataset, "implicit_info_nce", "loss=info_nce", f"negatives={name}")
    assert silent_after(policy, loss, dataset) in ([], ["energy.head.dense_out.bias"])


@pytest.mark.parametrize("name", ["mixture", "flow"])
def test_every_proposal_reaches_every_parameter(name, spec, dataset):
    policy, loss = make(spec, dataset, "implicit_ranked", f"density={name}")
    assert silent_after(policy, loss, dataset) in ([], ["energy.head.dense_out.bias"])


@pytest.mark.parametrize(
    ("loss", "need"),
    [
        (RankingNCE(num=4), "a proposal density"),
        (PrefixInfoNCE(negatives=[UniformNegatives(4)]), "prefix energies"),
        (NoiseConditionedScoreMatching(), "levels of noise"),
    ],
)
def test_losses_say_what_energy_they_need(loss, need, spec, dataset):
    policy, _ = make(spec, dataset, "implicit")
    with pytest.raises(UserError, match=need):
        loss(policy, dataset.batch(torch.arange(4)), rng())


class TestFourActions:
    """The population optimum over four actions, p demonstrated, q proposed, two negatives, by enumeration."""

    p = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    q = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)

    def optimum(self, loss):
        sets = torch.tensor(list(itertools.product(range(4), repeat=3)))
        weight = self.p[sets[:, 0]] * self.q[sets[:, 1]] * self.q[sets[:, 2]]
        energy = torch.zeros(4, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS(
            [energy], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-14,
            line_search_fn="strong_wolfe",
        )  # fmt: skip

        def closure():
            optimizer.zero_grad()
            value = (weight * loss(energy[sets], sets)).sum()
            value.backward()
            return value

        optimizer.step(closure)
        return torch.softmax(-energy.detach(), 0)

    def test_info_nce_finds_the_ratio(self):
        ratio = self.p / self.q
        found = self.optimum(lambda energy, sets: info_nce(energy))
        torch.testing.assert_close(found, ratio / ratio.sum(), atol=1e-6, rtol=0)

    def test_ranking_nce_finds_the_density(self):
        found = self.optimum(lambda energy, sets: ranking_nce(energy, self.q.log()[sets]))
        torch.testing.assert_close(found, self.p, atol=1e-6, rtol=0)


def test_ranking_nce_of_a_constant_proposal_is_info_nce():
    energy = torch.randn(5, 7)
    log_q = torch.full((5, 7), -1.3)
    torch.testing.assert_close(ranking_nce(energy, log_q, 0.5), info_nce(energy, 0.5))


class Proposed(Bowl):
    """A bowl, with a Gaussian around zero as its proposal, of a width that is learned beside it."""

    def __init__(self):
        super().__init__()
        self.log_std = nn.Parameter(torch.tensor(0.4))

    def bind(self, obs):
        return ProposedBowl(self, len(obs["state"]))


class ProposedBowl(BoundEnergy):
    def __init__(self, energy, batch):
        self.energy, self.batch, self.density = energy, batch, self

    def __call__(self, action):
        return 0.5 * self.energy.stiffness * action.square().sum(-1)

    def sample(self, count, source):
        return self.energy.log_std.detach().exp() * source.normal(self.batch, count, 1)

    def log_prob(self, unit_action):
        return (
            torch.distributions.Normal(0, self.energy.log_std.exp()).log_prob(unit_action).sum(-1)
        )


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_ranking_nce_learns_the_density_and_its_proposal_beside_it(temperature):
    """Of data from N(0, 0.7^2): the energy's curvature is T / 0.7^2, whatever the proposal is on its way to 0.7."""
    policy, source = BowlPolicy(), rng()
    policy.energy = Proposed()
    assert policy.energy.bind({"state": torch.zeros(1, 1, 1)}).density is not None
    optimizer = torch.optim.Adam(policy.energy.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 300)
    loss = RankingNCE(num=8, temperature=temperature)
    for step in range(300):
        batch = Batch({"state": torch.zeros(2048, 1, 1)}, 0.7 * source.normal(2048, 1))
        if step == 150:  # both are near their optimum; now the proposal stays wide
            width = policy.energy.log_std.exp().item()
            policy.energy.log_std.requires_grad_(False).fill_(0.2)
        optimizer.zero_grad()
        loss(policy, batch, source)[0].backward()
        optimizer.step()
        schedule.step()
    assert width == pytest.approx(0.7, rel=0.05)
    assert policy.energy.stiffness.item() == pytest.approx(temperature / 0.7**2, rel=0.06)


def test_a_ranked_search_starts_from_draws_of_its_proposal(spec, dataset):
    policy, _ = make(
        spec, dataset, "implicit_ranked", "~density",
        "+policy.energy.density={_target_: ibc.nn.GaussianDensity}",
    )  # fmt: skip
    policy.sampler.num_candidates = 2000
    energy = policy.energy.bind(dataset.batch(torch.arange(16)).obs)
    policy.bounds.unit_low.fill_(-99.0)
    policy.bounds.unit_high.fill_(99.0)
    unit = policy._init(energy, UnitSpace(energy, policy.bounds), 16, rng()).flatten(0, 1)
    density = policy.energy.density
    for found, said in ((unit.mean(0), density.mean), (unit.std(0), density.std)):
        torch.testing.assert_close(found, said, atol=0.05, rtol=0.05)


def densities(features=3, size=2):
    return {
        "uniform": built(UniformDensity(), features, size),
        "gaussian": built(GaussianDensity(), features, size),
        "mixture": built(
            MixtureDensity(num_components=3, width=8, num_blocks=1), features, size
        ),
        "flow": built(FlowDensity(num_layers=3, num_bins=5, width=8, num_blocks=1), features, size),
    }  # fmt: skip


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("name", ["uniform", "gaussian", "mixture", "flow"])
class TestDensities:
    """What is drawn has the density that is claimed."""

    def make(self, name, size):
        torch.manual_seed(1)
        density = densities(size=size)[name]
        for parameter in density.parameters():  # bend them visibly
            parameter.data.mul_(8.0 if name == "flow" else 2.0)
        bounds = ActionBounds(size)
        density.fit(torch.rand(500, size) - 0.3, bounds)
        return density

    def test_integrates_to_one(self, name, size):
        density = self.make(name, size)
        edge = LIMIT if name == "flow" else 1.0 if name == "uniform" else 10.0
        count = 40_001 if size == 1 else 401
        cells = edge * (2 * (torch.arange(count) + 0.5) / count - 1)
        grid = torch.cartesian_prod(*[cells] * size).view(1, -1, size)
        total = density.log_prob(torch.ones(1, 3), grid).exp().sum() * (2 * edge / count) ** size
        assert total.item() == pytest.approx(1, abs=0.02)

    def test_draws_follow_it(self, name, size):
        density, features = self.make(name, size), torch.tensor([[0.3, -1.0, 2.0]])
        draws = density.sample(features, 40_000, rng())
        assert not draws.requires_grad
        other = density.sample(features, 40_000, rng(1))
        # For f = exp(-|x|^2): its mean over draws against its integral, by importance from a wide uniform.
        wide = 12 * torch.rand(1, 400_000, size) - 6
        if name == "flow":
            wide = LIMIT * (2 * torch.rand(1, 400_000, size) - 1)
        elif name == "uniform":
            wide = 2 * torch.rand(1, 400_000, size) - 1
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


class TestContrastiveDivergence:
    exact = SampledNegatives(
        16, HMC(num_candidates=16, num_iterations=10, num_leapfrog=2, step_size=0.5)
    )

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

    def test_the_whole_path_is_seen(self):
        """A wall of energy between start and end: the end alone is flat and would pass."""
        policy = BowlPolicy()
        policy.energy.stiffness.data.fill_(40.0)
        end = torch.zeros(4, 1, 1)
        sampler = GradientDescent(
            num_candidates=4, num_iterations=20, step_init=0.05, step_final=0.05
        )
        path = PathPenalty(sampler=sampler, chains=4)
        assert path.penalty(policy.space, end, rng()).item() == 0
        value = path(policy.space, end, rng())
        value.backward()
        assert value.item() > 10
        assert policy.energy.stiffness.grad.item() > 0


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


def test_unrolled_learns_the_step_that_lands():
    """For a bowl and answers at its bottom, curvature 1 / step size lands in one step; anything else does not."""
    loss = Unrolled(num=4, num_steps=3, step_size=0.5)
    assert fitted_stiffness(loss, data_std=1e-6, steps=300) == pytest.approx(2.0, rel=0.02)


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
