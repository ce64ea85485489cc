"""Every program in examples/ and the Python block of the README run as they stand."""

import os
import re
import subprocess
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
    "robot_loop": [str(ROOT / "pretrained/particle_2d.pt"), "5"],
}
PROGRAMS = sorted((ROOT / "examples").glob("*.py"))


def run(folder, *command):
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_example(path, tmp_path):
    assert len(path.read_text().splitlines()) <= 60
    arguments = SHORT.get(path.stem, [])
    if path.stem == "autoregressive_energy":
        run(tmp_path, str(ROOT / "examples/train_particle.py"), "10", "20")
        arguments = ["particle_demos", "20"]
    assert run(tmp_path, str(path), *arguments)


def test_there_are_enough():
    assert len(PROGRAMS) >= 6


def test_the_python_block_of_the_readme(tmp_path):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)
    run(tmp_path, str(ROOT / "examples/train_particle.py"), "10", "20")
    short = re.sub(r"num_steps=[\d_]+", "num_steps=20", block)
    short = re.sub(r"range\(100_000, 100_100\)", "range(100_000, 100_002)", short)
    (tmp_path / "program.py").write_text(short)
    assert run(tmp_path, "program.py")
