"""What is wanted of a data set. Readers know it, so that nothing else is decoded, nor demanded."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from ibc.errors import UserError

#: Wanted names that stand for other parts of an episode than its observations.
PARTS = ("action", "reward", "success")
#: A name with the entries that are taken of it.
ENTRIES = re.compile(r"(.+)\[(\d*):(\d*)\]")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is wanted of a data set.

    Attributes:
        obs_names: observations, by their wanted names; None for all.
        rename: ``{name: wanted name}``, where a name is the file's own or the one that its reader gives. One that is
            renamed to ``action``, ``reward`` or ``success`` takes that part. ``name[2:5]`` takes entries 2 to 4 of a
            flat vector.
        episode_length: steps after which episodes ended, for D4RL files that do not tell.
        entries: ``{wanted name: entries}`` that are taken of vectors, by ``rename``.

    Raises:
        UserError: two names become one, names are no list, or the length is no length.
    """

    obs_names: Sequence[str] | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    episode_length: int | None = None
    entries: Mapping[str, slice] = field(init=False)

    def __post_init__(self) -> None:
        names = [*self.rename.items()] if isinstance(self.rename, Mapping) else [(None, None)]
        if not all(isinstance(name, str) for pair in names for name in pair):
            raise UserError(
                f"data.rename={self.rename}; it is {{NAME IN THE DATA: NAME WANTED, ...}}"
            )
        if isinstance(self.obs_names, str):
            raise UserError(f"data.obs_names={self.obs_names}; it is [NAME, ...]")
        plain, entries = {}, {}
        for name, wanted in self.rename.items():
            part = ENTRIES.fullmatch(name)
            plain[part[1] if part else name] = wanted
            if part:
                entries[wanted] = slice(*(int(x) if x else None for x in part.group(2, 3)))
        if len(plain) < len(self.rename):
            raise UserError(f"data.rename={dict(self.rename)} takes two parts of one observation")
        object.__setattr__(self, "rename", plain)
        object.__setattr__(self, "entries", entries)
        if len(set(self.rename.values())) < len(self.rename):
            raise UserError(f"data.rename={dict(self.rename)} gives one name twice")
        if self.episode_length is not None and self.episode_length < 1:
            raise UserError(f"data.episode_length={self.episode_length}; it must be at least 1")

    def cut(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        """The entries that are wanted of an array (T, D).

        Raises:
            UserError: it is no flat vector, or has no such entries.
        """
        if name not in self.entries:
            return array
        found: NDArray[Any] = array[:, self.entries[name]] if array.ndim == 2 else array[:, :0]
        is_short = array.ndim == 2 and (self.entries[name].stop or 0) > array.shape[1]
        if array.ndim != 2 or not found.shape[1] or is_short:
            raise UserError(
                f"data.rename: {name} is to have entries of a vector of shape {array.shape[1:]}"
            )
        return found

    def part(self, name: str, usual: Sequence[str], there: Collection[str]) -> str | None:
        """The file's name of the part ``name``: the renamed one, else the first of the ``usual`` that is there.

        What is renamed to something else is no longer that part.
        """
        asked = [old for old, new in self.rename.items() if new == name]
        others = [n for n in usual if n not in self.rename]
        return next((n for n in (*asked, *others) if n in there), None)

    def observations(
        self, fields: Mapping[str, str], others: Collection[str] = ()
    ) -> dict[str, str]:
        """The observations to read, ``{wanted name: name in the file}``.

        Args:
            fields: the observations that are there, ``{name that the reader gives: name in the file}``.
            others: what else the file has; of these an observation is read where it is renamed, or asked for.

        Raises:
            UserError: one that is asked for is not there, or one that is to be renamed.
        """
        others = [n for n in others if n not in fields and n not in fields.values()]
        known = {*fields, *fields.values(), *others}
        if unknown := [name for name in self.rename if name not in known]:
            raise UserError(
                f"data.rename: there is no {', '.join(unknown)}; there are {', '.join([*fields, *others])}"
            )
        asked = self.obs_names or ()
        more = [name for name in others if name in self.rename or name in asked]
        named: dict[str, str] = {}
        for short, inside in [*fields.items(), *((name, name) for name in more)]:
            name = self.rename.get(inside, self.rename.get(short, short))
            if name in named:
                raise UserError(f"data.rename gives the name '{name}' to two observations")
            if name not in PARTS:
                named[name] = inside
        if self.obs_names is None:
            return named
        there = ", ".join(named)
        if not self.obs_names:
            raise UserError(f"data.obs_names is empty; there are {there}")
        if missing := [name for name in self.obs_names if name not in named]:
            raise UserError(f"there is no observation {', '.join(missing)}; there are {there}")
        return {name: named[name] for name in self.obs_names}
