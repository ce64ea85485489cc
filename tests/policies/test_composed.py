"""Composed policies: hard constraints, warm starts, and compositions of the command line."""

import numpy as np
import pytest
import torch
from conftest import ROOT
from known_energies import Gaussian, rng

from ibc.checkpoint import load_checkpoint
from ibc.cli.compose import composed
from ibc.cli.config import compose
from ibc.composition import AllOf, AnyOf
from ibc.constraints import (
    ActionRateLimit,
    Custom,
    DeltaPositionControl,
    KeepOutBox,
    KeepOutDisk,
    LinearDynamics,
    PDController,
    PositionControl,
    StayWithin,
)
from ibc.control import Controller
from ibc.errors import UserError
from ibc.policies import ComposedPolicy, ImplicitPolicy, MSEPolicy
from ibc.policies.composed import first_feasible
from ibc.policies.loading import build_policy
from ibc.samplers import DFO, Candidates
from ibc.spec import ObsField, Spec

BATCH, COUNT = 3, 40
MODELS = {
    "set-point": PositionControl(),
    "delta": DeltaPositionControl("pos"),
    "body": PDController(
        "pos", "vel", stiffness=10.0, damping=5.0, substep=0.005, substeps=10, lookahead=2
    ),
    "fitted": LinearDynamics("pos", [], torch.eye(2, 5).double(), dt=1.0, lookahead=1, error=0.0),
}


@pytest.fixture
def obs():
    torch.manual_seed(1)
    return {
        "pos": torch.rand(BATCH, 2, 2),
        "vel": torch.rand(BATCH, 2, 2) - 0.5,
        "disk": torch.rand(BATCH, 2, 2),
        "previous_action": torch.rand(BATCH, 1, 2),
    }


@pytest.fixture
def action():
    torch.manual_seed(2)
    return torch.rand(BATCH, COUNT, 2) * 1.6 - 0.8


def close(a, b, **kwargs):
    torch.testing.assert_close(a, b, **(kwargs or {"atol": 1e-5, "rtol": 1e-5}))


@pytest.fixture(scope="module")
def policy():
    return build_policy(load_checkpoint(ROOT / "pretrained/particle_2d.pt"), torch.device("cpu"))


def particle_obs(batch=2):
    obs = {
        f"pos_{name}": torch.rand(batch, 2, 2) for name in ("agent", "first_goal", "second_goal")
    }
    return {**obs, "vel_agent": torch.zeros(batch, 2, 2)}


class TestPolicy:
    def test_searches_the_intersection(self, policy):
        narrow = Gaussian([0.5, 0.5], 1.0, low=0.4, high=0.6)
        both = ComposedPolicy(policy, AllOf(policy.energy, narrow))
        found = both.search({**particle_obs(), "pos": torch.zeros(2, 2, 2)}, rng()).action
        assert found.min() >= 0.4 - 1e-6
        assert found.max() <= 0.6 + 1e-6

    def test_an_energy_alone_is_the_policy(self, policy):
        obs = particle_obs()
        alone = ComposedPolicy(policy, AllOf(policy.energy)).act(obs, rng())
        close(alone, policy.act(obs, rng()), atol=1e-4, rtol=0)

    @pytest.mark.parametrize("hard", [False, True])
    def test_a_warm_start_begins_at_the_previous_action(self, policy, hard, monkeypatch):
        starts = []

        class Recorded(DFO):
            def __call__(self, space, init, rng):
                starts.append(space.bounds.from_unit(init))
                return super().__call__(space, init, rng)

        sampler = Recorded(num_candidates=8, num_iterations=1, noise_std=0.1, shrink=0.5)
        monkeypatch.setattr(policy, "sampler", sampler)
        monkeypatch.setattr(policy, "warm_start_fraction", 0.5)
        energy = AllOf(policy.energy, KeepOutDisk([0.9, 0.9], 0.1))
        previous = torch.tensor([[[0.3, 0.4]], [[torch.nan, torch.nan]]])
        obs = {**particle_obs(), "previous_action": previous}
        ComposedPolicy(policy, energy, hard=hard).act(obs, rng())
        first, second = starts[0]
        near = (first - torch.tensor([0.3, 0.4])).abs().amax(-1) < 0.2
        close(first[0], torch.tensor([0.3, 0.4]))
        assert near[:4].all()
        assert not near[4:].all()
        assert torch.isfinite(second).all()

    def test_hard_needs_a_constraint(self, policy):
        with pytest.raises(UserError, match="needs a constraint"):
            ComposedPolicy(policy, AllOf(policy.energy), hard=True).act(particle_obs(), rng())

    def test_hard_chooses_what_is_feasible(self, policy):
        obs = particle_obs()
        best = policy.act(obs, rng())[0, 0].tolist()
        disk = KeepOutDisk(best, 0.2, strength=1e-3)  # too weak to matter as a preference
        soft = ComposedPolicy(policy, AllOf(policy.energy, disk))
        soft.act(obs, rng())
        assert soft.report()["feasible"][0] == 0
        hard = ComposedPolicy(policy, AllOf(policy.energy, disk), hard=True)
        action = hard.act(obs, rng())
        assert hard.report()["feasible"].tolist() == [1, 1]
        assert (action[0, 0] - torch.tensor(best)).norm() >= 0.2 - 1e-5

    def test_the_fallback_is_the_least_violation(self, policy):
        impossible = AllOf(policy.energy, StayWithin([2.0, 0.0], [3.0, 1.0]))
        hard = ComposedPolicy(policy, impossible, hard=True)
        action = hard.act(particle_obs(), rng())
        assert hard.report()["feasible"].tolist() == [0, 0]
        assert (action[..., 0] > 0.95).all()

    @pytest.mark.parametrize("fallback", ["hold", "brake"])
    def test_other_fallbacks(self, policy, fallback):
        """Where no candidate is feasible; beside it stands an episode where some are."""
        obs = particle_obs()
        obs["pos_agent"] = torch.tensor([[0.5, 0.5], [0.1, 0.1]])[:, None].expand(-1, 2, -1)
        obs["disk"] = torch.tensor([[0.5, 0.5], [9.0, 9.0]])[:, None]
        obs["previous_action"] = torch.tensor([[[0.7, 1.4]], [[0.7, 0.2]]])
        disk = KeepOutDisk("disk", 2.0, model=PositionControl("pos_agent"))
        hard = ComposedPolicy(policy, AllOf(policy.energy, disk), hard=True, fallback=fallback)
        action = hard.act(obs, rng())[:, 0]
        expected = {"hold": [0.7, 1.0], "brake": [0.5, 0.5]}[fallback]  # set-points end at one
        close(action[0], torch.tensor(expected))
        assert (action[1] - torch.tensor([0.7, 0.2])).norm() > 1e-3
        assert hard.report()["fallback"].tolist() == [1, 0]
        assert hard.report()["feasible"].tolist() == [0, 1]
        obs["previous_action"][0] = torch.nan
        obs["committed_actions"] = torch.tensor([[[torch.nan, 0.3]], [[torch.nan] * 2]])
        action = hard.act(obs, rng())[:, 0]
        assert action[0, 1] == pytest.approx(0.3)
        assert torch.isfinite(action).all()

    def test_fallbacks_that_cannot_be(self, policy):
        disk = AllOf(policy.energy, Custom(lambda obs, action: action[..., 0] + 10.0))
        for fallback, message in [
            ("brake", "needs a constraint on places"),
            ("hold", "needs the observation 'previous_action'"),
        ]:
            with pytest.raises(UserError, match=message):
                ComposedPolicy(policy, disk, hard=True, fallback=fallback).act(
                    particle_obs(), rng()
                )
        with pytest.raises(UserError, match="allowed: least_violation, brake, hold"):
            ComposedPolicy(policy, disk, hard=True, fallback="stop")

    def test_hard_holds_between_the_points(self, policy, monkeypatch):
        """The best of many candidates by a slow check of all of them."""
        obs = particle_obs(3)
        obs["pos_agent"] = torch.tensor([0.2, 0.5]).expand(3, 2, 2)
        thin = KeepOutBox([0.4, -9.0], [0.41, 9.0], model=PositionControl("pos_agent"))
        energy = AllOf(policy.energy, thin)
        many = DFO(num_candidates=512, num_iterations=1, noise_std=0.3, shrink=0.5)
        monkeypatch.setattr(policy, "sampler", many)
        hard = ComposedPolicy(policy, energy, hard=True)
        found = hard.search(obs, rng())
        assert found.bound.feasible(found.action).double().mean() > 0.5
        allowed = found.action[..., 0] < 0.4 + 1e-6
        expected = first_feasible(found, allowed, found.energy).best()
        close(hard.act(obs, rng())[:, 0], expected)
        assert hard.report()["feasible"].tolist() == [1, 1, 1]

    def test_first_feasible(self):
        candidates = Candidates(torch.arange(6.0).view(2, 3, 1), torch.tensor([[1.0, 2, 3]] * 2))
        feasible = torch.tensor([[False, True, True], [False] * 3])
        violation = torch.tensor([[9.0, 0, 0], [3, 2, 1]])
        assert first_feasible(candidates, feasible, violation).best().flatten().tolist() == [1, 5]

    def test_any_is_feasible_where_one_is(self, obs, action):
        left, right = StayWithin([-1.0] * 2, [0.0] * 2), StayWithin([0.0] * 2, [1.0] * 2)
        either = AnyOf(left, right).bind(obs)
        parts = left.bind(obs).feasible(action) | right.bind(obs).feasible(action)
        assert torch.equal(either.feasible(action), parts)
        free = AnyOf(left, Gaussian([0.0] * 2, 1.0)).bind(obs)
        assert free.feasible(action).all()

    def test_the_actor_tells_the_previous_action(self, policy):
        seen = []

        def record(obs, action):
            seen.append(obs["previous_action"].clone())
            return action[..., 0] - 10.0

        controller = Controller(
            ComposedPolicy(policy, AllOf(policy.energy, Custom(record), ActionRateLimit(0.1)))
        )
        controller.reset(7)
        obs = {name: array[0, -1].numpy() for name, array in particle_obs(1).items()}
        first = controller.step(obs)
        assert seen[-1].isnan().all()
        second = controller.step(obs)
        np.testing.assert_array_equal(seen[-1][0, 0], first)
        assert np.linalg.norm(second - first) < 0.2
        assert [set(report) for report in controller.actor.reports[7]] == [
            {"feasible", "MLPEnergy", "Custom", "ActionRateLimit"}
        ] * 2

    def test_not_for_policies_without_energy(self, spec):
        mse = MSEPolicy.__new__(MSEPolicy)
        with pytest.raises(UserError, match="is for implicit policies; this is a MSEPolicy"):
            composed(mse, {"terms": []}, torch.device("cpu"))


def test_several_policies_share_one_weight(policy):
    """Three times the same energy, in equal parts of one, is that energy: steps down it keep their size."""
    path = str(ROOT / "pretrained/particle_2d.pt")
    found = composed(policy, {"other": [path, path]}, torch.device("cpu"))
    obs, action = particle_obs(), torch.rand(2, 5, 2)
    torch.testing.assert_close(found.energy.bind(obs)(action), policy.energy.bind(obs)(action))


@pytest.mark.parametrize("name", sorted(p.stem for p in (ROOT / "configs/compose").glob("*.yaml")))
def test_every_yaml(name, policy):
    path = ROOT / "pretrained/particle_2d.pt"
    overrides = [f"checkpoint={path}", f"compose={name}"]
    if name in ("policies", "best_of"):
        overrides.append(f"compose.other={path}")
    config = compose("evaluate", overrides)["compose"]
    found = composed(policy, config, torch.device("cpu"))
    assert found.act(particle_obs(), rng()).shape == (2, 1, 2)


@pytest.mark.parametrize("operation", ["all", "any", "not"])
def test_every_operation(operation, policy):
    path = ROOT / "pretrained/particle_2d.pt"
    overrides = [f"checkpoint={path}", "compose=policies", f"compose.other={path}"]
    config = compose("evaluate", [*overrides, f"compose.operation={operation}"])["compose"]
    found = composed(policy, config, torch.device("cpu"))
    assert found.act(particle_obs(), rng()).shape == (2, 1, 2)


@pytest.mark.parametrize("model", ["set-point", "delta", "body", "fitted"])
@pytest.mark.parametrize("hard", [False, True])
def test_constraints_on_actions_of_another_size_are_refused(model, hard):
    """A chunk of actions (x, y, gripper) whose length is a multiple of two holds no points (x, y)."""
    fields = {name: ObsField((2,), "float32") for name in ("pos", "vel")}
    spec = Spec(
        obs=fields,
        obs_horizon=1,
        action_dim=3,
        action_horizon=8,
        action_low=(0.0,) * 3,
        action_high=(1.0,) * 3,
    )
    three = ImplicitPolicy(spec).eval()
    three.sampler = DFO(num_candidates=8, num_iterations=1, noise_std=0.1, shrink=0.5)
    obs = {name: torch.zeros(1, 1, 2) for name in fields}
    disk = KeepOutDisk([0.5, 0.5], 0.1, model=MODELS[model])
    composition = ComposedPolicy(three, AllOf(three.energy, disk), hard=hard)
    with pytest.raises(
        UserError, match="term KeepOutDisk is about actions of 2 numbers; the policy's have 3"
    ):
        composition.act(obs, rng())
    ComposedPolicy(three, AllOf(three.energy, Custom(lambda obs, a: a[..., 2] - 9.0))).act(
        obs, rng()
    )
