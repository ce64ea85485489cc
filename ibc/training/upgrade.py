"""Checkpoints of format 1, written by version 0.1, as today's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Classes by their names in format 1.
_CLASSES = {
    "envs.particle.CorridorExpert": "benchmarks.envs.particle_corridor.CorridorExpert",
    "ibc.energies.LearnedEnergy": "ibc.energies.MLPEnergy",
    "ibc.energies.LeveledEnergy": "ibc.energies.NoiseConditionedEnergy",
    "ibc.losses.Denoising": "ibc.losses.DenoisingScoreMatching",
    "ibc.losses.EvidenceBound": "ibc.losses.ELBO",
    "ibc.losses.LevelDenoising": "ibc.losses.NoiseConditionedScoreMatching",
    "ibc.losses.NeighbourNegatives": "ibc.losses.NeighborNegatives",
    "ibc.losses.NeighbourRegression": "ibc.losses.NeighborRegression",
    "ibc.nn.SetEncoder": "ibc.nn.DeepSetsEncoder",
    "ibc.policies.NearestNeighbourPolicy": "ibc.policies.NearestNeighborPolicy",
    "ibc.policies.VariationalPolicy": "ibc.policies.CVAEPolicy",
    "ibc.samplers.Hamiltonian": "ibc.samplers.HMC",
    "ibc.samplers.Langevin": "ibc.samplers.IBCLangevin",
    "ibc.samplers.MetropolisLangevin": "ibc.samplers.MALA",
    "ibc.samplers.TextbookLangevin": "ibc.samplers.ULA",
}

#: Arguments by their names in format 1.
_ARGUMENTS = {
    "keyframe_repeats": "keyframe_oversampling",
    "max_shift": "random_shift_pixels",
    "num_vectors": "num_distance_features",
    "speedup": "frame_skip",
    "start_std": "init_std",
    "warm_start": "warm_start_fraction",
}

#: Ids of environments that have moved.
_STUDY_ENVIRONMENTS = ("ParticleCorridor-v0", "ParticleObstacles-v0", "BlockPushZone-v0")


def upgrade(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a checkpoint of format 1 in today's format."""
    return {
        **raw,
        "format_version": 2,
        "config": _config(raw["config"]),
        "policy": {_parameter(name): value for name, value in raw["policy"].items()},
    }


def _config(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {_ARGUMENTS.get(key, key): _config(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_config(item) for item in node]
    if not isinstance(node, str):
        return node
    if node in _STUDY_ENVIRONMENTS:
        return f"benchmarks.envs:{node}"
    if node.startswith("envs/"):
        return f"ibc/{node.removeprefix('envs/')}"
    name = _CLASSES.get(node, node)
    return f"ibc_envs.{name.removeprefix('envs.')}" if name.startswith("envs.") else name


def _parameter(name: str) -> str:
    return name.replace("centre", "center").replace("recogniser", "posterior")
