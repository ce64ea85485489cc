"""The table of paired comparisons."""

import json

from benchmarks.tables.comparisons import show, side_name
from benchmarks.tables.pages import marked
from benchmarks.tables.studies import machines
from ibc.evaluation.compare import compare_evaluations


def write(folder, name, measure):
    first = {"episodes": [{"seed": i, "success": i < 2, "return": 0.5} for i in range(10)]}
    second = {"episodes": [{"seed": i, "success": i < 7, "return": 1.0} for i in range(10)]}
    content = compare_evaluations([first], [second], measure).as_dict()
    paths = [[f"runs/x/{policy}/seed_0/evaluation.json"] for policy in ("edm", "implicit")]
    (folder / f"{name}.json").write_text(json.dumps({**content, "paths": paths}))


def test_a_row_for_each_measure(tmp_path):
    write(tmp_path, "a", "success")
    write(tmp_path, "b", "return")
    lines = marked(tmp_path, ["a", "b"]).splitlines()
    assert lines[0] == "| measure | edm | implicit | difference | 95 % interval | p (McNemar) |"
    assert lines[2].startswith("| success | 20.0 % | 70.0 % | +50.0 points | +20.0 points to ")
    assert lines[2].endswith("| 0.062 |")  # five discordant pairs, all one way: 2 / 2^5
    assert lines[3] == "| return | 0.500 | 1.000 | +0.500 | +0.500 to +0.500 |  |"
    assert "10 evaluation seeds, 1 and 1 training seeds" in lines[5]


def test_studies_side_by_side(tmp_path):
    row = {"success_rate_ci95": [0.1, 0.9], "policy_latency_ms": 2.34, "num_envs": 25}
    for name, rates in (("one", {"implicit": 0.5, "mdn": 0.1}), ("two", {"edm": 0.2, "mse": 0.3})):
        rows = [{"policy": policy, "success_rate": rate, **row} for policy, rate in rates.items()]
        if name == "two":
            rows[0]["runs_at_once"] = 3  # beside others, so that its time says nothing
        study = {"experiment": f"task_{name}", "seeds": [0, 1], "rows": rows}
        (tmp_path / f"{name}.json").write_text(json.dumps(study))
    lines = marked(tmp_path, ["one", "two"]).splitlines()
    assert lines[0] == "| `experiment=` | training seeds | energy | regression | diffusion |"
    assert lines[2] == "| `task_one` | 2 | 50% (10% to 90%)<br>2.3 ms |  |  |"
    assert lines[3] == "| `task_two` | 2 |  | 30% (10% to 90%)<br>2.3 ms | 20% (10% to 90%) |"


def test_rows_of_several_machines_say_so():
    small = {"cores": 2, "processor": "A", "gpu": None}
    large = {"cores": 16, "processor": "B", "gpu": "C"}
    rows = [{"policy": "implicit"}, {"policy": "mse"}]  # as files of one machine have them
    assert machines({"about": small, "rows": rows}) == "2 cores, A"
    later = [*rows, {"policy": "mse", "about": large}, {"policy": "diffusion", "about": large}]
    text = machines({"about": small, "rows": later})
    assert text == "implicit, mse: 2 cores, A; mse, diffusion: 16 cores, B, C"


def test_names():
    assert side_name(["runs/x/edm/seed_2/evaluation.json"]) == "edm"
    assert side_name(["diffusion.json"]) == "diffusion"
    assert show({"measure": "success"}, -0.125, "+") == "-12.5 points"
