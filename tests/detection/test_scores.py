"""Scores of decisions on energies and features whose values are known."""

import math

import numpy as np
import pytest
import torch
from conftest import ROOT
from known_energies import ACTION_SPEC, policy_of, two_wells

import ibc
from ibc.detection import (
    Committee,
    Decision,
    DenoisingError,
    Disagreement,
    Elapsed,
    ExpectedDuration,
    GradientResidual,
    Mahalanobis,
    NearestNeighbors,
    RunnerUp,
)
from ibc.detection.decision import SameForEach, best_of, repeated_search
from ibc.policies import MSEPolicy


def decision(function, action, number=0, obs=None):
    action = torch.tensor(action, dtype=torch.float32).reshape(-1, 1)
    obs = torch.zeros(len(action), 1, 2) if obs is None else obs
    return Decision(policy_of(function), {"state": obs}, action, torch.full((len(action),), number))


def bowl(action):
    return 0.5 * (action - 0.2).square()


def test_the_residual_is_the_gradient_where_nothing_holds_the_action():
    score = GradientResidual()(decision(bowl, [0.2, 0.5, -0.3]))
    torch.testing.assert_close(score, torch.tensor([0.0, 0.3, 0.5]))


def test_the_residual_is_zero_at_an_edge_that_holds_the_action():
    edge = float(policy_of(bowl).bounds.unit_high[0])
    score = GradientResidual()(decision(lambda a: -3 * a, [edge, edge - 0.1]))
    torch.testing.assert_close(score, torch.tensor([0.0, 0.1]), atol=1e-5, rtol=1e-5)


def test_the_denoising_error_is_zero_for_curvature_one_and_known_for_others():
    torch.testing.assert_close(
        DenoisingError()(decision(bowl, [0.2])), torch.zeros(1), atol=1e-6, rtol=0
    )
    steep = DenoisingError()(decision(lambda a: 1.5 * (a - 0.2).square(), [0.2]))
    torch.testing.assert_close(steep, torch.tensor([4.0]), atol=1e-4, rtol=0)  # (3 - 1)^2


def test_the_runner_up_is_the_boltzmann_factor_of_its_gap():
    torch.testing.assert_close(
        RunnerUp()(decision(two_wells, [-0.5])), torch.tensor([math.exp(-0.7)]), atol=1e-3, rtol=0
    )
    assert RunnerUp()(decision(bowl, [0.2])).tolist() == [0.0]


def test_searches_of_one_minimum_agree_and_those_of_a_flat_energy_do_not():
    assert Disagreement()(decision(bowl, [0.2])).item() < 0.01
    flat = decision(lambda a: 0 * a, [0.2])
    first, second = (float(found.best()) for found in flat.searches)
    assert first != second
    assert Disagreement()(flat).item() == pytest.approx(abs(first - second) / 2)


def test_a_score_of_a_row_does_not_depend_on_other_rows():
    for score in (RunnerUp(), Disagreement(), GradientResidual(), DenoisingError()):
        alone = score(decision(two_wells, [0.3]))
        together = score(decision(two_wells, [0.1, 0.3, -0.7]))
        torch.testing.assert_close(alone[0], together[1])


def test_the_best_of_several_searches_is_the_lowest_of_all():
    policy = policy_of(two_wells)
    obs = {"state": torch.zeros(2, 1, 2)}
    searches = repeated_search(policy, obs, 3)
    lowest = min(float(found.energy.min()) for found in searches)
    best = best_of(searches)
    torch.testing.assert_close(two_wells(best[:, 0]), torch.full((2,), lowest))
    first, second = (SameForEach(seed, torch.device("cpu")).uniform(2, 3) for seed in (0, 1))
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first, second)


def seen(points):
    """Decisions on observations whose standardized features are the points."""
    obs = torch.tensor(points, dtype=torch.float32).unsqueeze(1)
    return decision(bowl, [0.0] * len(points), obs=obs)


def test_the_distance_to_neighbors_is_the_mean_over_the_nearest():
    score = NearestNeighbors(num_neighbors=2)
    score.fit(seen([[-1.0, 0.0], [1.0, 0.0], [-1.0, 2.0], [1.0, 2.0]]).features, torch.ones(4))
    scale = np.std([-1, 1, -1, 1], ddof=1)
    # From (3, 0) the two nearest are at distance 2 along the first and at (2, 2) along both.
    wanted = (2 / scale + math.hypot(2, 2) / scale) / 2 / math.sqrt(2)
    torch.testing.assert_close(score(seen([[3.0, 0.0]])), torch.tensor([wanted]).float())


def test_the_mahalanobis_distance_of_a_gaussian_is_the_number_of_standard_deviations():
    torch.manual_seed(0)
    mixing = torch.tensor([[2.0, 0.0], [1.5, 0.5]])
    score = Mahalanobis()
    score.fit(seen((torch.randn(20_000, 2) @ mixing.T).tolist()).features, torch.ones(20_000))
    point = mixing @ torch.tensor([3.0, 3.0])  # three standard deviations in both directions
    torch.testing.assert_close(score(seen([point.tolist()])), torch.tensor([3.0]), atol=0.1, rtol=0)


def test_distances_take_features_that_never_change():
    for score in (NearestNeighbors(), Mahalanobis()):
        score.fit(seen([[float(i), 0.0] for i in range(10)]).features, torch.ones(10))
        near, far = score(seen([[3.0, 0.0], [3.0, 5.0]]))
        assert math.isfinite(near)
        assert far > 10 * near + 1


def test_the_expected_duration_is_what_has_been_and_what_remained_nearby():
    score = ExpectedDuration(num_neighbors=2)
    score.fit(seen([[float(i), 0.0] for i in range(10)]).features, 10 - torch.arange(10.0))
    here = seen([[2.4, 0.0]])  # the neighbors at 2 and 3 had 8 and 7 decisions left
    assert score(here).tolist() == [7.5]
    later = Decision(here.policy, here.obs, here.action, here.number + 20)
    assert score(later).tolist() == [27.5]


def test_elapsed_counts_decisions():
    assert Elapsed()(decision(bowl, [0.2, 0.2], number=7)).tolist() == [7, 7]


def test_a_committee_disagrees_by_what_its_members_differ(tmp_path):
    member = MSEPolicy(ACTION_SPEC).eval()
    member.save(tmp_path / "member.pt")
    member = ibc.load_policy(tmp_path / "member.pt", device="cpu")
    one = decision(bowl, [0.2])
    other = float(member.act_flat(one.obs, SameForEach(0, torch.device("cpu")))[0, 0])
    score = Committee([str(tmp_path / "member.pt")])(one)
    torch.testing.assert_close(score, torch.tensor([abs(0.2 - other) / 2]))


def test_what_cannot_be_scored_is_refused_in_a_line():
    explicit = MSEPolicy(ACTION_SPEC).eval()
    obs = {"state": torch.zeros(1, 1, 2)}
    made = Decision(explicit, obs, torch.zeros(1, 1), torch.zeros(1).long())
    with pytest.raises(ibc.UserError, match="searches no energy"):
        GradientResidual()(made)
    with pytest.raises(ibc.UserError, match="list of other checkpoints"):
        Committee([])
    with pytest.raises(ibc.UserError, match="no checkpoint at"):
        Committee(["nowhere.pt"])
    other = Committee([f"{ROOT}/pretrained/particle_2d.pt"])
    with pytest.raises(ibc.UserError, match=r"particle_2d.pt has obs_horizon 2, the policy 1"):
        other(decision(bowl, [0.2]))
    with pytest.raises(ibc.UserError, match="num_neighbors=0"):
        NearestNeighbors(0)
    with pytest.raises(ibc.UserError, match="separation=0"):
        RunnerUp(0)
