"""Latency beside busy processes."""

import os
from pathlib import Path

import pytest
import torch

from benchmarks.config import compose
from benchmarks.tables.pages import table
from benchmarks.timing import beside, processes, quiet
from benchmarks.timing.benchmark import benchmark

pytestmark = pytest.mark.unchecked


def test_neighbors_end_with_the_measure():
    found = []

    def failing():
        with quiet.busy(1) as pids:
            found.extend(pids)
            assert Path(f"/proc/{pids[0]}").exists()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    with pytest.raises(ProcessLookupError):
        os.kill(found[0], 0)


def test_a_row_is_measured_and_written(monkeypatch, tmp_path):
    monkeypatch.setattr(beside, "SECONDS", 0.01)
    monkeypatch.setattr(beside, "CALLS", 2)
    monkeypatch.setattr(quiet, "PATIENCE", 0.0)
    output = tmp_path / "beside.json"
    output.write_text('{"rows": [{"name": "W1", "ms": 5.0}]}')  # of the other table: left out
    plain = "tests/plain.py"
    benchmark(
        compose(
            "benchmark", ["beside=1", "rows=[particle_2d]", f"output={output}", f"plain={plain}"]
        )
    )
    text = table(output)
    assert "| particle_2d |" in text
    assert "1 busy process" in text


def test_a_decision_of_a_controller_has_one_thread_or_all(monkeypatch):
    torch.set_num_threads(2)
    seen = []
    made = beside.published("W2", "tests/plain.py")
    act = made.act
    monkeypatch.setattr(
        made, "act", lambda *args: (seen.append(torch.get_num_threads()), act(*args))[1]
    )
    made.sampler.num_candidates = 8
    monkeypatch.setattr(beside, "published", lambda *_: made)
    for name in ("W2", "W2_all"):
        beside.make_work(name, "tests/plain.py")()
    assert seen == [1, 2]


def test_processes_are_measured_and_written(monkeypatch, tmp_path):
    monkeypatch.setattr(quiet, "PATIENCE", 0.0)
    monkeypatch.setitem(processes.MEASURES, "sweep", lambda name, count: 4.0 / count)
    output = tmp_path / "processes.json"
    benchmark(compose("benchmark", ["processes=2", "rows=[sweep]", f"output={output}"]))
    assert "| sweep | 4.0 s | 2.0 s | 2.00 |" in table(output)


def test_the_least_disturbed_measure_is_kept(monkeypatch):
    monkeypatch.setattr(quiet, "PATIENCE", 0.0)
    others = iter([0.0, 1e9, 0.0, 10.0, 0.0, 1e9, 0.0, 1e9])
    monkeypatch.setattr(quiet, "taken_by_others", lambda _: next(others))
    found, cores = quiet.measure_quietly(iter("abcd").__next__, tries=4)
    assert found == "b"
    assert cores > 0
