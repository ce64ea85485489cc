"""Networks for pictures that others have designed, and perhaps trained: torchvision's, or the user's own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar
from urllib.error import URLError

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ibc.errors import UserError
from ibc.nn.module import Module
from ibc.nn.vision.conv import ImageEncoder, SpatialSoftmax

POOLINGS = ("spatial_softmax", "average")
#: Channels of pictures that backbones take.
RGB = 3
#: Layers of torchvision's networks at which their feature map ends.
_ENDS = ("avgpool", "classifier", "fc", "head", "heads")
#: Side of the picture (pixels) by which a backbone's feature map is tried.
_TRIAL = 64


@dataclass(eq=False, repr=False)
class TorchvisionBackbone(Module):
    """The layers of one of torchvision's networks up to its last feature map; needs the extra ``vision``.

    Args:
        name: as ``torchvision.models.get_model`` takes it, of a network whose layers follow one another up to a
            pooling: ResNet, RegNet, ConvNeXt, EfficientNet, MobileNet, VGG, DenseNet.
        weights: as ``get_model`` takes it, such as ``DEFAULT``; None to begin with random ones. They are fetched, by
            torchvision, when training begins, and not where a checkpoint is read.

    Raises:
        UserError: torchvision is missing, or has no such network.
    """

    name: str = "resnet18"
    _: KW_ONLY
    weights: str | None = None

    @property
    def pretrained(self) -> bool:
        """Whether it begins with weights that are trained already."""
        return self.weights is not None

    def build(self) -> None:
        """Make the layers, with random weights."""
        self.layers = _feature_layers(_torchvision_model(self.name, None))

    def load_pretrained(self) -> None:
        """Fetch the weights, if there are any to begin with.

        Raises:
            UserError: there are none of that name, or they cannot be fetched.
        """
        if self.weights is not None:
            trained = _feature_layers(_torchvision_model(self.name, self.weights))
            self.layers.load_state_dict(trained.state_dict())

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        """The feature map."""
        maps: Tensor = self.layers(image)
        return maps


def _torchvision_model(name: str, weights: str | None) -> nn.Module:
    try:
        from torchvision.models import get_model
    except (ImportError, RuntimeError) as error:  # RuntimeError: built for another torch
        raise UserError(
            "encoder=resnet18 needs torchvision in the version that goes with torch: pip install -e '.[vision]'"
        ) from error
    try:
        model: nn.Module = get_model(name, weights=weights)
    except (ValueError, KeyError, AttributeError) as error:
        raise UserError(f"torchvision has no network '{name}' with weights {weights}") from error
    except (URLError, OSError) as error:
        raise UserError(f"cannot fetch the weights {weights} of {name}: {error}") from error
    return model


def _feature_layers(model: nn.Module) -> nn.Sequential:
    layers = nn.Sequential()
    for name, layer in model.named_children():
        if name in _ENDS:
            break
        layers.add_module(name, layer)
    return layers


@dataclass(eq=False, repr=False)
class BackboneEncoder(ImageEncoder):
    """A backbone, which makes a feature map of each frame by itself, and what is read off the map.

    The backbone's own batch normalization would take statistics of small batches of much the same pictures, and the
    moving average of the weights does not know them. So statistics are never changed here: those of a trained backbone
    (its attribute ``pretrained`` is true) stay, and one that begins with random weights gets group normalization (Wu
    and He 2018) in its place.

    Args:
        backbone: maps (B, 3, H, W) to (B, C, h, w): an :class:`ibc.nn.Module`, copied for each camera, with layers made
            by its constructor or by ``build()``; or anything that returns an ``nn.Module`` when called without
            arguments. Where it has ``load_pretrained()``, this is called when training begins.
        pooling: ``spatial_softmax``, where the map is strong for each of ``num_points`` mixtures of its channels; or
            ``average`` of each channel.
        num_points: of ``spatial_softmax``.
        lr_scale: times the optimizer's learning rate that the backbone learns at; 0 freezes it.

    Raises:
        UserError: an argument is out of range, or the backbone makes no feature map.
    """

    by_frame: ClassVar[bool] = True

    backbone: nn.Module | Callable[[], nn.Module] = field(default_factory=TorchvisionBackbone)
    _: KW_ONLY
    pooling: str = "spatial_softmax"
    num_points: int = 64
    lr_scale: float = 1.0

    def __post_init__(self) -> None:
        if self.pooling not in POOLINGS:
            raise UserError(f"pooling={self.pooling}; allowed: {', '.join(POOLINGS)}")
        if self.lr_scale < 0 or self.num_points < 1:
            raise UserError(
                f"lr_scale={self.lr_scale}, num_points={self.num_points}; allowed: from 0, from 1"
            )
        if "backbone" in self._modules:  # a template, copied in build
            self.__dict__["backbone"] = self._modules.pop("backbone")

    def build(self, channels: int) -> None:
        """Make the networks for frames of one or three channels; a gray frame is shown three times."""
        if channels not in (1, RGB):
            raise UserError(f"a backbone sees frames of 1 or {RGB} channels, not of {channels}")
        given = self.backbone
        network = copy.deepcopy(given) if isinstance(given, nn.Module) else given()
        make_layers = getattr(network, "build", None)
        if make_layers is not None:
            make_layers()
        if not getattr(network, "pretrained", False):
            group_normalized(network)
        self.network = ScaledModule(network, self.lr_scale)
        size = _channels_of_map(network)
        self.points: nn.Module | None = None
        if self.pooling == "spatial_softmax":
            self.points = nn.Sequential(nn.Conv2d(size, self.num_points, 1), SpatialSoftmax())
            size = 2 * self.num_points
        self.feature_size = size

    def fit(self) -> None:
        load = getattr(self.network.module, "load_pretrained", None)
        if load is not None:
            load()

    def forward(self, image: Float[Tensor, "B C H W"]) -> Float[Tensor, "B F"]:
        """Frames of any size that the backbone takes."""
        maps = self.network(image.expand(-1, RGB, -1, -1))
        if self.points is None:
            means: Tensor = maps.float().mean((-2, -1))
            return means
        features: Tensor = self.points(maps)
        return features


class ScaledModule(nn.Module):
    """A module that learns at ``lr_scale`` times the learning rate; its batch normalization keeps its statistics.

    :func:`ibc.training.parameter_groups.parameter_groups` knows it.
    """

    def __init__(self, module: nn.Module, lr_scale: float) -> None:
        super().__init__()
        self.module = module
        self.lr_scale = lr_scale
        if lr_scale == 0:
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> ScaledModule:
        """See ``nn.Module``; a frozen module has no training mode at all."""
        super().train(mode)
        if self.lr_scale == 0:
            self.module.eval()
        for part in self.module.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.eval()
        return self

    def forward(self, image: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        """What the module makes of it."""
        maps: Tensor = self.module(image)
        return maps


def group_normalized(module: nn.Module) -> None:
    """Put group normalization, 16 channels a group where they divide evenly, in the place of batch normalization."""
    for name, part in module.named_children():
        if isinstance(part, nn.BatchNorm2d):
            size = part.num_features
            setattr(module, name, nn.GroupNorm(size // 16 if size % 16 == 0 else 1, size))
        else:
            group_normalized(part)


def _channels_of_map(network: nn.Module) -> int:
    """How many channels a backbone's feature map has.

    Raises:
        UserError: it makes none.
    """
    was_training = network.training
    try:
        with torch.no_grad():
            maps = network.eval()(torch.zeros(1, RGB, _TRIAL, _TRIAL))
    except (RuntimeError, TypeError, AssertionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{type(network).__name__} takes no pictures: {reason}") from error
    network.train(was_training)
    if not isinstance(maps, Tensor) or maps.ndim != 4:
        found = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
        raise UserError(
            f"{type(network).__name__} makes {found} of a picture; a map (B, C, h, w) is needed"
        )
    return maps.shape[1]
