"""Measures on held-out demonstrations, while a policy is being trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ibc.data.dataset import WindowDataset, evenly_spread
from ibc.energies import UnitSpace
from ibc.errors import UserError
from ibc.losses import Loss
from ibc.policies import CategoricalPolicy, ImplicitPolicy, MDNPolicy, Policy
from ibc.random import BatchRandom
from ibc.spec import Obs

#: Held-out steps that are measured, spread evenly over the episodes, and how many at once.
MOST_STEPS, BATCH = 512, 64
#: Random actions that the demonstrated one is ranked among.
CANDIDATES = 255
#: Part of its range in training that a dimension has to cover for its range in held-out data to count.
HARDLY = 0.01
#: Measures of which more is better; of all others less is.
RISING = {"log_likelihood", "success_rate", "return"}
#: All measures, by which checkpoints may be chosen; not every policy has each.
MEASURES = (
    "loss",
    "action_error",
    "action_error_of_range",
    "rank",
    "log_likelihood",
    "success_rate",
    "return",
)
#: Those that are measured in the environment, and those that only some policies have.
IN_CLOSED_LOOP = ("success_rate", "return")
OF_SOME = {"rank": (ImplicitPolicy,), "log_likelihood": (MDNPolicy, CategoricalPolicy)}
SEED = 0


def chosen_measure(given: str | None, *, is_held_out: bool) -> str:
    """The measure by which the best policy is kept, where none is said."""
    return given or ("action_error" if is_held_out else "success_rate")


def check_measure(given: str | None, policy: Policy) -> None:
    """Refuse a measure that such a policy lacks.

    Raises:
        UserError: naming it.
    """
    if given in OF_SOME and not isinstance(policy, OF_SOME[given]):
        raise UserError(f"validation.measure={given}; a {type(policy).__name__} has none")


def held_out_measures(
    policy: Policy, loss: Loss, dataset: WindowDataset, shown: WindowDataset
) -> dict[str, float]:
    """Measure a policy on demonstrations ``dataset`` that it has not seen; ``shown`` are those of its training.

    Returns:
        ``loss``; ``action_error``, the mean absolute difference between the first action of the chunk that the policy
        finds by its own search and the demonstrated one, over steps and dimensions, in the environment's units;
        ``action_error_of_range``, the same with each dimension divided by its range in ``dataset``, or in ``shown``
        where it hardly changes in ``dataset``;
        for energies ``rank``, the share of random actions in the search box whose energy is below that of the
        demonstrated one (0: none, 0.5: no better than chance); where there is one, ``log_likelihood`` of the
        demonstrated chunk, a density in the unit cube. Nothing random of the training run is drawn or changed.
    """
    steps = evenly_spread(len(dataset), MOST_STEPS)
    device = next(policy.parameters()).device
    was_training, memory = policy.training, loss.state_dict()
    generator = torch.Generator(device).manual_seed(SEED)
    devices = [device] if device.type == "cuda" else []
    span = _span(dataset, shown)
    sums: dict[str, Tensor] = {}
    with torch.random.fork_rng(devices):
        torch.manual_seed(SEED)
        policy.eval()
        for index in torch.tensor_split(steps.to(device), -(-len(steps) // BATCH)):
            for name, value in _measure(policy, loss, dataset, index, span, generator).items():
                sums[name] = sums.get(name, 0) + value.detach().double() * len(index)
    policy.train(was_training)
    loss.load_state_dict(memory)
    return {name: float(total) / len(steps) for name, total in sums.items()}


def _span(dataset: WindowDataset, shown: WindowDataset) -> Float[Tensor, " D"]:
    """Range of each dimension; of one that never changes 2, as that of the unit cube."""
    (low, high), (least, most) = dataset.action_range(), shown.action_range()
    whole = torch.where(most > least, most - least, 2.0)
    return torch.where(high - low > HARDLY * whole, high - low, whole)


def _measure(
    policy: Policy,
    loss: Loss,
    dataset: WindowDataset,
    index: Tensor,
    span: Tensor,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    batch, rng = dataset.batch(index), BatchRandom(generator)
    value, _ = loss(policy, batch, rng)
    size = policy.spec.action_dim
    with torch.no_grad():
        found = policy.act_flat(batch.obs, rng)[:, :size]
    error = (found - batch.action[:, :size]).abs()
    out = {
        "loss": value,
        "action_error": error.mean(),
        "action_error_of_range": (error / span).mean(),
    }
    if isinstance(policy, ImplicitPolicy):
        out["rank"] = _rank(policy, batch.obs, batch.action, rng)
    elif isinstance(policy, (MDNPolicy, CategoricalPolicy)):
        shown = policy.bounds.to_unit(batch.action)
        out["log_likelihood"] = policy.log_prob_unit(batch.obs, shown).mean()
    return out


@torch.no_grad()
def _rank(policy: ImplicitPolicy, obs: Obs, action: Tensor, rng: BatchRandom) -> Tensor:
    space = UnitSpace(policy.energy.bind(obs), policy.bounds)
    if space.sigmas:  # the smallest noise level is that of clean actions
        space = space.at(action.new_full((len(action), 1), space.sigmas[-1]))
    shown = space.bounds.to_unit(action).unsqueeze(1)
    energy = space.energy(torch.cat([shown, space.uniform(len(action), CANDIDATES, rng)], 1))
    return (energy[:, 1:] < energy[:, :1]).float().mean()


@dataclass
class Best:
    """Remembers the best value of a measure.

    Attributes:
        measure: its name.
        patience: measures without improvement after which training stops; None: never.
        value, step: the best so far, and when.
        since: measures since.
    """

    measure: str
    patience: int | None = None
    value: float | None = None
    step: int = 0
    since: int = 0

    def update(self, step: int, measures: Mapping[str, float]) -> bool:
        """Whether these measures are the best so far.

        Raises:
            UserError: there is no such measure.
        """
        if self.measure not in measures:
            raise UserError(
                f"validation.measure={self.measure}; this policy has {', '.join(sorted(measures))}"
            )
        value = measures[self.measure]
        if self.value is None or math.isnan(self.value):  # any number is better than none
            better = self.value is None or not math.isnan(value)
        else:
            better = value > self.value if self.measure in RISING else value < self.value
        if better:
            self.value, self.step, self.since = value, step, 0
        else:
            self.since += 1
        return better

    @property
    def is_over(self) -> bool:
        """Whether patience is at its end."""
        return self.patience is not None and self.since >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """Return what a continued run needs."""
        return {
            "measure": self.measure,
            "value": self.value,
            "step": self.step,
            "since": self.since,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state_dict`; the best value of another measure says nothing of this one."""
        if state.get("measure", self.measure) != self.measure:
            return
        self.value, self.step, self.since = state["value"], state["step"], state["since"]
