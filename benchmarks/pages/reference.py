"""Hooks of the site (mkdocs.yml): a page for each package, from its docstrings."""

import ast
import re
import tomllib
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]

#: Roles of Sphinx in docstrings, which are names in typewriter here.
ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc):<code>~?([^<]*)</code>")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each package."""
    for package in packages():
        uri = f"reference/{package}.md"
        files.append(File.generated(config, uri, content=reference(package)))
    return files


def on_page_content(html: str, **_: object) -> str:
    """Take the roles of Sphinx away."""
    return ROLE.sub(lambda m: f"<code>{m[1].removeprefix('ibc.')}</code>", html)


def packages() -> list[str]:
    """Packages that are installed and export something, but for the command line and its configuration."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    installed = {*project["tool"]["setuptools"]["packages"]} - {"ibc.cli", "ibc.configs"}
    return sorted(name for name in installed if exported(name))


def reference(package: str) -> str:
    """The page of one package: what it exports, each name by its docstring.

    What has a page of its own, being exported by another package as well, is a link to that.
    """
    parts = [f"# {package}", "", ast.get_docstring(_init(package)) or "", ""]
    inner = [name for name in packages() if name.rpartition(".")[0] == package]
    about = ((name, ast.get_docstring(_init(name)) or "") for name in inner)
    rows = [f"| [`{name}`]({name}.md) | {text.partition(chr(10))[0]} |" for name, text in about]
    parts += ["| package | |", "|---|---|", *rows, ""] if rows else []
    links, own = [], []
    for name, module in sorted(exported(package).items(), key=lambda item: item[0].lower()):
        home = max((p for p in packages() if f"{module}.".startswith(f"{p}.")), key=len)
        if home != package and name in exported(home):
            links.append(f"| [`{name}`][{exported(home)[name]}.{name}] | `{home}` |")
        else:
            own.append(f"::: {module}.{name}\n")
    if links:
        parts += ["| name | package |", "|---|---|", *links, ""]
    return "\n".join(parts + own)


def exported(package: str) -> dict[str, str]:
    """Public names of a package and its environments, each with the module that it is taken from."""
    tree = _init(package)
    listed = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node).startswith("__all__ = [")
    ]
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package}."):
            for alias in node.names:
                if alias.asname or (listed and alias.name in listed[0]):
                    names[alias.name] = node.module or ""
    for path in _folder(package).glob("*.py") if package.startswith("ibc_envs.") else ():
        defined = re.findall(r"^class ([A-Z]\w*Env)\(", path.read_text("utf-8"), re.MULTILINE)
        names |= dict.fromkeys(defined, f"{package}.{path.stem}")
    own = (node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef))
    return names | {node.name: package for node in own if not node.name.startswith("_")}


def _init(package: str) -> ast.Module:
    return ast.parse((_folder(package) / "__init__.py").read_text("utf-8"))


def _folder(package: str) -> Path:
    return ROOT / re.sub("^ibc_envs", "envs", package).replace(".", "/")
