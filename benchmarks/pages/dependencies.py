"""The page of dependencies: version, license and what each is needed for, as installed.

python -m benchmarks.pages.dependencies docs/dependencies.md
"""

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from benchmarks.results import markdown
from ibc.files import write_atomically

ROOT = Path(__file__).parents[2]
HEAD = """# Dependencies

Versions that were tried together (`constraints.txt`, and mujoco, which an extra may pin to another), with the licenses that they state. Direct dependencies first, with what they are needed for; then what
these bring along. Written by `python -m benchmarks.pages.dependencies docs/dependencies.md`.

Known vulnerabilities, where there is a network: `pip install pip-audit && pip-audit -r constraints.txt --no-deps`.

"""


def wanted_by() -> dict[str, list[str]]:
    """Who asks for a package: the project itself, or its extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"ibc": project["dependencies"], **project["optional-dependencies"]}
    found: dict[str, list[str]] = {}
    for group, requirements in groups.items():
        for requirement in requirements:
            found.setdefault(canonical(re.split(r"[\[<>=!~ ;]", requirement)[0]), []).append(group)
    return found


def canonical(name: str) -> str:
    """The name of a package as indices spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def license_of(name: str) -> str:
    """The license that an installed package states, in a few words."""
    try:
        about = metadata(name)
    except PackageNotFoundError:
        return "not recorded"
    classifiers = [
        c.rpartition(" :: ")[2]
        for c in about.get_all("Classifier") or ()
        if c.startswith("License ::")
    ]
    stated = (
        about.get("License-Expression")
        or ", ".join(classifiers)
        or about.get("License")
        or "not stated"
    )
    return " ".join(stated.split())[:60]


def main(output: str) -> None:
    """Write the page."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    pinned.setdefault("mujoco", metadata("mujoco")["Version"])
    groups = wanted_by()
    rows = [
        (
            name,
            version.split(";")[0].strip(),
            license_of(name),
            ", ".join(groups.get(canonical(name), [])),
        )
        for name, version in pinned.items()
    ]
    rows.sort(key=lambda row: ("ibc" not in row[3].split(", "), not row[3], row[0].lower()))
    table = markdown(["package", "version", "license", "needed by"], [list(row) for row in rows])
    write_atomically(Path(output), (HEAD + "\n".join(table) + "\n").encode())
    print(f"file: {output}")


if __name__ == "__main__":
    main(*sys.argv[1:])
