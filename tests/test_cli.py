"""The commands as a user runs them: errors of one line, exit code 2, and nothing lost."""

import json
import os
import random
import runpy
import subprocess
import sys

import pytest
import torch
from conftest import ROOT
from test_train import tiny

from benchmarks.tables.pages import table
from ibc.checkpoint import FORMAT_VERSION, load_checkpoint
from ibc.cli.train import train
from ibc.errors import UserError
from ibc.files import write_atomically

pytestmark = pytest.mark.unchecked

SCRIPTS = {path.stem: path for path in (ROOT / "scripts").glob("*.py")}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with demonstrations and a short run, and the bytes of its checkpoint."""
    folder = tmp_path_factory.mktemp("trained")
    before = os.getcwd()
    os.chdir(folder)
    try:
        train(tiny("run_dir=run"))
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def cli(monkeypatch, capsys, tmp_path):
    """Run a script in this process; returns exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def run(script, *arguments):
        monkeypatch.setattr(sys, "argv", [str(SCRIPTS[script]), *arguments])
        try:
            runpy.run_path(str(SCRIPTS[script]), run_name="__main__")
            code = 0
        except SystemExit as exit_:
            code = exit_.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def assert_refused(result, message):
    code, _, err = result
    lines = [line for line in err.splitlines() if line.startswith("error:")]
    assert code == 2, err
    assert len(lines) == 1
    assert "Traceback" not in err
    assert message in lines[0]


@pytest.mark.parametrize("script", ["train", "evaluate", "collect_demos", "record_video"])
def test_scripts_are_short(script):
    assert len(SCRIPTS[script].read_text().splitlines()) <= 20


class TestTrain:
    QUICK = ("experiment=particle_2d", "debug=quick", "video=false", "data.num_episodes=2")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((), "please give data.path=..., env.id=..."),
            (("experiment=nope",), "Available options in 'experiment':; bimanual_sweep_image"),
            (("experiment=d4rl",), "please give"),
            (("experiment=d4rl", "task=pen-people"), "there is no task 'pen-people'; tasks are"),
            (("trainer.num_step=3",), "trainer.num_step"),
            (("seed=abc",), "could not be converted to Integer"),
            (("data.path=nowhere", "env.id=Particle-v0"), "no demonstrations at nowhere"),
            ((*QUICK, "env.id=Nonsense-v0"), "Nonsense"),
            ((*QUICK, "env.n_dim=0"), "n_dim=0; it must be at least 1"),
            (
                (*QUICK, "policy=mse", "loss._target_=ibc.losses.DenoisingScoreMatching"),
                "MSEPolicy has not",
            ),
            ((*QUICK, "device=abacus"), "device=abacus cannot be used here"),
            ((*QUICK, "policy._target_=os.system"), "cannot build policy (system)"),
            ((*QUICK, "obs_horizon=0"), "horizons are at least 1"),
            ((*QUICK, "optimizer.lr=abc"), "cannot build"),
            ((*QUICK, "optimizer.lr=-1"), "cannot build optimizer (Adam): Invalid learning rate"),
            ((*QUICK, "+optimizer.lrr=1"), "cannot build optimizer"),
            ((*QUICK, "network.width=-5"), "cannot build policy"),
            ((*QUICK, "trainer.batch_size=0"), "batch_size=0; it must be at least 1"),
            ((*QUICK, "seed=-1"), "seed=-1; it must be at least 0"),
            ((*QUICK, "data.num_episodes=0"), "num_episodes=0; it must be at least 1"),
            (
                (*QUICK, "policy=implicit_noise_conditioned", "sampler=dfo"),
                "sampler=... has no effect",
            ),
            ((*QUICK, "policy=mse", "network.spectral_norm=true"), "there is no key"),
            ((*QUICK, "loss=denoising", "negatives=uniform"), "negatives=... has no effect"),
            ((*QUICK, "data.obs_names=[]"), "data.obs_names is empty"),
            ((*QUICK, "seeed=3"), "there is no key 'seeed' here; did you mean seed?"),
            (
                (*QUICK, "policy.sampler.num_candidate=3"),
                "did you mean policy.sampler.num_candidates?",
            ),
            (
                (*QUICK, "policy=nearest", "encoder.num_gates=3"),
                "has no effect: policy=nearest has no encoder",
            ),
            ((*QUICK, "policy=null"), "a group was set to null; give one of its options"),
            (("--experiment", "x"), "values are given as experiment=x"),
            ((*QUICK, "trainer.num_step=3"), "did you mean trainer.num_steps?"),
            ((*QUICK, "logger=wandb", "wandb.mode=loud"), "allowed: offline, online, disabled"),
            ((*QUICK, "evaluation.num_episodes=0"), "num_episodes=0; it must be at least 1"),
            ((*QUICK, "data.obs_names=[smell]"), "has no observation smell; it has pos_agent"),
        ],
    )
    def test_refusals(self, cli, arguments, message):
        assert_refused(cli("train", *arguments), message)

    def test_an_override_that_is_taken_by_way_of_another_part(self, cli, tmp_path):
        """Negatives are the loss's, which is the policy's; a part of a part counts as the part."""
        parts = ("loss=info_nce", "negatives=uniform", "network.width=8", "sampler=dfo")
        few = ("policy.sampler.num_candidates=16", "trainer.num_steps=2")
        assert cli("train", *self.QUICK, *parts, *few)[0] == 0

    def test_a_run_folder_in_use(self, cli, trained):
        result = cli("train", *self.QUICK, f"run_dir={trained}/run")
        assert_refused(result, "continue it by resume=true")

    def test_data_of_another_task(self, cli, trained):
        data = f"data.path={trained}/data/particle_2d_20"
        result = cli("train", *self.QUICK, data, "env.n_dim=3")
        assert_refused(result, "in the data and float32 (3,) in Particle-v0")
        names = "data.obs_names=[pos_agent]"
        result = cli("train", *self.QUICK, data, names, "env.id=Pendulum-v1", "~env.n_dim")
        assert_refused(result, "Pendulum-v1 has state")


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
            "config": {"_target_": "ibc.environment.EnvConfig", "id": "this:X-v0"},
        }
        self.change(path, policy=policy)
        assert_refused(self.evaluate(cli, path), "names 'ibc.environment.")

    def test_changed_weights(self, cli, path):
        weights = load_checkpoint(path).weights
        weights["energy.head.dense_action.weight"][0, 0] += 1e-3
        self.change(path, weights=weights)
        assert_refused(self.evaluate(cli, path), "weights are not those that were written")

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


class TestEvaluateAndRecord:
    def test_evaluation_file(self, cli, trained):
        code, out, _ = cli(
            "evaluate",
            f"checkpoint={trained}/run/checkpoint.pt",
            "num_episodes=3",
            "first_seed=500",
            "num_envs=2",
            "output=figures.json",
        )
        assert code == 0
        assert "success" in out
        with open("figures.json") as file:
            figures = json.load(file)
        assert [row["seed"] for row in figures["episodes"]] == [500, 501, 502]
        assert figures["num_envs"] == 2
        assert len(figures["success_rate_ci95"]) == 2
        assert set(figures["policy_latency_ms"]) == {"median", "p95"}

    @pytest.mark.parametrize("sampler", ["dfo", "ibc_langevin"])
    def test_another_sampler(self, cli, trained, sampler):
        small = {
            "dfo": ["policy.sampler.num_candidates=16"],
            "ibc_langevin": [
                "policy.sampler.samplers.0.num_candidates=4",
                "policy.sampler.samplers.1.num_candidates=2",
            ],
        }
        code, _, err = cli(
            "evaluate",
            f"checkpoint={trained}/run/checkpoint.pt",
            "num_episodes=1",
            f"sampler={sampler}",
            *small[sampler],
        )
        assert code == 0, err

    def test_video(self, cli, trained):
        code, _, err = cli(
            "record_video",
            f"checkpoint={trained}/run/checkpoint.pt",
            "output=films/one.mp4",
            "seed=7",
        )
        assert code == 0, err
        with open("films/one.mp4", "rb") as file:
            assert file.read(12)[4:8] == b"ftyp"

    @pytest.mark.parametrize(
        ("script", "arguments", "message"),
        [
            ("evaluate", ["num_episodes=0"], "num_episodes=0; it must be at least 1"),
            ("evaluate", ["first_seed=-1"], "first_seed=-1; it must be at least 0"),
            ("evaluate", ["sampler=dfo", "policy.sampler.num_iterations=x"], "cannot"),
            (
                "evaluate",
                ["policy.warm_start_fraction=2"],
                "warm_start_fraction=2; allowed: a share, 0 to 1",
            ),
            ("evaluate", ["env.id=Nonsense-v0"], "Nonsense"),
            ("record_video", [], "please give output=..."),
            ("record_video", ["output=x.mp4", "num_episodes=0"], "must be at least 1"),
        ],
    )
    def test_nonsense(self, cli, trained, script, arguments, message):
        path = f"checkpoint={trained}/run/checkpoint.pt"
        assert_refused(cli(script, path, *arguments), message)

    def test_a_folder_that_cannot_be_written(self, cli, trained):
        path = f"checkpoint={trained}/run/checkpoint.pt"
        result = cli("evaluate", path, "num_episodes=1", "output=/proc/no/x.json")
        assert_refused(result, "cannot write /proc/no/x.json")


class TestExpert:
    def test_figures_and_their_table(self, cli, tmp_path):
        arguments = ("env=planar_sweep", "num_episodes=2", "output=results/expert.json")
        code, out, err = cli("evaluate_expert", *arguments)
        assert code == 0, err
        assert "PlanarSweep-v0, expert, 2 episodes" in out
        with open("results/expert.json") as file:
            figures = json.load(file)
        assert [row["seed"] for row in figures["episodes"]] == [100000, 100001]
        text = table(tmp_path / "results/expert.json").splitlines()
        assert text[0] == "|  | fraction in | success | 95 % interval | steps |"
        assert text[2].startswith(f"| expert | {figures['report']['fraction_in']['mean']:.3f} (")

    def test_without_one(self, cli):
        result = cli("evaluate_expert", "env.id=Pendulum-v1")
        assert_refused(result, "has no expert")


class TestCollect:
    def test_as_in_the_readme(self, cli, tmp_path):
        code, out, err = cli("collect_demos", "env=particle", "env.n_dim=3", "num_episodes=5")
        assert code == 0, err
        assert "5 episodes stored, 0 failures" in out
        assert (tmp_path / "data/particle_3d_5/data/main_data.hdf5").exists()
        again = cli("collect_demos", "env=particle", "env.n_dim=3", "num_episodes=5")
        assert_refused(again, "exists already")

    def test_without_an_expert(self, cli):
        result = cli("collect_demos", "env.id=Pendulum-v1", "data.path=x")
        assert_refused(result, "has no expert")


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_real_process(tmp_path):
    """Once for real: module registration, exit code and streams do not depend on the test process."""
    run = subprocess.run(
        [sys.executable, str(SCRIPTS["train"]), "experiment=particle_2d", "seed=x"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert run.returncode == 2
    assert run.stderr.count("error:") == 1
    assert not list(tmp_path.iterdir())


class TestCompose:
    """``compose=...`` of both commands that act."""

    QUICK = ("sampler=gradient_descent", "policy.sampler.num_iterations=3", "precision=float32")

    def evaluate(self, cli, trained, *arguments):
        path = f"checkpoint={trained}/run/checkpoint.pt"
        return cli("evaluate", path, "num_episodes=1", "output=out.json", *self.QUICK, *arguments)

    def test_constraint(self, cli, trained, tmp_path):
        code, out, err = self.evaluate(cli, trained, "compose=avoid_disk", "compose.radius=0.2")
        assert code == 0, err
        assert "infeasible: " in out
        for row in json.loads((tmp_path / "out.json").read_text())["episodes"]:
            assert 0 <= row["infeasible_decisions"] <= row["length"]
            assert set(row["terms"]) == {"learned", "KeepOutDisk_1"}

    def test_two_policies(self, cli, trained):
        other = f"compose.other={trained}/run/checkpoint.pt"
        code, _, err = self.evaluate(cli, trained, "compose=policies", other)
        assert code == 0, err

    def test_a_committee(self, cli, trained, tmp_path):
        path = f"{trained}/run/checkpoint.pt"
        others = f"compose.other=[{path},{path}]"
        code, _, err = self.evaluate(cli, trained, "compose=policies", others)
        assert code == 0, err
        (row,) = json.loads((tmp_path / "out.json").read_text())["episodes"]
        assert set(row["terms"]) == {"policy", "other_1", "other_2"}

    def test_film(self, cli, trained):
        path = f"checkpoint={trained}/run/checkpoint.pt"
        result = cli(
            "record_video", path, "output=x.mp4", "compose=avoid_disk", "compose.radius=-1"
        )
        assert_refused(result, "KeepOutDisk: radius=-1")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("compose=nonsense",), "Available options in 'compose'"),
            (("compose=avoid_disk", "compose.radiu=0.1"), "radiu"),
            (("compose=avoid_disk", "compose.radius=-1"), "KeepOutDisk: radius=-1"),
            (("compose=avoid_disk", "compose.center=[0.5]"), "it has 1 dimensions, its model 2"),
            (("compose=avoid_disk", "compose.dynamics.position=smell"), "no observation 'smell'"),
            (("compose=policies",), "please give compose.other=..."),
            (("compose=policies", "compose.other=none.pt"), "no checkpoint at none.pt"),
            (("compose=avoid_disk", "compose.terms=[]"), "compose needs another policy"),
            (("compose=policies", "compose.other=[]"), "compose needs another policy"),
        ],
    )
    def test_refusals(self, cli, trained, arguments, message):
        assert_refused(self.evaluate(cli, trained, *arguments), message)
