"""A contract over every environment of this project, found in Gymnasium's registry."""

import warnings

import gymnasium as gym
import gymnasium_robotics
import numpy as np
import pytest
from conftest import ROOT
from gymnasium.utils.env_checker import check_env, data_equivalence
from ibc_envs.particle import ParticleEnv, ParticleExpert
from ibc_envs.particle.env import GOAL_DISTANCE

from ibc.cli.config import compose
from ibc.construct import construct
from ibc.control import Controller
from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.errors import UserError
from ibc.evaluation.metrics import is_success
from ibc.evaluation.rollout import rollout

OURS = sorted(
    name
    for name, spec in gym.registry.items()
    if str(spec.entry_point).startswith(("ibc_envs.", "benchmarks.envs."))
    and name != "Shifted-v0"  # changes another environment, which has to be named
)
CONFIGS = sorted(
    p.stem for p in (ROOT / "configs/env").glob("*.yaml") if "id: null" not in p.read_text()
)


def env_config(name, *overrides):
    config = compose("collect", [f"env={name}", "data.path=x", *overrides])["env"]
    return config, EnvConfig.from_mapping(config)


@pytest.mark.parametrize("env_id", OURS)
class TestContract:
    def test_gymnasium_checker(self, env_id):
        env = gym.make(env_id, disable_env_checker=True)
        with (
            warnings.catch_warnings()
        ):  # the checker asks for bare environments; ours come with wrappers
            warnings.simplefilter("ignore", UserWarning)
            check_env(env, skip_render_check=True)
        env.close()

    def test_actions_that_are_not_finite_are_refused(self, env_id):
        env = gym.make(env_id, disable_env_checker=True)
        env.reset(seed=0)
        for value in (np.nan, np.inf):
            with pytest.raises(ValueError, match="must be finite"):
                env.step(np.full(env.action_space.shape, value, np.float32))
        _, reward, *_ = env.step(env.action_space.sample())
        assert np.isfinite(reward)
        env.close()

    def test_same_seed_same_course(self, env_id):
        def course():
            env = gym.make(env_id, disable_env_checker=True)  # it would look below our wrappers
            obs, _ = env.reset(seed=3)
            env.action_space.seed(3)
            out = [obs]
            for _ in range(20):
                obs, reward, *_, info = env.step(env.action_space.sample())
                assert "success" in info
                out += [obs, reward]
            env.close()
            return out

        for first, second in zip(course(), course(), strict=True):
            assert data_equivalence(first, second, exact=True)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_configured_environment_renders(name):
    env = Environment(env_config(name)[1], render=True)
    env.reset(seed=0)
    frame = env.render()
    assert frame.dtype == np.uint8
    assert frame.ndim == 3
    assert frame.std() > 0, "the picture is empty"
    env.close()


@pytest.mark.parametrize("n_dim", [1, 2, 3, 8, 16, 32])
def test_the_particle_expert_always_succeeds(n_dim):
    """The ceiling of the task is 100 % in every dimension."""
    config, parsed = env_config("particle", f"env.n_dim={n_dim}")
    envs = [Environment(parsed) for _ in range(10)]
    episodes = rollout(envs, Controller(construct(config["expert"], "expert")), range(50))
    assert all(is_success(episode, "last") for episode in episodes)


class TestParticle:
    def play(self, order):
        env = ParticleEnv(n_dim=2)
        obs, _ = env.reset(seed=1)
        infos = []
        for t in range(50):
            goal = obs[order[0]] if t < 25 else obs[order[1]]
            obs, reward, terminated, truncated, info = env.step(goal)
            infos.append((reward, info["success"]))
        assert truncated
        assert not terminated
        return infos

    def test_order_matters(self):
        assert self.play(("pos_first_goal", "pos_second_goal"))[-1] == (1.0, True)
        assert self.play(("pos_second_goal", "pos_first_goal"))[-1] == (0.0, False)

    def test_reward_comes_at_the_end_only(self):
        assert sum(r for r, _ in self.play(("pos_first_goal", "pos_second_goal"))) == 1.0

    def test_success_means_at_the_second_goal_now(self):
        infos = self.play(("pos_first_goal", "pos_second_goal"))
        assert not infos[24][1]
        assert infos[-1][1]

    def test_hidden_velocity(self):
        obs, _ = ParticleEnv(n_dim=3, hide_velocity=True).reset(seed=0)
        assert set(obs) == {"pos_agent", "pos_first_goal", "pos_second_goal"}

    @pytest.mark.parametrize(
        "kwargs",
        [
            {"n_dim": 0},
            {"n_dim": True},
            {"horizon": 0},
            {"horizon": 20.5},
            {"horizon": float("nan")},
            {"render_mode": "human"},
        ],
    )
    def test_nonsense_is_refused(self, kwargs):
        with pytest.raises(ValueError, match=f"{next(iter(kwargs))}="):
            ParticleEnv(**kwargs)

    def test_its_horizon_is_its_own(self):
        """No other limit cuts a long one, and one that could not be reached is refused."""
        env = Environment(EnvConfig(id="Particle-v0", kwargs={"horizon": 1200}))
        env.reset(seed=0)
        over = [env.step(np.zeros(2, np.float32))[4] for _ in range(1200)]
        assert over == [False] * 1199 + [True]
        with pytest.raises(UserError, match="ends after 50 steps itself: choose its own option"):
            Environment(EnvConfig(id="Particle-v0", max_episode_steps=100))

    def test_expert_switches_on_arrival_and_stays(self):
        expert = ParticleExpert()
        expert.reset(0, seed=0)
        first, second = np.float32([[[0.2, 0.2]]]), np.float32([[[0.8, 0.8]]])

        def ask(position):
            obs = {
                "pos_agent": np.float32([[position]]),
                "pos_first_goal": first,
                "pos_second_goal": second,
            }
            return expert.act([0], obs)[0, 0].tolist()

        assert ask([0.2, 0.2 + 1.1 * GOAL_DISTANCE]) == pytest.approx([0.2, 0.2])
        assert ask([0.2, 0.205]) == pytest.approx([0.8, 0.8])
        assert ask([0.5, 0.5]) == pytest.approx([0.8, 0.8])


class TestAdroit:
    @pytest.mark.parametrize("task", ["Door", "Hammer", "Relocate"])
    def test_reward_falls_with_the_distance_from_palm_to_target(self, task):
        """Beside the original, step by step; the simulator's own positions say what the distance is."""
        gym.register_envs(gymnasium_robotics)
        original = gym.make(f"AdroitHand{task}-v1", disable_env_checker=True)
        corrected = gym.make(f"ibc/AdroitHand{task}-v1", disable_env_checker=True)
        for env in (original, corrected):
            env.reset(seed=0)
        corrected.action_space.seed(0)
        inner = corrected.unwrapped
        for _ in range(5):
            action = corrected.action_space.sample()
            _, plain, *_ = original.step(action)
            _, reward, *_ = corrected.step(action)
            if task == "Door":
                palm = inner.data.site_xpos[inner.grasp_site_id]
                target = inner.data.site_xpos[inner.handle_site_id]
            else:
                palm = inner.data.site_xpos[inner.S_grasp_site_id]
                target = inner.data.xpos[inner.obj_body_id]
            distance = np.linalg.norm(palm - target)
            assert distance > 0.01
            assert reward == pytest.approx(plain - 0.2 * distance, abs=1e-9)
        original.close()
        corrected.close()

    def test_horizon_is_that_of_the_benchmark(self):
        assert gym.spec("ibc/AdroitHandDoor-v1").max_episode_steps == 200


class NestedEnv(gym.Env):
    """Stands in for somebody else's task: nested dictionary, a picture, odd success key."""

    observation_space = gym.spaces.Dict(
        {
            "robot": gym.spaces.Dict({"arm": gym.spaces.Box(-1, 1, (3,), np.float64)}),
            "eye": gym.spaces.Box(0, 255, (8, 9, 3), np.uint8),
        }
    )
    action_space = gym.spaces.Box(-1, 1, (2, 2), np.float64)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        assert action.shape == (2, 2)
        self.t += 1
        return self.observation_space.sample(), 1.0, self.t == 5, False, {"won": self.t == 3}


gym.register("TestNested-v0", entry_point=NestedEnv)


class TestAnyEnvironment:
    def config(self, **kwargs):
        return EnvConfig(**{"id": "TestNested-v0", "success_key": "won", **kwargs})

    def test_names_and_types(self):
        env = Environment(self.config())
        obs = env.reset(seed=0)
        assert {n: (a.shape, str(a.dtype)) for n, a in obs.items()} == {
            "robot/arm": ((3,), "float32"),
            "eye": ((8, 9, 3), "uint8"),
        }
        assert len(env.action_low) == 4

    def run(self, config):
        class Nothing:
            def reset(self, env_index, seed): ...

            def act(self, env_indices, obs):
                return np.zeros((len(env_indices), 1, 4), np.float32)

        (episode,) = rollout([Environment(config)], Controller(Nothing()), [0])
        return episode

    def test_success_by_key(self):
        episode = self.run(self.config())
        assert episode.success.tolist() == [False, False, True, False, False]
        assert is_success(episode, "any")
        assert not is_success(episode, "last")

    def test_success_by_return(self):
        assert self.run(self.config(success_return=5.0)).success.tolist() == [False] * 4 + [True]
        assert not self.run(self.config(success_return=5.5)).success.any()

    def test_a_missing_key_is_explained(self):
        with pytest.raises(UserError, match=r"no 'success' into info; it has \['won'\]"):
            self.run(EnvConfig(id="TestNested-v0"))

    @pytest.mark.parametrize(
        ("kwargs", "message"),
        [
            ({"id": "Nonsense-v0"}, "Nonsense"),
            ({"id": "Particle-v0", "kwargs": {"n_dims": 3}}, "n_dims"),
            ({"id": "Particle-v0", "kwargs": {"n_dim": 0}}, "at least 1"),
            ({"id": "CartPole-v1"}, "only Box is supported"),
            ({"id": "no_such_module:X-v0"}, "no_such_module"),
        ],
    )
    def test_errors_are_one_line(self, kwargs, message):
        with pytest.raises(UserError, match=message) as error:
            Environment(EnvConfig(**kwargs))
        assert "\n" not in str(error.value)

    @pytest.mark.unchecked
    @pytest.mark.parametrize("seed", [-1, 1.5, "a", True])
    def test_seeds_are_whole_numbers(self, seed):
        with pytest.raises(UserError, match=f"seed={seed}; it must be a whole number"):
            Environment(EnvConfig(id="Particle-v0")).reset(seed)

    @pytest.mark.unchecked
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"report": "reward"}, r"env.report=reward; it must be a list, \[reward\]"),
            ({"report": {"max": "reward"}}, r"env.report has max: reward; .* \[reward\]"),
            ({"success_return": "0.5"}, "env.success_return=0.5; it must be a number"),
        ],
    )
    def test_lists_and_numbers_are_such(self, options, message):
        with pytest.raises(UserError, match=message):
            EnvConfig(id="x", **options)

    def test_success_when_is_checked(self):
        with pytest.raises(UserError, match="last, any"):
            EnvConfig(id="x", success_when="sometimes")

    @pytest.mark.parametrize("key", ["length", "return", "seed", "success"])
    def test_what_is_written_down_anyway_keeps_its_name(self, key):
        with pytest.raises(UserError, match=f"{key} is written of every episode already"):
            EnvConfig(id="x", report=[key])
        assert EnvConfig(id="x", report={"last": [key]}).reported() == {
            f"last_{key}": ("last", key)
        }


@pytest.mark.parametrize(("dtype", "limit"), [("float32", 0.1), ("float64", 0.1), ("int8", 3)])
def test_actions_are_inside_the_space(dtype, limit):
    """The nearest float32 of 0.1 is above 0.1, which an environment may refuse."""
    env = Environment(EnvConfig(id="Particle-v0"))
    env.reset(0)
    space = env._action_space = gym.spaces.Box(-limit, limit, (1, 2), dtype)
    env.action_low, env.action_high = np.float32([-limit] * 2), np.float32([limit] * 2)
    for action in ([9.0, -9.0], [limit, -limit], [0.04, 1.4], [300.0, -300.0]):
        assert space.contains(env._inside(np.float32(action)))
    middle = env._inside(np.float32([0.04, 1.4]))
    assert middle[0, 0] == pytest.approx(0.0 if dtype == "int8" else 0.04)
