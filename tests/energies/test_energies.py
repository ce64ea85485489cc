"""Energy networks: gradients by finite differences, late fusion, and everything a network can silently get wrong."""

import math

import pytest
import torch
from conftest import built
from small import BATCH, make_energy, make_obs
from torch import nn

from ibc.energies import MLPEnergy, action_gradient
from ibc.nn import ConvMaxPool, ConvSpatialSoftmax, EnergyHead, ObsEncoder, SpatialSoftmax
from ibc.nn.encoders import NEGLIGIBLE, VECTOR_SIZE, GatedFeatures
from ibc.spec import ObsField, Spec

COUNT = 5
VARIANTS = [
    {"head": "scalar"},
    {"head": "quadratic", "num_outputs": 4},
    {"head": "reconstruction"},
    {"head": "reconstruction", "proposal": True},
    {"head": "reconstruction", "proposal": True, "relative": False},
    {"head": "scalar", "spectral_norm": True},
]


@pytest.fixture
def vector_spec():
    return Spec(
        obs={"state": ObsField((4,), "float32")},
        obs_horizon=2,
        action_dim=3,
        action_horizon=1,
        action_low=(-1.0,) * 3,
        action_high=(1.0,) * 3,
    )


@pytest.mark.parametrize("kwargs", VARIANTS)
class TestGradient:
    """The action gradient, in environment units that are not the unit cube's."""

    def bound(self, spec, kwargs):
        energy = make_energy(spec, **kwargs).double().eval()
        energy.bounds.center.copy_(torch.tensor([1.0, -2.0, 0.5]))
        energy.bounds.half_range.copy_(torch.tensor([0.5, 3.0, 1.0]))
        obs = {name: array.double() for name, array in make_obs(spec).items()}
        with torch.no_grad():
            return energy.bind(obs), torch.randn(BATCH, COUNT, 3).double()

    def test_finite_differences(self, vector_spec, kwargs):
        energy, action = self.bound(vector_spec, kwargs)
        analytic = action_gradient(energy, action)
        h = 1e-6
        for dim in range(3):
            shift = torch.zeros(3).double()
            shift[dim] = h
            central = (energy(action + shift) - energy(action - shift)) / (2 * h)
            torch.testing.assert_close(analytic[..., dim], central, atol=1e-7, rtol=1e-5)

    def test_agrees_with_automatic_differentiation(self, vector_spec, kwargs):
        energy, action = self.bound(vector_spec, kwargs)
        automatic = action_gradient(lambda a: energy(a), action)  # noqa: PLW0108  hides its routine
        torch.testing.assert_close(action_gradient(energy, action), automatic)


@pytest.mark.parametrize("kwargs", VARIANTS)
def test_batch_items_are_independent(spec, kwargs):
    energy = make_energy(spec, **kwargs).eval()
    obs = make_obs(spec)
    action = torch.randn(BATCH, COUNT, spec.action_size)
    together = energy.bind(obs)(action)
    for b in range(BATCH):
        alone = energy.bind({n: o[b : b + 1] for n, o in obs.items()})(action[b : b + 1])
        torch.testing.assert_close(alone[0], together[b], atol=1e-5, rtol=1e-5)


def test_late_fusion_equals_tiled_observations(spec):
    """One observation with N candidates is the same as N copies of it with one candidate each."""
    energy = make_energy(spec).eval()
    obs = make_obs(spec, batch=1)
    action = torch.randn(1, COUNT, spec.action_size)
    tiled = {n: o.repeat(COUNT, *[1] * (o.dim() - 1)) for n, o in obs.items()}
    torch.testing.assert_close(
        energy.bind(obs)(action)[0],
        energy.bind(tiled)(action.transpose(0, 1))[:, 0],
        atol=1e-5,
        rtol=1e-5,
    )


@pytest.mark.parametrize("image_encoder", [ConvMaxPool, ConvSpatialSoftmax])
@pytest.mark.parametrize("kwargs", VARIANTS)
def test_every_parameter_receives_a_gradient(spec, image_encoder, kwargs):
    """A convolution whose output is thrown away would show here."""
    energy = make_energy(spec, image_encoder, **kwargs).train()
    value = energy.bind(make_obs(spec))(torch.randn(BATCH, COUNT, spec.action_size))
    # Differences, since a constant offset of the energy has no meaning and its bias alone would.
    value.square().sum().backward()
    if energy.proposal is not None:  # which has a loss of its own
        energy.bind(make_obs(spec)).proposal.sum().backward()
    silent = [n for n, p in energy.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


@pytest.mark.parametrize("relative", [True, False])
def test_a_proposal_moves_the_energy_only_where_it_is_relative(vector_spec, relative):
    energy = make_energy(vector_spec, proposal=True, relative=relative).eval()
    obs, action = make_obs(vector_spec), torch.randn(BATCH, COUNT, 3)
    shift = 0.3 * energy.bounds.half_range
    with torch.no_grad():
        before = energy.bind(obs)(action)
        energy.proposal.dense_out.bias.add_(0.3)
        bound = energy.bind(obs)
        torch.testing.assert_close(bound(action + shift if relative else action), before)
        assert bound.low_precision().relative == relative


def test_balanced_weights_give_long_actions_no_more_to_say():
    """What noise that grows with the root of the size adds to the first layer varies in 224 numbers as in 32."""
    added = {}
    for size in (2, 32, 64, 224):
        torch.manual_seed(0)
        head = EnergyHead(
            6,
            size,
            width=512,
            num_blocks=1,
            kind="reconstruction",
            num_outputs=1,
            normed=False,
            balanced=True,
        )
        action = max(1.0, (size / 32) ** 0.5) * torch.randn(400, size)
        added[size] = torch.nn.functional.linear(action, head.weights().action).var().item()
    assert added[64] == pytest.approx(added[32], rel=0.15)
    assert added[224] == pytest.approx(added[32], rel=0.15)
    assert added[2] == pytest.approx(added[32] / 16, rel=0.3)  # as if not balanced


def test_weights_and_biases_start_at_the_same_spread(vector_spec):
    """N(0, 0.05) for both: with zero biases all kinks of the energy would meet in the center of the box."""
    wide = built(MLPEnergy(width=512, head="scalar"), vector_spec)
    for module in wide.head.modules():
        if isinstance(module, nn.Linear) and module.out_features > 1:
            assert module.weight.std().item() == pytest.approx(0.05, rel=0.1)
            if module.bias is not None:
                assert module.bias.std().item() == pytest.approx(0.05, rel=0.15)


def test_spectral_norm_bounds_every_dense_layer(vector_spec):
    energy = make_energy(vector_spec, spectral_norm=True).train()
    obs = make_obs(vector_spec)
    for _ in range(60):  # one power iteration each
        energy.bind(obs)(torch.randn(BATCH, COUNT, 3))
    energy.eval()
    for module in energy.head.modules():
        if isinstance(module, nn.Linear):
            assert torch.linalg.matrix_norm(module.weight, 2).item() == pytest.approx(1, abs=0.02)


class TestGatedFeatures:
    """A place, where it was, and two goals, each of ``VECTOR_SIZE`` numbers; weights set by hand."""

    def gated(self, num_distance_features):
        gated = GatedFeatures(
            4 * VECTOR_SIZE, 1, num_distance_features=num_distance_features
        ).double()
        assert gated.vectors is not None
        for parameter in gated.parameters():
            torch.nn.init.zeros_(parameter)
        target, before, first, second = torch.eye(4 * VECTOR_SIZE).split(VECTOR_SIZE)
        gated.value.weight.data.copy_((second - first).mean(0, keepdim=True))
        gated.vectors.weight.data.copy_(
            torch.cat([target - first, target - before][:num_distance_features])
        )
        self.goals = torch.randn(2, VECTOR_SIZE).double()
        return gated

    def open(self, gated, target, before):
        """How far the gate is open."""
        selected = gated(torch.cat([target, before, *self.goals]).unsqueeze(0))[0, 0]
        return selected / (self.goals[1] - self.goals[0]).mean()

    def test_by_a_distance(self):
        """Nearer than 0.1 to the first goal."""
        gated, slope = self.gated(1), 2.0
        gated.gate.weight.data[0, 2] = -slope
        gated.gate.bias.data.fill_(slope * math.log(0.1**2))
        for distance in (1e-3, 0.03, 0.1, 0.3, 1.0):
            odds = (0.1**2 / (distance**2 + NEGLIGIBLE)) ** slope
            target = self.goals[0] + distance
            torch.testing.assert_close(
                self.open(gated, target, target), torch.tensor(odds / (1 + odds)).double()
            )

    @pytest.mark.parametrize("speed", [0.1, 0.5, 3.0])
    def test_by_an_angle(self, speed):
        """On the way from the first goal, not to it."""
        gated = self.gated(2)
        gated.gate.weight.data[0, 4] = 20.0
        away = torch.randn(VECTOR_SIZE).double()
        away /= away.square().mean().sqrt()
        target = self.goals[0] + away
        assert self.open(gated, target, target - speed * away) > 0.99
        assert self.open(gated, target, target + speed * away) < 0.01
        cosine = torch.cosine_similarity(away, torch.ones(VECTOR_SIZE).double(), dim=0)
        torch.testing.assert_close(
            self.open(gated, target, target - 1), (20 * cosine).sigmoid(), atol=1e-3, rtol=0
        )

    def test_every_parameter_receives_a_gradient(self, vector_spec):
        encoder = built(ObsEncoder(num_gates=3, num_distance_features=3), vector_spec)
        features = encoder(make_obs(vector_spec))
        assert features.shape == (BATCH, encoder.feature_size)
        features.square().sum().backward()
        assert all(p.grad is not None and p.grad.any() for p in encoder.parameters())

    def test_vectors_without_gates_would_go_unseen(self, vector_spec):
        with pytest.raises(ValueError, match="num_gates"):
            ObsEncoder(num_gates=0, num_distance_features=2)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (2, 6), (4, 3)])
def test_spatial_softmax_knows_rows_from_columns(row, column):
    """A one-hot on a map that is not square; swapped axes would give another place."""
    height, width = 5, 7
    maps = torch.zeros(1, 1, height, width)
    maps[0, 0, row, column] = 100.0
    x, y = SpatialSoftmax()(maps)[0].tolist()
    assert x == pytest.approx(2 * column / (width - 1) - 1, abs=1e-5)
    assert y == pytest.approx(2 * row / (height - 1) - 1, abs=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (7, 30), (96, 96)])
@pytest.mark.parametrize("encoder", [ConvMaxPool, ConvSpatialSoftmax])
def test_image_encoders_take_any_size(encoder, size):
    module = built(encoder(), 6)
    assert module(torch.randn(2, 6, *size)).shape == (2, module.feature_size)


def test_both_frames_of_a_stack_matter(spec):
    energy = make_energy(spec).eval()
    obs = make_obs(spec, batch=1)
    action = torch.randn(1, 1, spec.action_size)
    before = energy.bind(obs)(action)
    for t in range(spec.obs_horizon):
        changed = {n: o.clone() for n, o in obs.items()}
        changed["camera"][:, t] = 255 - changed["camera"][:, t]
        assert not torch.equal(energy.bind(changed)(action), before)
