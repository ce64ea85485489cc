"""Checkpoints that are damaged, foreign or hostile are refused in one line."""

import os
import random

import pytest
import torch
from commands import assert_refused

from ibc.checkpoint import FORMAT_VERSION, load_checkpoint
from ibc.errors import UserError

pytestmark = pytest.mark.unchecked


class TestCheckpointFiles:
    @pytest.fixture
    def path(self, trained, tmp_path):
        path = tmp_path / "checkpoint.pt"
        path.write_bytes((trained / "run/checkpoint.pt").read_bytes())
        return path

    def evaluate(self, cli, path):
        return cli("evaluate", f"checkpoint={path}", "num_episodes=2")

    def change(self, path, **changes):
        torch.save({**torch.load(path, weights_only=True), **changes}, path)

    def test_missing(self, cli):
        assert_refused(self.evaluate(cli, "none.pt"), "no checkpoint at none.pt")

    @pytest.mark.parametrize("part", [0.0, 0.3, 0.999])
    def test_cut_short(self, cli, path, part):
        content = path.read_bytes()
        path.write_bytes(content[: int(part * len(content))])
        assert_refused(self.evaluate(cli, path), "is not a checkpoint, or is damaged")

    def test_another_format(self, cli, path):
        self.change(path, format_version=FORMAT_VERSION + 1)
        assert_refused(
            self.evaluate(cli, path), "has checkpoint format 3; this version reads 1 to 2"
        )

    def test_a_tensor_is_no_checkpoint(self, cli, path):
        torch.save(torch.zeros(3), path)
        assert_refused(self.evaluate(cli, path), "has checkpoint format None")

    def test_a_missing_part(self, cli, path):
        whole = torch.load(path, weights_only=True)
        del whole["spec"]
        torch.save(whole, path)
        assert_refused(self.evaluate(cli, path), "lacks a part of a checkpoint: 'spec'")

    def test_code_outside_the_allow_list(self, cli, path, tmp_path):
        policy = load_checkpoint(path).policy
        target = {"_target_": "os.system", "command": f"touch {tmp_path}/pwned"}
        policy["sampler"] = target
        self.change(path, policy=policy)
        assert_refused(self.evaluate(cli, path), "the file names 'os.system'")
        assert not (tmp_path / "pwned").exists()

    def test_an_environment_that_would_import_a_module(self, cli, path):
        config = load_checkpoint(path).config
        config["env"]["id"] = "antigravity:Nice-v0"
        self.change(path, config=config)
        assert_refused(self.evaluate(cli, path), "would import 'antigravity'")

    def test_that_environment_when_it_is_asked_for(self, cli, path, tmp_path):
        """The way out that the message names, with a module in the current folder."""
        (tmp_path / "my_task.py").write_text(
            "import gymnasium\ngymnasium.register('Mine-v0', entry_point='ibc_envs.particle:ParticleEnv')\n"
        )
        config = load_checkpoint(path).config
        config["env"]["id"] = "my_task:Mine-v0"
        self.change(path, config=config)
        assert_refused(self.evaluate(cli, path), "if you trust it: trust=[my_task]")
        code, _, err = cli("evaluate", f"checkpoint={path}", "num_episodes=1", "trust=[my_task]")
        assert code == 0, err

    def test_code_hidden_in_an_interpolation(self, cli, path, tmp_path):
        """Resolved after a check of the names, it would call whatever it likes."""
        policy = load_checkpoint(path).policy
        policy["sampler"] = (
            "${oc.create:{_target_: sympy.sympify, "
            f'a: \'__import__("os").system("touch {tmp_path}/pwned")\'' + "}}"
        )
        self.change(path, policy=policy)
        assert_refused(self.evaluate(cli, path), "holds an interpolation")
        assert not (tmp_path / "pwned").exists()

    def test_an_environment_built_by_the_configuration(self, cli, path):
        policy = load_checkpoint(path).policy
        policy["sampler"] = {
            "_target_": "ibc.environment.Environment",
            "config": {"_target_": "ibc.env_config.EnvConfig", "id": "this:X-v0"},
        }
        self.change(path, policy=policy)
        assert_refused(self.evaluate(cli, path), "names 'ibc.environment.")

    def test_changed_weights(self, cli, path):
        weights = load_checkpoint(path).weights
        weights["energy.head.dense_action.weight"][0, 0] += 1e-3
        self.change(path, weights=weights)
        assert_refused(self.evaluate(cli, path), "weights are not those that were written")

    def test_changed_training_state(self, cli, path):
        """One flipped bit of the optimizer would be resumed in silence."""
        trainer = torch.load(path, weights_only=True)["trainer"]
        next(iter(trainer["optimizer"]["state"].values()))["exp_avg"].flatten()[0] += 1e-6
        self.change(path, trainer=trainer)
        assert_refused(self.evaluate(cli, path), "its training state is not what was written")

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("num_iterations", 10**12, "num_iterations=1000000000000; at most 10000"),
            ("num_candidates", 10**9, "num_candidates=1000000000; at most"),
            ("noise_std", float("nan"), "noise_std=nan; a finite number"),
        ],
    )
    def test_numbers_that_would_take_all_time_or_memory(self, cli, path, name, value, message):
        policy = load_checkpoint(path).policy
        policy["sampler"] = {"_target_": "ibc.samplers.DFO", name: value}
        self.change(path, policy=policy)
        assert_refused(self.evaluate(cli, path), message)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"obs_horizon": 10**9}, "at most 67108864 are possible"),
            ({"action_low": (5.0, 5.0)}, "action limits are crossed"),
            ({"action_low": (float("nan"),) * 2}, "action limits are crossed, or not numbers"),
            ({"obs_horizon": 2.5}, "lacks a part"),
            ({"obs": {"state": {"shape": (-1,), "dtype": "float32"}}}, "whole lengths"),
        ],
    )
    def test_a_task_that_cannot_be(self, cli, path, changes, message):
        spec = torch.load(path, weights_only=True)["spec"]
        self.change(path, spec={**spec, **changes})
        assert_refused(self.evaluate(cli, path), message)

    def test_random_damage_is_an_error_or_changes_nothing(self, path):
        content = path.read_bytes()
        good = load_checkpoint(path).weights
        rng = random.Random(0)
        refused = 0
        for _ in range(100):
            data = bytearray(content)
            for _ in range(rng.choice([1, 20, 400])):
                data[rng.randrange(len(data))] = rng.randrange(256)
            path.write_bytes(bytes(data))
            try:
                loaded = load_checkpoint(path).weights
            except UserError:
                refused += 1
            else:
                assert all(torch.equal(value, loaded[name]) for name, value in good.items())
        assert refused > 30

    def test_a_pickle_is_never_loaded(self, cli, path, tmp_path):
        class Evil:
            def __reduce__(self):
                return os.system, (f"touch {tmp_path}/pwned",)

        torch.save({"format_version": FORMAT_VERSION, "config": Evil()}, path)
        assert_refused(self.evaluate(cli, path), "is not a checkpoint, or is damaged")
        assert not (tmp_path / "pwned").exists()

    def test_weights_of_another_network(self, cli, path):
        policy = load_checkpoint(path).policy
        policy["energy"]["width"] = 8
        self.change(path, policy=policy)
        assert_refused(self.evaluate(cli, path), "weights do not fit")
