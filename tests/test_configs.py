"""Every YAML is composed and built, so that none can name what does not exist."""

import pytest
from conftest import ROOT

from ibc.cli.config import build, check_targets, compose
from ibc.energies import Energy
from ibc.errors import UserError
from ibc.losses import InfoNCE, Loss
from ibc.policies import Policy
from ibc.samplers import Sampler
from ibc.spec import ObsField, Spec


def names(group):
    return sorted(path.stem for path in (ROOT / "configs" / group).glob("*.yaml"))


@pytest.fixture
def small_spec():
    return Spec(
        obs={"state": ObsField((4,), "float32"), "image": ObsField((12, 12, 3), "uint8")},
        obs_horizon=2,
        action_dim=2,
        action_horizon=1,
        action_low=(-1.0, -1.0),
        action_high=(1.0, 1.0),
    )


def train_config(*overrides):
    return compose("train", ["env=particle", *overrides])


@pytest.mark.parametrize("name", names("experiment"))
@pytest.mark.parametrize("policy", names("policy"))
def test_experiment(name, policy, small_spec):
    """Each experiment with each policy by one override, which is how the baselines are run."""
    task = ["task=pen-human"] if name.startswith("d4rl") else []
    config = compose("train", [f"experiment={name}", f"policy={policy}", *task])
    assert config["policy_name"] == policy
    assert isinstance(build(config["policy"], "policy")(spec=small_spec), Policy)
    assert isinstance(build(config["loss"], "loss"), Loss)
    build(config["optimizer"], "optimizer")


@pytest.mark.parametrize("name", names("protocol"))
def test_protocol(name):
    """Every task or experiment of a protocol is one that a training run can be composed for."""
    config = compose("study", [f"protocol={name}"])
    assert config["protocol_name"] == name
    assert config["seeds"] == [0, 1, 2]
    for task, overrides in config["tasks"].items():
        run = compose("train", [f"experiment={config['name']}", f"task={task}", *overrides])
        assert run["evaluation"]["num_episodes"] == 100
        assert run["task"] == task
    for experiment in config["experiments"]:
        for policy in config["policies"]:
            run = compose("train", [f"experiment={experiment}", f"policy={policy}"])
            assert run["name"] == experiment  # and so pretrained/ and results/ are named after it
            assert run["evaluation"]["num_episodes"] == 100
    assert set(config["published"]) <= set(config["experiments"])


@pytest.mark.parametrize("name", names("encoder"))
def test_encoder(name, small_spec):
    policy = build(train_config(f"encoder={name}")["policy"], "policy")(spec=small_spec)
    assert isinstance(policy.energy, Energy)


@pytest.mark.parametrize("name", names("sampler"))
def test_sampler(name):
    assert isinstance(build(train_config(f"sampler={name}")["sampler"], "sampler"), Sampler)


@pytest.mark.parametrize("name", names("negatives"))
def test_negatives(name):
    loss = build(train_config(f"negatives={name}")["loss"], "loss")
    assert isinstance(loss, InfoNCE)
    assert loss.negatives


@pytest.mark.parametrize("name", names("energy_loss"))
def test_loss(name):
    assert isinstance(build(train_config(f"energy_loss={name}")["loss"], "loss"), Loss)


def test_a_changed_value_changes_the_object():
    """A setting that is read and then ignored would show here."""
    sampler = build(train_config("sampler=langevin")["sampler"], "sampler").samplers[0]
    assert sampler.noise_std == 1.0
    changed = build(
        train_config("sampler=langevin", "+sampler.samplers.0.noise_std=0.25")["sampler"], "sampler"
    )
    assert changed.samplers[0].noise_std == 0.25


def test_experiment_values_survive_in_front_of_defaults():
    assert train_config("experiment=particle_2d")["name"] == "particle_2d"
    config = train_config("experiment=particle_2d", "trainer.num_steps=7")
    assert config["trainer"]["num_steps"] == 7


class TestAllowList:
    """A checkpoint carries configuration, so it must not be able to name other people's code."""

    @pytest.mark.parametrize(
        "target",
        [
            "os.system",
            "builtins.eval",
            "subprocess.Popen",
            "torch.load",
            "ibc.cli.config.os.system",
            "ibc.device.subprocess.Popen",
            "ibc.cli.train.torch.load",
            "ibc.cli.config.hydra.utils.instantiate",
            "ibcx.Thing",
            "ibc",
            "ibc.environment.Environment",
            "ibc.policies.base.nn.Linear",
        ],
    )
    def test_refused(self, target):
        with pytest.raises(UserError, match="allowed are ibc.policies, ibc.energies"):
            build({"_target_": target}, "thing")

    def test_refused_however_deep(self):
        nested = {"_target_": "ibc.samplers.Chain", "samplers": [{"x": {"_target_": "os.system"}}]}
        with pytest.raises(UserError, match=r"os\.system"):
            check_targets(nested)

    def test_functions_are_refused(self):
        """Only classes are components; a function could have effects on being called."""
        with pytest.raises(UserError, match="allowed"):
            build({"_target_": "ibc.training.checkpoint.write_atomically", "path": "x"}, "thing")

    def test_missing_names_are_explained(self):
        with pytest.raises(UserError, match="does not exist"):
            build({"_target_": "ibc.samplers.Nonsense"}, "sampler")

    def test_wrong_arguments_are_explained(self):
        with pytest.raises(UserError, match="cannot build sampler") as error:
            build({"_target_": "ibc.samplers.DFO", "num_candidate": 3}, "sampler")
        assert "\n" not in str(error.value)

    def test_optimizers_are_allowed(self):
        build({"_target_": "torch.optim.AdamW", "_partial_": True, "lr": 1e-3}, "optimizer")
