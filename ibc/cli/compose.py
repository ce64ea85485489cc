"""``compose=...`` on the command line: a trained policy with constraints, or with other policies."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from ibc.checkpoint import load_checkpoint
from ibc.cli.config import Config
from ibc.composition import AllOf, AnyOf, Not
from ibc.construct import construct
from ibc.energies import Energy
from ibc.errors import UserError
from ibc.policies import ComposedPolicy, ImplicitPolicy, Policy, VerifiedPolicy
from ibc.policies.loading import build_policy
from ibc.policies.verified import check_same_task

OPERATIONS = ("all", "any", "not", "best_of")


@dataclass(frozen=True, kw_only=True)
class Composition:
    """What a file of ``configs/compose`` says; its other keys are there to be referred to.

    Attributes:
        other: a checkpoint whose energy is combined with the policy's, or several.
        operation: how: all of them (``all``), any (``any``), the policy's without the others' (``not``), or the best by
            the policy's energy of samples of one other policy of any kind (``best_of``).
        num_samples: of the other policy, for ``best_of``; 16 if None.
        weights, temperatures: of policy and others. Weights are equal parts of one if None: a mean, down which a
            sampler's steps are as long as down the energy of one.
        terms: constraints.
        hard: whether these come before everything else.
        fallback: what a hard composition does where no candidate is feasible; see :class:`ComposedPolicy`.
    """

    other: str | list[str] | None = None
    operation: str = "all"
    weights: list[float] | None = None
    temperatures: list[float] | None = None
    terms: list[Any] = field(default_factory=list)
    hard: bool = False
    fallback: str = "least_violation"
    num_samples: int | None = None

    def __post_init__(self) -> None:
        if self.operation not in OPERATIONS:
            raise UserError(f"compose.operation={self.operation}; allowed: {', '.join(OPERATIONS)}")
        if not self.others() and not self.terms:
            raise UserError("compose needs another policy (compose.other) or constraints (terms)")
        for key in ("weights", "temperatures"):
            self._check_numbers(key, getattr(self, key))
        if not isinstance(self.hard, bool):
            raise UserError(f"compose.hard={self.hard}; it must be true or false")
        if self.operation == "best_of":
            self._check_best_of()
        elif self.num_samples is not None:
            raise UserError("compose.num_samples has no effect without compose.operation=best_of")

    def _check_numbers(self, key: str, given: object) -> None:
        if given is None:
            return
        if not isinstance(given, list) or not all(type(n) in (int, float) for n in given):
            raise UserError(
                f"compose.{key}={given}; it must be a list of numbers, of the policy and of each other one"
            )
        if not self.others():
            raise UserError(f"compose.{key} has no effect without compose.other")

    def _check_best_of(self) -> None:
        if len(self.others()) != 1 or self.terms:
            raise UserError("compose.operation=best_of takes one compose.other and no terms")
        if not isinstance(self.num_samples, int | None):
            raise UserError(f"compose.num_samples={self.num_samples}; it must be a whole number")
        given = {"weights": self.weights, "temperatures": self.temperatures, "hard": self.hard}
        given["fallback"] = self.fallback != "least_violation"
        for key, is_given in given.items():
            if is_given:
                raise UserError(f"compose.{key} has no effect with compose.operation=best_of")

    def others(self) -> list[str]:
        """The checkpoints that are combined with the policy."""
        return [self.other] if isinstance(self.other, str) else self.other or []


def composed(
    policy: Policy, config: Config, device: torch.device, *, trust: Collection[str] = ()
) -> Policy:
    """The policy, searching the composition that ``config`` describes.

    Raises:
        UserError: one of the policies has no energy, a term is none, or they do not fit together.
    """
    if not isinstance(policy, ImplicitPolicy):
        raise UserError(f"compose=... is for implicit policies; this is a {type(policy).__name__}")
    known = {f.name for f in fields(Composition)}  # beside them stand parameters of the terms
    composition = Composition(**{key: value for key, value in config.items() if key in known})
    if composition.operation == "best_of":
        proposer = _load(composition.others()[0], device, trust)
        count = 16 if composition.num_samples is None else composition.num_samples
        return VerifiedPolicy(policy, proposer, num_samples=count).eval()
    others = [_other(path, policy, device, trust).energy for path in composition.others()]
    energy: Energy = policy.energy
    if others:
        combine = AnyOf if composition.operation == "any" else AllOf
        numbered = [f"other_{i}" for i in range(1, 1 + len(others))]
        energy = combine(
            policy.energy,
            *(Not(other) if composition.operation == "not" else other for other in others),
            weights=composition.weights or [1 / (1 + len(others))] * (1 + len(others)),
            temperatures=composition.temperatures,
            names=["policy", *(numbered if len(others) > 1 else ["other"])],
        )
    constraints = [construct(term, "compose.terms") for term in composition.terms]
    for term in constraints:
        if not isinstance(term, Energy):
            raise UserError(f"compose.terms: {type(term).__name__} is not an energy")
    if constraints:
        names = [f"{type(c).__name__}_{i}" for i, c in enumerate(constraints, 1)]
        energy = AllOf(energy, *constraints, names=["learned", *names])
    careful = ComposedPolicy(policy, energy, hard=composition.hard, fallback=composition.fallback)
    return careful.to(device).eval()


def _other(
    path: str, policy: ImplicitPolicy, device: torch.device, trust: Collection[str]
) -> ImplicitPolicy:
    other = _load(path, device, trust)
    if not isinstance(other, ImplicitPolicy):
        raise UserError(
            f"compose.other is a {type(other).__name__}; only implicit ones have energies"
        )
    check_same_task(policy, other)
    return other


def _load(path: str, device: torch.device, trust: Collection[str]) -> Policy:
    return build_policy(load_checkpoint(Path(path).expanduser()), device, trust=trust)
