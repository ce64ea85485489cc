"""Every program in examples/ and the Python block of the README run as they stand."""

import re
import runpy
import sys

import pytest
from conftest import ROOT

pytestmark = pytest.mark.unchecked

#: Arguments that make a program short.
SHORT = {
    "two_modes": ["100"],
    "train_particle": ["10", "20"],
    "compose_constraints": [str(ROOT / "pretrained/particle_2d.pt"), "2"],
    "own_environment": ["10", "20"],
}
#: A robot and its loop take real time, in tests/control/test_robot_loop.py; ROS 2 has stand-ins in test_ros2_node.py.
ROBOT = ("robot_loop", "simulated_robot", "ros2_node")
PROGRAMS = sorted(p for p in (ROOT / "examples").glob("*.py") if p.stem not in ROBOT)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a program in an empty folder, in this process; returns what it prints."""
    monkeypatch.chdir(tmp_path)

    def run_program(path, *arguments):
        monkeypatch.setattr(sys, "argv", [str(path), *arguments])
        runpy.run_path(str(path), run_name="__main__")
        return capsys.readouterr().out

    return run_program


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_example(path, run):
    assert len(path.read_text().splitlines()) <= 60
    arguments = SHORT.get(path.stem, [])
    if path.stem == "autoregressive_energy":
        run(ROOT / "examples/train_particle.py", "10", "20")
        arguments = ["particle_demos", "20"]
    assert run(path, *arguments)


def test_there_are_enough():
    assert len(PROGRAMS) + len(ROBOT) >= 6


def test_the_python_block_of_the_readme(run, tmp_path):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)
    short = re.sub(r"num_steps=[\d_]+", "num_steps=20", block)
    short = re.sub(r"num_episodes=\d+", "num_episodes=10", short)
    short = re.sub(r"range\(100_000, 100_100\)", "range(100_000, 100_002)", short)
    (tmp_path / "program.py").write_text(short)
    assert run(tmp_path / "program.py")
