"""Scenes of the page against the environments they show, and the programs it writes."""

import re

import gymnasium as gym
import numpy as np
import pytest
import torch
from conftest import ROOT
from ibc_envs.particle.env import control_step
from javascript import needs_node, run_in_node
from test_arithmetic import shown

from ibc.page.write import page_data

pytestmark = [pytest.mark.unchecked, needs_node]

#: A stage whose jobs are answered at once.
STAGE = """
const library = makeLibrary(inputs.data);
const solver = { ask: async (_, job) => answer(library, job), drop() {} };
const makeStage = (seed) => {
  const stage = new Stage(inputs.data.policies, inputs.index ?? 0, solver, () => {});
  stage.sceneSeed = stage.seed = seed;
  stage.restart();
  return stage;
};
"""


def test_the_particle_moves_as_in_its_environment(tmp_path):
    rng = np.random.default_rng(0)
    position, velocity, setpoints = rng.random(2), rng.normal(size=2), rng.random((30, 2))
    program = """
    let state = { position: inputs.position, velocity: inputs.velocity };
    const states = inputs.setpoints.map((setpoint) => (state = particleStep(state, setpoint).at(-1)));
    console.log(JSON.stringify(states));
    """
    plain = {"position": position.tolist(), "velocity": velocity.tolist()}
    for found, setpoint in zip(
        run_in_node(tmp_path, program, setpoints=setpoints.tolist(), **plain),
        setpoints,
        strict=True,
    ):
        position, velocity = control_step(position, velocity, setpoint)
        np.testing.assert_allclose(found["position"], position, rtol=1e-12)
        np.testing.assert_allclose(found["velocity"], velocity, rtol=1e-12, atol=1e-15)


def test_what_the_particle_is_shown_is_what_its_environment_shows(tmp_path):
    env = gym.make("Particle-v0", observe_progress=True)
    obs, _ = env.reset(seed=3)
    action = np.array([0.9, 0.2], np.float32)
    after, *_ = env.step(action)
    program = """
    const goals = inputs.goals.map((at) => ({ at }));
    const body = { position: inputs.position, velocity: inputs.velocity, reached: [false, false] };
    const next = particleScene.step(body, inputs.action, goals).at(-1);
    console.log(JSON.stringify([body, next].map((one) => particleScene.observe(one, goals))));
    """
    found = run_in_node(
        tmp_path,
        program,
        goals=[obs["pos_first_goal"].tolist(), obs["pos_second_goal"].tolist()],
        position=obs["pos_agent"].tolist(),
        velocity=obs["vel_agent"].tolist(),
        action=action.tolist(),
    )
    for here, there in zip(found, (obs, after), strict=True):
        assert set(here) == set(there)
        for name in there:
            np.testing.assert_allclose(here[name], there[name], atol=1e-6)


@pytest.mark.parametrize("name", ["block_push_states", "block_push_multimodal_info_nce"])
def test_what_a_pushing_policy_is_shown_is_what_its_environment_shows(name, tmp_path):
    _, description = shown(name)
    env = gym.make(description["env"]["id"])
    obs, _ = env.reset(seed=5)
    simulation = env.unwrapped.simulation
    poses = {
        key: [{"at": [x, y], "yaw": yaw} for x, y, yaw in rows.tolist()]
        for key, rows in (("blocks", simulation.blocks), ("goals", simulation.targets))
    }
    program = """
    const scene = sceneOf(inputs.policy);
    console.log(JSON.stringify(scene.observe({ tip: inputs.tip, blocks: inputs.blocks }, inputs.goals)));
    """
    policy = {key: value for key, value in description.items() if key != "network"}
    tip = simulation.setpoint.tolist()
    found = run_in_node(tmp_path, program, policy=policy, tip=tip, **poses)
    assert set(found) == set(obs)
    for key, value in obs.items():  # the simulated rod is near its set-point, and not quite there
        atol = 1e-3 if key == "effector_translation" else 1e-6
        np.testing.assert_allclose(found[key], value, atol=atol)


@pytest.mark.parametrize("name", ["block_push_states", "block_push_multimodal_info_nce"])
def test_new_scenes_have_things_on_the_table_and_apart(name, tmp_path):
    program = """
    const policy = inputs.policy, scene = sceneOf(policy);
    console.log(JSON.stringify(Array.from({ length: 300 }, (_, seed) => scene.start(seed, policy))));
    """
    policy = {key: value for key, value in shown(name)[1].items() if key != "network"}
    found = run_in_node(tmp_path, program, policy=policy)
    for things in [world["goals"] for world in found] + [
        world["body"]["blocks"] for world in found
    ]:
        x = [thing["at"][0] for thing in things]
        assert all(0.3 <= value <= 0.5 for value in x)
        assert len(x) == 1 or abs(x[0] - x[1]) >= 0.1


PUSH = """
let block = inputs.block, tip = inputs.tip;
for (let i = 0; i < inputs.count; i++) {
  tip = tip.map((p, d) => p + inputs.leg[d]);
  block = pushed(block, tip, inputs.leg);
}
console.log(JSON.stringify({ block, tip, depth: contact(block, tip)?.depth ?? 0 }));
"""


def test_a_push_through_the_center_goes_straight(tmp_path):
    block = {"at": [0.4, 0.0], "yaw": 0.0}
    out = run_in_node(tmp_path, PUSH, block=block, tip=[0.37, 0.0], leg=[0.001, 0], count=60)
    assert out["block"]["yaw"] == pytest.approx(0, abs=1e-9)
    assert out["block"]["at"] == pytest.approx([0.43 + 0.025, 0.0], abs=1e-9)


def test_an_eccentric_push_turns_the_block_away(tmp_path):
    block = {"at": [0.4, 0.0], "yaw": 0.0}
    out = run_in_node(tmp_path, PUSH, block=block, tip=[0.37, 0.01], leg=[0.001, 0], count=30)
    assert -0.8 < out["block"]["yaw"] < -0.05  # pushed left of its center, seen along x: clockwise
    assert out["depth"] < 5e-4


def test_what_is_not_touched_stays(tmp_path):
    block = {"at": [0.4, 0.1], "yaw": 0.3}
    out = run_in_node(tmp_path, PUSH, block=block, tip=[0.3, 0.0], leg=[0.001, 0], count=100)
    assert out["block"] == block


def test_the_closed_loop_reaches_both_goals(tmp_path):
    _, description = shown("particle_2d")
    program = (
        STAGE
        + """
    const done = [];
    for (const seed of [1]) {
      const stage = makeStage(seed);
      while (!stage.isOver) await stage.decide({ search() {}, move() {} });
      done.push([stage.count, stage.world.body.reached[1]]);
    }
    console.log(JSON.stringify(done));
    """
    )
    found = run_in_node(tmp_path, program, data=page_data([description]))
    assert all(reached and 10 < count < 50 for count, reached in found)


SCENES = [
    ("particle_2d", {}, 0),
    ("particle_2d", {"operation": "and", "second": "moved"}, 1),
    ("particle_2d", {"operation": "or", "second": "moved", "temperature": 0.05}, 0),
    ("particle_2d", {"operation": "not", "second": 1}, 2),
    ("block_push_states", {"operation": "or", "second": "moved", "hard": False}, 1),
]


@pytest.mark.parametrize(("name", "settings", "num_obstacles"), SCENES)
def test_the_program_of_a_scene_gives_the_same_energies(
    name, settings, num_obstacles, tmp_path, monkeypatch, capsys
):
    names = [name, "particle_2d_reverse"] if settings.get("second") == 1 else [name]
    data = page_data([shown(each)[1] for each in names])
    program = (
        STAGE
        + """
    const stage = makeStage(4);
    Object.assign(stage.settings, inputs.settings);
    stage.world.obstacles = inputs.obstacles;
    await stage.decide({ search() {}, move() {} });
    await stage.update({ rests: false });
    console.log(JSON.stringify(await stage.program()));
    """
    )
    at = [[0.5, 0.5], [0.2, 0.7]] if name == "particle_2d" else [[0.45, -0.1]]
    obstacles = [{"at": center} for center in at[:num_obstacles]]
    text = run_in_node(tmp_path, program, data=data, settings=settings, obstacles=obstacles)
    monkeypatch.chdir(ROOT)
    exec(compile(text, "scene.py", "exec"), {})  # what the page wrote
    out = capsys.readouterr().out
    energies = np.array(eval(re.search(r"energies (.*)", out)[1]))
    difference = float(re.search(r"largest difference from the page (\S+)", out)[1])
    assert difference < 1e-4 * max(1.0, float(np.ptp(energies)))
    assert len(re.findall(r"action", out)) == 1
    assert text.count("KeepOutDisk([") == num_obstacles
    assert ("hard=True" in text) == (num_obstacles > 0 and settings.get("hard", True))


def test_a_policy_without_a_scene_has_sliders(tmp_path):
    policy, description = shown("d4rl_maze2d-umaze")
    data = page_data([description])
    program = (
        STAGE
        + """
    const stage = makeStage(1);
    await stage.update();
    console.log(JSON.stringify([stage.scene.world ?? null, stage.world.body, stage.result.energy, stage.result.action]));
    """
    )
    world, body, energy, action = run_in_node(tmp_path, program, data=data)
    assert world is None
    obs = {name: torch.tensor([[values]]) for name, values in body.items()}
    with torch.no_grad():
        expected = policy.energy.bind(obs)(torch.tensor([[action]])).item()
    assert energy == pytest.approx(expected, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("temperature", [0.7, None])
def test_a_page_begins_with_the_policy_s_own_search(temperature, tmp_path):
    _, description = shown("particle_2d")
    own = {
        "name": "DFO",
        "num_candidates": 700,
        "num_iterations": 3,
        "noise_std": 0.2,
        "shrink": 0.4,
    }
    search = {**own, "temperature": temperature} if temperature else {"name": "Chain"}
    data = page_data([{**description, "search": search}])
    program = (
        STAGE + "console.log(JSON.stringify(makeStage(1).job(makeStage(1).course, {}).search));"
    )
    found = run_in_node(tmp_path, program, data=data)
    if temperature:
        assert found == search
    else:
        assert found["name"] == "GradientDescent"


def test_two_blocks_need_a_target_each_and_the_horizon_is_the_task_s(tmp_path):
    policy = {k: v for k, v in shown("block_push_multimodal_info_nce")[1].items() if k != "network"}
    program = """
    const scene = sceneOf(inputs.policy), at = (x, y) => ({ at: [x, y], yaw: 0 });
    const goals = [at(0.35, 0.2), at(0.5, 0.2)];
    const solved = (blocks) => scene.isSolved({ tip: [0.3, -0.4], blocks }, goals);
    const longer = { ...inputs.policy, env: { ...inputs.policy.env, options: { max_episode_steps: 150 } } };
    console.log(JSON.stringify([
      solved([at(0.5, 0.2), at(0.35, 0.2)]), solved([at(0.35, 0.2), at(0.35, 0.2)]), scene.horizon(inputs.policy), scene.horizon(longer),
    ]));
    """
    assert run_in_node(tmp_path, program, policy=policy) == [True, False, 200, 150]


@pytest.mark.parametrize("task", ["BlockPushDiscontinuous-v0", "BlockReach-v0"])
def test_tasks_with_another_aim_get_sliders(task, tmp_path):
    _, description = shown("block_push_states")
    policy = {k: v for k, v in description.items() if k != "network"}
    policy["env"] = {"id": task, "options": {}}
    program = "console.log(JSON.stringify(sceneOf(inputs.policy).world ?? null));"
    assert run_in_node(tmp_path, program, policy=policy) is None


def test_obstacles_are_apart_and_the_cross_is_what_a_step_executes(tmp_path):
    data = page_data([shown("block_push_states")[1]])
    program = (
        STAGE
        + """
    const stage = makeStage(1), shown = { search() {}, move() {} };
    stage.setObstacles(3);
    const places = stage.world.obstacles.map(({ at }) => at);
    stage.setObstacles(0);
    stage.searches.GradientDescent.settle = 10; // further than any step
    await stage.update({ rests: false });
    const frames = stage.result.frames.length;
    stage.searches.GradientDescent.settle = null;
    await stage.decide(shown);
    await stage.update({ rests: false });
    const cross = stage.result.action;
    await stage.decide(shown);
    console.log(JSON.stringify([places, frames, cross, stage.result.action]));
    """
    )
    places, frames, cross, executed = run_in_node(tmp_path, program, data=data)
    assert len({tuple(place) for place in places}) == 3
    assert frames == 1  # settled at once
    assert cross == executed


def test_an_energy_that_is_the_same_everywhere_has_a_color(tmp_path):
    program = "console.log(JSON.stringify([level(1, 1, 1), level(1, 1, 2), level(2, 1, 2), ticks(1, 1)]));"
    assert run_in_node(tmp_path, program) == [0, 0, 1, [{"value": 0, "at": 0}]]


def test_a_job_that_is_replaced_or_dropped_is_answered_by_null(tmp_path):
    """Who waits for it goes on: the page would ignore Step for ever."""
    program = """
    const posted = [], worker = { postMessage: (message) => posted.push(message) };
    const solver = new Solver(worker, "data");
    const found = [];
    const ask = (kind, job) => solver.ask(kind, job).then((answer) => found.push([job, answer]));
    const all = [ask("detail", 1), ask("play", 2), ask("play", 3), ask("preview", 4)];
    solver.drop("preview");
    worker.onmessage({ data: "one" });
    worker.onmessage({ data: "three" });
    await Promise.all(all);
    console.log(JSON.stringify([posted, found.sort()]));
    """
    posted, found = run_in_node(tmp_path, program)
    assert posted == ["data", 1, 3]
    assert found == [[1, "one"], [2, None], [3, "three"], [4, None]]


def test_two_blocks_and_one_target_get_sliders(tmp_path):
    policy = {k: v for k, v in shown("block_push_multimodal_info_nce")[1].items() if k != "network"}
    policy["obs"] = {k: v for k, v in policy["obs"].items() if "target2" not in k}
    program = "console.log(JSON.stringify(sceneOf(inputs.policy).world ?? null));"
    assert run_in_node(tmp_path, program, policy=policy) is None
