"""Packages that tests do without: modules with their documented interface."""

import types
from urllib.error import URLError

from torch import nn


def torchvision_modules():
    """``torchvision.models.get_model(name, weights=...)``, of one small network that is called resnet18."""

    def get_model(name, weights=None):
        if name != "resnet18":
            raise ValueError(f"Unknown model {name}")
        if weights == "UNREACHABLE":
            raise URLError("no network")
        model = nn.Module()
        model.conv1 = nn.Conv2d(3, 16, 3, stride=2)
        model.bn1 = nn.BatchNorm2d(16)
        model.avgpool = nn.AdaptiveAvgPool2d(1)
        model.fc = nn.Linear(16, 1000)
        if weights:
            nn.init.constant_(model.conv1.weight, 0.25)
        return model

    package = types.ModuleType("torchvision")
    package.models = types.ModuleType("torchvision.models")
    package.models.get_model = get_model
    return {"torchvision": package, "torchvision.models": package.models}
