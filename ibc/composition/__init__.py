"""Energies made of energies: AND, OR and NOT."""

from ibc.composition.bound import BoundComposition as BoundComposition
from ibc.composition.operators import AllOf as AllOf
from ibc.composition.operators import AnyOf as AnyOf
from ibc.composition.operators import Not as Not
