"""Hard constraints between control points, against the motion in short steps."""

import itertools
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
MOTIONS, DENSE = 10_000, 20
#: Half of the position and half of the action.
HALF_WAY = torch.tensor([[0.5, 0.0, 0.5, 0.0, 0.0], [0.0, 0.5, 0.0, 0.5, 0.0]]).double()


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
            position, velocity = (
                position + model.substep * velocity,
                velocity + model.substep * force,
            )
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
    count = path.shape[1] - 1
    torch.testing.assert_close(segments.start[:, 0, :count], path[:, :-1], atol=1e-12, rtol=0)
    torch.testing.assert_close(segments.end[:, 0, :count], path[:, 1:], atol=1e-12, rtol=0)
    assert (segments.margin[:, 0, :count] == 0).all()
    assert motion.first == model.substeps
    times = torch.arange(count + 1.0) * model.substep
    torch.testing.assert_close(motion.times[: count + 1], times.double())


def test_with_many_substeps_the_margins_bound_the_motion_and_are_tight(obs):
    """No point is further from where the straight line is at that time, and the bounds are at most twice as large."""
    model = spring(substep=0.02, substeps=35)
    action = torch.rand(MOTIONS, 2).double()
    segments, motion = motion_of(model, obs, action)
    path = simulate(model, obs, action, model.lookahead)
    nodes = (motion.times / model.substep).round().long()
    count = int((nodes.diff() > 0).sum())
    nodes = nodes[: count + 1].tolist()
    assert nodes[-1] == model.lookahead * model.substeps
    ratios = []
    for s, (a, b) in enumerate(itertools.pairwise(nodes)):
        start, end = segments.start[:, 0, s, None], segments.end[:, 0, s, None]
        torch.testing.assert_close(start[:, 0], path[:, a], atol=1e-9, rtol=0)
        part = torch.linspace(0, 1, b - a + 1).double().view(-1, 1)
        found = (path[:, a : b + 1] - start - part * (end - start)).norm(dim=-1).amax(1)
        margin = segments.margin[:, 0, s]
        assert (found <= margin + 1e-12).all()
        ratios.append((margin / found)[found > 1e-9])
    ratios = torch.cat(ratios)
    assert ratios.median() < 1.3
    assert ratios.quantile(0.9) < 2
    assert {b - a for a, b in itertools.pairwise(nodes)} == {3, 4}


@pytest.mark.parametrize("lookahead", [1, 4, 20])
def test_the_segments_after_the_lookahead_hold_all_that_follows(lookahead, obs):
    model = spring(lookahead=lookahead)
    action = torch.rand(MOTIONS, 2).double()
    segments, motion = motion_of(model, obs, action)
    path = simulate(model, obs, action, 60)
    first = lookahead * model.substeps
    for s in range(first, segments.start.shape[2]):
        start, end = segments.start[:, 0, s, None], segments.end[:, 0, s, None]
        a = first + (s - first) * model.substeps
        last = s + 1 == segments.start.shape[2]
        torch.testing.assert_close(start[:, 0], path[:, a], atol=1e-9, rtol=0)
        inner = path[:, a:] if last else path[:, a : a + model.substeps + 1]
        found = to_segment(inner, start, end).amax(1)
        margin = segments.margin[:, 0, s]
        assert (found <= margin + 1e-9).all()
        assert margin.amax() < 0.04
    assert margin.median() < 0.01
    torch.testing.assert_close(segments.end[:, 0, -1], action)
    assert (motion.times[first:] == motion.times[first]).all()


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
    """Exact: of ten thousand motions of each model, the same ones are feasible as by many points of each segment."""
    model = MODELS[model]()
    constraint = CONSTRAINTS[name](model)
    torch.manual_seed(2)
    action = torch.rand(MOTIONS, 4).double() * 1.4 - 0.2
    found = constraint.bind(obs).along_motion()
    feasible = found.feasible(action.unsqueeze(1))[:, 0]
    assert 0.05 < feasible.double().mean() < 0.95
    assert torch.equal(found.violation(action.unsqueeze(1))[:, 0] == 0, feasible)

    segments, motion = motion_of(model, obs, action)
    is_spring = isinstance(model, PDController)
    part = torch.linspace(0, 1, DENSE if is_spring else 10 * DENSE).double().view(-1, 1)
    worst = torch.full((MOTIONS,), -math.inf).double()
    now = excess_at(name, obs["pos"], torch.zeros(1).double(), obs)[:, 0].clamp(min=0)
    count = model.lookahead + 1 if is_spring else 2
    for s in range(count * (model.substeps if is_spring else 1)):
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
        assert (worst[~feasible] > -0.003).all()
        assert (feasible == (worst <= 1e-6)).double().mean() > 0.997


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


class OutOfDisk(Constraint):
    """A constraint of a user, who says no more than how fast its excess grows."""

    lipschitz = 1.0

    def excess(self, points, obs):
        return 0.2 - (points - 0.5).norm(dim=-1)


def test_a_constraint_of_a_user_is_bounded_by_how_fast_it_grows(obs):
    """Never below the exact excess of the same disk, and above it by at most half of a segment."""
    model = DeltaPositionControl("pos")
    action = torch.randn(MOTIONS, 1, 4).double() * 0.3
    segments, _ = motion_of(model, obs, action[:, 0])
    exact = KeepOutDisk([0.5, 0.5], 0.2, model=model)
    bound = OutOfDisk(model).segment_excess(segments, obs)
    found = exact.segment_excess(segments, obs)
    length = (segments.end - segments.start).norm(dim=-1)
    assert (bound >= found - 1e-12).all()
    assert (bound <= found + length / 2 + 1e-12).all()
    feasible = OutOfDisk(model).bind(obs).along_motion().feasible(action)
    assert feasible.any()
    assert not (feasible & ~exact.bind(obs).along_motion().feasible(action)).any()


def test_what_is_not_about_places_is_checked_at_the_points(obs):
    action = torch.rand(MOTIONS, 1, 4).double()
    for constraint in (
        SpeedLimit(0.5, model=spring()),
        ActionRateLimit(0.4),
        Custom(lambda obs, action: action[..., 0] - 0.5),
    ):
        bound = constraint.bind(obs)
        feasible = bound.feasible(action)
        assert feasible.any()
        assert not feasible.all()
        assert torch.equal(bound.along_motion().feasible(action), feasible)


def test_a_violation_at_present_can_be_left_and_not_deepened():
    obs = {"pos": torch.tensor([[[0.45, 0.0]]])}
    disk = KeepOutDisk([0.0, 0.0], 0.5, model=DeltaPositionControl("pos")).bind(obs)
    out, across, deeper = [0.1, 0.0], [-1.1, 0.0], [-0.02, 0.0]
    found = disk.along_motion().feasible(torch.tensor([[out, across, deeper]]))
    assert found.tolist() == [[True, False, False]]
    assert disk.feasible(torch.tensor([[across]])).all()


def test_compositions_ask_every_term(obs):
    model = DeltaPositionControl("pos")
    action = torch.randn(MOTIONS, 1, 2).double()
    left = KeepOutDisk([0.3, 0.5], 0.1, model=model)
    right = KeepOutDisk([0.7, 0.5], 0.1, model=model)
    first, second = (c.bind(obs).along_motion().feasible(action) for c in (left, right))
    both = AllOf(left, right, Gaussian([0.0, 0.0], 1.0)).bind(obs).along_motion()
    assert torch.equal(both.feasible(action), first & second)
    assert torch.equal(both.violation(action) == 0, first & second)
    either = AnyOf(left, right).bind(obs).along_motion()
    assert torch.equal(either.feasible(action), first | second)
    assert not torch.equal(first, second)


def test_a_learned_model_is_straight_from_point_to_point(obs):
    step = torch.cat([torch.eye(2), 0.5 * torch.eye(2), torch.zeros(2, 1)], 1).double()
    model = LinearDynamics("pos", [], step, dt=0.1, lookahead=2, error=0.0)
    action = torch.rand(MOTIONS, 2).double()
    segments, _ = motion_of(model, obs, action)
    expected = torch.stack([obs["pos"][:, 0] + 0.5 * k * action for k in range(3)], 1)
    torch.testing.assert_close(segments.start[:, 0], expected[:, :2])
    torch.testing.assert_close(segments.end[:, 0], expected[:, 1:])


def test_without_a_position_only_the_points_are_known():
    obs = {"other": torch.zeros(1, 1, 2)}
    disk = KeepOutDisk([0.5, 0.5], 0.1).bind(obs)
    action = torch.tensor([[[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.5, 0.5]]])
    assert disk.along_motion().feasible(action).tolist() == [[True, False]]


@pytest.mark.parametrize("changed", [{"damping": 0.0}, {"stiffness": 0.0}, {"substep": 1.0}])
def test_a_body_without_rest_is_refused(changed, obs):
    disk = KeepOutDisk([0.5, 0.5], 0.1, model=spring(**changed)).bind(obs)
    with pytest.raises(UserError, match="the body does not come to rest"):
        disk.along_motion().feasible(torch.rand(MOTIONS, 1, 2).double())


class TestBrake:
    def test_a_delta_of_zero_and_the_present_position(self, obs):
        assert (DeltaPositionControl("pos").brake(obs, 2, 2) == 0).all()
        held = PositionControl("pos").brake(obs, 2, 2)
        assert torch.equal(held, obs["pos"][:, 0].repeat(1, 2))

    def test_no_other_set_point_keeps_a_moving_body_nearer(self, obs):
        few = {name: value[:50] for name, value in obs.items()}
        model = spring()
        now = few["pos"][:, 0]

        def greatest(action):
            return (simulate(model, few, action, 40) - now.unsqueeze(1)).norm(dim=-1).amax(1)

        braked = model.brake(few, 1, 2)
        least = greatest(braked)
        for _ in range(100):
            assert (least <= greatest(braked + 0.1 * torch.randn(50, 2)) + 1e-3).all()
        assert (least < 0.9 * greatest(now)).all()

    def test_who_cannot(self, obs):
        learned = LinearDynamics("pos", [], torch.eye(2, 5), dt=0.1, lookahead=1, error=0.0)
        for model in (PositionControl(), learned):
            with pytest.raises(UserError, match="does not tell how to stop"):
                KeepOutDisk([0.5, 0.5], 0.1, model=model).bind(obs).brake(2)
        assert SpeedLimit(0.5, model=spring()).bind(obs).brake(2) is None


def test_a_feasible_action_stays_so_while_it_is_held():
    """What keeps a body safe for all times, where nothing moves: to hold an action that was feasible once."""
    torch.manual_seed(3)
    count = 2000
    state = {"pos": torch.rand(count, 1, 2).double(), "vel": torch.randn(count, 1, 2).double()}
    disk = KeepOutDisk([0.5, 0.5], 0.2, model=spring(lookahead=1))
    action = torch.rand(count, 1, 2).double()
    safe = disk.bind(state).along_motion().feasible(action)[:, 0]
    assert 100 < safe.sum() < count - 100
    position, velocity, held = (
        array[safe].numpy() for array in (state["pos"][:, 0], state["vel"][:, 0], action[:, 0])
    )
    for _ in range(80):
        position, velocity = control_step(position, velocity, held)
        distance = torch.from_numpy(position - 0.5).norm(dim=-1)
        assert (distance >= 0.2 - 1e-6).all()


@pytest.mark.parametrize(
    "model",
    [
        spring(),
        LinearDynamics("pos", [], HALF_WAY, dt=1.0, lookahead=1, error=0.0),
        DeltaPositionControl("pos"),
    ],
    ids=lambda model: type(model).__name__,
)
def test_whole_numbers_are_positions_like_others(model):
    whole = {name: torch.tensor([[[9, 5]]]) for name in ("pos", "vel")}
    disk, action = KeepOutDisk([5.0, 8.0], 1.0, model=model), torch.tensor([[[5.5, 8.5]]])
    energies = [
        disk.bind({name: array.to(kind) for name, array in whole.items()})(action)
        for kind in (torch.float32, torch.int64)
    ]
    torch.testing.assert_close(*energies)
