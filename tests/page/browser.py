"""A headless Chromium, driven by the DevTools protocol."""

import asyncio
import base64
import json
import shutil
import subprocess
import tempfile
import urllib.request

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
TROUBLE = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")


class Browser:
    """One page; ``errors`` are what it wrote to the console, ``requests`` the addresses it asked for."""

    def __init__(self, width=1280, height=900, *, dark=False, mobile=False):
        self.width, self.height, self.dark, self.mobile = width, height, dark, mobile
        self.errors, self.requests = [], []
        self._answers, self._count = {}, 0

    async def __aenter__(self):
        import websockets

        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
        self._process = subprocess.Popen(
            [CHROMIUM, *options, f"--user-data-dir={self._folder.name}", "about:blank"],
            stderr=subprocess.PIPE,
            text=True,
        )
        lines = iter(self._process.stderr.readline, "")
        port = next(line for line in lines if "DevTools listening" in line).split(":")[2]
        with urllib.request.urlopen(f"http://127.0.0.1:{port.split('/')[0]}/json") as answer:
            pages = json.load(answer)
        address = next(page for page in pages if page["type"] == "page")["webSocketDebuggerUrl"]
        self._socket = await websockets.connect(address, max_size=None)
        self._reading = asyncio.create_task(self._read())
        for domain in ("Page", "Runtime", "Network", "Log"):
            await self.send(f"{domain}.enable")
        size = {"width": self.width, "height": self.height, "mobile": self.mobile}
        await self.send("Emulation.setDeviceMetricsOverride", deviceScaleFactor=1, **size)
        await self.send("Emulation.setTouchEmulationEnabled", enabled=self.mobile)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if self.dark else "light"}
        await self.send("Emulation.setEmulatedMedia", features=[scheme])
        return self

    async def __aexit__(self, *_):
        self._reading.cancel()
        await self._socket.close()
        self._process.terminate()
        self._process.wait()
        self._process.stderr.close()
        self._folder.cleanup()

    async def _read(self):
        async for text in self._socket:
            message = json.loads(text)
            if "id" in message:
                self._answers.pop(message["id"]).set_result(message)
            elif message["method"] in TROUBLE:
                self.errors.append(message["params"])
            elif message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])

    async def send(self, method, **parameters):
        """Call a method of the protocol."""
        self._count += 1
        self._answers[self._count] = answer = asyncio.get_running_loop().create_future()
        await self._socket.send(
            json.dumps({"id": self._count, "method": method, "params": parameters})
        )
        message = await answer
        assert "error" not in message, message
        return message["result"]

    async def open(self, path):
        """Load a file."""
        await self.send("Page.navigate", url=path.as_uri())

    async def run(self, expression):
        """The value of an expression, awaited."""
        options = {"awaitPromise": True, "returnByValue": True}
        result = await self.send("Runtime.evaluate", expression=expression, **options)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    async def until(self, expression, seconds=20):
        """Wait until an expression is true."""
        for _ in range(int(20 * seconds)):
            if await self.run(f"Boolean({expression})"):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"never true: {expression}; {self.errors}")

    async def center(self, selector):
        """Where the middle of an element is in the window."""
        rect = await self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
            "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        return float(rect[0]), float(rect[1])

    async def click(self, selector):
        """Click an element."""
        await self.run(f"document.querySelector({json.dumps(selector)}).click()")

    async def drag(self, selector, dx, dy):
        """Drag an element by some pixels, by mouse or by finger."""
        x, y = await self.center(selector)
        for i in range(6):
            at = {"x": x + dx * i / 5, "y": y + dy * i / 5}
            if self.mobile:
                kind = "touchStart" if i == 0 else "touchMove"
                await self.send("Input.dispatchTouchEvent", type=kind, touchPoints=[at])
            else:
                kind = "mousePressed" if i == 0 else "mouseMoved"
                await self.send(
                    "Input.dispatchMouseEvent",
                    type=kind,
                    button="left",
                    buttons=1,
                    clickCount=1,
                    **at,
                )
        if self.mobile:
            await self.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        else:
            await self.send(
                "Input.dispatchMouseEvent", type="mouseReleased", button="left", clickCount=1, **at
            )

    async def screenshot(self, path):
        """Write a PNG of the whole page."""
        result = await self.send("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(result["data"]))
