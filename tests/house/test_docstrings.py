"""Every public method is documented, where it is defined or in the class that declares it first."""

import importlib
import inspect
import pkgutil

import ibc


def public_classes():
    for module in pkgutil.walk_packages(ibc.__path__, "ibc."):
        if module.name == "ibc.__main__":
            continue
        for value in vars(importlib.import_module(module.name)).values():
            is_own = inspect.isclass(value) and value.__module__ == module.name
            if is_own and not value.__name__.startswith("_"):
                yield value


def methods(cls):
    for name, member in vars(cls).items():
        kinds = property | classmethod | staticmethod
        if (inspect.isfunction(member) or isinstance(member, kinds)) and not name.startswith("_"):
            yield name


def test_public_methods_are_documented():
    found = [
        f"{cls.__qualname__}.{name}"
        for cls in public_classes()
        for name in methods(cls)
        if not any(getattr(vars(base).get(name), "__doc__", None) for base in cls.__mro__)
    ]
    assert found == []
