"""Energies made of energies: AND, OR and NOT."""

from ibc.composition.bound import BoundComposition
from ibc.composition.operators import AllOf, AnyOf, Not

__all__ = [
    "AllOf",
    "AnyOf",
    "BoundComposition",
    "Not",
]
