"""The measures of policies on robots, made small."""

import json
import shutil

import pytest
from conftest import ROOT

from benchmarks.robot import constraints, export, latency, serve
from benchmarks.tables.pages import table

pytestmark = [pytest.mark.unchecked, pytest.mark.slow]
CHECKPOINT = ROOT / "pretrained/particle_2d.pt"


def test_latency_is_measured_drawn_and_put_into_a_table(tmp_path, monkeypatch):
    monkeypatch.setattr(latency, "WAYS", ("committed", "blocking"))
    monkeypatch.setattr(latency, "LATENCIES_MS", (0, 100))
    task = latency.Task.parse(f"particle={ROOT / 'pretrained/particle_8d.pt'}:2")
    output, image = tmp_path / "latency.json", tmp_path / "latency.png"
    latency.main(output, image, [task], 1)
    rows = json.loads(output.read_text())["rows"]
    assert [(row["way"], row["latency_ms"]) for row in rows] == [
        ("committed", 0),
        ("committed", 100),
        ("blocking", 0),
        ("blocking", 100),
    ]
    assert all(row["jerk"] > 0 for row in rows)
    assert image.read_bytes().startswith(b"\x89PNG")
    assert "| particle | committed |" in table(output)


def test_an_exported_policy_is_compared(tmp_path):
    (tmp_path / "policies").mkdir()
    shutil.copy(CHECKPOINT, tmp_path / "policies")
    output = tmp_path / "export.json"
    export.main(tmp_path / "policies", output, 4)
    (row,) = json.loads(output.read_text())["rows"]
    assert row["same"] == 1
    assert "| particle_2d | MLPEnergy, GradientDescent | 100% |" in table(output)


def test_a_server_under_load_answers_right_and_its_memory_stays(tmp_path):
    output = tmp_path / "serve.json"
    serve.main(CHECKPOINT, output, 160)
    result = json.loads(output.read_text())
    assert result["counts"]["wrong"] == 0
    assert result["counts"]["answers"] > 100
    before, after = result["memory_mb"]
    assert after < before + 10
    assert "wrong answers | 0" in table(output)


def test_violations_are_counted_and_put_into_a_table(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    for name, value in {"BODIES": 20, "STEPS": 25, "FEW_BODIES": 10, "FEW_STEPS": 25}.items():
        monkeypatch.setattr(constraints, name, value)
    output = tmp_path / "constraints.json"
    constraints.main(output)
    rows = json.loads(output.read_text())["rows"]
    assert len(rows) == 26
    found = {(row["body"], row["checked"], row["fallback"]): row["violations"] for row in rows}
    assert found["delta of at most 0.2", "nothing", ""] > 100
    assert found["delta of at most 0.2", "motion", "brake"] == 0
    assert found["spring, 10 substeps", "motion", "hold"] == 0
    assert "| delta of at most 0.2 | motion | brake | 500 | 0 |" in table(output)
