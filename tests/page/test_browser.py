"""The page in a browser: it loads without a network, and everything on it can be moved and switched."""

import asyncio

import cv2
import numpy as np
import pytest
from browser import Browser, needs_chromium
from conftest import ROOT

pytestmark = [pytest.mark.unchecked, needs_chromium]

READY = "globalThis.energyPage?.stage.map && energyPage.stage.result"
#: Frames a second and the longest pause (ms) over a second.
FRAMES = """new Promise((done) => {
  let count = 0, longest = 0;
  const start = performance.now();
  let last = start;
  const frame = () => {
    const now = performance.now();
    count++; longest = Math.max(longest, now - last); last = now;
    now - start < 1000 ? requestAnimationFrame(frame) : done([(1000 * count) / (now - start), longest]);
  };
  requestAnimationFrame(frame);
})"""
ENERGY = "energyPage.stage.result.energy"


#: What the command writes, which ``test_page`` sees to.
PAGE = ROOT / "docs/energy.html"


@pytest.fixture(scope="module")
def runner():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def desktop(runner):
    """A browser that several tests share."""
    browser = Browser()
    runner.run(browser.__aenter__())
    yield browser
    runner.run(browser.__aexit__())


@pytest.fixture
def visit(runner, desktop):
    """Open the page, follow a course, and see that nothing went wrong and nothing was fetched."""

    def visited(course, browser=desktop):
        async def follow():
            browser.errors.clear()
            browser.requests.clear()
            await browser.open(PAGE)
            await browser.until(READY)
            await course(browser)
            assert browser.errors == []
            local = ("file:", "blob:", "data:")
            assert [url for url in browser.requests if not url.startswith(local)] == []

        runner.run(follow())

    return visited


def test_what_is_dragged_changes_the_energy(visit):
    async def course(browser):
        for tab, handles in enumerate((("goal0", "agent", "velocity"), ("goal0", "block0", "tip"))):
            await browser.click(f"#tabs button:nth-child({tab + 1})")
            await browser.until(READY)
            for key in handles:
                before = await browser.run(
                    f"energyPage.stage.handles().find(h => h.key === '{key}').at"
                )
                version = await browser.run("energyPage.stage.version")
                await browser.drag(f"[data-key={key}]", 40, 25)
                await browser.until(
                    f"energyPage.stage.version > {version} && energyPage.clock === 1"
                )
                after = await browser.run(
                    f"energyPage.stage.handles().find(h => h.key === '{key}').at"
                )
                assert np.abs(np.subtract(after, before)).max() > 0.01

    visit(course)


def test_switches_and_sliders(visit):
    async def course(browser):
        await browser.until("energyPage.stage.following.length > 2")
        seen = {round(await browser.run(ENERGY), 6)}
        for operation in ("and", "or", "not"):
            result = "globalThis.before = energyPage.stage.result"
            await browser.run(f"{result}; document.querySelector('[value={operation}]').click()")
            await browser.until("energyPage.stage.result !== before")
            seen.add(round(await browser.run(ENERGY), 6))
        assert len(seen) == 4
        await browser.click("[value=none]")
        for kind in ("DFO", "ULA"):
            await browser.run(
                "globalThis.before = energyPage.stage.result; const select = document.getElementById('search');"
                f"select.value = '{kind}'; select.dispatchEvent(new Event('change'))".replace(
                    "const ", "var "
                )
            )
            await browser.until(f"energyPage.stage.result.search === '{kind}'")
        await browser.run(
            "var disks = document.getElementById('disks'); disks.value = 2;"
            "disks.dispatchEvent(new Event('input')); disks.dispatchEvent(new Event('change'))"
        )
        await browser.until("energyPage.stage.map.allowed?.includes(false)")
        await browser.drag("[data-key=disk0]", 60, 40)

    visit(course)


def test_a_decision_is_acted_on_and_reset(visit):
    async def course(browser):
        start = await browser.run("energyPage.stage.body.position")
        await browser.click("#play")
        await browser.until("energyPage.stage.count >= 2")
        await browser.click("#play")
        moved = await browser.run("energyPage.stage.body.position")
        assert np.abs(np.subtract(moved, start)).max() > 1e-3
        await browser.click("#again")
        await browser.click("#reset")
        assert await browser.run("energyPage.stage.body.position") == start
        await browser.click("#export")
        await browser.until("document.getElementById('program').open")
        assert "ibc.load_policy" in await browser.run("document.getElementById('code').textContent")

    visit(course)


def test_two_clicks_on_step_do_not_cancel_each_other(visit):
    async def course(browser):
        await browser.click("#step")
        await browser.click("#step")
        await browser.until("energyPage.stage.count == 1 && !energyPage.stepping")
        await browser.click("#step")
        await browser.until("energyPage.stage.count == 2")

    visit(course)


def test_frames_a_second_while_it_computes(visit):
    """Thirty, also where two cores without a GPU are shared with another test."""

    async def course(browser):
        await browser.click("#tabs button:nth-child(2)")
        await browser.until(READY)
        await browser.click("#play")
        best = max([await browser.run(FRAMES) for _ in range(2)])
        assert best[0] > 30

    visit(course)


def test_a_phone_in_the_dark(visit, runner, tmp_path):
    async def course(browser):
        before = await browser.run("energyPage.stage.handles().find(h => h.key === 'goal1').at")
        await browser.drag("[data-key=goal1]", 20, 30)
        after = await browser.run("energyPage.stage.handles().find(h => h.key === 'goal1').at")
        assert np.abs(np.subtract(after, before)).max() > 0.01
        assert (
            await browser.run("document.documentElement.scrollWidth") <= 390
        )  # nothing is cut off
        small = "[...document.querySelectorAll('main button, select')].filter(e => e.offsetHeight && e.offsetHeight < 28).length"
        assert await browser.run(small) == 0
        await browser.run("document.querySelector('[data-key=agent]').focus()")
        place = await browser.run("energyPage.stage.body.position[0]")
        for kind in ("keyDown", "keyUp"):
            await browser.send(
                "Input.dispatchKeyEvent", type=kind, key="ArrowRight", code="ArrowRight"
            )
        assert await browser.run("energyPage.stage.body.position[0]") > place
        await browser.screenshot(tmp_path / "phone.png")
        image = cv2.imread(str(tmp_path / "phone.png"))
        assert image.shape[1] == 390
        assert image[2:40, 2:20].mean() < 60  # the paper is dark
        assert len(np.unique(image.reshape(-1, 3), axis=0)) > 500  # the map has its colors

    browser = Browser(width=390, height=844, dark=True, mobile=True)
    runner.run(browser.__aenter__())
    try:
        visit(course, browser)
    finally:
        runner.run(browser.__aexit__())
