"""The pictures of docs/concepts/: python -m benchmarks.pages.concepts docs/pictures [energy search ...]."""

import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from benchmarks.pages.wells import Well
from benchmarks.toys.function_fits import COMMON, LIMIT, RELATIONS, as_obs
from benchmarks.toys.one_step import (
    POLICIES,
    act,
    one_step_dataset,
    one_step_spec,
    one_step_trainer,
    train_policy,
)
from ibc.composition import AllOf, AnyOf, Not
from ibc.constraints import KeepOutDisk, PDController
from ibc.device import configure_device
from ibc.energies import UnitSpace, as_bound
from ibc.evaluation import evaluate, style
from ibc.evaluation.plots import png
from ibc.files import write_atomically
from ibc.policies import ComposedPolicy, ImplicitPolicy, Policy, load_policy
from ibc.random import BatchRandom
from ibc.samplers import DFO
from ibc.spec import ObsField
from ibc.training import Trainer

#: The observation at which energies over one action are drawn, and the grid of actions.
PLACE = 0.3
ACTIONS = torch.linspace(-LIMIT, LIMIT, 401)
#: Steps of a training that is drawn from its beginning to its end.
MOMENTS = (0, 100, 1500)
GRID = 101


def energy() -> Figure:
    """An energy over observation and action, and its values at one observation, beside regression."""
    implicit, regression = trained("implicit"), trained("mse")
    test = np.linspace(-1, 1, 201)
    answers = [act(policy, as_obs(test)).numpy()[:, 0] for policy in (implicit, regression)]
    figure, ((plane, cut),) = style.panels(1, 2, (5, 3.6))
    levels = torch.stack([energies_at(implicit, float(place)) for place in test], 1)
    levels -= levels.amin(0)
    shades = plane.pcolormesh(
        test, ACTIONS, levels, cmap=style.MAP, vmax=100, shading="nearest", rasterized=True
    )
    figure.colorbar(shades, ax=plane, label="energy above the lowest")
    plane.plot(test, answers[1], color=style.VERMILION, label="regression")
    plane.plot(test, answers[0], ".", color="white", markersize=3, label="lowest energy")
    plane.axvline(PLACE, color="white", linestyle=":", linewidth=1)
    plane.set(xlabel="observation", ylabel="action")
    plane.legend(fontsize=8, facecolor="#444444", labelcolor="white", loc="upper left")
    level = energies_at(implicit, PLACE)
    cut.plot(ACTIONS, level, color=style.BLUE, label="energy")
    for value in RELATIONS["two values"].branches(np.array([PLACE]))[0]:
        cut.axvline(value, color=style.GREEN, linestyle=":")
    cut.plot([], [], ":", color=style.GREEN, label="demonstrated")
    lowest, mean = (act(policy, as_obs(np.array([PLACE])))[0] for policy in (implicit, regression))
    _mark(cut, level, lowest, "*", style.BLUE, "lowest energy")
    _mark(cut, level, mean, "s", style.VERMILION, "regression")
    cut.set(xlabel="action", ylabel="energy", title=f"at the observation {PLACE}")
    style.legend(cut)
    return figure


def search() -> Figure:
    """Candidates of a search by resampling, round by round, and the paths of gradient descent."""
    figure, ((left, right),) = style.panels(1, 2, (5, 3.8))
    policy = trained("implicit")
    assert isinstance(policy, ImplicitPolicy)
    bound = policy.energy.bind({"x": torch.full((1, 1, 1), PLACE)})
    space = UnitSpace(bound, policy.bounds)
    rows: list[int] = []
    for rounds in range(1, 5):
        rng = BatchRandom(torch.Generator().manual_seed(0))
        sampler = DFO(num_candidates=64, num_iterations=rounds, noise_std=0.33, shrink=0.4)
        found = sampler(space, space.uniform(1, 64, rng), rng)
        action = policy.bounds.from_unit(found.action)[0, :, 0]
        rows.append(-50 * rounds)
        left.plot(action, torch.full_like(action, rows[-1]), "|", color=style.VERMILION)
    left.plot(ACTIONS, energies_at(policy, PLACE), color=style.BLUE)
    left.set_yticks([200, 100, 0, *rows], ["200", "100", "0", *(f"round {k}" for k in range(1, 5))])
    left.set(xlabel="action", ylabel="candidates of each round          energy")
    left.set_title("derivative-free optimization")
    particle = load_policy("pretrained/particle_2d.pt")
    assert isinstance(particle, ImplicitPolicy)
    _draw_paths(right, particle)
    return figure


def negatives() -> Figure:
    """An energy as InfoNCE shapes it, and the gradient that denoising teaches."""
    figure, ((left, right),) = style.panels(1, 2, (5, 3.6))
    overrides = [*POLICIES["implicit"], "negatives=uniform", f"trainer.num_steps={MOMENTS[-1]}"]
    trainer = _two_values(overrides)
    for moment, color in zip(MOMENTS, (style.GRAY, style.SKY, style.BLUE), strict=True):
        while trainer.step < moment:
            trainer.train_step()
        level = energies_at(trainer.policy.eval(), PLACE)
        trainer.policy.train()
        left.plot(ACTIONS, level - level.mean(), color=color, label=f"after {moment} steps")
    low = left.get_ylim()[0]
    values = RELATIONS["two values"].branches(np.array([PLACE]))[0]
    left.plot(values, [low] * 2, "^", color=style.GREEN, label="demonstrated", clip_on=False)
    drawn = np.random.default_rng(0).uniform(-LIMIT, LIMIT, 24)
    left.plot(drawn, [low] * 24, "|", color=style.VERMILION, label="negatives of one step")
    left.set(xlabel="action", ylabel="energy, less its mean", title="InfoNCE")
    style.legend(left)
    _draw_denoising(right)
    return figure


def composition() -> Figure:
    """Two energies over a plane and what AND, OR and NOT make of them."""
    first, second = Well((-0.3, 0.1), (0.4, 0.25)), Well((0.4, -0.1), (0.25, 0.45))
    cases = {
        "a": first,
        "b": second,
        "AllOf(a, b)": AllOf(first, second),
        "AnyOf(a, b)": AnyOf(first, second),
        "AllOf(a, Not(b))": AllOf(first, Not(second)),
    }
    figure, axes_of = style.panels(2, 3, (3, 2.9), sharex=True, sharey=True)
    row = [*axes_of[0, :2], *axes_of[1]]
    axes_of[0, 2].set_visible(False)
    line = torch.linspace(-1, 1, GRID)
    grid = torch.cartesian_prod(line, line).unsqueeze(0)
    for axes, (name, case) in zip(row, cases.items(), strict=True):
        level = case.bind({"x": torch.zeros(1, 1, 1)})(grid)[0]
        shades = _shade(axes, line, line, level)
        axes.plot(*grid[0, level.argmin()].tolist(), "*", color=style.VERMILION, markersize=11)
        axes.set(title=name, aspect="equal")
    for axes in axes_of[1]:
        axes.set_xlabel("action 0")
    for axes in axes_of[:, 0]:
        axes.set_ylabel("action 1")
    figure.colorbar(shades, ax=axes_of, shrink=0.6, label="energy above the lowest")
    return figure


def constraints() -> Figure:
    """Episodes with and without a disk in the way, and energies over the action at one moment."""
    policy = load_policy("pretrained/particle_2d.pt")
    assert isinstance(policy, ImplicitPolicy)
    dynamics = PDController(
        "pos_agent", "vel_agent", stiffness=10, damping=5, substep=0.005, substeps=10, lookahead=20
    )
    disk = KeepOutDisk([0.5, 0.5], 0.15, model=dynamics)
    total = AllOf(policy.energy, disk, names=["policy", "disk"])
    careful = ComposedPolicy(policy, total, hard=True)
    figure, axes_of = style.panels(2, 2, (3.6, 3.4))
    row = list(axes_of.ravel())
    _draw_episodes(row[0], policy, careful)
    still, goal = torch.zeros(1, 2, 2), torch.tensor([[[0.75, 0.7]]]).expand(1, 2, 2)
    obs = {"pos_agent": torch.full((1, 2, 2), 0.3), "vel_agent": still, "pos_first_goal": goal}
    bound = total.bind({**obs, "pos_second_goal": torch.full((1, 2, 2), 0.1)})
    line = torch.linspace(0, 1, GRID)
    grid = torch.cartesian_prod(line, line).unsqueeze(0)
    terms = {**bound.terms(grid), "sum": bound(grid)}
    for axes, (name, level) in zip(row[1:], terms.items(), strict=True):
        shades = _shade(axes, line, line, level[0].detach())
        axes.plot(0.3, 0.3, "o", color="white", markersize=4)
        if name != "disk":
            axes.plot(*grid[0, level[0].argmin()], "*", color=style.VERMILION, markersize=11)
        axes.set(title=f"energy: {name}", aspect="equal")
        axes.set(xlabel="set-point x (room widths)", ylabel="set-point y (room widths)")
    figure.colorbar(shades, ax=axes_of, shrink=0.6, label="energy above the lowest")
    return figure


@cache
def trained(name: str) -> Policy:
    """A policy of demonstrations that choose among two curves."""
    return train_policy(_two_values([*POLICIES[name], "trainer.num_steps=1500"]))


def energies_at(policy: Policy, place: float) -> Float[Tensor, " N"]:
    """The energies of :data:`ACTIONS` at one observation of a function of one variable."""
    assert isinstance(policy, ImplicitPolicy)
    with torch.no_grad():
        bound = policy.energy.bind({"x": torch.full((1, 1, 1), place)})
        return bound(ACTIONS.view(1, -1, 1))[0]


def _two_values(overrides: Sequence[str]) -> Trainer:
    """A trainer at step 0 on demonstrations that choose among two curves."""
    rng = np.random.default_rng(2)
    x = rng.uniform(-1, 1, 400)
    y = RELATIONS["two values"].draw(x, rng)
    spec = one_step_spec("x", ObsField((1,), "float32"), [-LIMIT], [LIMIT])
    dataset = one_step_dataset(spec, as_obs(x)["x"], y[:, None])
    return one_step_trainer(dataset, [*overrides, *COMMON])


def _mark(axes: Axes, level: Tensor, action: Tensor, mark: str, color: str, label: str) -> None:
    """One action on the curve of energies."""
    place = (ACTIONS - action).abs().argmin()
    axes.plot(action, level[place], mark, color=color, markersize=10, label=label)


def _draw_episodes(axes: Axes, policy: Policy, careful: Policy) -> None:
    """Paths of three episodes that cross the disk without it, and the same episodes with it."""
    env = {"id": "Particle-v0", "success_when": "last", "n_dim": 2}
    first = evaluate(policy, env, seeds=range(100_000, 100_040)).episodes
    inside = [np.linalg.norm(e.obs["pos_agent"] - 0.5, axis=1).min() < 0.1 for e in first]
    crossing = [e for e, crosses in zip(first, inside, strict=True) if crosses][:3]
    second = evaluate(careful, env, seeds=[e.seed for e in crossing]).episodes
    for episodes, color, label in (
        (crossing, style.VERMILION, "without"),
        (second, style.BLUE, "with the constraint"),
    ):
        for k, episode in enumerate(episodes):
            path = episode.obs["pos_agent"]
            axes.plot(*path.T, color=color, label=label if k == 0 else None)
    starts = np.array([episode.obs["pos_agent"][0] for episode in crossing])
    axes.plot(*starts.T, "o", color=style.GRAY, label="start")
    axes.add_patch(Circle((0.5, 0.5), 0.15, color="#dddddd", zorder=0, label="disk to keep out of"))
    axes.set(xlim=(0, 1), ylim=(0, 1), title="three episodes", aspect="equal")
    axes.set(xlabel="position x (room widths)", ylabel="position y (room widths)")
    style.legend(axes, loc="lower right")


def _shade(axes: Axes, x: Tensor, y: Tensor, level: Tensor) -> object:
    """Energies above the lowest, on a grid of x and y, as colors from 0 to 2."""
    values = (level - level.min()).reshape(len(x), len(y)).T.numpy()
    return axes.pcolormesh(
        x.numpy(), y.numpy(), values, cmap=style.MAP, vmax=2, shading="nearest", rasterized=True
    )


def _draw_paths(axes: Axes, policy: ImplicitPolicy) -> None:
    """Steps of gradient descent on the energy of a particle at rest."""
    fixed = {"pos_agent": 0.4, "vel_agent": 0.0, "pos_first_goal": 0.7, "pos_second_goal": 0.2}
    bound = policy.energy.bind({n: torch.full((1, 2, 2), v) for n, v in fixed.items()})
    line = torch.linspace(0, 1, GRID)
    with torch.no_grad():
        level = bound(torch.cartesian_prod(line, line).unsqueeze(0))[0]
    _shade(axes, line, line, level)
    space = UnitSpace(bound, policy.bounds)
    unit = space.uniform(1, 24, BatchRandom(torch.Generator().manual_seed(0)))
    path = [unit]
    for _ in range(12):
        path.append(space.clamp(path[-1] - 0.25 * space.gradient(path[-1])))
    actions = torch.stack([policy.bounds.from_unit(u)[0] for u in path])
    for k in range(actions.shape[1]):
        axes.plot(*actions[:, k].T, ".-", color="white", markersize=3, linewidth=0.7)
    axes.plot(*actions[-1, 0], "*", color=style.VERMILION, markersize=13)
    axes.set(xlabel="set-point x (room widths)", ylabel="set-point y (room widths)")
    axes.set_title("gradient descent, 24 candidates")
    axes.set_aspect("equal")


def _draw_denoising(axes: Axes) -> None:
    """The direction of steepest descent of an energy trained by denoising on actions along an arc."""
    turn = np.random.default_rng(0).uniform(-0.4, 1.2, 400) * np.pi
    action = 0.65 * np.stack([np.cos(turn), np.sin(turn)], 1)
    spec = one_step_spec("x", ObsField((1,), "float32"), [-1, -1], [1, 1])
    dataset = one_step_dataset(spec, np.zeros((400, 1), np.float32), action)
    overrides = ["policy=implicit_info_nce", "loss=denoising", *COMMON, "trainer.num_steps=1000"]
    policy = train_policy(one_step_trainer(dataset, overrides), whole_range=True)
    assert isinstance(policy, ImplicitPolicy)
    bound = as_bound(policy.energy.bind({"x": torch.zeros(1, 1, 1)}))
    line = torch.linspace(-1, 1, 19)
    grid = torch.cartesian_prod(line, line).unsqueeze(0)
    slope = -bound.action_gradient(grid)[0].detach()
    axes.quiver(*grid[0].T, *slope.T, color=style.BLUE, angles="xy", scale_units="xy", scale=3)
    axes.plot(*action.T, ".", color=style.GREEN, markersize=3, label="demonstrated")
    axes.set(xlabel="action 0", ylabel="action 1", title="denoising: minus the gradient")
    axes.set_aspect("equal")
    axes.legend(fontsize=8, loc="upper left")


PICTURES: dict[str, Callable[[], Figure]] = {
    make.__name__: make for make in (energy, search, negatives, composition, constraints)
}


def main(folder: Path, names: Sequence[str]) -> None:
    """Write the pictures of these names, or all."""
    configure_device("cpu", "float32")
    for name in names or PICTURES:
        path = folder / f"concept_{name}.png"
        write_atomically(path, png(PICTURES[name]()))
        print(path, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
