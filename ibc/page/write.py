"""One HTML file from policies: scripts, style and weights inside, nothing from the network."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ibc.checkpoint import Checkpoint
from ibc.composition.operators import NUM_CALIBRATION
from ibc.energies.box import Box
from ibc.errors import UserError
from ibc.files import write_atomically
from ibc.page.describe import describe_policy, pack
from ibc.policies import Policy

FOLDER = Path(__file__).parent
#: The largest page (bytes) for each of its policies: more is slow to load, and to keep.
MAX_BYTES = 2_000_000
#: The modules of the page, each after those that it imports.
MODULES = (
    "arithmetic",
    "compose",
    "search",
    "scene_any",
    "scene_particle",
    "scene_push",
    "scenes",
    "worker",
    "program",
    "color",
    "draw",
    "solver",
    "stage",
    "controls",
    "app",
    "main",
)


def write_page(path: Path, policies: Sequence[tuple[Policy, Checkpoint, str]]) -> int:
    """Write a page on which the energies of some policies can be looked at, moved, composed and searched.

    Args:
        path: of the HTML file.
        policies: each with its checkpoint, and with the path by which programs of the page load it.

    Returns:
        Bytes of the file.

    Raises:
        UserError: a policy that cannot be shown, too many weights, or a file that cannot be written.
    """
    described = [describe_policy(policy, checkpoint, name) for policy, checkpoint, name in policies]
    content = render(described).encode()
    most = MAX_BYTES * len(policies)
    if len(content) > most:
        sizes = ", ".join(f"{d['name']} {len(d['network']['weights']):,}" for d in described)
        raise UserError(
            f"the page would have {len(content):,} bytes; at most {most:,} are allowed (weights: {sizes})"
        )
    write_atomically(path, content)
    return len(content)


def render(policies: Sequence[dict[str, Any]]) -> str:
    """The page, from the descriptions of its policies."""
    parts = {
        "style": (FOLDER / "style.css").read_text(encoding="utf-8"),
        "data": json.dumps(page_data(policies)).replace("<", "\\u003c"),
        "program": bundle(MODULES),
    }
    template = (FOLDER / "template.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def page_data(policies: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the page computes with: the policies, and the points in [0, 1]^2 by which energies are calibrated."""
    corners = Box(torch.zeros(2), torch.ones(2))
    points = corners.spread(NUM_CALIBRATION)[0].numpy()
    return {"policies": list(policies), "points": pack(points)}


def bundle(modules: Sequence[str]) -> str:
    """Modules as one: names are unique, so that imports and exports can be left out."""
    sources = [(FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in modules]
    without = [re.sub(r"^import .*?;\n", "", source, flags=re.M) for source in sources]
    return "\n".join(re.sub(r"^export ", "", source, flags=re.M) for source in without)
