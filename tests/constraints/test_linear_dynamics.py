"""A one-step model that is learned, against the exact one of the same body."""

import numpy as np
import pytest
import torch
from ibc_envs.particle.env import control_step

from ibc.composition import AllOf
from ibc.constraints import KeepOutDisk, LinearDynamics, PDController, SpeedLimit
from ibc.energies import action_gradient
from ibc.errors import UserError

BODY = {"stiffness": 10.0, "damping": 5.0, "substep": 0.005, "substeps": 10}


def transitions(count, noise=0.0):
    rng = np.random.default_rng(0)
    position, velocity, action = rng.random((3, count, 2))
    following = control_step(position, velocity, action)
    moved = [part + noise * rng.normal(size=part.shape) for part in following]
    before, after = (
        {name: torch.from_numpy(part) for name, part in zip(("pos", "vel"), parts, strict=True)}
        for parts in ((position, velocity), moved)
    )
    return {"before": before, "action": torch.from_numpy(action), "after": after}


def learned(count=200, noise=0.0, lookahead=20):
    return LinearDynamics.fit(
        "pos", ["vel"], **transitions(count, noise), dt=0.05, lookahead=lookahead
    )


@pytest.fixture
def obs():
    return {name: torch.rand(3, 2, 2).double() for name in ("pos", "vel", "disk")}


@pytest.mark.parametrize("chunk", [1, 3])
def test_it_is_the_exact_model_where_the_motion_is_linear(obs, chunk):
    exact = PDController("pos", "vel", **BODY, lookahead=20).predict(obs, chunk, 2)
    found = learned().predict(obs, chunk, 2)
    action = torch.rand(3, 10, 2 * chunk).double()
    torch.testing.assert_close(found.points(action), exact.points(action), atol=1e-9, rtol=1e-9)
    assert learned().error < 1e-9


def test_its_error_is_the_noise_of_the_data():
    assert learned(5000, noise=0.01).error == pytest.approx(0.01 * 2**0.5, rel=0.05)


def test_constraints_use_it_together(obs):
    """Energy and gradient of a composition are those with the exact model."""
    action = torch.rand(3, 30, 2).double()
    exact = PDController("pos", "vel", **BODY, lookahead=20)
    fitted = learned()
    one, other = (
        AllOf(KeepOutDisk("disk", 0.4, model=model), SpeedLimit(0.3, model=model)).bind(obs)
        for model in (exact, fitted)
    )
    torch.testing.assert_close(other(action), one(action))
    torch.testing.assert_close(action_gradient(other, action), action_gradient(one, action))


def test_nonsense(obs):
    with pytest.raises(UserError, match="4 transitions; at least 7 are needed"):
        learned(4)
    with pytest.raises(UserError, match="lookahead=0"):
        learned(lookahead=0)
    with pytest.raises(UserError, match="not 5"):
        learned().predict({**obs, "vel": torch.rand(3, 2, 3)}, 1, 2)
    with pytest.raises(UserError, match="not finite"):
        fit_of_three_numbers(torch.full((50, 2), torch.nan))
    model = fit_of_three_numbers(torch.rand(50, 2))
    bound = KeepOutDisk([0.5, 0.5], 0.1, model=model).bind({"pos": torch.zeros(1, 1, 2)})
    with pytest.raises(UserError, match="actions of size 4 .* points of 2 .* by actions of 3"):
        bound(torch.zeros(1, 1, 4))


def fit_of_three_numbers(pos):
    """Three joints that move a point of two dimensions."""
    action = torch.rand(len(pos), 3)
    after = {"pos": pos + 0.1 * action[:, :2] + 0.05 * action[:, 2:]}
    return LinearDynamics.fit(
        "pos", [], before={"pos": pos}, action=action, after=after, dt=0.1, lookahead=1
    )


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_an_action_may_have_more_numbers_than_a_point(chunk):
    model, action = fit_of_three_numbers(torch.rand(50, 2)), torch.rand(1, 1, 3 * chunk)
    found = model.predict({"pos": torch.zeros(1, 1, 2)}, chunk, 2).points(action)
    single = action.reshape(chunk, 3)
    point = (0.1 * single[:, :2] + 0.05 * single[:, 2:]).cumsum(0)
    torch.testing.assert_close(found[0, 0, :chunk].float(), point, atol=1e-4, rtol=1e-4)
    bound = KeepOutDisk([0.0, 0.0], 0.4, model=model).bind({"pos": torch.zeros(1, 1, 2)})
    assert bound(action).item() > 0
