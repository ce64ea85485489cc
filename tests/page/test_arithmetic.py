"""The page computes what the library computes: run by node."""

import numpy as np
import pytest
import torch
from conftest import ROOT
from javascript import needs_node, run_in_node

from ibc.checkpoint import load_checkpoint
from ibc.composition import AllOf, AnyOf, Not
from ibc.constraints import DeltaPositionControl, KeepOutDisk, PDController
from ibc.energies import Energy, MLPEnergy, NoiseConditionedEnergy
from ibc.nn import ObsEncoder
from ibc.page.describe import describe_policy, pack
from ibc.page.write import page_data
from ibc.policies import ImplicitPolicy
from ibc.policies.composed import first_feasible
from ibc.policies.loading import build_policy
from ibc.samplers import Candidates
from ibc.spec import ObsField, Spec

pytestmark = [pytest.mark.unchecked, needs_node]

SHOWN = ["particle_2d", "block_push_states"]
BODY = PDController(
    "pos_agent", "vel_agent", stiffness=10, damping=5, substep=0.005, substeps=10, lookahead=20
)
#: Energies and gradients of jobs at actions, in environment units.
EVALUATE = """
const library = makeLibrary(inputs.data);
const out = inputs.jobs.map((job) => {
  const { energy } = composed(library, job);
  const actions = Float64Array.from(job.actions);
  return {
    energy: Array.from(energy.energy(actions)), gradient: Array.from(energy.gradient(actions)),
    feasible: energy.feasible(actions), violation: Array.from(energy.violation(actions)),
  };
});
console.log(JSON.stringify(out));
"""


def class_of_the_page():
    """The class ``Elsewhere`` of a program that the page writes."""
    text = (ROOT / "ibc/page/program.js").read_text()
    names = {"Energy": Energy}
    exec(text.partition("const MOVED = `")[2].partition("`;")[0], names)  # as users run it
    return names["Elsewhere"]


def shown(name):
    path = ROOT / f"pretrained/{name}.pt"
    checkpoint = load_checkpoint(path)
    policy = build_policy(checkpoint, torch.device("cpu"))
    return policy, describe_policy(policy, checkpoint, f"pretrained/{name}.pt")


def seen(policy, count, seed=0):
    """Observations in the range of the training data, {name: (B, To, D)}."""
    generator = torch.Generator().manual_seed(seed)
    encoder, horizon = policy.energy.encoder, policy.spec.obs_horizon
    obs = {}
    for name, normalizer in zip(encoder.vector_names, encoder.normalizers, strict=True):
        size = policy.spec.obs[name].shape[0]
        noise = torch.randn(count, horizon, size, generator=generator)
        obs[name] = normalizer.mean[:size] + normalizer.scale[:size] * noise
    return obs


def candidates(policy, batch, count, seed=1):
    generator = torch.Generator().manual_seed(seed)
    box = policy.energy.limits()
    uniform = torch.rand(batch, count, 2, generator=generator)
    return box.low + (box.high - box.low) * uniform


def job(obs, i, actions, **more):
    plain = {name: array[i].tolist() for name, array in obs.items()}
    given = {
        "policy": 0,
        "obs": plain,
        "second": None,
        "operation": "none",
        "temperature": 0.1,
        "calibration": 4096,
    }
    return {**given, "disks": [], "actions": actions[i].flatten().tolist(), **more}


def assert_equal(folder, description, jobs, energies, actions, obs, tolerance=1e-4):
    """Energies differ by less than a part of their spread, gradients by less than a part of the largest.

    Gradients jump at the kinks of rectifiers, where the last digit of a weight decides: 1 of 500 is let through.
    """
    found = [*differences(folder, description, jobs, energies, actions, obs)]
    assert max(of_energy.max() for of_energy, _ in found) < tolerance
    of_gradient = np.concatenate([each for _, each in found])
    assert (of_gradient > tolerance).mean() <= 1 / 500


def differences(folder, description, jobs, energies, actions, obs):
    """The differences of energies and of gradients at each action, relative to the spread of each."""
    out = run_in_node(folder, EVALUATE, data=page_data(description), jobs=jobs)
    for i, found in enumerate(out):
        one = {name: array[i : i + 1] for name, array in obs.items()}
        bound = energies[i].bind(one)
        points = actions[i : i + 1]
        with torch.no_grad():
            energy = bound(points)[0].numpy()
        gradient = bound.action_gradient(points)[0].detach().numpy()
        there = np.array(found["gradient"]).reshape(-1, 2)
        yield (
            np.abs(np.array(found["energy"]) - energy) / np.ptp(energy),
            np.abs(there - gradient).max(1) / np.abs(gradient).max(),
        )


@pytest.mark.parametrize("name", SHOWN)
def test_energies_and_gradients_of_a_thousand_inputs(name, tmp_path):
    policy, description = shown(name)
    obs, actions = seen(policy, 50), candidates(policy, 50, 20)
    jobs = [job(obs, i, actions) for i in range(50)]
    assert_equal(tmp_path, [description], jobs, [policy.energy] * 50, actions, obs)


SPEC = Spec(
    obs={"joints": ObsField((3,), "float32"), "goal": ObsField((2,), "float32")},
    obs_horizon=2,
    action_dim=2,
    action_horizon=1,
    action_low=(-1.0, -2.0),
    action_high=(1.0, 2.0),
)
ENERGIES = {
    "scalar": lambda e: MLPEnergy(e, width=24, num_blocks=2, head="scalar"),
    "quadratic": lambda e: MLPEnergy(e, width=24, num_blocks=0, head="quadratic", num_outputs=5),
    "reconstruction": lambda e: MLPEnergy(e, width=24, num_blocks=3, head="reconstruction"),
    "spectral norm": lambda e: MLPEnergy(e, width=24, head="scalar", spectral_norm=True),
    "proposal": lambda e: MLPEnergy(e, width=24, num_blocks=2, proposal=True),
    "absolute": lambda e: MLPEnergy(e, width=24, num_blocks=2, proposal=True, relative=False),
    "noise": lambda e: NoiseConditionedEnergy(e, width=24, num_blocks=1),
}
ENCODERS = {
    "plain": lambda: ObsEncoder(num_gates=0),
    "gates": lambda: ObsEncoder(num_gates=6, sqrt_std=True),
    "distances": lambda: ObsEncoder(num_gates=6, num_distance_features=3),
    "angles": lambda: ObsEncoder(num_gates=6, angles={"joints": [0, 2]}),
}


PAIRS = [
    *((energy, "gates") for energy in ENERGIES),
    *(("scalar", encoder) for encoder in ENCODERS),
]


@pytest.mark.parametrize(("energy", "encoder"), PAIRS)
def test_every_kind_of_network(energy, encoder, tmp_path, monkeypatch):
    torch.manual_seed(3)
    policy = ImplicitPolicy(SPEC, ENERGIES[energy](ENCODERS[encoder]())).eval()
    for module in policy.modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=0.3)
    for normalizer in policy.energy.encoder.normalizers:
        normalizer.mean.normal_()
        normalizer.scale.uniform_(0.5, 2)
    policy.bounds.half_range.copy_(torch.tensor([0.5, 2.0]))
    policy.bounds.center.copy_(torch.tensor([0.1, -0.3]))
    checkpoint = type("Checkpoint", (), {"config": {}})()
    description = describe_policy(policy, checkpoint, "none.pt")
    obs, actions = seen(policy, 3), candidates(policy, 3, 9)
    jobs = [job(obs, i, actions) for i in range(3)]
    assert_equal(tmp_path, [description], jobs, [policy.energy] * 3, actions, obs, 1e-3)


@pytest.mark.parametrize("operation", ["and", "or", "not"])
def test_compositions(operation, tmp_path):
    policy, description = shown("particle_2d")
    obs, actions, t = seen(policy, 4), candidates(policy, 4, 25), 0.2
    changed = {name: array.flip(0) for name, array in obs.items() if name.endswith("goal")}
    jobs, energies = [], []
    for i in range(4):
        second = {name: changed.get(name, obs[name])[i].tolist() for name in obs}
        own = {name: array[i : i + 1] for name, array in changed.items()}
        other = class_of_the_page()(policy.energy, own)
        energies.append(
            {
                "and": lambda o=other: AllOf(policy.energy, o, weights=[0.5, 0.5]),
                "or": lambda o=other: AllOf(
                    AnyOf(policy.energy, o, temperatures=[t, t]), weights=[t]
                ),
                "not": lambda o=other: AllOf(
                    policy.energy, Not(AllOf(o, weights=[1 / t]), strength=10), weights=[1.0, t]
                ),
            }[operation]()
        )
        more = {"second": {"policy": 0, "obs": second}, "operation": operation, "temperature": t}
        jobs.append(job(obs, i, actions, **more))
    assert_equal(tmp_path, [description], jobs, energies, actions, obs)


PREDICT = """
const scene = { particle: particleScene, push: pushScene }[inputs.scene];
console.log(JSON.stringify(inputs.bodies.map((body) => scene.predict(body))));
"""


@pytest.mark.parametrize("name", SHOWN)
def test_obstacles(name, tmp_path):
    policy, description = shown(name)
    obs = seen(policy, 4)
    if name == "particle_2d":
        center, radius, model, scene = [0.5, 0.5], 0.2, BODY, "particle"
        place = zip(obs["pos_agent"][:, -1], obs["vel_agent"][:, -1], strict=True)
        bodies = [{"position": p.tolist(), "velocity": v.tolist()} for p, v in place]
    else:
        center, radius, scene = [0.4, 0.0], 0.1, "push"
        obs["effector_target_translation"] = torch.tensor([[[0.4, 0.08]]]).expand(4, 1, 2)
        model = DeltaPositionControl("effector_target_translation")
        bodies = [{"tip": t[-1].tolist()} for t in obs["effector_target_translation"]]
    actions = candidates(policy, 4, 50)
    energy = AllOf(policy.energy, KeepOutDisk(center, radius, model=model))
    predictions = run_in_node(tmp_path, PREDICT, scene=scene, bodies=bodies)
    jobs = [
        job(obs, i, actions, disks=[{"at": center, "radius": radius}], prediction=prediction)
        for i, prediction in enumerate(predictions)
    ]
    assert_equal(tmp_path, [description], jobs, [energy] * 4, actions, obs)
    out = run_in_node(tmp_path, EVALUATE, data=page_data([description]), jobs=jobs)
    bound = energy.bind(obs)
    feasible = bound.feasible(actions)
    assert 0 < feasible.float().mean() < 1
    assert [row["feasible"] for row in out] == feasible.tolist()
    violation = torch.tensor([row["violation"] for row in out])
    assert torch.allclose(violation, bound.violation(actions), rtol=1e-3, atol=1e-4)


SEARCH = """
const library = makeLibrary(inputs.data);
console.log(JSON.stringify(inputs.jobs.map((job) => {
  const { energy, box, bounds } = composed(library, job);
  const found = search(new Space(energy, bounds, box), job.search, 1, job.hard);
  const last = found.frames.at(-1);
  return { ...found, frames: [Array.from(found.frames[0]), Array.from(last)], energies: Array.from(energy.energy(last)) };
})));
"""


@pytest.mark.parametrize("kind", ["GradientDescent", "DFO", "ULA"])
def test_searches_find_the_minimum(kind, tmp_path):
    policy, description = shown("particle_2d")
    obs = seen(policy, 5)
    settings = {
        "GradientDescent": description["search"],
        "DFO": {
            "num_candidates": 512,
            "num_iterations": 6,
            "noise_std": 0.33,
            "shrink": 0.5,
            "temperature": 0.01,
        },
        "ULA": {
            "num_candidates": 64,
            "num_iterations": 80,
            "step_init": 0.02,
            "step_final": 1e-4,
            "temperature": 0.01,
        },
    }[kind]
    grid = candidates(policy, 1, 4096)
    jobs = [job(obs, i, obs["pos_agent"], search={**settings, "name": kind}) for i in range(5)]
    out = run_in_node(tmp_path, SEARCH, data=page_data([description]), jobs=jobs)
    for i, found in enumerate(out):
        bound = policy.energy.bind({name: array[i : i + 1] for name, array in obs.items()})
        with torch.no_grad():
            lowest, spread = bound(grid).min(), bound(grid).max()
            reached = bound(torch.tensor(found["action"]).view(1, 1, 2)).item()
        assert reached < lowest + 2e-3 * (spread - lowest)


def test_langevin_samples_the_density_of_a_temperature(tmp_path):
    """On E = |a|^2 / 2 in a wide box, the variance is the temperature T, up to a part step / 4 T of it."""
    program = """
    const energy = { energy: (a) => a.filter((_, i) => i % 2 === 0).map((x, i) => (x * x + a[2 * i + 1] ** 2) / 2),
      gradient: (a) => a, isConstrained: false };
    const bounds = { center: [0, 0], half_range: [1, 1] };
    const space = new Space(energy, bounds, { low: [-4, -4], high: [4, 4] });
    const settings = { name: "ULA", num_candidates: 4000, num_iterations: 400, step_init: 0.02, step_final: 0.02, temperature: 0.25 };
    const { frames } = search(space, settings, 3, false);
    console.log(JSON.stringify(Array.from(frames.at(-1))));
    """
    found = np.array(run_in_node(tmp_path, program))
    assert found.var() == pytest.approx(0.25, rel=0.06)


def test_the_hard_choice_is_that_of_the_library(tmp_path):
    policy, description = shown("particle_2d")
    obs = seen(policy, 6)
    radii = [0.1, 0.2, 0.3, 0.4, 0.5, 3.0]  # in the last, no action is feasible
    place = zip(obs["pos_agent"][:, -1], obs["vel_agent"][:, -1], strict=True)
    bodies = [{"position": p.tolist(), "velocity": v.tolist()} for p, v in place]
    predictions = run_in_node(tmp_path, PREDICT, scene="particle", bodies=bodies)
    search = {**description["search"], "name": "GradientDescent"}
    jobs = [
        job(
            obs,
            i,
            obs["pos_agent"],
            search=search,
            hard=True,
            prediction=predictions[i],
            disks=[{"at": [0.5, 0.5], "radius": radii[i]}],
        )
        for i in range(6)
    ]
    out = run_in_node(tmp_path, SEARCH, data=page_data([description]), jobs=jobs)
    assert {found["feasible"] for found in out} == {True, False}
    for i, found in enumerate(out):
        energy = AllOf(policy.energy, KeepOutDisk([0.5, 0.5], radii[i], model=BODY))
        bound = energy.bind({name: array[i : i + 1] for name, array in obs.items()})
        action = torch.tensor([*found["frames"][1], *found["frames"][0]]).view(1, -1, 2)
        feasible = bound.feasible(action)
        with torch.no_grad():
            all_of_them = Candidates(action, bound(action))
        best = first_feasible(all_of_them, feasible, bound.violation(action)).best()[0]
        assert found["feasible"] == bool(feasible.any())
        assert found["action"] == pytest.approx(best.tolist(), abs=1e-4)


def test_packed_numbers_keep_sixteen_bits(tmp_path):
    numbers = np.array([0.0, -1.0, 3.14159265, 1e-20, -7.7e8, 65504.0], np.float32)
    program = "console.log(JSON.stringify(Array.from(unpack(inputs.text))));"
    found = np.array(run_in_node(tmp_path, program, text=pack(numbers)))
    np.testing.assert_allclose(found, numbers, rtol=2**-17)
