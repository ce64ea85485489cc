"""A policy as a folder of ONNX graphs and numbers, which acts without torch by ``ibc_client.load_exported``."""

from __future__ import annotations

import copy
import json
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ibc.energies import AutoregressiveEnergy
from ibc.errors import UserError
from ibc.export.graphs import ActGraph, EncoderGraph, EnergyGraph, Noted, PrefixGraph
from ibc.export.searches import describe_search
from ibc.export.trace import require_packages, to_onnx
from ibc.files import write_atomically
from ibc.policies import ImplicitPolicy, Policy
from ibc.policies.baselines.base import ExplicitPolicy
from ibc_client.policy import DESCRIPTION, FORMAT_VERSION

#: Contents of files by name.
Files = dict[str, bytes]


def export_onnx(policy: Policy, folder: Path, *, num_execute_steps: int | None = None) -> None:
    """Write the folder, whole or not at all.

    An implicit policy becomes the graphs of its encoder and of its energy with its gradient, and the numbers of its
    search; another one becomes one graph, whose inputs include the random numbers it draws.

    Args:
        policy: that acts.
        folder: which does not exist yet.
        num_execute_steps: actions of a chunk that are executed; all of them if None.

    Raises:
        UserError: the folder exists, packages are missing, chunks are shorter than that, or the policy cannot be
            exported and why.
    """
    require_packages()
    steps, most = num_execute_steps, policy.spec.action_horizon
    if steps is not None and not 1 <= steps <= most:
        raise UserError(f"num_execute_steps={steps}; allowed: 1 to {most}, the policy's chunk")
    if folder.exists():
        raise UserError(f"{folder} exists; choose a new folder")
    policy = copy.deepcopy(policy).cpu().eval()
    if type(policy) is ImplicitPolicy:
        files, description = _searched(policy)
    elif isinstance(policy, ExplicitPolicy):
        files, description = _direct(policy)
    else:
        raise UserError(f"a {type(policy).__name__} cannot be exported: only what was trained can")
    spec = policy.spec
    about = {
        "format_version": FORMAT_VERSION,
        "obs": spec.to_dict()["obs"],
        "obs_horizon": spec.obs_horizon,
        "action_dim": spec.action_dim,
        "action_horizon": spec.action_horizon,
        "num_execute_steps": steps or most,
    }
    files[DESCRIPTION] = (json.dumps({**about, **description}, indent=1) + "\n").encode()
    write_folder(folder, files)


def write_folder(folder: Path, files: Files) -> None:
    """Write a new folder, whole or not at all.

    Raises:
        UserError: it exists, or cannot be written.
    """
    if folder.exists():
        raise UserError(f"{folder} exists; choose a new folder")
    partial = folder.with_name(f".{secrets.token_hex(8)}.tmp")  # nobody else's
    try:
        for name, content in files.items():
            write_atomically(partial / name, content)
        partial.rename(folder)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def example_obs(policy: Policy) -> list[Tensor]:
    """Observations of zeros (1, To, *shape), by sorted name."""
    spec = policy.spec
    return [
        torch.zeros(1, spec.obs_horizon, *field.shape, dtype=getattr(torch, field.dtype))
        for _, field in sorted(spec.obs.items())
    ]


@torch.no_grad()
def _searched(policy: ImplicitPolicy) -> tuple[Files, dict[str, Any]]:
    energy = policy.energy
    if getattr(energy, "density", None) is not None or policy.warm_start_fraction > 0:
        raise UserError(
            "a search that starts from a density or from the previous action cannot be exported"
        )
    search = describe_search(policy.sampler, energy)
    obs, names = example_obs(policy), sorted(policy.spec.obs)
    encoder = EncoderGraph(policy)
    outputs = ["features", "proposal"][: 1 + encoder.has_proposal]
    features = encoder(*obs)[0]
    size = policy.spec.action_size
    scored = [features, torch.zeros(1, search["num_scored"], size)]
    if search["name"] == "probability_flow":
        scored.append(torch.ones(1, 1))
    has_gradient = search["name"] in ("gradient_descent", "probability_flow")
    files = {
        "encoder.onnx": to_onnx(encoder, obs, _obs_names(names), outputs),
        "energy.onnx": to_onnx(
            EnergyGraph(energy, has_gradient=has_gradient),
            scored,
            ["features", "unit", "sigma"][: len(scored)],
            ["energy", "gradient"][: 1 + has_gradient],
        ),
    }
    if search["name"] == "autoregressive_dfo":
        if not isinstance(energy, AutoregressiveEnergy):
            raise UserError("AutoregressiveDFO is exported with an autoregressive energy only")
        unit = torch.zeros(1, search["num_candidates"], size)
        inputs = [features, unit, torch.tensor([size - 1])]
        graph = PrefixGraph(energy)
        files["prefix.onnx"] = to_onnx(graph, inputs, ["features", "unit", "j"], ["energy"])
    bounds = {name: value.tolist() for name, value in policy.bounds.named_buffers()}
    return files, {"search": search, "init_std": policy.init_std, "bounds": bounds}


def _direct(policy: ExplicitPolicy) -> tuple[Files, dict[str, Any]]:
    noted = Noted()
    obs = example_obs(policy)
    names = sorted(policy.spec.obs)
    policy.act_flat(dict(zip(names, obs, strict=True)), noted)
    draws = [torch.zeros(*shape) for _, shape in noted.draws]
    inputs = [*_obs_names(names), *(f"draw_{i}" for i in range(len(draws)))]
    graph = to_onnx(ActGraph(policy), [*obs, *draws], inputs, ["action"])
    return {"policy.onnx": graph}, {"draws": [[kind, list(shape)] for kind, shape in noted.draws]}


def _obs_names(names: Sequence[str]) -> list[str]:
    """Names of inputs that are observations; none has the name of another input."""
    return [f"obs.{name}" for name in names]
