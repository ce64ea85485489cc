"""D4RL: names, data, layouts, scores, selection by return, and the table of its tasks."""

import json
import shutil
from dataclasses import replace

import gymnasium as gym
import h5py
import minari
import numpy as np
import pytest
from conftest import ROOT
from ibc_envs.d4rl.kitchen import ELEMENT

from benchmarks.config import compose as compose_benchmark
from benchmarks.study import study
from benchmarks.tables.pages import table
from benchmarks.tables.published import PUBLISHED
from ibc.cli.config import compose
from ibc.cli.inspect import describe, inspect
from ibc.d4rl import find_task
from ibc.d4rl.data import NoDataError, find_task_data
from ibc.data import Episode, keep_best, read_episodes, reweight_by_return
from ibc.data.layouts import KITCHEN_ELEMENT, fit_layout
from ibc.data.loading import check_matches, load_episodes
from ibc.data.selection import Selection
from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.errors import UserError
from ibc.spec import ObsField

pytestmark = pytest.mark.unchecked

NAMES = [
    "pen-human",
    "hammer-cloned-v0",
    "door-expert-v1",
    "relocate-human-longhorizon-v0",
    "kitchen-complete-v0",
    "kitchen-partial",
    "kitchen-mixed-v0",
    "maze2d-open-v0",
    "maze2d-umaze-v1",
    "maze2d-medium-dense-v1",
    "maze2d-large",
    "antmaze-umaze-v0",
    "antmaze-umaze-diverse-v2",
    "antmaze-medium-play-v2",
    "antmaze-large-diverse",
    "hopper-medium-v2",
    "halfcheetah-medium-replay-v0",
    "walker2d-full-replay-v1",
    "ant-random",
    "D4RL/pen/human-v2",
    "D4RL/kitchen/mixed-v2",
    "D4RL/pointmaze/umaze-dense-v2",
    "D4RL/antmaze/medium-play-v1",
]


def episode(returns=1.0, steps=3, action=0.0, **obs):
    obs = obs or {"state": np.zeros((steps + 1, 2), np.float32)}
    reward = np.zeros(steps, np.float32)
    reward[-1] = returns
    return Episode(
        obs=obs,
        action=np.full((steps, 2), action, np.float32),
        reward=reward,
        success=np.zeros(steps, np.bool_),
        terminated=False,
        truncated=True,
    )


class TestNames:
    @pytest.mark.parametrize("name", [*NAMES, *PUBLISHED])
    def test_every_task_has_an_environment_with_its_horizon(self, name):
        task = find_task(name)
        assert task.asked == name
        spec = gym.spec(task.env_id)
        if "longhorizon" not in name:
            assert spec.max_episode_steps == task.horizon
        for wrapper in spec.additional_wrappers:
            threshold = wrapper.kwargs.get("success_return")
            assert threshold is None or threshold == task.reference[1]

    @pytest.mark.parametrize("name", PUBLISHED)
    def test_published_names_are_names(self, name):
        assert find_task(name).name == name

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "pen",
            "pen-human-v7",
            "kitchen-all",
            "antmaze-medium",
            "antmaze-medium-v0",
            "D4RL/pen/human",
        ],
    )
    def test_others_are_refused_with_examples(self, name):
        with pytest.raises(UserError, match="called like pen-human"):
            find_task(name)

    def test_versions_choose_files(self):
        assert find_task("pen-human-v1").files[0] == "pen-human-v1.hdf5"
        assert find_task("pen-human-v0").files[0] == "pen-v0_demos_clipped.hdf5"
        assert find_task("walker2d-medium-replay-v0").files[0] == "walker_mixed.hdf5"
        assert "multistart_True_multigoal_False" in find_task("antmaze-large-play").url

    @pytest.mark.parametrize("name", ["maze2d-umaze-v0", "maze2d-open-v1"])
    def test_a_version_that_a_maze_does_not_have_is_refused(self, name):
        with pytest.raises(UserError, match="version [01] alone is read here"):
            find_task(name)

    def test_kitchen_environments_fit_their_data(self):
        assert find_task("kitchen-mixed").env_id == "ibc/FrankaKitchenMixedLegacy-v0"
        assert find_task("D4RL/kitchen/mixed-v2").env_id == "ibc/FrankaKitchenMixed-v1"

    def test_scores(self):
        """Random is 0, the expert 100; the paper's pen-human is 83.5."""
        pen = find_task("pen-human")
        assert pen.normalized_score(96.262799) == 0
        assert pen.normalized_score(3076.8331017826877) == pytest.approx(100)
        assert pen.normalized_score(2586) == pytest.approx(83.53, abs=0.01)
        assert find_task("kitchen-mixed").normalized_score(2.0) == 50
        assert find_task("maze2d-umaze").normalized_score(2.0) is None


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A machine without data and without a network."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.setenv("D4RL_DATASET_DIR", str(tmp_path / "d4rl"))
    (tmp_path / "d4rl").mkdir()

    def offline(dataset_id):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(minari, "download_dataset", offline)
    return tmp_path


class TestFinding:
    def find(self, name, root):
        return find_task_data(name, [str(root / "d4rl")])

    def test_original_file(self, nowhere):
        for file in ("pen-v0_demos_clipped.hdf5", "pen-human-v1.hdf5"):
            (nowhere / "d4rl" / file).touch()
        assert self.find("pen-human", nowhere).name == "pen-human-v1.hdf5"
        assert self.find("pen-human-v0", nowhere).name == "pen-v0_demos_clipped.hdf5"

    def test_minaris_cache_newest_version_unless_asked(self, nowhere):
        for version in (1, 10, 2):
            (nowhere / f"minari/D4RL/pen/human-v{version}/data").mkdir(parents=True)
        assert self.find("D4RL/pen/human-v1", nowhere).name == "human-v1"
        assert self.find("pen-human", nowhere).name == "human-v2"
        shutil.rmtree(nowhere / "minari/D4RL/pen/human-v2")
        assert self.find("pen-human", nowhere).name == "human-v10"

    def test_download(self, nowhere, monkeypatch):
        asked = []

        def download(dataset_id):
            asked.append(dataset_id)
            (nowhere / "minari" / dataset_id / "data").mkdir(parents=True)

        monkeypatch.setattr(minari, "download_dataset", download)
        assert self.find("door-cloned-v1", nowhere) == nowhere / "minari/D4RL/door/cloned-v2"
        assert self.find("door-cloned-v1", nowhere).is_dir()
        assert asked == ["D4RL/door/cloned-v2"]

    def test_in_one_line_where_to_get_it(self, nowhere):
        with pytest.raises(NoDataError) as error:
            self.find("kitchen-complete", nowhere)
        text = str(error.value)
        assert "\n" not in text
        assert "no route to host" in text
        assert "offline_rl/kitchen/mini_kitchen_microwave_kettle_light_slider-v0.hdf5" in text
        assert "minari download D4RL/kitchen/complete-v2" in text
        assert str(nowhere / "d4rl") in text

    def test_what_minari_does_not_have(self, nowhere):
        with pytest.raises(
            NoDataError, match=r"Minari does not have it; get http.*hopper_medium-v2"
        ):
            self.find("hopper-medium", nowhere)


class TestLayouts:
    def kitchen(self, steps=3):
        rng = np.random.default_rng(0)
        goals = {"microwave": 1, "kettle": 7, "light switch": 2, "slide cabinet": 1}
        obs = {"observation": rng.normal(size=(steps + 1, 59))}
        obs |= {f"desired_goal/{k}": rng.normal(size=(steps + 1, n)) for k, n in goals.items()}
        return episode(**{name: array.astype(np.float32) for name, array in obs.items()})

    def fields(self, **shapes):
        return {name: ObsField(shape, "float32") for name, shape in shapes.items()}

    def test_todays_kitchen_becomes_the_original_one(self):
        one = self.kitchen()
        (out,) = fit_layout([one], self.fields(state=(60,)), "ibc/FrankaKitchenLegacy-v0")
        state, now = out.obs["state"], one.obs["observation"]
        assert state.shape == (4, 60)
        np.testing.assert_array_equal(state[:, :9], now[:, :9])
        np.testing.assert_array_equal(state[:, 9:30], now[:, 18:39])
        np.testing.assert_array_equal(state[:, 53:60], one.obs["desired_goal/kettle"])
        assert not state[:, 30:45].any()

    def test_and_agrees_with_the_environment(self):
        quiet = {"robot_noise_ratio": 0.0, "object_noise_ratio": 0.0}
        ids = ("ibc/FrankaKitchen-v1", "ibc/FrankaKitchenLegacy-v0")
        new, old = (Environment(EnvConfig(id=i, kwargs=quiet)) for i in ids)
        action = np.full(9, 0.3, np.float32)
        frames = [[env.reset(0), env.step(action)[0], env.step(action)[0]] for env in (new, old)]
        recorded = {k: np.stack([f[k] for f in frames[0]]) for k in frames[0][0]}
        (out,) = fit_layout([episode(steps=2, **recorded)], old.obs_fields, ids[1])
        expected = np.stack([frame["state"] for frame in frames[1]])
        np.testing.assert_allclose(out.obs["state"], expected, atol=1e-6)

    def test_elements_agree_on_both_sides(self):
        assert KITCHEN_ELEMENT == ELEMENT

    def test_contact_forces_of_the_ant_are_left_out(self):
        old = episode(state=np.arange(4 * 111, dtype=np.float32).reshape(4, 111))
        (out,) = fit_layout([old], self.fields(state=(27,)), "ibc/Ant-v4")
        np.testing.assert_array_equal(out.obs["state"], old.obs["state"][:, :27])

    @pytest.mark.parametrize(
        ("size", "shapes", "message"),
        [
            (60, {"observation": (59,)}, "cannot be made up"),
            (4, {"observation": (4,), "desired_goal": (2,)}, "original maze2d"),
            (29, {"observation": (27,)}, "mirror image"),
        ],
    )
    def test_what_cannot_be_converted_says_why(self, size, shapes, message):
        old = episode(state=np.zeros((4, size), np.float32))
        with pytest.raises(UserError, match=message) as error:
            fit_layout([old], self.fields(**shapes), "ibc/X-v0")
        assert "\n" not in str(error.value)

    def test_all_else_is_left_alone(self):
        one = episode()
        (out,) = fit_layout([one], self.fields(state=(5,)), "ibc/X-v0")
        assert out is one

    def test_actions_in_other_units(self):
        env = Environment(EnvConfig(id="ibc/PointMaze_UMaze-v3"))
        obs = {name: np.zeros((4, *f.shape), f.dtype) for name, f in env.obs_fields.items()}
        near, far = (
            [replace(episode(action=a), obs=obs) for a in actions]
            for actions in ([1.0, 1.3], [90.0])
        )
        check_matches(near, env)
        with pytest.raises(UserError, match=r"100% of the data's actions.*other units"):
            check_matches(far, env)


class TestSelection:
    def test_keep_best(self):
        episodes = [episode(r) for r in (3, 1, 4, 1, 5)]
        assert [e.episode_return for e in keep_best(episodes, 0.5)] == [3, 4, 5]
        assert keep_best(episodes, 1.0) == episodes
        assert [e.episode_return for e in keep_best(episodes, 0.01)] == [5]

    @pytest.mark.parametrize("fraction", [0.0, -1.0, 1.5])
    def test_fraction(self, fraction):
        with pytest.raises(UserError, match="above 0 and at most 1"):
            keep_best([episode()], fraction)

    def test_repeat_by_return(self):
        episodes = [episode(r) for r in (0, 5, 10)]
        counts = np.bincount([int(e.episode_return) for e in reweight_by_return(episodes, 0.5)])
        np.testing.assert_array_equal(counts[[0, 5, 10]], np.rint(8 * np.exp([-2, -1, 0])))
        assert reweight_by_return(episodes, 1e6) == episodes
        assert reweight_by_return([episode(2), episode(2)], 0.1)[1:] != []
        with pytest.raises(UserError, match="must be positive"):
            reweight_by_return(episodes, 0.0)


def write_door(path, episodes=2, steps=12, actions=28):
    rng = np.random.default_rng(0)
    total = episodes * steps
    with h5py.File(path, "w") as file:
        file["observations"] = rng.normal(size=(total, 39)).astype(np.float32)
        file["actions"] = rng.uniform(-1, 1, (total, actions)).astype(np.float32)
        file["rewards"] = rng.normal(size=total).astype(np.float32)
        file["terminals"] = np.zeros(total, np.bool_)
        file["timeouts"] = np.arange(1, total + 1) % steps == 0


class TestInspect:
    def test_prints_and_draws(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        write_door(tmp_path / "door-human-v1.hdf5")
        inspect(["door-human-v1.hdf5"])
        out = capsys.readouterr().out
        assert "format d4rl" in out
        assert "2 episodes, 24 steps" in out
        assert "state: float32 (39,)" in out
        assert "action: float32 (28,)" in out
        picture = (tmp_path / "door-human-v1_actions.png").read_bytes()
        assert picture.startswith(b"\x89PNG")

    def test_a_task_by_name(self, nowhere, monkeypatch):
        monkeypatch.setattr("ibc.cli.inspect.MAX_PANELS", 1)
        write_door(nowhere / "d4rl/door-human-v1.hdf5")
        inspect(["door-human", "--output", str(nowhere / "x.png")])
        assert (nowhere / "x.png").is_file()

    def test_nothing_there(self, nowhere):
        with pytest.raises(UserError, match="no demonstrations at x.hdf5"):
            inspect(["x.hdf5"])
        with pytest.raises(UserError, match="no task 'x'"):
            inspect(["x"])

    def test_one_dimension_and_success(self):
        one = episode()
        one.success[-1] = True
        assert describe([one, episode()])[-1] == (
            "success: 1 of 2 episodes, "
            f"first after {len(one)} steps (median), {len(one)} at the latest"
        )

    def test_the_script_is_short(self):
        assert len((ROOT / "scripts/inspect_data.py").read_text().splitlines()) <= 20


class TestTraining:
    def compose(self, *overrides):
        return compose("train", ["experiment=d4rl", *overrides])

    def test_all_follows_from_the_name(self):
        config = self.compose("task=pen-human-longhorizon")
        assert config["env"]["id"] == "ibc/AdroitHandPen-v1"
        assert config["env"]["max_episode_steps"] == config["data"]["episode_length"] == 200
        assert config["data"]["path"] == "pen-human-longhorizon"
        assert config["run_dir"] == "runs/d4rl_pen-human-longhorizon/implicit_proposal/seed_0"
        assert self.compose("task=hopper-medium-v2")["env"]["success_when"] == "last"

    def test_overrides_win(self):
        config = self.compose("task=pen-human", "env.max_episode_steps=7", "data.path=x.hdf5")
        assert config["env"]["max_episode_steps"] == 7
        assert config["data"]["path"] == "x.hdf5"

    def test_the_published_settings(self):
        config = compose_benchmark("train", ["experiment=d4rl_published", "task=door-human"])
        energy = config["policy"]["energy"]
        assert energy["spectral_norm"]
        assert energy["encoder"]["sqrt_std"]
        second = config["policy"]["sampler"]["samplers"][1]
        assert second["step_init"] == second["step_final"] == 1e-5
        assert config["env"]["id"] == "ibc/AdroitHandDoor-v1"

    def test_a_study_of_tasks(self, nowhere, monkeypatch):
        """Trains on what is there, marks what is not, and sets both beside what was published."""
        monkeypatch.chdir(nowhere)
        write_door(nowhere / "d4rl/door-human-v1.hdf5")
        quick = "'debug=quick','network.width=8','encoder.num_gates=4','evaluation.num_episodes=1'"
        config = compose_benchmark(
            "study",
            [
                "protocol=d4rl_best_half",
                "seeds=[0]",
                f"overrides=[{quick},'trainer.num_steps=2']",
            ],
        )
        assert len(config["tasks"]) == 19
        config["tasks"] = {name: [] for name in ("door-human", "pen-human", "hopper-expert")}
        study(config)
        result = json.loads((nowhere / "runs/results/d4rl_best_half.json").read_text())
        assert [(r["task"], r["policy"]) for r in result["rows"]] == [
            ("door-human", "implicit"),
            ("door-human", "mse"),
        ]
        reference = find_task("door-human")
        row = result["rows"][0]
        assert row["normalized_score"] == reference.normalized_score(row["return_mean"])
        assert [entry["task"] for entry in result["missing"]] == ["pen-human", "hopper-expert"]
        assert str(nowhere) not in json.dumps(result)
        assert (nowhere / "runs/pretrained/d4rl_best_half_door-human.pt").is_file()
        text = table(nowhere / "runs/results/d4rl_best_half.json")
        assert "| pen-human | 2446 ± 207 | no data | 2108 ± 58.8 | no data |" in text
        assert "| door-human | 399 ± 34 |" in text
        assert "hopper-expert" not in text  # neither here nor, with return weighting, in the paper
        assert "python scripts/study.py protocol=d4rl_best_half" in text

    def test_data_of_another_hand(self, tmp_path):
        write_door(tmp_path / "x.hdf5")
        env = Environment(EnvConfig(id="ibc/AdroitHandDoor-v1"))
        assert len(load_episodes(tmp_path / "x.hdf5", Selection(), env)) == 2
        assert len(list(read_episodes(tmp_path / "x.hdf5"))) == 2
