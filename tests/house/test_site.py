"""The documentation site, built in an environment of its own."""

import re
import subprocess

import pytest
from conftest import ROOT

#: What a browser fetches by itself: scripts, style sheets, fonts, pictures, frames.
FETCHED = re.compile(
    r"<(?:script|img|iframe|source|video)\b[^>]*\bsrc=\"?(?:https?:)?//|<link\b[^>]*stylesheet[^>]*//|@import|url\(\s*['\"]?(?:https?:)?//"
)


@pytest.mark.slow
def test_the_site_is_built_and_its_pages_fetch_nothing():
    subprocess.run(["make", "docs"], cwd=ROOT, check=True)
    pages = list((ROOT / "site").rglob("*.html"))
    assert len(pages) > 40
    assert [page.name for page in pages if FETCHED.search(page.read_text())] == []
    sheets = list((ROOT / "site").rglob("*.css"))
    assert [sheet.name for sheet in sheets if FETCHED.search(sheet.read_text())] == []
    losses = (ROOT / "site/reference/ibc.losses.html").read_text()
    assert 'id="ibc.losses.info_nce.InfoNCE"' in losses
    assert ":class:" not in losses
    tasks = (ROOT / "site/reference/ibc_envs.block_push.html").read_text()
    assert 'id="ibc_envs.block_push.tasks.BlockInsertEnv"' in tasks
    sweeping = (ROOT / "site/sweeping.html").read_text()
    assert sweeping.count("<video ") == 7
    assert '.mp4">' not in sweeping
    assert "def demonstrations(count" in re.sub(
        "<[^>]*>", "", (ROOT / "site/examples.html").read_text()
    )
