"""Every link and picture of README, CONTRIBUTING and docs/ leads to a file, and every anchor to a heading."""

import re

import pytest
from conftest import ROOT

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
#: Blocks between three backticks, code between one, and comments have no links.
NO_LINKS = re.compile(r"^```.*?^```$|`[^`\n]*`|<!--.*?-->", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"""\]\(([^)\s]+)|(?:src|href)="([^"]+)\"""")


def links(path):
    text = NO_LINKS.sub("", path.read_text())
    return [a or b for a, b in LINK.findall(text)]


def anchors(path):
    """As GitHub and the site make them of headings."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.S | re.M)
    titles = re.findall(r"^#+ (.*)$", text, flags=re.M)
    plain = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
    return {title.strip().replace(" ", "-") for title in plain}


def broken(path):
    for link in links(path):
        if re.match(r"https?:|mailto:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists():
            yield f"{link}: no such file"
        elif anchor and (target.suffix != ".md" or anchor not in anchors(target)):
            yield f"{link}: no such heading"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_links_and_pictures(path):
    assert list(broken(path)) == []


def test_what_is_broken_is_found(tmp_path):
    (tmp_path / "b.md").write_text("# One: `two`\n\n```\n# no heading\n```\n")
    page = tmp_path / "a.md"
    page.write_text(
        '[x](b.md#one-two) [x](b.md#no-heading) ![x](c.png) `[x](d.md)`\n<img src="e.png">\n'
        "```\n[x](f.md)\n```\n"
    )
    assert list(broken(page)) == [
        "b.md#no-heading: no such heading",
        "c.png: no such file",
        "e.png: no such file",
    ]


def test_the_glossary_is_in_order():
    terms = re.findall(r"^### (.*)$", (ROOT / "docs/glossary.md").read_text(), flags=re.M)
    assert len(terms) > 50
    assert terms == sorted(set(terms), key=str.lower)


def test_every_page_and_picture_is_used():
    """A page is in the site's navigation, a picture on a page."""
    nav = (ROOT / "mkdocs.yml").read_text()
    pages = [path.relative_to(ROOT / "docs") for path in PAGES if ROOT / "docs" in path.parents]
    assert [str(page) for page in pages if f": {page}\n" not in nav] == []
    used = {(page.parent / link).resolve() for page in PAGES for link in links(page)}
    pictures = [p for p in (ROOT / "docs").rglob("*") if p.suffix in (".png", ".webp", ".mp4")]
    assert [picture.name for picture in pictures if picture not in used] == []
