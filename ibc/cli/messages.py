"""Errors of Hydra and OmegaConf in one line: what is wrong, and what is allowed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable

from ibc.cli.app import CONFIG_DIR
from ibc.errors import UserError

#: What a value must be, by OmegaConf's names of types.
KINDS = {
    "Integer": "a whole number",
    "Float": "a number",
    "bool": "true or false",
    "ListConfig": "a list, [A, B]",
    "not Optional": "given",
}
QUOTING = (
    "values are given as KEY=VALUE, with quotes where there are spaces or brackets: 'KEY=\"a (b)\"'"
)


def one_line(error: Exception, known_keys: Callable[[], list[str]]) -> str:
    """The line for a person.

    Args:
        error: of a command.
        known_keys: gives the dotted keys and groups of the command, for hints.
    """
    text = str(error)
    if isinstance(error, UserError):
        return text
    for say in (_unknown_key, _unknown_option, _wrong_type, _unreadable):
        if (said := say(text, error, known_keys)) is not None:
            return said
    if error.__cause__ is not None:
        text += f"\n{error.__cause__}"  # where Hydra says what, its cause says why
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())


def _unknown_key(text: str, error: Exception, known_keys: Callable[[], list[str]]) -> str | None:
    unknown = re.match(
        r"(?:Could not override|Could not append to config\. An item is already at) '([^']+)'", text
    )
    if unknown is None or "Did you mean" in text:
        return None
    key = unknown[1].partition("@")[0]
    if (CONFIG_DIR / key).is_dir():
        return f"{key}=... has no effect: the chosen policy or loss has no {key}, or brings its own"
    within = re.search(rf"full_key: ({re.escape(key)}\.\S+)", str(error.__cause__))
    if within is not None:  # of several that are given at once: KEY={NAME: VALUE}
        key = within[1]
    near = difflib.get_close_matches(key, known_keys(), 1, 0.75)
    is_of_others = key in near or key.startswith("env.")  # of other choices than these
    hint = f"; add it by +{key}=..." if within or is_of_others else ""
    hint = f"; did you mean {near[0]}?" if near and key not in near else hint
    return f"there is no key '{key}' here{hint}"


def _unknown_option(text: str, error: Exception, known_keys: object) -> str | None:
    """An option that a group does not have: Hydra lists all and where it looked."""
    found = re.search(r"Could not find '([^'/]+)/([^']+)'", text)
    options = re.search(r"Available options in '[^']+':((?:\s+\S+)+?)\s+Config search path", text)
    if found is None or options is None:
        return None
    group, name = found.groups()
    near = difflib.get_close_matches(name, options[1].split(), 1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"there is no {group}={name}; {hint}Available options in '{group}': {', '.join(options[1].split())}"


def _wrong_type(text: str, error: Exception, known_keys: object) -> str | None:
    override = re.match(r"Error merging override (\S.*)", text)
    reason = f"{text} {error.__cause__}"
    kind = re.search(
        r"(?:could not be converted to|is not a valid|is not a) (\w+)|is (not Optional)", reason
    )
    if override is None or kind is None:
        return None
    return f"{override[1]}; it must be {KINDS.get(kind[1] or kind[2], kind[1])}"


def _unreadable(text: str, error: Exception, known_keys: object) -> str | None:
    """What does not follow the grammar of overrides."""
    if "override_grammar" not in text:
        return None
    given = re.search(r"override '(.*)'", text) or re.match(
        r"LexerNoViableAltException: (.*)", text
    )
    return f"cannot read {given[1] if given else 'the command line'}; {QUOTING}"
