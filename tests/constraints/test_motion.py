"""Hard constraints between control points, against the motion in steps that are a hundred times as short."""

import math

import pytest
import torch
from ibc_envs.particle.env import control_step
from known_energies import Gaussian

from ibc.composition import AllOf, AnyOf
from ibc.constraints import (
    ActionRateLimit,
    Constraint,
    Custom,
    DeltaPositionControl,
    HalfPlane,
    KeepOutBox,
    KeepOutDisk,
    LinearDynamics,
    NearGoal,
    PDController,
    PositionControl,
    SpeedLimit,
    StayWithin,
)
from ibc.errors import UserError

#: Random motions of each test, and points of a segment that are evaluated.
MOTIONS, DENSE = 10_000, 100


def spring(**changed):
    given = {"stiffness": 10.0, "damping": 5.0, "substep": 0.005, "substeps": 10, "lookahead": 4}
    return PDController("pos", "vel", **given | changed)


def simulate(model, obs, action, periods):
    """Positions (M, steps + 1, D) after every substep, by the equations and not by powers of matrices."""
    position, velocity = obs["pos"][:, -1], obs["vel"][:, -1]
    setpoints = action.view(len(action), -1, 2)
    path = [position]
    for k in range(periods):
        setpoint = setpoints[:, min(k, setpoints.shape[1] - 1)]
        for _ in range(model.substeps):
            force = model.stiffness * (setpoint - position) - model.damping * velocity
            position, velocity = position + model.substep * velocity, velocity + model.substep * force
            path.append(position)
    return torch.stack(path, 1)


@pytest.fixture
def obs():
    torch.manual_seed(1)
    return {
        "pos": torch.rand(MOTIONS, 1, 2).double(),
        "vel": torch.randn(MOTIONS, 1, 2).double(),
        "disk": torch.rand(MOTIONS, 1, 2).double(),
        "drift": 0.3 * torch.randn(MOTIONS, 1, 2).double(),
        "previous_action": torch.rand(MOTIONS, 1, 2).double(),
    }


def to_segment(point, start, end):
    """Distances of points from segments, by their ends and the foot of the perpendicular."""
    way = end - start
    part = ((point - start) * way).sum(-1) / way.square().sum(-1).clamp(min=1e-30)
    return (start + part.clamp(0, 1).unsqueeze(-1) * way - point).norm(dim=-1)


def motion_of(model, obs, action):
    motion = model.motion(obs, action.shape[-1] // 2, 2).to(action)
    return motion.segments(action.unsqueeze(1)), motion


@pytest.mark.parametrize("chunk", [1, 3])
def test_with_few_substeps_the_segments_are_the_motion(chunk, obs):
    model, action = spring(), torch.rand(MOTIONS, 2 * chunk).double()
    segments, motion = motion_of(model, obs, action)
    path = simulate(model, obs, action, chunk - 1 + model.lookahead)
    torch.testing.assert_close(segments.start[:, 0], path, atol=1e-12, rtol=0)
    torch.testing.assert_close(segments.end[:, 0, :-1], path[:, 1:], atol=1e-12, rtol=0)
    assert (segments.margin[:, 0, :-1] == 0).all()
    assert motion.first == model.substeps
    times = torch.arange(path.shape[1]) * model.substep
    torch.testing.assert_close(motion.times[:-1], times.double())


def test_with_many_substeps_the_margins_bound_the_motion_and_are_tight(obs):
    """No point is outside, none of the bounds is more than 1.5 times the largest distance found for it."""
    model = spring(substep=0.02, substeps=35)
    action = torch.rand(MOTIONS, 2).double()
    segments, motion = motion_of(model, obs, action)
    path = simulate(model, obs, action, model.lookahead)
    nodes = (motion.times[:-1] / model.substep).round().long()
    torch.testing.assert_close(segments.start[:, 0], path[:, nodes], atol=1e-9, rtol=0)
    ratios = []
    for s, (a, b) in enumerate(zip(nodes[:-1].tolist(), nodes[1:].tolist(), strict=True)):
        inner = path[:, a + 1 : b]
        start, end = segments.start[:, 0, s, None], segments.end[:, 0, s, None]
        found = to_segment(inner, start, end).amax(1)
        margin = segments.margin[:, 0, s]
        assert (found <= margin + 1e-12).all()
        ratios.append((margin / found)[found > 1e-9])
    ratios = torch.cat(ratios)
    assert ratios.median() < 1.5
    assert (ratios < 1.5).double().mean() > 0.5
    assert 3 <= max(nodes.diff().tolist()) <= 4


@pytest.mark.parametrize("lookahead", [1, 4, 20])
def test_the_last_segment_holds_all_that_follows(lookahead, obs):
    model = spring(lookahead=lookahead)
    action = torch.rand(MOTIONS, 2).double()
    segments, _ = motion_of(model, obs, action)
    path = simulate(model, obs, action, lookahead + 60)[:, lookahead * model.substeps :]
    found = to_segment(path, segments.start[:, 0, -1, None], segments.end[:, 0, -1, None]).amax(1)
    margin = segments.margin[:, 0, -1]
    assert (found <= margin + 1e-9).all()
    assert margin.median() < 3 * found.median()
    torch.testing.assert_close(segments.end[:, 0, -1], action)
    torch.testing.assert_close(path[:, -1], action, atol=2e-3, rtol=0)


CONSTRAINTS = {
    "disk": lambda m: KeepOutDisk([0.5, 0.4], 0.2, model=m),
    "moving disk": lambda m: KeepOutDisk("disk", 0.2, velocity="drift", model=m),
    "goal": lambda m: NearGoal([0.5, 0.5], 0.6, model=m),
    "within": lambda m: StayWithin([0.0, -0.1], [1.1, 1.0], model=m),
    "box": lambda m: KeepOutBox([0.3, 0.4], [0.5, 0.7], model=m),
    "half-plane": lambda m: HalfPlane([1.0, 2.0], 2.0, model=m),
}


MODELS = {
    "set-point": lambda: PositionControl("pos", dt=0.2),
    "delta": lambda: DeltaPositionControl("pos", scale=0.5, dt=0.2),
    "spring": spring,
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", CONSTRAINTS)
def test_feasible_is_what_holds_at_every_dense_point(name, model, obs):
    """Exact: of ten thousand motions of each model, the same ones are feasible as by a hundred points a segment."""
    model = MODELS[model]()
    constraint = CONSTRAINTS[name](model)
    torch.manual_seed(2)
    action = torch.rand(MOTIONS, 4).double() * 1.4 - 0.2
    found = constraint.bind(obs).along_motion()
    feasible = found.feasible(action.unsqueeze(1))[:, 0]
    assert 0.05 < feasible.double().mean() < 0.95
    assert torch.equal(found.violation(action.unsqueeze(1))[:, 0] == 0, feasible)

    segments, motion = motion_of(model, obs, action)
    part = torch.linspace(0, 1, DENSE).double().view(-1, 1)
    worst = torch.full((MOTIONS,), -math.inf).double()
    now = excess_at(name, obs["pos"], torch.zeros(1).double(), obs)[:, 0].clamp(min=0)
    count = segments.start.shape[2]
    is_spring = isinstance(model, PDController)
    for s in range(count - is_spring):  # of the last segment of a spring, only the bound is known
        start, end = segments.start[:, :, s], segments.end[:, :, s]
        points = start + part * (end - start)  # (M, DENSE, D)
        t = motion.times[s] + part[:, 0] * (motion.times[s + 1] - motion.times[s])
        excess = excess_at(name, points, t, obs)
        worst_here = excess.amax(1) - (now if s < motion.first else 0)
        worst = torch.maximum(worst, worst_here)
        if s + 1 == motion.first:
            worst = torch.maximum(worst, excess[:, -1])
    # Nothing that is called feasible is violated between the control points.
    assert (worst[feasible] <= 1e-5).all()
    if not is_spring:  # and nothing else is refused, up to the spacing of the dense points
        assert (worst[~feasible] > -0.01).all()
        assert (feasible == (worst <= 1e-6)).double().mean() > 0.995


def excess_at(name, points, times, obs):
    """The excess of points (M, P, D) at times (P,), written down once more."""
    x, y = points.unbind(-1)
    if name == "disk":
        return 0.2 - (points - torch.tensor([0.5, 0.4])).norm(dim=-1)
    if name == "moving disk":
        center = obs["disk"] + times.view(1, -1, 1) * obs["drift"]
        return 0.2 - (points - center).norm(dim=-1)
    if name == "goal":
        return (points - 0.5).norm(dim=-1) - 0.6
    if name == "within":
        return torch.stack([0.0 - x, x - 1.1, -0.1 - y, y - 1.0]).amax(0)
    if name == "box":
        return torch.stack([x - 0.3, 0.5 - x, y - 0.4, 0.7 - y]).amin(0)
    return (x + 2 * y - 2.0) / math.sqrt(5)
