"""Violations of hard constraints between control points, by the model of the body, what is checked, and the fallback.

python -m benchmarks.robot.constraints results/constraints.json

Bodies in a square room are led to targets by the shortest way, on which disks stand. The motion is simulated many times
as finely as the policy decides, by the same equations as the model; in the last rows by others.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.composition.particles import particle_dynamics
from benchmarks.results import ResultTable, Row
from ibc.checkpoint import load_checkpoint
from ibc.composition import AllOf
from ibc.constraints import (
    Constraint,
    DeltaPositionControl,
    KeepOutDisk,
    PDController,
    PositionControl,
    StayWithin,
)
from ibc.constraints.dynamics import ForwardModel
from ibc.device import configure_device, provenance
from ibc.energies import Energy, EnergyFn
from ibc.policies import ComposedPolicy, ImplicitPolicy
from ibc.policies.loading import build_policy
from ibc.random import BatchRandom
from ibc.samplers import DFO
from ibc.spec import Obs, ObsField, Spec

#: Bodies at once, and steps of each: 10^5 steps in a row of the table.
BODIES, STEPS = 500, 200
#: The same for the trained policy, whose decisions take longer.
FEW_BODIES, FEW_STEPS = 200, 50
#: Steps until a body is given another target, on whose way a disk stands.
TARGET_STEPS = 25
DISKS, RADIUS, REACHED = 3, 0.1, 0.05
#: No disk is nearer than this to a body at the beginning; surface to point.
CLEARANCE = 0.03
#: Points at which a straight line is simulated, and periods of the continuous oscillator in one action.
DENSE = 50
#: A deeper point is a violation; units of the room.
DEPTH = 1e-5
#: Actions that are predicted where only the points are checked, as in configs/compose; a motion is, to its rest.
LOOKAHEAD = 20
SEARCH = {"num_candidates": 16, "num_iterations": 2, "noise_std": 0.3, "shrink": 0.5}
CHECKPOINT = "pretrained/particle_2d.pt"

#: What is checked, and what is done where nothing feasible is found.
VARIANTS = (
    ("nothing", ""),
    ("points", "least_violation"),
    ("motion", "least_violation"),
    ("motion", "brake"),
    ("motion", "hold"),
)
#: The same where every step of the simulation is slow.
FEW_VARIANTS = (VARIANTS[0], VARIANTS[1], VARIANTS[4])
State = tuple[Tensor, Tensor]


class Aim(Energy):
    """The squared distance of a predicted end from the target, whatever stands between."""

    def __init__(self, scale: float | None) -> None:
        super().__init__()
        self.scale = scale

    def bind(self, obs: Obs) -> EnergyFn:
        """``scale`` times the action is added to the position; the action is the end if None."""
        way = obs["pos_first_goal"][:, -1:]
        if self.scale is None:
            return lambda action: (action - way).square().sum(-1)
        scale, start = self.scale, obs["pos_agent"][:, -1:]
        return lambda action: (start + scale * action - way).square().sum(-1)


@dataclass(frozen=True)
class Body:
    """A body: its model, its own motion, and the actions it takes.

    Attributes:
        model: what the constraints predict by.
        move: state and actions (B, 2) to the state after a period, and all positions on the way (B, P, 2).
        limits: of an action.
        scale: of actions that are added to the position.
        checkpoint: a trained policy in place of :class:`Aim`.
        variants: what is measured.
    """

    model: ForwardModel
    move: Callable[[State, Tensor], tuple[State, Tensor]]
    limits: tuple[float, float] = (0.0, 1.0)
    scale: float | None = None
    checkpoint: str | None = None
    variants: tuple[tuple[str, str], ...] = VARIANTS


def straight(scale: float | None) -> Callable[[State, Tensor], tuple[State, Tensor]]:
    """Move in a straight line to the action, or by it."""
    part = torch.linspace(0, 1, DENSE + 1).double()[1:].view(-1, 1)

    def move(state: State, action: Tensor) -> tuple[State, Tensor]:
        position, velocity = state
        end = action if scale is None else position + scale * action
        path = position.unsqueeze(1) + part * (end - position).unsqueeze(1)
        return (end, velocity), path

    return move


def spring(model: PDController) -> Callable[[State, Tensor], tuple[State, Tensor]]:
    """Follow the set-point by explicit Euler, in straight lines between its steps, of which five points are kept."""

    def move(state: State, action: Tensor) -> tuple[State, Tensor]:
        position, velocity = state
        path = []
        for _ in range(model.substeps):
            force = model.stiffness * (action - position) - model.damping * velocity
            path += [position + part * model.substep * velocity for part in (0.2, 0.4, 0.6, 0.8, 1)]
            position, velocity = path[-1], velocity + model.substep * force
        return (position, velocity), torch.stack(path, 1)

    return move


def oscillator(model: PDController) -> Callable[[State, Tensor], tuple[State, Tensor]]:
    """Follow the set-point in continuous time, which explicit Euler approximates."""
    rate = torch.tensor([[0.0, 1.0], [-model.stiffness, -model.damping]]).double()
    times = torch.linspace(0, model.dt, DENSE + 1).double()[1:]
    free = torch.linalg.matrix_exp(times.view(-1, 1, 1) * rate)  # (P, 2, 2)

    def move(state: State, action: Tensor) -> tuple[State, Tensor]:
        error = torch.stack([state[0] - action, state[1]], 1)  # (B, 2, D)
        found = free @ error.unsqueeze(1)  # (B, P, 2, D)
        path = found[:, :, 0] + action.unsqueeze(1)
        return (path[:, -1], found[:, -1, 1]), path

    return move


def bodies() -> dict[str, Body]:
    """Every model; at last with a policy that was trained, and with a motion that differs from the model."""
    coarse, fine = particle_dynamics(0.005, 10, 2), particle_dynamics(0.001, 50, 2)
    delta = DeltaPositionControl("pos_agent", scale=0.2)
    return {
        "set-point, reached in a line": Body(PositionControl("pos_agent"), straight(None)),
        "delta of at most 0.2": Body(delta, straight(0.2), (-1.0, 1.0), 0.2),
        "spring, 10 substeps": Body(coarse, spring(coarse)),
        "spring, 50 substeps": Body(fine, spring(fine), variants=FEW_VARIANTS),
        "spring, trained policy": Body(coarse, spring(coarse), checkpoint=CHECKPOINT),
        "oscillator, predicted by 50 substeps": Body(fine, oscillator(fine), variants=FEW_VARIANTS),
    }


def policy_of(body: Body, checked: str, fallback: str) -> ComposedPolicy:
    """The search of a policy for the way to the target, under a disk each and the walls."""
    if body.checkpoint is not None:
        policy = build_policy(load_checkpoint(Path(body.checkpoint)), torch.device("cpu"))
        assert isinstance(policy, ImplicitPolicy)
        energy: Energy = policy.energy
    else:
        low, high = body.limits
        names = ("pos_agent", "vel_agent", "pos_first_goal")
        fields = {name: ObsField((2,), "float32") for name in names}
        spec = Spec(
            obs=fields,
            obs_horizon=1,
            action_dim=2,
            action_horizon=1,
            action_low=(low,) * 2,
            action_high=(high,) * 2,
        )
        policy = ImplicitPolicy(spec)
        ends = torch.tensor([[low] * 2, [high] * 2])
        policy.bounds.fit(ends, *ends)
        energy = Aim(body.scale)
    policy.sampler = DFO(**SEARCH)
    if checked == "nothing":
        return ComposedPolicy(policy, energy)
    model = body.model
    if checked == "points" and isinstance(model, PDController):
        model = replace(model, lookahead=LOOKAHEAD)
    terms: list[Constraint] = [
        *(KeepOutDisk(f"disk_{k}", RADIUS, model=model) for k in range(DISKS)),
        StayWithin([0.0] * 2, [1.0] * 2, model=model),
    ]
    if checked == "points":
        for term in terms:
            term.lipschitz = None
    return ComposedPolicy(policy, AllOf(energy, *terms), hard=True, fallback=fallback)


def draw_disks(position: Tensor, generator: torch.Generator) -> Tensor:
    """Centers (B, K, 2) at which no body is yet."""
    shape = len(position), DISKS, 2
    centers = torch.rand(shape, generator=generator).double()
    while True:
        near = (centers - position.unsqueeze(1)).norm(dim=-1) < RADIUS + CLEARANCE
        if not near.any():
            return centers
        again = torch.rand(shape, generator=generator).double()
        centers = torch.where(near.unsqueeze(-1), again, centers)


def behind(position: Tensor, disks: Tensor, generator: torch.Generator) -> Tensor:
    """A target (B, 2) on the far side of one of the disks, or in it where the room ends there."""
    which = torch.randint(DISKS, (len(position), 1, 1), generator=generator).expand(-1, 1, 2)
    center = disks.gather(1, which)[:, 0]
    way = center - position
    way = way / way.norm(dim=-1, keepdim=True)
    return (center + (RADIUS + 2 * REACHED) * way).clamp(0.02, 0.98)


def depth(path: Tensor, disks: Tensor) -> Tensor:
    """How deep each body (B,) was in a disk or outside of the room, at most, on its path (B, P, 2)."""
    in_disk = RADIUS - torch.cdist(path, disks).amin((1, 2))
    outside = torch.maximum(-path, path - 1).amax((1, 2))
    return torch.maximum(in_disk, outside)


@torch.no_grad()
def measure(body: Body, checked: str, fallback: str) -> Row:
    """All steps of all bodies, from rest."""
    policy = policy_of(body, checked, fallback)
    few = body.checkpoint is not None
    count, steps = (FEW_BODIES, FEW_STEPS) if few else (BODIES, STEPS)
    generator = torch.Generator().manual_seed(0)
    rng = BatchRandom(torch.Generator().manual_seed(1))
    position = torch.rand(count, 2, generator=generator).double()
    state: State = position, torch.zeros_like(position)
    disks = draw_disks(position, generator)
    windows: list[dict[str, Tensor]] = []
    previous = torch.full((count, 1, 2), torch.nan)
    violations = fallbacks = reached = 0
    deepest = 0.0
    for step in range(steps):
        if step % TARGET_STEPS == 0:
            target = behind(state[0], disks, generator)
        seen = {"pos_agent": state[0], "vel_agent": state[1]}
        seen |= {"pos_first_goal": target, "pos_second_goal": target}
        windows = [*windows, {name: array.float() for name, array in seen.items()}]
        windows = [windows[0], *windows][-policy.spec.obs_horizon :]
        obs = {name: torch.stack([w[name] for w in windows], 1) for name in seen}
        obs |= {f"disk_{k}": disks[:, k : k + 1].float() for k in range(DISKS)}
        action = policy.act_flat({**obs, "previous_action": previous}, rng)
        previous = action.unsqueeze(1)
        state, path = body.move(state, action.double())
        deep = depth(path, disks)
        violations += int((deep > DEPTH).sum())
        deepest = max(deepest, float(deep.max()))
        fallbacks += int(policy.report().get("fallback", torch.zeros(1)).sum())
        if (step + 1) % TARGET_STEPS == 0:
            reached += int(((state[0] - target).norm(dim=-1) < REACHED).sum())
    return {
        "steps": count * steps,
        "violations": violations,
        "deepest": deepest,
        "fallbacks": fallbacks,
        "reached": reached / (count * (steps // TARGET_STEPS)),
    }


def main(output: Path) -> None:
    """Measure the rows that the output does not have yet, print and write."""
    torch.set_num_threads(1)
    configure_device("cpu", "float32")
    every = bodies()
    keys = [(name, *variant) for name in every for variant in every[name].variants]
    table = ResultTable(
        path=output,
        key=["body", "checked", "fallback"],
        order=lambda key: keys.index((str(key[0]), str(key[1]), str(key[2]))),
        head=lambda rows: {
            "command": f"python -m benchmarks.robot.constraints {output}",
            "about": provenance(),
        },
    )
    for name, checked, fallback in keys:
        row = table.fill(
            {"body": name, "checked": checked, "fallback": fallback},
            lambda n=name, c=checked, f=fallback: measure(every[n], c, f),
        )
        print(row, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
