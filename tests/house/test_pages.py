"""Pages whose blocks are executed one after another, in an empty folder, as a reader would."""

import re
import runpy
import shlex
import sys

import pytest
from conftest import ROOT

from ibc.cli.app import main

pytestmark = pytest.mark.unchecked

#: With what each prints at its end.
PAGES = {"real_data": "decision", "your_task": "success", "compose": "'feasible': tensor([1.])"}
#: Options that make a command short, beside the number of gradient steps.
SHORT = {
    "train": ["video=false"],
    "evaluate": ["num_episodes=1"],
    "record": ["env.max_episode_steps=3"],
}


@pytest.fixture
def follow(tmp_path, monkeypatch, capsys):
    """Execute a page, with as many gradient steps as are said; returns what it prints."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pretrained").symlink_to(ROOT / "pretrained")

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
                    short = list(SHORT.get(arguments[0], []))
                    if num_steps is not None and any(a.startswith("env.id=") for a in arguments):
                        short.append("evaluation.num_episodes=2")
                    main([*arguments, *short])
        return capsys.readouterr().out

    return run_page


@pytest.mark.parametrize(("name", "printed"), PAGES.items())
def test_every_block_of_a_page_runs(name, printed, follow):
    assert printed in follow(name, num_steps=10)


CONCEPTS = sorted((ROOT / "docs/concepts").glob("*.md"))


@pytest.mark.parametrize("path", CONCEPTS, ids=lambda path: path.stem)
def test_every_concept_has_a_program_that_runs_and_a_picture(path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    text = path.read_text()
    (block,) = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    exec(block, {})
    assert capsys.readouterr().out
    assert f"](../pictures/concept_{path.stem}.png)" in text
    assert f"`python -m benchmarks.pages.concepts docs/pictures {path.stem}`" in text


@pytest.mark.slow
def test_the_policy_of_the_page_goes_where_it_should(follow):
    out = follow("real_data")
    joints = [float(x) for x in re.search(r"joints \[(.*?)\]", out)[1].split()]
    assert joints == pytest.approx([0.5, -0.4], abs=0.1)
