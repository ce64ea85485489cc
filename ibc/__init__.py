"""Implicit behavioral cloning: energies learned from demonstrations, searched for their minimum at every step.

The names below are imported when they are first used, so that ``import ibc`` and ``ibc --help`` are quick.
"""

from __future__ import annotations

import importlib
import os
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

# Read once, when torch loads the OpenMP runtime: its threads wait for work by spinning for milliseconds otherwise.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

if TYPE_CHECKING:
    from ibc.component import Component as Component
    from ibc.composition import AllOf as AllOf
    from ibc.composition import AnyOf as AnyOf
    from ibc.composition import Not as Not
    from ibc.constraints import Custom as Custom
    from ibc.constraints import KeepOutDisk as KeepOutDisk
    from ibc.constraints import StayWithin as StayWithin
    from ibc.control import AsynchronousController as AsynchronousController
    from ibc.control import Controller as Controller
    from ibc.data import DemonstrationWriter as DemonstrationWriter
    from ibc.data import Episode as Episode
    from ibc.data import load_dataset as load_dataset
    from ibc.detection import Detector as Detector
    from ibc.detection import calibrate as calibrate
    from ibc.energies import AutoregressiveEnergy as AutoregressiveEnergy
    from ibc.energies import Energy as Energy
    from ibc.energies import MLPEnergy as MLPEnergy
    from ibc.energies import NoiseConditionedEnergy as NoiseConditionedEnergy
    from ibc.errors import UserError as UserError
    from ibc.evaluation import collect_demonstrations as collect_demonstrations
    from ibc.evaluation import record_video as record_video
    from ibc.evaluation.evaluate import evaluate as evaluate
    from ibc.losses import Loss as Loss
    from ibc.nn import ImageEncoder as ImageEncoder
    from ibc.nn import ObsEncoder as ObsEncoder
    from ibc.policies import ComposedPolicy as ComposedPolicy
    from ibc.policies import DiffusionPolicy as DiffusionPolicy
    from ibc.policies import ImplicitPolicy as ImplicitPolicy
    from ibc.policies import MDNPolicy as MDNPolicy
    from ibc.policies import MSEPolicy as MSEPolicy
    from ibc.policies import Policy as Policy
    from ibc.policies import load_policy as load_policy
    from ibc.samplers import DFO as DFO
    from ibc.samplers import GradientDescent as GradientDescent
    from ibc.samplers import IBCLangevin as IBCLangevin
    from ibc.samplers import Sampler as Sampler
    from ibc.spec import ObsField as ObsField
    from ibc.spec import Spec as Spec
    from ibc.training import Trainer as Trainer

#: Public names, by the package that has them.
_EXPORTS = {
    "component": ("Component",),
    "composition": ("AllOf", "AnyOf", "Not"),
    "constraints": ("Custom", "KeepOutDisk", "StayWithin"),
    "control": ("AsynchronousController", "Controller"),
    "data": ("DemonstrationWriter", "Episode", "load_dataset"),
    "detection": ("Detector", "calibrate"),
    "energies": ("AutoregressiveEnergy", "Energy", "MLPEnergy", "NoiseConditionedEnergy"),
    "errors": ("UserError",),
    "evaluation": ("collect_demonstrations", "evaluate", "record_video"),
    "losses": ("Loss",),
    "nn": ("ImageEncoder", "ObsEncoder"),
    "policies": (
        "ComposedPolicy",
        "DiffusionPolicy",
        "ImplicitPolicy",
        "MDNPolicy",
        "MSEPolicy",
        "Policy",
        "load_policy",
    ),
    "samplers": ("DFO", "GradientDescent", "IBCLangevin", "Sampler"),
    "spec": ("ObsField", "Spec"),
    "training": ("Trainer",),
}
_PACKAGE_OF = {name: package for package, names in _EXPORTS.items() for name in names}

__all__ = sorted(["__version__", *_PACKAGE_OF])  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    """Import a public name (PEP 562)."""
    if name == "__version__":
        return version("ibc")
    if name not in _PACKAGE_OF:
        raise AttributeError(f"module 'ibc' has no attribute '{name}'")
    return getattr(importlib.import_module(f"ibc.{_PACKAGE_OF[name]}"), name)


def __dir__() -> list[str]:
    """The public names."""
    return list(__all__)
