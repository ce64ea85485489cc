"""Runtime protocols: few, and without data attributes, which Python 3.12 does not see on an ``nn.Module``."""

import importlib
import inspect
import pkgutil
import typing

import ibc

#: Protocols in ``ibc``; fewer is better.
MOST = 4


def protocols():
    found = {}
    for module in pkgutil.walk_packages(ibc.__path__, "ibc."):
        if module.name == "ibc.__main__":
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            is_own = inspect.isclass(value) and value.__module__ == module.name
            if is_own and typing.Protocol in value.__mro__ and value.__dict__.get("_is_protocol"):
                found[f"{module.name}.{name}"] = value
    return found


def test_runtime_protocols_have_methods_only():
    for name, protocol in protocols().items():
        if not getattr(protocol, "_is_runtime_protocol", False):
            continue
        data = set(inspect.get_annotations(protocol)) | {
            key for key, value in vars(protocol).items() if isinstance(value, property)
        }
        assert not data, f"{name} has data attributes {data}"


def test_there_are_few():
    assert len(protocols()) <= MOST


def test_a_loss_sees_the_energy_of_a_policy(spec):
    """What failed on Python 3.12: the energy is a submodule, kept apart from the attributes of the object."""
    from ibc.losses import DenoisingScoreMatching
    from ibc.losses.base import required

    policy = ibc.ImplicitPolicy(spec)
    assert "energy" not in vars(policy)
    assert required(DenoisingScoreMatching(), policy, "energy", "an energy") is policy
