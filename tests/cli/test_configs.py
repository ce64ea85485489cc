"""Every YAML is composed and built, so that none can name what does not exist."""

import inspect

import pytest
from commands import assert_refused
from conftest import ROOT

from ibc.cli.config import compose
from ibc.component import describe
from ibc.construct import check_trusted, construct, trusted_packages
from ibc.energies import Energy
from ibc.errors import UserError
from ibc.losses import InfoNCE, Loss
from ibc.policies import ImplicitPolicy, Policy
from ibc.policies.default_sampler import default_sampler
from ibc.policies.loading import make_policy
from ibc.samplers import Sampler
from ibc.spec import ObsField, Spec
from ibc.training import Trainer, default_loss


def names(group):
    return sorted(path.stem for path in (ROOT / "configs" / group).glob("*.yaml"))


@pytest.fixture
def small_spec():
    return Spec(
        obs={"state": ObsField((5,), "float32"), "image": ObsField((12, 12, 3), "uint8")},
        obs_horizon=2,
        action_dim=2,
        action_horizon=1,
        action_low=(-1.0, -1.0),
        action_high=(1.0, 1.0),
    )


def train_config(*overrides):
    return compose("train", ["env=particle", *overrides])


def pairs():
    """Every experiment with three policies in turn, and every policy with one of the experiments at least."""
    experiments, policies = names("experiment"), names("policy")
    turns = range(max(3 * len(experiments), len(policies)))
    return sorted({(experiments[i % len(experiments)], policies[i % len(policies)]) for i in turns})


def test_pairs_cover_both():
    assert {name for name, _ in pairs()} == set(names("experiment"))
    assert {policy for _, policy in pairs()} == set(names("policy"))


@pytest.mark.parametrize(("name", "policy"), pairs())
def test_experiment(name, policy, small_spec):
    """An experiment with another policy by one override, which is how the baselines are run."""
    task = ["task=pen-human"] if name.startswith("d4rl") else []
    config = compose("train", [f"experiment={name}", f"policy={policy}", *task])
    assert config["policy_name"] == policy
    assert isinstance(make_policy(config["policy"], small_spec), Policy)
    assert isinstance(construct(config["loss"], "loss"), Loss)
    construct(config["optimizer"], "optimizer")


@pytest.mark.slow
@pytest.mark.parametrize("name", names("experiment"))
@pytest.mark.parametrize("policy", names("policy"))
def test_every_experiment_with_every_policy(name, policy, small_spec):
    test_experiment(name, policy, small_spec)


@pytest.mark.usefixtures("torchvision")
@pytest.mark.parametrize("name", names("encoder"))
def test_encoder(name, small_spec):
    policy = make_policy(train_config(f"encoder={name}")["policy"], small_spec)
    assert isinstance(policy.energy, Energy)


@pytest.mark.parametrize("name", names("sampler"))
def test_sampler(name):
    assert isinstance(
        construct(train_config(f"sampler={name}")["policy"]["sampler"], "sampler"), Sampler
    )


@pytest.mark.parametrize("name", names("negatives"))
def test_negatives(name):
    loss = construct(train_config("loss=info_nce", f"negatives={name}")["loss"], "loss")
    assert isinstance(loss, InfoNCE)
    assert loss.negatives


@pytest.mark.parametrize("name", names("loss"))
def test_loss(name):
    assert isinstance(construct(train_config(f"loss={name}")["loss"], "loss"), Loss)


def test_one_address_changes_the_object():
    """A setting that is read and then ignored would show here."""
    config = train_config("policy=implicit_langevin", "policy.sampler.samplers.0.num_candidates=7")
    assert construct(config["policy"]["sampler"], "sampler").samplers[0].num_candidates == 7
    config = train_config("sampler=dfo", "policy.sampler.num_candidates=64")
    assert construct(config["policy"]["sampler"], "sampler").num_candidates == 64


def test_python_defaults_are_the_default_recipe(small_spec):
    """``ImplicitPolicy(spec)`` and ``ibc train`` without choices are the same policy, loss and training."""
    config = train_config()
    policy = ImplicitPolicy(small_spec)
    assert describe(policy) == describe(make_policy(config["policy"], small_spec))
    assert describe(default_loss(policy)) == describe(construct(config["loss"], "loss"))
    defaults = inspect.signature(Trainer).parameters
    assert {key: defaults[key].default for key in config["trainer"]} == config["trainer"]


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in names("policy")
        if n not in ("implicit_langevin", "implicit_few_demos", "implicit_unimodal")
    ],
)
def test_default_loss_is_that_of_the_recipe(name, small_spec):
    config = train_config(f"policy={name}")
    policy = make_policy(config["policy"], small_spec)
    assert describe(default_loss(policy)) == describe(construct(config["loss"], "loss"))
    if isinstance(policy, ImplicitPolicy) and name != "implicit_ranked":
        chosen = describe(policy.sampler)
        if name != "implicit_proposal":
            assert describe(default_sampler(policy.energy)) == chosen


def test_experiment_values_survive_in_front_of_defaults():
    assert train_config("experiment=particle_2d")["name"] == "particle_2d"
    config = train_config("experiment=particle_2d", "trainer.num_steps=7")
    assert config["trainer"]["num_steps"] == 7


class TestTrust:
    """A checkpoint carries a description, so it must not be able to name other people's code."""

    @pytest.mark.parametrize(
        "target",
        [
            "os.system",
            "builtins.eval",
            "subprocess.Popen",
            "torch.load",
            "ibc.construct.importlib.import_module",
            "ibc.device.subprocess.Popen",
            "ibc.policies.loading.load_checkpoint",
            "ibc.cli.config.hydra.utils.instantiate",
            "ibcx.Thing",
            "ibc",
            "ibc.environment.Environment",
            "ibc.policies.loading.Checkpoint",
            "functools.partial",
        ],
    )
    def test_refused_in_a_file(self, target):
        with pytest.raises(UserError, match="it may name classes of ibc.policies"):
            construct({"_target_": target}, "thing", trusted=trusted_packages())

    def test_the_refusal_names_the_key_to_set(self):
        with pytest.raises(UserError, match=r"trust=\[my_package\]"):
            check_trusted({"_target_": "my_package.Encoder"}, trusted_packages())

    def test_refused_however_deep(self):
        nested = {"_target_": "ibc.samplers.Chain", "samplers": [{"x": {"_target_": "os.system"}}]}
        with pytest.raises(UserError, match=r"os\.system"):
            check_trusted(nested, trusted_packages())

    def test_functions_are_refused(self):
        """Only classes are components; a function could have effects on being called."""
        with pytest.raises(UserError, match="may name"):
            check_trusted({"_target_": "ibc.losses.info_nce"}, trusted_packages())

    def test_interpolations_are_refused(self):
        with pytest.raises(UserError, match="interpolation"):
            check_trusted(
                {"_target_": "ibc.samplers.DFO", "x": "${oc.env:HOME}"}, trusted_packages()
            )

    def test_what_the_user_writes_may_name_anything(self):
        assert construct({"_target_": "fractions.Fraction", "numerator": 3}, "thing") == 3

    def test_missing_names_are_explained(self):
        with pytest.raises(UserError, match="does not exist"):
            construct({"_target_": "ibc.samplers.Nonsense"}, "sampler")

    def test_wrong_arguments_are_explained(self):
        with pytest.raises(UserError, match="cannot build sampler") as error:
            construct({"_target_": "ibc.samplers.DFO", "num_candidate": 3}, "sampler")
        assert "\n" not in str(error.value)

    def test_optimizers_are_trusted(self):
        adam = {"_target_": "torch.optim.AdamW", "_partial_": True, "lr": 1e-3}
        construct(adam, "optimizer", trusted=trusted_packages())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "mine.yaml"),
        (b"\xff\xfe\x00", "utf-8"),
        (b"[" * 2000, "recursion"),
        (b"defaults:", "defaults"),
        (b"# @pa\na: 1", "header"),
    ],
)
def test_a_damaged_configuration_of_the_user_is_one_line(content, message, cli, tmp_path):
    own = tmp_path / "own/policy"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_bytes(content)
    folder = f"--config-dir={own.parent}"
    assert_refused(cli("train", folder, "env=particle", "policy=mine"), message)


def test_a_network_of_ones_own_takes_the_place_of_another():
    """As docs/your_task.md says."""
    own = "+encoder.image_encoder.backbone={_target_: my_package.Net, width: 64}"
    config = compose(
        "train", ["encoder=resnet18", "~encoder.image_encoder.backbone", own, "data.path=x"]
    )
    backbone = config["policy"]["energy"]["encoder"]["image_encoder"]["backbone"]
    assert backbone == {"_target_": "my_package.Net", "width": 64}
