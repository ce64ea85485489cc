"""A policy behind a WebSocket: many clients, one policy."""

from __future__ import annotations

import asyncio
import hmac
import http
import ipaddress
import math
import sys
import traceback
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from ibc.control import Controller
from ibc.control.confidence import OnDoubt
from ibc.detection import Detector
from ibc.errors import UserError
from ibc.policies import ComposedPolicy, Policy
from ibc.serving.session import Session
from ibc_client.messages import MessageError, decode, encode

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request, Response

#: Clients at once; more are refused.
MAX_CLIENTS = 64
#: Bytes of a message beside the observation's numbers.
OVERHEAD_BYTES = 1 << 16
#: The most bytes of the observations that the terms of a composition see beside the policy.
TERMS_BYTES = 1 << 20
#: Messages of one client that wait to be read; after that the client's own socket is full.
WAITING_MESSAGES = 4
#: Seconds in which a client has to say hello, and to read an answer.
PATIENCE = 10.0


class PolicyServer:
    """Answers the requests of clients by a policy; see :class:`ibc.serving.Session`.

    A client that sends what cannot be understood gets an error message; one that does not read its answers is
    disconnected. Neither changes what the others get. Requests are answered one after another, in a thread.

    Args:
        policy: acts for all clients.
        token: that clients must send, printable characters of Latin-1 without a space at either end; None admits all.
        num_execute_steps, detector, on_doubt: see :class:`ibc.serving.Session`.

    Raises:
        UserError: websockets or msgpack are not installed, the token is none that a client could send, or settings of
            the controller make no sense.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        token: str | None = None,
        num_execute_steps: int | None = None,
        detector: Detector | None = None,
        on_doubt: OnDoubt = None,
    ) -> None:
        _require_packages()
        if token is not None and not _can_be_sent(token):
            raise UserError(
                "the token is empty or no header; allowed: letters, digits and signs, without a space at either end"
            )
        self.policy, self.detector = policy, detector
        self.token = token
        self._session = partial(Session, policy, num_execute_steps, detector, on_doubt)
        self._session()  # refuses what makes no sense now, not at the first client
        self._num_clients = 0

    @asynccontextmanager
    async def listen(self, host: str = "127.0.0.1", port: int = 8765) -> AsyncIterator[int]:
        """Accept clients while the context is open; gives the port, which the system chooses for ``port=0``.

        Raises:
            UserError: a host that other machines reach, without a token; an address that cannot be used; or a detector
                that cannot judge this policy.
        """
        from websockets.asyncio.server import serve

        if self.token is None and not is_loopback(host):
            raise UserError(
                f"host={host} can be reached by other machines; give a token, or host=127.0.0.1"
            )
        _decide_once(self.policy, self.detector)
        try:
            server = await serve(
                self._serve_client,
                host,
                port,
                process_request=self._admit,
                origins=[None],  # web pages send an origin, and have no business here
                compression=None,
                max_size=message_bytes(self.policy),
                max_queue=WAITING_MESSAGES,
                open_timeout=PATIENCE,
            )
        except (OSError, OverflowError) as error:
            raise UserError(f"cannot listen at {host}:{port}: {error}") from error
        with ThreadPoolExecutor(1, "policy") as self._worker:
            async with server:
                yield server.sockets[0].getsockname()[1]

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse a client without the token, or one too many, before anything it sends is read."""
        given = ",".join(request.headers.get_all("Authorization")).encode()  # two are wrong
        expected = f"Bearer {self.token}".encode()
        if self.token is not None and not hmac.compare_digest(given, expected):
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "the token is wrong\n")
        if self._num_clients >= MAX_CLIENTS:
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "too many clients\n")
        return None

    async def _serve_client(self, connection: ServerConnection) -> None:
        from websockets.exceptions import ConnectionClosed

        self._num_clients += 1
        try:
            await self._converse(connection)
        except ConnectionClosed:
            pass
        except TimeoutError:  # it does not read, so it would not read a farewell
            connection.transport.abort()
        finally:
            self._num_clients -= 1

    async def _converse(self, connection: ServerConnection) -> None:
        session = self._session()
        async with asyncio.timeout(PATIENCE):
            first = await connection.recv()
        reply = await self._reply(session, first)
        await self._send(connection, reply)
        if reply["type"] == "error":
            return
        async for data in connection:
            await self._send(connection, await self._reply(session, data))

    async def _reply(self, session: Session, data: bytes | str) -> dict[str, Any]:
        """The answer to the bytes of a client, or the error message that they deserve."""
        number = None
        try:
            message = decode(data)
            number = message.get("id")
            if type(number) is not int:
                number = None
            loop = asyncio.get_running_loop()
            answer: dict[str, Any] = await loop.run_in_executor(
                self._worker, session.answer, message
            )
            return answer
        except (MessageError, UserError) as error:
            reason = str(error)
        except Exception as error:  # of a policy: others go on
            traceback.print_exc(file=sys.stderr)
            reason = f"the policy failed: {type(error).__name__}"
        return {"type": "error", "id": number, "message": reason}

    async def _send(self, connection: ServerConnection, message: dict[str, Any]) -> None:
        async with asyncio.timeout(PATIENCE):
            await connection.send(encode(message))


def _decide_once(policy: Policy, detector: Detector | None) -> None:
    """Take and judge the first decision, which is slow, before there are clients.

    Without the terms of a composition, of whose observations the shapes are unknown.
    """
    policy = policy.policy if isinstance(policy, ComposedPolicy) else policy
    controller = Controller(policy, detector=detector)
    controller.reset()
    fields = policy.spec.obs.items()
    controller.step({name: np.zeros(field.shape, field.dtype) for name, field in fields})


def message_bytes(policy: Policy) -> int:
    """The most bytes of a client's message: an observation in double precision, and a little more."""
    sizes = (
        math.prod(field.shape) * (1 if field.is_image else np.dtype("float64").itemsize)
        for field in policy.spec.obs.values()
    )
    further = TERMS_BYTES if isinstance(policy, ComposedPolicy) else 0
    return sum(sizes) + further + OVERHEAD_BYTES


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _can_be_sent(token: str) -> bool:
    """Whether a token arrives as it is, in a header."""
    is_latin = all(ord(character) < 256 for character in token)
    return bool(token) and is_latin and token.isprintable() and token == token.strip()


def _require_packages() -> None:
    missing = [name for name in ("msgpack", "websockets") if find_spec(name) is None]
    if missing:
        raise UserError(f"a policy server needs {' and '.join(missing)}: pip install ibc[serve]")
