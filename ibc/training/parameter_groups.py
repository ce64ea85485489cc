"""Which parameters learn, and how fast."""

from __future__ import annotations

from typing import Any

from torch import nn

from ibc.nn.vision.backbone import ScaledModule


def parameter_groups(policy: nn.Module) -> list[dict[str, Any]]:
    """The parameters that learn, in groups for an optimizer, as ``lr_scale`` of their modules tells.

    Groups have an entry ``lr_scale``, by which the learning rate is to be multiplied. The first is of all parameters
    about which nothing is said.
    """
    scales: dict[nn.Parameter, float] = {}
    for module in policy.modules():
        if isinstance(module, ScaledModule):
            scales |= dict.fromkeys(module.parameters(), module.lr_scale)
    groups: dict[float, list[nn.Parameter]] = {1.0: []}
    for parameter in policy.parameters():
        if parameter.requires_grad:
            groups.setdefault(scales.get(parameter, 1.0), []).append(parameter)
    return [{"params": params, "lr_scale": scale} for scale, params in groups.items()]
