"""Numbers that are held stay exactly, and the others are searched given them."""

import math

import pytest
import torch
from small import row_noise

import ibc
from ibc import samplers
from ibc.energies import AutoregressiveEnergy, HeldSpace, MLPEnergy, PreconditionedEnergy, UnitSpace
from ibc.nn import ActionBounds, ObsEncoder
from ibc.nn.sequence import FiLMMLP
from ibc.spec import COMMITTED_ACTIONS, PREVIOUS_CHUNK

NAN = math.nan
#: Of a Gaussian, whose energy couples three numbers.
MEAN = torch.tensor([0.1, -0.2, 0.3])
PRECISION = torch.tensor([[4.0, 1.5, 0.5], [1.5, 3.0, -1.0], [0.5, -1.0, 2.0]])
HELD = torch.tensor([[[NAN, 0.5, NAN]], [[-0.4, NAN, NAN]]])


def energy(action):
    difference = action - MEAN
    return 0.5 * ((difference @ PRECISION) * difference).sum(-1)


def conditional_mean(held):
    """Of the free numbers, by the textbook; the held ones as they are."""
    free = torch.isnan(held)
    out = held.clone()
    coupled = PRECISION[free][:, ~free] @ (held[~free] - MEAN[~free])
    out[free] = MEAN[free] - torch.linalg.solve(PRECISION[free][:, free], coupled)
    return out


SEARCHES = {
    "descent": samplers.GradientDescent(
        num_candidates=4, num_iterations=200, step_init=0.3, step_final=0.1, delta_clip=1.0
    ),
    "momentum": samplers.AcceleratedDescent(
        num_candidates=2, max_steps=400, step_size=0.1, momentum=0.5, tolerance=1e-4
    ),
    "dfo": samplers.DFO(
        num_candidates=512, num_iterations=12, noise_std=0.3, shrink=0.6, temperature=0.01
    ),
    "coordinates": samplers.AutoregressiveDFO(
        num_candidates=256, num_iterations=20, noise_std=0.3, shrink=0.7, temperature=0.001
    ),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_the_minimum_is_that_of_the_conditional(name):
    space = HeldSpace(UnitSpace(energy, ActionBounds(3)), HELD)
    rng = row_noise(0, 1)
    init = space.uniform(2, SEARCHES[name].num_candidates, rng)
    found = SEARCHES[name](space, init, rng).best()
    expected = torch.stack([conditional_mean(held[0]) for held in HELD])
    torch.testing.assert_close(found, expected, atol=0.03, rtol=0)
    is_held = ~torch.isnan(HELD[:, 0])
    assert torch.equal(found[is_held], HELD[:, 0][is_held])


def test_samples_are_those_of_the_conditional():
    """Exact chains with reflection keep the conditional's mean and variance."""
    sampler = samplers.MALA(num_candidates=1000, num_iterations=80, step=0.2)
    wide = ActionBounds(3)
    wide.unit_low.fill_(-5.0)
    wide.unit_high.fill_(5.0)
    space = HeldSpace(UnitSpace(energy, wide), HELD[:1])
    rng = row_noise(0)
    found = sampler(space, space.uniform(1, 1000, rng), rng).action[0]
    free = torch.isnan(HELD[0, 0])
    expected = torch.linalg.inv(PRECISION[free][:, free])
    torch.testing.assert_close(torch.cov(found[:, free].T), expected, atol=0.08, rtol=0)
    torch.testing.assert_close(found.mean(0), conditional_mean(HELD[0, 0]), atol=0.08, rtol=0)


def encoder():
    return ObsEncoder(num_gates=0)


POLICIES = {
    "descent": (lambda: MLPEnergy(encoder(), width=8), None),
    "autoregressive": (lambda: AutoregressiveEnergy(encoder(), width=8, head_width=8), None),
    "levels": (
        lambda: PreconditionedEnergy(encoder(), FiLMMLP(width=8, num_blocks=1), context_size=8),
        None,
    ),
}


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_keeps_committed_actions_to_the_last_digit(name):
    make, sampler = POLICIES[name]
    spec = ibc.Spec(
        obs={"goal": ibc.ObsField((3,), "float32")},
        obs_horizon=1,
        action_dim=2,
        action_horizon=4,
        action_low=(-1.0, -7.0),
        action_high=(1.0, 7.0),
    )
    policy = ibc.ImplicitPolicy(spec, make(), sampler).eval()
    policy.bounds.half_range.copy_(torch.tensor([1.0, 7.0]).repeat(4) / 3)
    committed = torch.full((2, 4, 2), NAN)
    committed[0, :2] = torch.tensor([[0.1, 0.7], [0.2, -0.3]])
    obs = {
        "goal": torch.randn(2, 1, 3),
        COMMITTED_ACTIONS: committed,
        PREVIOUS_CHUNK: torch.full((2, 4, 2), NAN),
    }
    composed = ibc.ComposedPolicy(policy, ibc.AllOf(policy.energy))
    for acting in [policy] if name == "levels" else [policy, composed]:
        chunk = acting.act(obs, row_noise(0, 1))
        assert torch.equal(chunk[0, :2], committed[0, :2])
    assert torch.isfinite(chunk).all()
    assert (
        policy.bounds.clamp_unit(policy.bounds.to_unit(chunk.flatten(1)))
        - policy.bounds.to_unit(chunk.flatten(1))
    ).abs().max() < 1e-5


def test_the_plan_so_far_is_a_candidate():
    """A search without a step returns what it starts from."""
    spec = ibc.Spec(
        obs={"goal": ibc.ObsField((1,), "float32")},
        obs_horizon=1,
        action_dim=1,
        action_horizon=2,
        action_low=(-1.0,),
        action_high=(1.0,),
    )
    energy = MLPEnergy(encoder(), width=8)
    stay = samplers.DFO(num_candidates=1, num_iterations=1, noise_std=0.1, shrink=1.0)
    policy = ibc.ImplicitPolicy(spec, energy, stay).eval()
    plan = torch.tensor([[[0.3], [-0.6]]])
    obs = {"goal": torch.zeros(1, 1, 1), PREVIOUS_CHUNK: plan}
    torch.testing.assert_close(policy.act(obs, row_noise(0)), plan)
