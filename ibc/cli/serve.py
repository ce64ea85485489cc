"""Serve a checkpoint's policy to programs elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import signal

from ibc.cli.act import load_for_command, num_execute_steps
from ibc.cli.config import Config
from ibc.detection import Detector
from ibc.device import configure_device
from ibc.serving import PolicyServer


def serve(config: Config) -> None:
    """Answer clients until the process is interrupted.

    Raises:
        UserError: the address cannot be used, or is open to other machines without a token; the detector cannot be
            read, or judge this policy.
    """
    device = configure_device(config["device"], config["precision"])
    checkpoint, policy = load_for_command(config, device)
    path = config["detector"]
    detector = None if path is None else Detector.load(path, trust=config["trust"])
    server = PolicyServer(
        policy,
        token=config["token"],
        num_execute_steps=num_execute_steps(config, checkpoint),
        detector=detector,
        on_doubt=config["on_doubt"],
    )
    asyncio.run(_until_stopped(server, config["host"], config["port"]))


async def _until_stopped(server: PolicyServer, host: str, port: int) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(
            NotImplementedError
        ):  # on Windows, where Ctrl-C raises KeyboardInterrupt
            loop.add_signal_handler(number, stopped.set)
    async with server.listen(host, port) as port_used:
        address = f"[{host}]" if ":" in host else host
        print(f"serving at ws://{address}:{port_used}; Ctrl-C ends", flush=True)
        await stopped.wait()
