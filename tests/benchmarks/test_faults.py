"""The campaign of faults tells what survives from what does not."""

import os
import time

import pytest

from benchmarks.faults import attempt as attempts
from benchmarks.faults.__main__ import run_part
from benchmarks.faults.attempt import Outcome, attempt
from benchmarks.tables.faults import faults_table

pytestmark = pytest.mark.unchecked


@pytest.mark.parametrize(
    ("program", "kind"),
    [
        (lambda _: None, "done"),
        (lambda _: 1 / 0, "traceback"),
        (lambda _: time.sleep(9), "hang"),
        (lambda _: os.abort(), "crash"),
        (lambda _: os._exit(130), "interrupted"),
        (lambda _: os._exit(3), "several lines"),
    ],
)
def test_what_became_of_a_command(program, kind, tmp_path, monkeypatch):
    monkeypatch.setattr(attempts, "main", program)
    outcome = attempt([], tmp_path, limit=1)
    assert outcome.kind == kind
    assert outcome.survived == (kind in ("done", "interrupted"))


def test_a_refusal_is_one_line_and_code_2(tmp_path):
    outcome = attempt(["evaluate", "checkpoint=none.pt"], tmp_path)
    assert (outcome.kind, outcome.line) == ("refused", "error: no checkpoint at none.pt")


def test_the_table(capsys):
    outcomes = [("a", Outcome("done", "", 1.0)), ("b", Outcome("traceback", "ValueError", 2.0))]
    row = run_part("part", iter(outcomes))
    assert "part, b: traceback: ValueError" in capsys.readouterr().out
    table = faults_table({"rows": [row], "command": "make faults"})
    assert "| part | 2 | 1 | 1 done, 1 traceback | 2 s | 0 min |" in table
