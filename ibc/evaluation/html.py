"""Parts of the pages of runs: each needs no other file and no network."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

STYLE = """
:root { color-scheme: light dark; --paper: #fbfbfa; --ink: #1c2230; --soft: #5c6577; --line: #d9dde5; --field: #f1f3f7;
  --good: #1d8a4c; --bad: #c8323f; }
@media (prefers-color-scheme: dark) { :root { --paper: #12151c; --ink: #e8ebf2; --soft: #9aa4b7; --line: #303747;
  --field: #1c212b; --good: #4cc984; --bad: #ff6b76; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; max-width: 68rem;
  margin: 2rem auto; padding: 0 1rem 3rem; background: var(--paper); color: var(--ink); }
h1 { font-size: 1.6rem; line-height: 1.2; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2.4rem; }
.sub, figcaption, section > p { color: var(--soft); } .sub { margin-top: .3rem; } figcaption { font-size: .9rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .8rem; margin: 1.5rem 0; }
.card { border: 1px solid var(--line); border-radius: .7rem; padding: .8rem 1rem; }
.card b { display: block; font-size: 1.6rem; line-height: 1.25; } .card span { color: var(--soft); font-size: .9rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(15rem, 100%), 1fr)); gap: 1.2rem; }
figure { margin: 0; min-width: 0; } img, video { display: block; width: 100%; border-radius: .4rem; }
video { max-height: 32rem; background: #000; } figcaption { margin-top: .35rem; }
pre { background: var(--field); padding: 1rem; overflow-x: auto; font-size: .8rem; border-radius: .5rem; }
details { margin-top: .8rem; } summary { cursor: pointer; font-weight: 600; }
.outcomes { display: flex; flex-wrap: wrap; gap: 3px; } .outcomes i { width: 1.15rem; height: 1.15rem; font: 700 .7rem/1.15rem
  system-ui, sans-serif; text-align: center; border-radius: 3px; color: #fff; background: var(--good); }
.outcomes i.failure { background: var(--bad); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
"""


def document(title: str, subtitle: str, body: str) -> str:
    """A whole page, from a title and a subtitle in plain text and a body in HTML."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>"
        f'<h1>{html.escape(title)}</h1><p class="sub">{html.escape(subtitle)}</p>{body}</body></html>\n'
    )


def section(heading: str, *parts: str) -> str:
    """A heading and what belongs to it."""
    return f"<section><h2>{html.escape(heading)}</h2>{''.join(parts)}</section>"


def text(content: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{html.escape(content)}</p>"


def grid(figures: Sequence[str]) -> str:
    """Figures beside one another, as many as there is room for."""
    return f'<div class="grid">{"".join(figures)}</div>'


def figure(content: str, note: str) -> str:
    """An image or a film with a line beneath it."""
    return f"<figure>{content}<figcaption>{html.escape(note)}</figcaption></figure>"


def image(content: bytes, description: str) -> str:
    """A PNG inside the page."""
    data = base64.b64encode(content).decode()
    return f'<img alt="{html.escape(description)}" src="data:image/png;base64,{data}">'


def film(content: bytes, poster: bytes | None = None) -> str:
    """An MP4 inside the page, and a PNG that is shown until it is played."""
    data = base64.b64encode(content).decode()
    first = ' preload="metadata"'
    if poster is not None:
        shown = base64.b64encode(poster).decode()
        first = f' preload="none" poster="data:image/png;base64,{shown}"'
    return (
        f'<video controls loop muted playsinline{first} src="data:video/mp4;base64,{data}"></video>'
    )


def cards(found: Sequence[tuple[str, str]]) -> str:
    """Numbers, each with what it is."""
    each = (
        f'<div class="card"><b>{html.escape(number)}</b><span>{html.escape(what)}</span></div>'
        for number, what in found
    )
    return f'<div class="cards">{"".join(each)}</div>'


def outcomes(rows: Sequence[Mapping[str, Any]]) -> str:
    """One square for each episode, with its seed, return and length as a tooltip."""
    squares = []
    for row in rows:
        kind, mark = ("success", "✓") if row["success"] else ("failure", "x")
        note = f"seed {row['seed']}: {kind}, return {row['return']:.3g}, {row['length']} steps"
        squares.append(f'<i class="{kind}" title="{note}">{mark}</i>')
    solved = sum(bool(row["success"]) for row in rows)
    return (
        f'<div class="outcomes" role="img" aria-label="{solved} of {len(rows)} episodes succeeded">'
        f"{''.join(squares)}</div>"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Plain text in rows and columns."""
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    lines = (
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="scroll"><table><tr>{top}</tr>{"".join(lines)}</table></div>'


def folded(summary: str, content: str) -> str:
    """HTML that is shown when the summary is clicked."""
    return f"<details><summary>{html.escape(summary)}</summary>{content}</details>"


def dump(content: object) -> str:
    """Plain containers as text."""
    return f"<pre>{html.escape(json.dumps(content, indent=1))}</pre>"


def command(line: str | None) -> str:
    """The command that made a run, where it is known."""
    return "" if line is None else f"<pre>{html.escape(line)}</pre>"
