"""Backbones of others: which frames they see, what learns and how fast, and that a checkpoint has all of it."""

import copy
import sys
from functools import partial

import pytest
import torch
from conftest import built
from torch import nn

from ibc.component import describe
from ibc.construct import construct
from ibc.errors import UserError
from ibc.nn import BackboneEncoder, Module, ObsEncoder, TorchvisionBackbone
from ibc.spec import ObsField, Spec
from ibc.training.parameter_groups import parameter_groups


class Stand(Module):
    """A backbone of two layers, whose weights may be said to be trained."""

    def __init__(self, width: int = 8, pretrained: bool = False) -> None:
        self.pretrained = pretrained
        self.conv = nn.Conv2d(3, width, 3, stride=2)
        self.norm = nn.BatchNorm2d(width)

    def load_pretrained(self):
        nn.init.ones_(self.conv.weight)

    def forward(self, image):
        return self.norm(self.conv(image)).relu()


def observed(*cameras, horizon=2, channels=3):
    return Spec(
        obs={name: ObsField((12, 16, channels), "uint8") for name in cameras},
        obs_horizon=horizon,
        action_dim=1,
        action_horizon=1,
        action_low=(-1.0,),
        action_high=(1.0,),
    )


def frames(spec, batch=3):
    return {
        name: torch.randint(0, 256, (batch, spec.obs_horizon, *field.shape), dtype=torch.uint8)
        for name, field in spec.obs.items()
    }


def encoder_of(spec, image_encoder=None, **options):
    image_encoder = (
        BackboneEncoder(Stand(), num_points=5) if image_encoder is None else image_encoder
    )
    encoder = ObsEncoder(image_encoder, num_gates=0, **options)
    encoder.build(spec)
    return encoder


@pytest.mark.parametrize(("pooling", "size"), [("spatial_softmax", 10), ("average", 8)])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_frame_is_seen_by_itself(pooling, size, channels):
    spec = observed("front", channels=channels)
    backbone = BackboneEncoder(Stand(), pooling=pooling, num_points=5)
    encoder = encoder_of(spec, backbone, image_normalization="none").eval()
    obs = frames(spec)
    older, newer = encoder(obs).view(3, 2, size).unbind(1)
    swapped = encoder({"front": obs["front"].flip(1)}).view(3, 2, size)
    torch.testing.assert_close(swapped[:, 0], newer)
    torch.testing.assert_close(swapped[:, 1], older)
    assert encoder.feature_size == 2 * size


@pytest.mark.parametrize("shared", [False, True])
def test_one_for_all_cameras_or_one_each(shared):
    spec = observed("front", "wrist")
    encoder = encoder_of(spec, share_cameras=shared)
    first, second = encoder.image_encoders
    assert (first is second) is shared
    picture = frames(observed("front"))["front"]
    front, wrist = encoder.eval()({"front": picture, "wrist": picture}).chunk(2, 1)
    assert torch.equal(front, wrist) is shared
    again = copy.deepcopy(encoder)
    again.load_state_dict(encoder.state_dict())
    assert (again.image_encoders[0] is again.image_encoders[1]) is shared


def test_batch_normalization_keeps_its_statistics_or_is_replaced():
    random, trained = (
        built(BackboneEncoder(Stand(pretrained=p)), 3).train() for p in (False, True)
    )
    assert isinstance(random.network.module.norm, nn.GroupNorm)
    norm = trained.network.module.norm
    trained(torch.randn(4, 3, 12, 12))
    assert torch.equal(norm.running_mean, torch.zeros(8))
    assert norm.weight.requires_grad


def test_groups_learn_at_their_own_rate_and_what_is_frozen_not_at_all():
    spec = observed("front")
    slow = encoder_of(spec, BackboneEncoder(Stand(), lr_scale=0.1))
    usual, scaled = parameter_groups(slow)
    assert (usual["lr_scale"], scaled["lr_scale"]) == (1.0, 0.1)
    assert len(scaled["params"]) == 4  # of convolution and normalization
    assert len(usual["params"]) == 3  # a convolution, and the temperature of the softmax
    frozen = encoder_of(spec, BackboneEncoder(Stand(pretrained=True), lr_scale=0)).train()
    (group,) = parameter_groups(frozen)
    assert len(group["params"]) == 3
    assert not frozen.image_encoders[0].network.module.training
    assert [g["lr_scale"] for g in parameter_groups(nn.Linear(2, 2))] == [1.0]


def test_trained_weights_are_fetched_when_training_begins():
    spec = observed("front")
    encoder = encoder_of(spec)
    weight = encoder.image_encoders[0].network.module.conv.weight
    assert not torch.equal(weight, torch.ones_like(weight))
    encoder.fit({name: stack[:, 0] for name, stack in frames(spec).items()})
    assert torch.equal(weight, torch.ones_like(weight))


def test_a_description_makes_the_same_encoder():
    spec = observed("front")
    encoder = encoder_of(
        spec,
        BackboneEncoder(Stand(4), lr_scale=0.5, num_points=6),
        image_normalization="imagenet",
        random_crop=(8, 8),
        color_jitter=0.2,
    )
    again = construct(describe(encoder), "encoder", trusted=("ibc.nn", Stand.__module__))
    again.build(spec)
    again.load_state_dict(encoder.state_dict())
    obs = frames(spec)
    assert torch.equal(encoder.eval()(obs), again.eval()(obs))
    assert describe(BackboneEncoder(partial(Stand, width=3)))["backbone"]["width"] == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BackboneEncoder(Stand(), pooling="max"), "allowed: spatial_softmax, average"),
        (lambda: BackboneEncoder(Stand(), lr_scale=-1), "lr_scale=-1"),
        (lambda: built(BackboneEncoder(Stand()), 4), "not of 4"),
        (lambda: built(BackboneEncoder(nn.Flatten), 3), r"\(B, C, h, w\) is needed"),
        (lambda: built(BackboneEncoder(partial(nn.Linear, 3, 4)), 3), "takes no pictures"),
        (lambda: encoder_of(observed("a"), random_crop=(99, 4)), r"a is \[12, 16\]"),
        (lambda: encoder_of(observed("a"), image_normalization="x"), "allowed: none, standard"),
        (
            lambda: encoder_of(observed("a", channels=1), image_normalization="imagenet"),
            "3 channels, not 1",
        ),
    ],
)
def test_refusals(make, message):
    with pytest.raises(UserError, match=message):
        make()


class TestTorchvision:
    """Against a stand-in with the documented interface, ``torchvision.models.get_model(name, weights=...)``."""

    @pytest.mark.usefixtures("torchvision")
    def test_the_layers_up_to_the_map(self):
        encoder = built(BackboneEncoder(pooling="average"), 3)
        assert encoder.feature_size == 16
        assert isinstance(encoder.network.module.layers.bn1, nn.GroupNorm)

    @pytest.mark.usefixtures("torchvision")
    def test_trained_weights(self):
        encoder = built(BackboneEncoder(TorchvisionBackbone(weights="DEFAULT")), 3)
        layers = encoder.network.module.layers
        encoder.fit()
        assert isinstance(layers.bn1, nn.BatchNorm2d)
        assert (layers.conv1.weight == 0.25).all()

    @pytest.mark.usefixtures("torchvision")
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"name": "resnet19"}, "no network 'resnet19'"),
            ({"weights": "UNREACHABLE"}, "cannot fetch"),
        ],
    )
    def test_refusals(self, options, message):
        with pytest.raises(UserError, match=message):
            built(BackboneEncoder(TorchvisionBackbone(**options)), 3).fit()

    def test_without_torchvision(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "torchvision.models", None)
        with pytest.raises(UserError, match=r"\.\[vision\]"):
            built(BackboneEncoder(), 3)

    def test_the_real_one(self):
        """Random weights: nothing is fetched."""
        try:
            import torchvision.models  # noqa: F401
        except (ImportError, RuntimeError):
            pytest.skip("torchvision is not installed in the version that goes with torch")
        encoder = built(BackboneEncoder(), 3)
        assert encoder(torch.randn(2, 3, 64, 80)).shape == (2, 128)
