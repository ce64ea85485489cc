"""Exported policies take the same actions without torch."""

import json

import numpy as np
import pytest
import torch
from small import CPU, make_obs

import ibc
from ibc import samplers
from ibc.energies import AutoregressiveEnergy, MLPEnergy, PreconditionedEnergy
from ibc.export import export_onnx
from ibc.nn import ObsEncoder
from ibc.nn.sequence import FiLMMLP, TemporalUNet
from ibc.policies.baselines import (
    CategoricalPolicy,
    CVAEPolicy,
    DiffusionPolicy,
    EDMPolicy,
    MDNPolicy,
    MSEPolicy,
)
from ibc.random import PerEpisodeRandom
from ibc_client import load_exported

pytestmark = pytest.mark.unchecked


class TorchRandom:
    """The random numbers of a policy in torch, for one in numpy."""

    def __init__(self, seed):
        self.source = PerEpisodeRandom([torch.Generator().manual_seed(seed)], CPU)

    def uniform(self, *shape):
        return self.source.uniform(*shape).numpy()

    def normal(self, *shape):
        return self.source.normal(*shape).numpy()


def encoder():
    return ObsEncoder(num_gates=8)


def descent(settle=None):
    return samplers.GradientDescent(
        num_candidates=4, num_iterations=6, step_init=1.0, step_final=0.1, settle=settle
    )


def searched(energy, sampler, **kwargs):
    return lambda spec: ibc.ImplicitPolicy(spec, energy(), sampler, **kwargs)


def preconditioned(network):
    return PreconditionedEnergy(encoder(), network, context_size=16)


AUTOREGRESSIVE = {
    "num_candidates": 16,
    "num_iterations": 2,
    "noise_std": 0.1,
    "shrink": 0.5,
    "temperature": 0.1,
}
LANGEVIN = {"num_candidates": 4, "num_iterations": 5, "step_init": 0.5, "step_final": 0.1}
#: The first is exported in the quick tests: it has a gradient written out, a proposal, pictures and history.
POLICIES = {
    "descent": searched(
        lambda: MLPEnergy(encoder(), width=16, proposal=True), descent(), init_std=0.1
    ),
    "default": ibc.ImplicitPolicy,
    "settling": searched(lambda: MLPEnergy(encoder(), width=16, head="scalar"), descent(0.05)),
    "langevin": searched(
        lambda: MLPEnergy(encoder(), width=16, spectral_norm=True, head="quadratic"),
        samplers.IBCLangevin(**LANGEVIN),
    ),
    "dfo": searched(
        lambda: MLPEnergy(encoder(), width=16),
        samplers.DFO(num_candidates=32, num_iterations=3, noise_std=0.3, shrink=0.5),
    ),
    "autoregressive": searched(
        lambda: AutoregressiveEnergy(encoder(), width=16, head_width=8),
        samplers.AutoregressiveDFO(**AUTOREGRESSIVE),
    ),
    "film": searched(
        lambda: preconditioned(FiLMMLP(width=16, num_blocks=1)),
        samplers.ProbabilityFlow(num_candidates=2, num_steps=4),
    ),
    "unet": searched(lambda: preconditioned(TemporalUNet()), samplers.ProbabilityFlow(num_steps=3)),
    "mse": lambda spec: MSEPolicy(spec, encoder(), width=16),
    "mdn": lambda spec: MDNPolicy(spec, encoder(), width=16, num_components=3),
    "bins": lambda spec: CategoricalPolicy(spec, encoder(), width=16, num_bins=8),
    "edm": lambda spec: EDMPolicy(spec, encoder(), FiLMMLP(width=16, num_blocks=1), num_steps=3),
    "cvae": lambda spec: CVAEPolicy(spec, encoder(), width=16, latent_size=3),
    "diffusion": lambda spec: DiffusionPolicy(spec, encoder(), width=16, num_steps=3, eta=1.0),
}


def check_same_actions(policy, folder):
    exported = load_exported(folder)
    for seed in range(3):
        obs = make_obs(policy.spec, 1)
        expected = policy.act(obs, TorchRandom(seed).source)[0].numpy()
        action = exported.act({k: v[0].numpy() for k, v in obs.items()}, TorchRandom(seed))
        np.testing.assert_allclose(action, expected, atol=1e-4)
    return exported


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The first policy, and its folder."""
    spec = ibc.Spec(
        obs={"goal": ibc.ObsField((3,), "float32"), "camera": ibc.ObsField((12, 16, 3), "uint8")},
        obs_horizon=2,
        action_dim=2,
        action_horizon=3,
        action_low=(-1.0, -2.0),
        action_high=(1.0, 2.0),
    )
    torch.manual_seed(0)
    policy = POLICIES["descent"](spec).eval()
    folder = tmp_path_factory.mktemp("exported") / "policy"
    export_onnx(policy, folder, num_execute_steps=2)
    return policy, folder


def test_actions_are_the_same(exported):
    check_same_actions(*exported)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(POLICIES)[1:])
def test_actions_of_every_kind_are_the_same(name, spec, tmp_path):
    policy = POLICIES[name](spec).eval()
    export_onnx(policy, tmp_path / "policy")
    check_same_actions(policy, tmp_path / "policy")


def test_it_acts_step_by_step_as_a_controller(exported, monkeypatch):
    policy, folder = exported
    monkeypatch.setattr("ibc_client.policy.NumpyRandom", TorchRandom)
    acting = load_exported(folder)
    controller = ibc.Controller(policy, num_execute_steps=2)
    for seed in (3, 4):
        acting.reset(seed)
        controller.reset(seed)
        for _ in range(5):
            obs = {name: array[0, 0].numpy() for name, array in make_obs(policy.spec).items()}
            np.testing.assert_allclose(acting.step(obs), controller.step(obs), atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"goal": None}, "needs observation 'goal'"),
        ({"goal": np.zeros(4)}, "shape"),
        ({"goal": np.full(3, np.nan)}, "not finite"),
        ({"camera": np.zeros((12, 16, 3))}, "not uint8"),
    ],
)
def test_other_observations_are_refused(exported, change, message):
    acting = load_exported(exported[1])
    obs = {"goal": np.zeros(3), "camera": np.zeros((12, 16, 3), np.uint8), **change}
    with pytest.raises(ValueError, match=message):
        acting.step({name: value for name, value in obs.items() if value is not None})


def test_folders_that_cannot_be_read_are_refused(exported, tmp_path):
    with pytest.raises(ValueError, match="no exported policy"):
        load_exported(tmp_path)
    description = json.loads((exported[1] / "policy.json").read_text())
    (tmp_path / "policy.json").write_text(json.dumps({**description, "format_version": 9}))
    with pytest.raises(ValueError, match="format 9"):
        load_exported(tmp_path)
    (tmp_path / "policy.json").write_text("[1]")
    with pytest.raises(ValueError, match="has no description"):
        load_exported(tmp_path)
    (tmp_path / "policy.json").write_text('{"format_version": 1, "obs": {}}')
    with pytest.raises(ValueError, match="lacks action_dim, num_execute_steps, obs_horizon"):
        load_exported(tmp_path)
    (tmp_path / "policy.json").write_text(json.dumps(description))
    with pytest.raises(ValueError, match="lacks the graphs"):
        load_exported(tmp_path)


@pytest.mark.parametrize("steps", [-1, 0, 4])
def test_steps_that_a_chunk_does_not_have_are_refused(steps, spec, tmp_path):
    with pytest.raises(ibc.UserError, match=f"num_execute_steps={steps}; allowed: 1 to 3"):
        export_onnx(POLICIES["mse"](spec), tmp_path / "policy", num_execute_steps=steps)


def test_what_cannot_be_exported_is_refused_in_a_line(spec, tmp_path):
    def refused(policy, match):
        with pytest.raises(ibc.UserError, match=match):
            export_onnx(policy, tmp_path / "policy")
        assert not (tmp_path / "policy").exists()

    mlp = lambda: MLPEnergy(encoder(), width=8)  # noqa: E731
    refused(ibc.ImplicitPolicy(spec, mlp(), samplers.ULA(**LANGEVIN)), "search by ULA")
    refused(ibc.ImplicitPolicy(spec, mlp(), warm_start_fraction=0.5), "previous action")
    policy = ibc.ImplicitPolicy(spec, mlp())
    refused(ibc.ComposedPolicy(policy, policy.energy), "ComposedPolicy")
    with pytest.raises(ibc.UserError, match="exists"):
        export_onnx(policy, tmp_path)
