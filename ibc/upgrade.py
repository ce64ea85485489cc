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
    "collection": "demo_overrides",
    "keyframe_repeats": "keyframe_oversampling",
    "max_shift": "random_shift_pixels",
    "num_vectors": "num_distance_features",
    "speedup": "frame_skip",
    "start_std": "init_std",
    "warm_start": "warm_start_fraction",
}

#: Arguments of environments by their names in format 1.
_ENV_ARGUMENTS = {
    "midway": "init_midway_prob",
    "nudge": "action_noise_std",
    "progress": "observe_progress",
    "scatter": "random_init_state",
}

#: Ids of environments that have moved.
_STUDY_ENVIRONMENTS = ("ParticleCorridor-v0", "ParticleObstacles-v0", "BlockPushZone-v0")

_WITH_HEAD = ("ibc.energies.MLPEnergy", "ibc.energies.NoiseConditionedEnergy")


def upgrade(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a checkpoint of format 1 in format 2."""
    config = _config(raw["config"])
    config["env"] = _env(config["env"])
    return {
        "format_version": 2,
        "policy": config["policy"],
        "spec": raw["spec"],
        "weights": {_parameter(name): value for name, value in raw["policy"].items()},
        "config": config,
        "trainer": None,  # an unfinished run of format 1 cannot be continued
        "about": raw["about"],
    }


def _config(node: Any) -> Any:
    if isinstance(node, Mapping):
        return _component({_ARGUMENTS.get(str(k), str(k)): _config(v) for k, v in node.items()})
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


def _env(node: Mapping[str, Any]) -> dict[str, Any]:
    renamed = {_ENV_ARGUMENTS.get(key, key): value for key, value in node.items()}
    if renamed.get("demo_overrides"):
        renamed["demo_overrides"] = _env(renamed["demo_overrides"])
    return renamed


def _component(node: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a class that have changed by more than their names."""
    target = str(node.get("_target_", ""))
    if not target.startswith("torch."):
        node.pop("_partial_", None)
    if target in _WITH_HEAD:
        num, is_reconstruction = node.pop("num_residuals", 0), node.pop("self_consistent", False)
        node["head"] = "reconstruction" if is_reconstruction else "quadratic" if num else "scalar"
        node["num_outputs"] = num or 1
    if target == "ibc.samplers.IBCLangevin":
        if node.get("noise_std", 1.0) == 0:
            node["_target_"] = "ibc.samplers.GradientDescent"
            del node["noise_std"]
        else:
            node.pop("settle", None)
    return node


def _parameter(name: str) -> str:
    return name.replace("centre", "center").replace("recogniser", "posterior")
