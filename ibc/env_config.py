"""Which environment a run is of, how its success is read, and what is written down of its episodes."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ibc.errors import UserError

SUCCESS_WHEN = ("last", "any")

#: What an evaluation writes down of every episode.
COLUMNS = {"seed", "success", "return", "length"}
#: What of an environment's configuration does not tell tasks apart, or stands elsewhere.
_NO_TASK = {"id", "report", "kwargs"}
#: What an evaluation may write down of a number that the environment gives at every step.
STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "last": lambda values: values[-1],
    "max": max,
    "min": min,
    "mean": statistics.fmean,
}


@dataclass(frozen=True, kw_only=True)
class EnvConfig:
    """Which environment, and how its success is read.

    Attributes:
        id: of a registered Gymnasium environment; ``module:id`` imports the module first.
        max_episode_steps: overrides the registered horizon.
        success_key: entry of ``info`` that tells whether the task is solved after a step.
        success_return: if set, an episode succeeds at its end if its return has reached this; ``info`` is not read.
        success_when: ``last``: the last step decides; ``any``: one solved step is enough.
        report: numbers that an evaluation writes down for each episode, besides success: entries of its last ``info``,
            or entries by statistic over its steps, such as ``{max: [reward]}`` for the largest reward, written down as
            ``max_reward``. ``reward`` is that of the step; statistics are last, max, min and mean.
        kwargs: whatever else is configured goes to the environment's constructor.
    """

    id: str
    max_episode_steps: int | None = None
    success_key: str = "success"
    success_return: float | None = None
    success_when: str = "last"
    report: Sequence[str] | Mapping[str, Sequence[str]] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.report, str):
            raise UserError(f"env.report={self.report}; it must be a list, [{self.report}]")
        if isinstance(self.report, Mapping) and (
            lone := next((s for s, keys in self.report.items() if isinstance(keys, str)), None)
        ):
            given = self.report[lone]
            raise UserError(f"env.report has {lone}: {given}; it must be a list, [{given}]")
        if isinstance(self.success_return, str | bool):
            raise UserError(f"env.success_return={self.success_return}; it must be a number")
        if self.success_when not in SUCCESS_WHEN:
            raise UserError(
                f"env.success_when={self.success_when}; allowed: {', '.join(SUCCESS_WHEN)}"
            )
        unknown = set(self.report) - set(STATISTICS) if isinstance(self.report, Mapping) else set()
        if unknown:
            raise UserError(
                f"env.report has {', '.join(sorted(unknown))}; allowed: {', '.join(STATISTICS)}"
            )
        if taken := sorted(COLUMNS & set(self.reported())):
            raise UserError(
                f"env.report: {taken[0]} is written of every episode already; {{last: [{taken[0]}]}} has another name"
            )

    def reported(self) -> dict[str, tuple[str, str]]:
        """Return statistic and entry of each number that is written down, by its name."""
        if not isinstance(self.report, Mapping):
            return {key: ("last", key) for key in self.report}
        return {f"{s}_{key}": (s, key) for s, keys in self.report.items() for key in keys}

    def task(self) -> dict[str, Any]:
        """Return what makes episodes of one id different tasks, as JSON: arguments, horizon, how success is read."""
        rest = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NO_TASK}
        task: dict[str, Any] = json.loads(json.dumps({**self.kwargs, **rest}, default=str))
        return task

    @classmethod
    def from_mapping(cls, config: Mapping[str, Any]) -> EnvConfig:
        """From a configuration in which constructor arguments stand beside the known keys.

        ``expert`` and ``demo_overrides`` are about demonstrations, and left out.

        Raises:
            UserError: no environment is named.
        """
        if config.get("id") is None:
            raise UserError("no environment is named; please give env.id=... or env=...")
        known = {f.name for f in fields(cls)} - {"kwargs"}
        kwargs = {k: v for k, v in config.items() if k not in known | {"expert", "demo_overrides"}}
        return cls(**{k: v for k, v in config.items() if k in known}, kwargs=kwargs)
