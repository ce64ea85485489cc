"""Shared by all tests: reference numbers, small tasks, and where things are."""

import contextlib
import json
import os
import runpy
import sys
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # of programs that tests start; two test processes share two cores
if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):  # set in many containers
    sys.dont_write_bytecode = False  # else each program that tests start compiles all of ibc again
jaxtyping.install_import_hook("ibc", "typecheck.checked")  # before anything of ibc is imported

import benchmarks.envs  # noqa: E402, F401  registers the environments of studies
from ibc.data import Episode  # noqa: E402
from ibc.spec import ObsField, Spec  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = {path.stem: path for path in (ROOT / "scripts").glob("*.py")}


@pytest.fixture(scope="session")
def ref():
    """Numbers computed once with numpy alone, independently of this project."""
    return json.loads((ROOT / "tests/reference/ref_math.json").read_text())


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Leave shapes unchecked in whole commands and many steps, which would take up to ten times as long."""
    unchecked = item.get_closest_marker("unchecked") is not None
    jaxtyping.config.update("jaxtyping_disable", unchecked)


@pytest.fixture(autouse=True)
def one_thread():
    """Two test processes share two cores."""
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def empty_reports():
    """Leave out the report of a run, which takes longer than a tiny run itself, unless :func:`whole_report` is used."""
    from ibc.cli import train

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "write_report", lambda path, *_: path.write_text(""))
        yield


@pytest.fixture
def whole_report(monkeypatch):
    """Write reports as the commands do."""
    from ibc.cli import train
    from ibc.evaluation.report import write_report

    monkeypatch.setattr(train, "write_report", write_report)


def built(module, *args):
    """A component whose networks have been made."""
    module.build(*args)
    return module


@pytest.fixture
def spec():
    """A task with every kind of observation, chunks and history."""
    return Spec(
        obs={
            "goal": ObsField((3,), "float32"),
            "camera": ObsField((12, 16, 3), "uint8"),
        },
        obs_horizon=2,
        action_dim=2,
        action_horizon=3,
        action_low=(-1.0, -2.0),
        action_high=(1.0, 2.0),
    )


@pytest.fixture
def episodes(spec):
    """A few random episodes of that task."""
    return [random_episode(spec, length, seed) for seed, length in enumerate((5, 9, 7))]


def random_episode(spec: Spec, length: int, seed: int) -> Episode:
    """Noise in the shapes of a specification."""
    rng = np.random.default_rng(seed)
    obs = {}
    for name, field in spec.obs.items():
        shape = (length + 1, *field.shape)
        if field.dtype == "uint8":
            obs[name] = rng.integers(0, 256, shape, dtype=np.uint8)
        else:
            obs[name] = rng.normal(size=shape).astype(np.float32)
    action = rng.uniform(spec.action_low, spec.action_high, (length, spec.action_dim))
    return Episode(
        obs=obs,
        action=action.astype(np.float32),
        reward=rng.normal(size=length).astype(np.float32),
        success=rng.random(length) < 0.5,
        terminated=False,
        truncated=True,
        seed=seed,
    )


@pytest.fixture
def torchvision(monkeypatch):
    """A stand-in for torchvision, which cannot be installed beside every torch."""
    from stand_ins import torchvision_modules

    for name, module in torchvision_modules().items():
        monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture(autouse=True)
def precision_of_the_library(monkeypatch):
    """A command that a test runs sets the precision of this process; the next test starts from the default."""
    monkeypatch.setattr("ibc.device._reduced", None)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A folder with demonstrations and a short run, and the bytes of its checkpoint."""
    from small import tiny

    from ibc.cli.train import train

    folder = tmp_path_factory.mktemp("trained")
    with contextlib.chdir(folder):
        train(tiny("run_dir=run"))
    return folder


@pytest.fixture
def cli(monkeypatch, capsys, tmp_path):
    """Run a script or a command of ``ibc`` in this process; returns exit code, standard output and standard error."""
    from ibc.cli.app import main

    monkeypatch.chdir(tmp_path)

    def run(name, *arguments):
        path = str(SCRIPTS.get(name, "ibc"))
        monkeypatch.setattr(sys, "argv", [path, *arguments])
        code = 0
        try:
            if name in SCRIPTS:
                runpy.run_path(path, run_name="__main__")
            else:
                main([name, *arguments])
        except SystemExit as exit_:
            code = exit_.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
