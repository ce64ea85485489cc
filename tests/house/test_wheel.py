"""The wheel: built, installed into an empty environment, and used away from the source."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest
from conftest import ROOT

#: The program of the README, in an empty folder.
PROGRAM = """
import ibc

env = {"id": "Particle-v0", "success_when": "last"}
data = ibc.load_dataset("demos", obs_horizon=2, action_horizon=8)
policy = ibc.ImplicitPolicy(data.spec)
ibc.Trainer(policy, data, num_steps=20, batch_size=32, warmup_steps=5).fit()
policy.save("policy.pt")
policy = ibc.load_policy("policy.pt")
print(ibc.evaluate(policy, env, seeds=range(100_000, 100_002)).success_rate)
controller = ibc.Controller(policy, num_execute_steps=4)
controller.reset()
print(controller.step({"pos_agent": [0.1, 0.2], "vel_agent": [0, 0], "pos_first_goal": [0.5, 0.5],
                       "pos_second_goal": [0.9, 0.1]}))
print(ibc.__version__, len(ibc.__all__))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*build, "-w", str(folder), str(ROOT)], check=True, capture_output=True)
    (path,) = folder.glob("ibc-*.whl")
    return path


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The interpreter of an environment that has the wheel, and the packages it depends on from this environment."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    site = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin/python"


def run(python, folder, *arguments):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [str(python), *arguments],
        cwd=folder,
        env={**environment, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_package_and_configuration_is_in_it(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {
        path.relative_to(ROOT).as_posix()
        for package in ("ibc", "ibc_client")
        for path in (ROOT / package).rglob("*.py")
    }
    environments = {
        f"ibc_envs/{p.relative_to(ROOT / 'envs').as_posix()}" for p in (ROOT / "envs").rglob("*.py")
    }
    assets = {p.relative_to(ROOT).as_posix() for p in (ROOT / "ibc/page").glob("*.[jch]*")}
    configs = {f"ibc/{p.relative_to(ROOT).as_posix()}" for p in (ROOT / "configs").rglob("*.yaml")}
    assert modules | environments | assets | configs | {"ibc/py.typed", "ibc_envs.pth"} <= names
    assert not [name for name in names if name.startswith(("benchmarks", "tests", "scripts"))]


def test_commands_and_program_run_away_from_the_source(python, tmp_path):
    (tmp_path / "envs").mkdir()  # a folder of the user's own
    (tmp_path / "envs/__init__.py").write_text("")
    quick = ["debug=quick", "env=particle", "data.path=demos", "run_dir=run", "video=false"]
    assert "success" in run(python, tmp_path, "-m", "ibc", "train", *quick)
    checkpoint = "checkpoint=run/checkpoint.pt"
    assert "success" in run(python, tmp_path, "-m", "ibc", "evaluate", checkpoint, "num_episodes=2")
    run(python, tmp_path, "-m", "ibc", "record", checkpoint, "output=video.mp4")
    assert (tmp_path / "video.mp4").read_bytes()[4:8] == b"ftyp"
    assert "observation pos_agent" in run(python, tmp_path, "-m", "ibc", "inspect", "demos")
    out = run(python, tmp_path, "-c", PROGRAM)
    assert "0.1.0" in out or "0.2.0" in out


def test_environments_are_made_without_an_import(python, tmp_path):
    program = "import gymnasium; print(gymnasium.make('BlockPush-v0').reset(seed=0)[0].keys())"
    assert "block_translation" in run(python, tmp_path, "-c", program)
