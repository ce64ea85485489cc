"""The YAML files of the benchmark commands compose with those of the project."""

import pytest

from benchmarks.config import CONFIG_DIR, compose
from ibc.cli.train import check_task
from ibc.construct import construct
from ibc.env_config import EnvConfig
from ibc.environment import Environment
from ibc.losses import Loss


def names(group):
    return sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml"))


@pytest.mark.parametrize("name", names("experiment"))
def test_experiment_of_a_study(name):
    task = ["task=pen-human"] if name.startswith("d4rl") else []
    config = compose("train", [f"experiment={name}", *task])
    assert config["name"].startswith(name)
    assert isinstance(construct(config["loss"], "loss"), Loss)


@pytest.mark.parametrize("name", names("env"))
def test_environment_of_a_study(name):
    env = Environment(EnvConfig.from_mapping(compose("train", [f"env={name}"])["env"]))
    assert env.reset(0)
    env.close()


@pytest.mark.parametrize("name", names("protocol"))
def test_protocol(name):
    """Every task or experiment of a protocol is one that a training run can be composed for."""
    config = compose("study", [f"protocol={name}"])
    assert config["protocol_name"] == name
    assert config["seeds"] == [0, 1, 2]
    names_of_runs = set()
    for task, overrides in config["tasks"].items():
        run = compose("train", [f"experiment={config['name']}", f"task={task}", *overrides])
        assert run["evaluation"]["num_episodes"] == 100
        assert run["task"] == task
        check_task(run)  # its environment is that of the task
        names_of_runs.add(run["name"])
    assert len(names_of_runs) == len(config["tasks"])  # each in a folder of its own
    for experiment in config["experiments"]:
        for policy in config["policies"]:
            run = compose("train", [f"experiment={experiment}", f"policy={policy}"])
            assert run["name"] == experiment  # and so pretrained/ and results/ are named after it
            assert run["evaluation"]["num_episodes"] == 100
    assert set(config["published"]) <= set(config["experiments"])
