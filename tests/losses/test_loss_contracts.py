"""Every loss and every kind of negatives of the configuration reaches every parameter."""

import pytest
import torch
from conftest import ROOT
from known_energies import rng
from small import config_of

from ibc.construct import construct
from ibc.data import WindowDataset
from ibc.errors import UserError
from ibc.losses import (
    NoiseConditionedScoreMatching,
    PrefixInfoNCE,
    RankingNCE,
    UniformNegatives,
)
from ibc.policies.loading import make_policy

CPU = torch.device("cpu")


LOSSES = sorted(path.stem for path in (ROOT / "configs/loss").glob("*.yaml"))


NEGATIVES = sorted(path.stem for path in (ROOT / "configs/negatives").glob("*.yaml"))


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


#: Losses of energies with noise levels.
LEVELS = ("edm", "energy_flow", "interpolating_ranking_nce")


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_reaches_every_parameter(name, spec, dataset):
    # A quadratic head: gradients of a scalar one with respect to actions do not depend on the last biases.
    kind = "implicit_preconditioned" if name in LEVELS else "implicit_info_nce"
    policy, loss = make(spec, dataset, kind, f"loss={name}")
    if name in LEVELS:  # its network starts at zero, where inner layers have no gradient
        torch.nn.init.normal_(policy.energy.network.dense_out.weight)
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
