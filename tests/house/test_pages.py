"""Pages whose blocks are executed one after another, in an empty folder, as a reader would."""

import re
import runpy
import shlex
import sys

import pytest
from conftest import ROOT

from ibc.cli.app import main

pytestmark = pytest.mark.unchecked

PAGES = ["real_data"]


@pytest.fixture
def follow(tmp_path, monkeypatch, capsys):
    """Execute a page, with as many gradient steps as are said; returns what it prints."""
    monkeypatch.chdir(tmp_path)

    def run_page(name, num_steps=None):
        text = (ROOT / f"docs/{name}.md").read_text()
        if num_steps is not None:
            text = re.sub(r"(num_steps|every)=\d+", rf"\1={num_steps}", text)
        for language, block in re.findall(r"```(python|sh)\n(.*?)```", text, flags=re.S):
            if language == "python":
                (tmp_path / "program.py").write_text(block)
                monkeypatch.setattr(sys, "argv", ["program.py"])
                runpy.run_path("program.py", run_name="__main__")
            else:
                for line in block.replace("\\\n", " ").splitlines():
                    command, *arguments = shlex.split(line)
                    assert command == "ibc"
                    main([*arguments, *(["video=false"] if arguments[0] == "train" else [])])
        return capsys.readouterr().out

    return run_page


@pytest.mark.parametrize("name", PAGES)
def test_every_block_of_a_page_runs(name, follow):
    assert "decision" in follow(name, num_steps=10)


@pytest.mark.slow
def test_the_policy_of_the_page_goes_where_it_should(follow):
    out = follow("real_data")
    joints = [float(x) for x in re.search(r"joints \[(.*?)\]", out)[1].split()]
    assert joints == pytest.approx([0.5, -0.4], abs=0.1)
