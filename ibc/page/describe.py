"""A policy as plain numbers, for the page's own arithmetic."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from ibc.checkpoint import Checkpoint
from ibc.energies import MLPEnergy, NoiseConditionedEnergy
from ibc.errors import UserError
from ibc.nn import DeepSetsEncoder, ObsEncoder
from ibc.policies import ImplicitPolicy, Policy
from ibc.samplers import DFO, GradientDescent, IBCLangevin, Sampler

#: Searches that the page repeats; a policy with another one begins with gradient descent.
SEARCHES = (DFO, GradientDescent, IBCLangevin)


def describe_policy(policy: Policy, checkpoint: Checkpoint, path: str) -> dict[str, Any]:
    """The numbers of a policy: specification, normalizers, bounds, weights, search and environment.

    Args:
        policy: of the checkpoint.
        checkpoint: names task and environment.
        path: of the checkpoint, for programs that the page writes.

    Raises:
        UserError: the page cannot show it, and why.
    """
    policy, energy = _shown(policy, path)
    encoder, bounds = energy.encoder, energy.bounds
    spec, env = policy.spec, checkpoint.config.get("env") or {}
    vectors = zip(encoder.vector_names, encoder.normalizers, strict=True)
    return {
        "name": str(checkpoint.config.get("name", path)),
        "path": path,
        "env": {
            "id": str(env.get("id", "")),
            "options": {k: v for k, v in env.items() if isinstance(v, bool | int | float)},
        },
        "obs_horizon": spec.obs_horizon,
        "obs": {name: math.prod(field.shape) for name, field in spec.obs.items()},
        "vectors": [
            {
                "name": name,
                "angles": list((encoder.angles or {}).get(name, ())),
                "mean": _numbers(normalizer, "mean"),
                "scale": _numbers(normalizer, "scale"),
                "is_root": encoder.sqrt_std,
            }
            for name, normalizer in vectors
        ],
        "bounds": {
            name: _numbers(bounds, name)
            for name in ("center", "half_range", "unit_low", "unit_high")
        },
        "network": _network(energy),
        "search": _search(policy.sampler),
        "init_std": policy.init_std,
        "warm_start_fraction": policy.warm_start_fraction,
    }


def pack(numbers: NDArray[np.float32]) -> str:
    """Numbers as base64, three bytes each: the upper 24 bits of single precision, an error of at most 2^-17."""
    bits = np.ascontiguousarray(numbers, dtype="<f4").reshape(-1).view("<u4").astype(np.uint64)
    rounded = (bits + 0x80).astype("<u4").view(np.uint8).reshape(-1, 4)
    return base64.b64encode(rounded[:, 1:].tobytes()).decode()


def _shown(policy: Policy, path: str) -> tuple[ImplicitPolicy, MLPEnergy]:
    """The policy and its energy.

    Raises:
        UserError: it is of a kind that the page does not compute.
    """
    if type(policy) is not ImplicitPolicy:
        raise UserError(f"{path}: a {type(policy).__name__}; a page shows implicit policies only")
    spec, energy = policy.spec, policy.energy
    if spec.action_size != 2:
        raise UserError(
            f"{path}: chunks of {spec.action_horizon} actions of {spec.action_dim} dimensions; "
            "a page shows one action of two dimensions"
        )
    if any(field.is_image for field in spec.obs.values()):
        raise UserError(f"{path}: observes images; a page shows policies that observe vectors")
    if type(energy) not in (MLPEnergy, NoiseConditionedEnergy):
        raise UserError(
            f"{path}: an energy of kind {type(energy).__name__}; a page shows MLPEnergy and NoiseConditionedEnergy"
        )
    assert isinstance(energy, MLPEnergy)
    encoder = energy.encoder
    sets = isinstance(encoder, DeepSetsEncoder) and encoder.set_names
    if type(encoder) not in (ObsEncoder, DeepSetsEncoder) or sets:
        raise UserError(
            f"{path}: observations encoded by {type(encoder).__name__}; a page shows ObsEncoder, and no sets"
        )
    if energy.density is not None:
        raise UserError(
            f"{path}: an energy with a proposal density; a page shows energies without one"
        )
    return policy, energy


def _network(energy: MLPEnergy) -> dict[str, Any]:
    """Sizes and packed weights of encoder and head, in the order in which the page reads them."""
    weights = energy.head.weights()
    arrays: dict[str, Tensor] = {}
    gated = energy.encoder.gated
    if gated is not None:
        for name, parameter in gated.named_parameters():
            arrays[f"gated.{name}"] = parameter
    arrays["features"], arrays["features_bias"] = _features(energy)
    arrays["action"] = weights.action
    for i, block in enumerate(weights.blocks):
        for name, array in zip(("w1", "b1", "w2", "b2"), block, strict=True):
            arrays[f"block{i}.{name}"] = array
    arrays["out"], arrays["out_bias"] = weights.out, weights.out_bias
    if energy.proposal is not None:
        for name, parameter in energy.proposal.named_parameters():
            arrays[f"proposal.{name}"] = parameter
    content = np.concatenate([array.detach().cpu().numpy().ravel() for array in arrays.values()])
    return {
        "head": weights.kind,
        "relative": energy.relative,
        "num_blocks": len(weights.blocks),
        "num_distance_features": 0 if gated is None else gated.num_distance_features,
        "shapes": {name: list(array.shape) for name, array in arrays.items()},
        "weights": pack(content),
    }


@torch.no_grad()
def _features(energy: MLPEnergy) -> tuple[Float[Tensor, "W F"], Float[Tensor, " W"]]:
    """The features' half of the first layer; the smallest noise level of a conditioned energy is in its bias."""
    layer = energy.head.dense_features
    weight: Tensor = layer.weight
    bias: Tensor = layer.bias
    if isinstance(energy, NoiseConditionedEnergy):
        level = energy.level_features(torch.full((1, 1), energy.sigmas[-1]))[0]
        size = energy.encoder.feature_size
        weight, bias = weight[:, :size], bias + weight[:, size:] @ level
    return weight, bias


def _numbers(module: nn.Module, buffer: str) -> list[float]:
    values: list[float] = module.get_buffer(buffer).tolist()
    return values


def _search(sampler: Sampler) -> dict[str, Any]:
    kind = type(sampler)
    return {"name": kind.__name__, **(sampler.arguments() if kind in SEARCHES else {})}
