"""Commands on checkpoints and experts as a user runs them."""

import json
import os
import subprocess
import sys

import pytest
from commands import assert_refused
from conftest import ROOT, SCRIPTS

from benchmarks.tables.pages import table
from ibc.errors import UserError
from ibc.files import write_atomically
from ibc.lock import hold

pytestmark = pytest.mark.unchecked


@pytest.mark.parametrize("script", ["train", "evaluate", "collect_demos", "record_video"])
def test_scripts_are_short(script):
    assert len(SCRIPTS[script].read_text().splitlines()) <= 20


class TestEvaluateAndRecord:
    @pytest.mark.parametrize(
        ("command", "work"),
        [
            ("evaluate", "evaluate.measure"),
            ("record", "record.record_video"),
            ("budget", "budget.measure_budget"),
            ("calibrate", "calibrate.evaluate"),
        ],
    )
    def test_a_file_that_cannot_be_written_is_refused_before_the_work(
        self, command, work, cli, trained, tmp_path, monkeypatch
    ):
        def never(*_, **__):
            raise AssertionError

        monkeypatch.setattr(f"ibc.cli.{work}", never)
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").touch()
        for output in ("folder", "file/x"):
            result = cli(command, f"checkpoint={trained}/run/checkpoint.pt", f"output={output}")
            assert_refused(result, f"cannot write {output}: ")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]

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

    @pytest.mark.parametrize("given", ["'{}'", '"{}"', "'{}/../checkpoint.pt'"])
    def test_a_checkpoint_in_the_folder_of_a_sweep(self, cli, trained, tmp_path, given):
        folder = tmp_path / "trainer.batch_size=16,optimizer.lr=0.001"
        folder.mkdir()
        target = folder.parent / "checkpoint.pt" if ".." in given else folder / "checkpoint.pt"
        target.symlink_to(trained / "run/checkpoint.pt")
        path = given.format(folder if ".." in given else target)
        code, _, err = cli("evaluate", f"checkpoint={path}", "num_episodes=1")
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
        arguments += ("film=film.mp4",)
        code, out, err = cli("evaluate_expert", *arguments)
        assert code == 0, err
        assert "PlanarSweep-v0, expert, 2 episodes" in out
        assert (tmp_path / "film.mp4").read_bytes()[4:8] == b"ftyp"
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


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write .*: (Not a directory|File exists)"):
        write_atomically(tmp_path / "file/x.json", b"")


def test_locks_where_there_are_none(tmp_path, monkeypatch):
    """Elsewhere than on Linux and macOS everything can be imported, and what needs a lock says so."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with pytest.raises(UserError, match="as Linux and macOS have them"):
        hold(tmp_path / "lock")
    using = [p for p in (ROOT / "ibc").rglob("*.py") if "import fcntl" in p.read_text()]
    assert [path.name for path in using] == ["lock.py"]


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


def test_an_environment_by_its_name(cli, trained, tmp_path):
    """Its demonstrations are of no account to a command that collects none."""
    path = f"checkpoint={trained}/run/checkpoint.pt"
    few = ("num_episodes=1", "env=particle", "+env.max_episode_steps=3", "output=out.json")
    code, _, err = cli("evaluate", path, *few)
    assert code == 0, err
    assert json.loads((tmp_path / "out.json").read_text())["env_id"] == "Particle-v0"


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

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ("+compose.hard=true", "compose.hard has no effect with"),
            ("+compose.weights=[1,2]", "compose.weights has no effect with"),
            ("+compose.fallback=hold", "compose.fallback has no effect with"),
            ("compose.num_samples=2.5", "it must be a whole number"),
        ],
    )
    def test_what_the_best_of_several_actions_does_not_heed(self, cli, trained, change, message):
        path = f"{trained}/run/checkpoint.pt"
        other = f"compose.other={path}"
        result = cli("evaluate", f"checkpoint={path}", "compose=best_of", other, change)
        assert_refused(result, message)

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
            (("compose=avoid_disk", "compose.hard=maybe"), "it must be true or false"),
            (("compose=avoid_disk", "+compose.num_samples=4"), "num_samples has no effect without"),
            (("compose=avoid_disk", "+compose.weights=[1]"), "weights has no effect without"),
            (("compose=policies", "compose.other=a", "compose.weights=0.5"), "a list of numbers"),
            (("compose=policies", "compose.other=a", "compose.weights=[a,b]"), "a list of numbers"),
            (("compose=best_of", "compose.other=a"), "policy.* and sampler=... have no effect"),
        ],
    )
    def test_refusals(self, cli, trained, arguments, message):
        assert_refused(self.evaluate(cli, trained, *arguments), message)


@pytest.mark.parametrize("arguments", [["--help"], ["collect", "--help"]])
def test_help_that_nobody_reads_any_longer_ends_quietly(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        command = [sys.executable, "-m", "ibc", *arguments]
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (141, "")
