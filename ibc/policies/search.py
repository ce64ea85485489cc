"""What a policy searches, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass

from ibc.energies import BoundEnergy, Energy
from ibc.nn import ActionBounds
from ibc.samplers import Candidates


@dataclass(frozen=True)
class SearchResult(Candidates):
    """All candidates that a search ends with, environment units, and the bound energy that was searched.

    On a GPU ``bound`` may be in memory that the policy's next search overwrites.
    """

    bound: BoundEnergy


@dataclass(frozen=True)
class SearchProblem:
    """What a policy searches.

    Attributes:
        energy: to be minimized.
        bounds: the unit cube and the search box.
        keeps_init: whether the candidates that the search starts from are among the results.
    """

    energy: Energy
    bounds: ActionBounds
    keeps_init: bool = False
