"""Ranking NCE: its optimum by enumeration, and a proposal that is learned beside the energy."""

import itertools

import pytest
import torch
from known_energies import Bowl, BowlPolicy, rng
from small import config_of
from torch import nn

from ibc.construct import construct
from ibc.data import WindowDataset
from ibc.energies import (
    BoundEnergy,
    UnitSpace,
)
from ibc.losses import (
    RankingNCE,
    info_nce,
    ranking_nce,
)
from ibc.policies.loading import make_policy
from ibc.spec import Batch

CPU = torch.device("cpu")


def make(spec, dataset, name, *overrides):
    config = config_of(name, *overrides)
    policy = make_policy(config["policy"], spec)
    policy.fit(dataset)
    return policy.train(), construct(config["loss"], "loss")


@pytest.fixture
def dataset(spec, episodes):
    return WindowDataset(episodes, spec, CPU)


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


@pytest.mark.unchecked
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
