"""Hooks of the site (mkdocs.yml): pages made of README, examples and commands; links that lead out of docs/.

This file is read by mkdocs, in an environment that has neither torch nor this project.
"""

import ast
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]

#: Pages of the site that are files beside docs/, by what they are called there.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
#: Links and images of Markdown, and of HTML within it; a block of code between three backticks has none.
LINK = re.compile(r"""(\]\(|(?:src|href)=")([^)\s"]+)""")
#: Tables that ``make tables`` writes, without the note under them.
NUMBERS = re.compile(r"<!-- table [^>]*-->\n((?:\|.*\n)+)")
#: Characters of the longest line of such a table that is shown without line breaks.
WIDEST = 130
FIGURE = re.compile(r'(<img [^>]*src="([^"]+)"[^>]*>)')
#: A paragraph that begins with links to films, and what becomes of each link: a player with its text as caption.
FILMS = re.compile(r'<p>((?:<a href="[^"]+\.mp4">.*?</a>[\s,.]*)+)(.*?)</p>', re.DOTALL)
FILM = re.compile(r'<a href="([^"]+\.mp4)">(?:Films?: )?(.*?)</a>', re.DOTALL)
PLAYER = (
    '<figure><video controls muted loop playsinline preload="metadata" src="%s#t=0.001"></video>'
    "<figcaption>%s</figcaption></figure>"
)
SHIM = "scripts/iframe-worker.js"
FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/, and the files to which pages link."""
    for source, uri in PAGES.items():
        head = "---\nhide: [navigation]\n---\n" if uri == "index.md" else ""
        text = head + (ROOT / source).read_text("utf-8")
        files.append(File.generated(config, uri, content=text))
    files.append(File.generated(config, "examples.md", content=examples()))
    files.append(File.generated(config, "commands.md", content=commands()))
    for path in linked_files():
        files.append(File.generated(config, str(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Direct links that lead out of docs/ to what stands for it on the site; mark tables of results for the style."""
    uri = page.file.src_uri
    source = next((s for s, made in PAGES.items() if made == uri), f"docs/{uri}")
    parts = FENCE.split(markdown)
    parts[::2] = [
        LINK.sub(lambda m: m[1] + site_link(m[2], source, uri), part) for part in parts[::2]
    ]
    return NUMBERS.sub(_numbers, "".join(parts))


def _numbers(table: re.Match[str]) -> str:
    """The table, marked for the style: where it has sentences, its cells are broken into lines, and not scrolled to."""
    kind = "wide" if max(map(len, table[1].splitlines())) > WIDEST else "numbers"
    return f'<div class="{kind}" markdown>\n\n{table[1]}\n\n</div>'


def on_page_content(html: str, **_: object) -> str:
    """Make each figure a link to itself, to be seen in its full size on a small screen; let films play on the page."""
    html = FILMS.sub(lambda m: f'<div class="films">{_players(m[1])}</div><p>{m[2]}</p>', html)
    return FIGURE.sub(r'<a href="\2">\1</a>', html)


def _players(links: str) -> str:
    return "".join(PLAYER % film for film in FILM.findall(links))


def on_post_page(output: str, page: Page, **_: object) -> str:
    """Take the script that the theme fetches for searching in pages without a server from the site itself."""
    return output.replace("https://unpkg.com/iframe-worker/shim", _shim(page.file.src_uri))


def on_post_template(output_content: str, **_: object) -> str:
    """The same for the page of a wrong address."""
    return output_content.replace("https://unpkg.com/iframe-worker/shim", "/" + SHIM)


def _shim(uri: str) -> str:
    return posixpath.relpath(SHIM, posixpath.dirname(uri) or ".")


def site_link(link: str, source: str, uri: str) -> str:
    """Where a link of the file ``source`` leads on the site, seen from the page ``uri``."""
    target, mark, anchor = link.partition("#")
    if not target or re.match(r"[a-z]+:", target):
        return link
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    if path.startswith("docs/"):
        path = path.removeprefix("docs/")
    elif path in PAGES:
        path = PAGES[path]
    elif path == "examples" or path.startswith("examples/"):
        mark, anchor = "#", Path(path).stem if path != "examples" else "examples"
        path = "examples.md"
    elif not (ROOT / path).is_file():
        raise PluginError(f"{source} links to {link}, which the site does not have")
    return posixpath.relpath(path, posixpath.dirname(uri) or ".") + mark + anchor


def linked_files() -> Iterator[Path]:
    """Files outside of docs/ and examples/ to which a page links."""
    found = set()
    for page in [*map(Path, PAGES), *(p.relative_to(ROOT) for p in (ROOT / "docs").rglob("*.md"))]:
        for _, link in LINK.findall(FENCE.sub("", (ROOT / page).read_text("utf-8"))):
            path = Path(posixpath.normpath(posixpath.join(page.parent, link.partition("#")[0])))
            if path.parts[:1] not in ((), ("docs",), ("examples",)) and str(path) not in PAGES:
                found.add(path)
    yield from sorted(path for path in found if (ROOT / path).is_file())


def examples() -> str:
    """Every program of examples/, whole, below the first sentence of its docstring."""
    parts = [
        "# Examples",
        "Complete programs, to be run in the root of a clone; each is run by the tests.",
        "",
    ]
    for path in sorted((ROOT / "examples").glob("*.py")):
        code = path.read_text("utf-8")
        parts += [f"## {path.stem}", "", ast.get_docstring(ast.parse(code)) or "", ""]
        parts += [f'```python title="examples/{path.name}"', code.rstrip(), "```", ""]
    return "\n".join(parts)


def commands() -> str:
    """Every subcommand of ``ibc`` with its keys, as its configuration file explains them."""
    module = ast.parse((ROOT / "ibc/cli/app.py").read_text("utf-8"))
    (table,) = (
        node.value
        for node in module.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "COMMANDS"
    )
    if not isinstance(table, ast.Dict):
        raise PluginError("COMMANDS of ibc/cli/app.py is no dictionary")
    parts = ["# Commands", "`ibc COMMAND [key=value ...]`; `ibc COMMAND --help` prints the keys."]
    for key, call in zip(table.keys, table.values, strict=True):
        name, summary = ast.literal_eval(key), ast.literal_eval(call.args[0])  # type: ignore[arg-type, attr-defined]
        parts += ["", f"## ibc {name}", "", summary]
        config = ROOT / f"configs/{name}.yaml"
        if config.is_file():
            parts += ["", f'```yaml title="configs/{name}.yaml"', config.read_text().rstrip()]
            parts += ["```"]
    return "\n".join(parts)
